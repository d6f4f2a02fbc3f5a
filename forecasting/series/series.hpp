// A time series as a value: when, and how much. The vocabulary of everything in this folder.
// Pure values and functions on Armadillo vectors: any thread, no clock, no I/O, no hidden state.
#pragma once

#include <armadillo>

#include "config/error.hpp"

namespace gnomon::forecasting {

inline constexpr double second = 1.0;
inline constexpr double minute = 60.0;
inline constexpr double hour = 3600.0;
inline constexpr double day = 86400.0;

// Limits of every function in this folder that takes a series; beyond them it fails with errc::invalid_argument.
inline constexpr arma::uword series_length_max = 1u << 24;
inline constexpr double time_seconds_max = 1e12;     // about 31,700 years to either side of 1970
inline constexpr double value_magnitude_max = 1e300; // leaves room for a forecast to grow without becoming infinite

// Observations of one quantity. `time_seconds` and `value` have the same length T. Times are seconds since
// 1970-01-01 00:00 UTC (a double resolves better than a microsecond until the year 2100); they need not be evenly
// spaced, sorted or distinct. A NaN value is a missing observation.
struct series {
  arma::vec time_seconds;
  arma::vec value;

  arma::uword size() const { return time_seconds.n_elem; }
  bool empty() const { return time_seconds.is_empty(); }
};

// The first `n` values, n <= T: what was known at that slot. Also none of none, where Armadillo's head() would bind a
// reference to no memory.
inline arma::vec known_at(const arma::vec& value, arma::uword n) {
  return n > 0 ? arma::vec(value.head(n)) : arma::vec();
}

// Fails with errc::invalid_argument, naming the first bad row, unless lengths agree, times are finite and values are
// finite or NaN, all within the limits above.
result<void> check(const series& input);

// The checked input without its missing rows, sorted by time; rows of equal time keep their order (a clock that went
// backwards is thereby repaired). May be empty.
result<series> observed(const series& input);

} // namespace gnomon::forecasting
