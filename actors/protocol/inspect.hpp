// How the vocabulary of config/ crosses a message: CAF's inspect for strong types and errors, and `finite`, the only
// form in which a floating-point number may enter a message. Values only; any thread.
#pragma once

#include <cmath>

#include <caf/error.hpp>
#include <caf/meta/load_callback.hpp>
#include <caf/meta/type_name.hpp>
#include <caf/sec.hpp>

#include "config/error.hpp"
#include "config/types.hpp"

namespace gnomon {

template <class Inspector, class Tag, class Representation>
auto inspect(Inspector& f, strong_integer<Tag, Representation>& x) {
  return f(x.value);
}
template <class Inspector, class Tag>
auto inspect(Inspector& f, strong_name<Tag>& x) {
  return f(x.value);
}
template <class Inspector>
auto inspect(Inspector& f, volume_uuid& x) {
  return f(caf::meta::type_name("volume_uuid"), x.bytes);
}

namespace actors {

// A double that is never NaN or infinite: CAF 0.17 packs doubles by repeated halving, so that one infinity in a
// message hangs the network thread for ever. NaN becomes 0, an infinity the largest double of its sign; a peer that
// sends something else is refused while the message is read.
class finite {
public:
  finite() = default;
  finite(double value) // implicit: the gate must cost its user nothing
      : value_(std::isnan(value) ? 0.0 : std::fmin(std::fmax(value, -largest), largest)) {}
  operator double() const noexcept { return value_; }
  friend bool operator==(const finite&, const finite&) = default;

  template <class Inspector>
  friend auto inspect(Inspector& f, finite& x) {
    auto check = [&x]() -> caf::error {
      return std::isfinite(x.value_) ? caf::error{} : caf::make_error(caf::sec::invalid_argument);
    };
    return f(caf::meta::type_name("finite"), x.value_, caf::meta::load_callback(check));
  }

private:
  static constexpr double largest = 1.7976931348623157e308;
  double value_ = 0.0;
};

} // namespace actors
} // namespace gnomon
