// Where and when the tests' histories begin.
#pragma once

#include "store/history/history.hpp"
#include "tests/store/support.hpp"

namespace gnomon::store::testing {

inline const wall_time start = wall_time(std::chrono::hours(24 * 20'000));

inline history_options options_for(const std::string& directory, const clock_source& clock) {
  history_options options;
  options.directory = directory;
  options.commit_delay = std::chrono::milliseconds(0);
  options.clock = &clock;
  return options;
}

} // namespace gnomon::store::testing
