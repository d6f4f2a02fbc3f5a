// gnomon::error on its way through actors. An error reply is a caf::error of category "gnomon" which carries code,
// text and errno; everything CAF itself reports (timeouts, dead actors, lost connections) is translated into the same
// vocabulary, so that callers react to one errc. Any thread.
#pragma once

#include <caf/error.hpp>
#include <caf/expected.hpp>
#include <caf/result.hpp>

#include "config/error.hpp"

namespace gnomon::actors {

caf::error to_caf(const error& reason);
error from_caf(const caf::error& reason);

// "unavailable: volume/db is being restarted": how CAF's own words for a reason read in a log or a listing.
std::string describe(const caf::error& reason);

// A result as a handler's reply.
template <class T>
caf::result<T> reply_with(result<T> outcome) {
  if (!outcome)
    return to_caf(outcome.error());
  return std::move(*outcome);
}

} // namespace gnomon::actors
