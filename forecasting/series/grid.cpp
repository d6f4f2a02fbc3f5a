#include "forecasting/series/grid.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace gnomon::forecasting {

namespace {
constexpr double missing = std::numeric_limits<double>::quiet_NaN();
const double log_max = std::log1p(value_magnitude_max);
} // namespace

result<grid> to_grid(const series& input, double step_seconds, slot_rule rule, empty_slot without) {
  if (!(step_seconds > 0) || !std::isfinite(step_seconds))
    return fail(errc::invalid_argument, "the step of a grid must be a positive number of seconds");
  const auto rows = observed(input);
  if (!rows)
    return tl::unexpected(rows.error());
  grid out;
  out.step_seconds = step_seconds;
  if (rows->empty())
    return out;
  const double last = std::floor(rows->time_seconds(rows->size() - 1) / step_seconds);
  const double first =
      std::max(std::floor(rows->time_seconds(0) / step_seconds), last - static_cast<double>(grid_length_max) + 1);
  out.start_seconds = first * step_seconds;
  const auto slots = static_cast<arma::uword>(last - first) + 1;
  out.value.zeros(slots);
  arma::vec seen(slots, arma::fill::zeros);
  for (arma::uword i = 0; i < rows->size(); ++i) {
    const double at = std::floor(rows->time_seconds(i) / step_seconds) - first;
    if (at < 0)
      continue;
    const arma::uword slot = std::min(static_cast<arma::uword>(at), slots - 1);
    out.value(slot) = std::clamp(out.value(slot) + rows->value(i), -value_magnitude_max, value_magnitude_max);
    seen(slot) += 1;
  }
  for (arma::uword slot = 0; slot < slots; ++slot)
    if (seen(slot) == 0)
      out.value(slot) = without == empty_slot::is_zero ? 0 : missing;
    else if (rule == slot_rule::mean)
      out.value(slot) /= seen(slot);
  return out;
}

grid coarsen(const grid& input, arma::uword factor, slot_rule rule) {
  if (factor <= 1 || input.size() == 0)
    return input;
  const arma::uword slots = input.size() / factor;
  const arma::uword skipped = input.size() - slots * factor;
  grid out;
  out.step_seconds = input.step_seconds * static_cast<double>(factor);
  out.start_seconds = input.time_of(skipped);
  out.value.set_size(slots);
  for (arma::uword slot = 0; slot < slots; ++slot) {
    double sum = 0;
    double seen = 0;
    for (arma::uword i = 0; i < factor; ++i) {
      const double v = input.value(skipped + slot * factor + i);
      if (std::isfinite(v))
        sum += v, seen += 1;
    }
    const double wanted = rule == slot_rule::sum ? static_cast<double>(factor) : 1.0;
    out.value(slot) =
        seen == 0 ? missing : std::clamp(sum / seen * wanted, -value_magnitude_max, value_magnitude_max);
  }
  return out;
}

arma::vec to_log(const arma::vec& value) {
  arma::vec out(value.n_elem);
  for (arma::uword i = 0; i < value.n_elem; ++i)
    out(i) = std::isfinite(value(i)) ? std::log1p(std::clamp(value(i), 0.0, value_magnitude_max)) : missing;
  return out;
}

double from_log(double value) { return std::isnan(value) ? 0 : std::expm1(std::clamp(value, 0.0, log_max)); }

arma::vec from_log(const arma::vec& value) {
  arma::vec out(value.n_elem);
  for (arma::uword i = 0; i < value.n_elem; ++i)
    out(i) = from_log(value(i));
  return out;
}

arma::vec fill_gaps(const arma::vec& value) {
  arma::vec out = value;
  const arma::uword n = out.n_elem;
  arma::uword previous = n; // index of the last finite value, n: none yet
  for (arma::uword i = 0; i < n; ++i) {
    if (!std::isfinite(out(i)))
      continue;
    if (previous == n)
      out.head(i).fill(out(i));
    else
      for (arma::uword j = previous + 1; j < i; ++j) {
        const double share = static_cast<double>(j - previous) / static_cast<double>(i - previous);
        out(j) = out(previous) * (1 - share) + out(i) * share;
      }
    previous = i;
  }
  if (previous == n)
    out.zeros();
  else
    out.tail(n - previous - 1).fill(out(previous));
  return out;
}

double quantile_of(const arma::vec& values, double q, double otherwise) {
  std::vector<double> finite;
  finite.reserve(values.n_elem);
  for (double v : values)
    if (std::isfinite(v))
      finite.push_back(v);
  if (finite.empty())
    return otherwise;
  const double position = std::clamp(q, 0.0, 1.0) * static_cast<double>(finite.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  std::nth_element(finite.begin(), finite.begin() + static_cast<std::ptrdiff_t>(below), finite.end());
  const double low = finite[below];
  if (below + 1 >= finite.size())
    return low;
  const double high = *std::min_element(finite.begin() + static_cast<std::ptrdiff_t>(below) + 1, finite.end());
  return low + (high - low) * (position - static_cast<double>(below));
}

double naive_scale(const arma::vec& value) {
  double sum = 0;
  double pairs = 0;
  for (arma::uword i = 1; i < value.n_elem; ++i) {
    const double step = std::abs(value(i) - value(i - 1));
    if (std::isfinite(step))
      sum += step, pairs += 1;
  }
  return pairs > 0 ? sum / pairs : 0;
}

} // namespace gnomon::forecasting
