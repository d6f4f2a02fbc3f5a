// Checks and repairs of the series value. Pure functions; any thread.
#include "forecasting/series/series.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

namespace gnomon::forecasting {

result<void> check(const series& input) {
  const arma::uword length = input.time_seconds.n_elem;
  if (input.value.n_elem != length)
    return fail(errc::invalid_argument, "a series of " + std::to_string(length) + " times has " +
                                            std::to_string(input.value.n_elem) + " values");
  if (length > series_length_max)
    return fail(errc::invalid_argument, "a series of " + std::to_string(length) + " rows exceeds the limit of " +
                                            std::to_string(series_length_max));
  for (arma::uword row = 0; row < length; ++row) {
    const double time = input.time_seconds[row];
    const double value = input.value[row];
    if (!(std::abs(time) <= time_seconds_max)) // also refuses NaN
      return fail(errc::invalid_argument, "row " + std::to_string(row) + ": time " + std::to_string(time) +
                                              " s is not finite or beyond the limit");
    if (std::abs(value) > value_magnitude_max) // NaN passes: it is a missing value
      return fail(errc::invalid_argument,
                  "row " + std::to_string(row) + ": the value is infinite or its magnitude exceeds 1e300");
  }
  return {};
}

result<series> observed(const series& input) {
  if (auto checked = check(input); !checked)
    return tl::unexpected<error>(checked.error());
  const bool complete = !input.value.has_nan();
  const bool sorted = std::is_sorted(input.time_seconds.begin(), input.time_seconds.end());
  if (complete && sorted)
    return input;

  std::vector<arma::uword> rows;
  rows.reserve(input.size());
  for (arma::uword row = 0; row < input.size(); ++row)
    if (!std::isnan(input.value[row]))
      rows.push_back(row);
  if (!sorted)
    std::stable_sort(rows.begin(), rows.end(),
                     [&](arma::uword a, arma::uword b) { return input.time_seconds[a] < input.time_seconds[b]; });
  series output{arma::vec(rows.size()), arma::vec(rows.size())};
  for (arma::uword i = 0; i < rows.size(); ++i) {
    output.time_seconds[i] = input.time_seconds[rows[i]];
    output.value[i] = input.value[rows[i]];
  }
  return output;
}

} // namespace gnomon::forecasting
