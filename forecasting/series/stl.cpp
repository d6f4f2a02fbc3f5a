#include "forecasting/series/stl.hpp"

#include <algorithm>
#include <cmath>

namespace gnomon::forecasting {

namespace {

using arma::uword;
using arma::vec;

// The local line at position x (may lie outside 0..n-1), over the `window` points nearest to it.
double loess_at(const double* value, const double* weight, uword n, uword window, double x) {
  const uword q = std::min(window, n);
  // The leftmost neighbourhood of q points centred as well as the ends allow.
  const double wanted = std::round(x) - static_cast<double>(q / 2);
  const auto left = static_cast<uword>(std::clamp(wanted, 0.0, static_cast<double>(n - q)));
  double reach = std::max(x - static_cast<double>(left), static_cast<double>(left + q - 1) - x);
  if (window > n)
    reach += static_cast<double>((window - n) / 2);
  reach = std::max(reach, 1.0) * 1.001;
  double s0 = 0, s1 = 0, s2 = 0, t0 = 0, t1 = 0;
  for (uword i = left; i < left + q; ++i) {
    const double distance = static_cast<double>(i) - x;
    const double r = std::abs(distance) / reach;
    const double r3 = 1 - r * r * r;
    double w = r3 > 0 ? r3 * r3 * r3 : 0;
    if (weight != nullptr)
      w *= weight[i];
    s0 += w, s1 += w * distance, s2 += w * distance * distance;
    t0 += w * value[i], t1 += w * distance * value[i];
  }
  if (!(s0 > 0))
    return value[std::min(static_cast<uword>(std::max(x, 0.0)), n - 1)];
  const double spread = s0 * s2 - s1 * s1;
  if (spread <= 1e-9 * s0 * s0)
    return t0 / s0;
  return (s2 * t0 - s1 * t1) / spread;
}

// Moving averages of length `window`: n - window + 1 values.
vec moving_average(const vec& value, uword window) {
  vec out(value.n_elem - window + 1);
  double sum = arma::accu(value.head(window));
  const auto scale = static_cast<double>(window);
  out(0) = sum / scale;
  for (uword i = window; i < value.n_elem; ++i) {
    sum += value(i) - value(i - window);
    out(i - window + 1) = sum / scale;
  }
  return out;
}

uword odd_at_least(double x) {
  const auto n = static_cast<uword>(std::ceil(x));
  return n % 2 == 0 ? n + 1 : n;
}

uword jump_for(uword window) { return std::max<uword>(1, window / 10); }

// Each phase smoothed over the cycles, with one more cycle before and after: length n + 2 * period.
vec smooth_phases(const vec& value, const vec& weight, uword period, uword seasonal_window) {
  const uword n = value.n_elem;
  vec out(n + 2 * period);
  vec phase, phase_weight;
  for (uword p = 0; p < period; ++p) {
    const uword cycles = (n - p - 1) / period + 1;
    phase.set_size(cycles);
    phase_weight.set_size(cycles);
    for (uword c = 0; c < cycles; ++c)
      phase(c) = value(p + c * period), phase_weight(c) = weight(p + c * period);
    if (seasonal_window == 0) {
      const double total = arma::accu(phase_weight);
      const double mean = total > 0 ? arma::dot(phase, phase_weight) / total : arma::mean(phase);
      for (uword c = 0; c < cycles + 2; ++c)
        out(p + c * period) = mean;
      continue;
    }
    for (uword c = 0; c < cycles + 2; ++c)
      out(p + c * period) =
          loess_at(phase.memptr(), phase_weight.memptr(), cycles, seasonal_window, static_cast<double>(c) - 1.0);
  }
  return out;
}

// Bisquare weights of the remainder (Cleveland et al., section 2.3).
vec robustness(const vec& remainder) {
  vec size = arma::abs(remainder);
  const double h = 6 * arma::median(size);
  vec out(size.n_elem, arma::fill::ones);
  if (!(h > 0))
    return out;
  for (uword i = 0; i < size.n_elem; ++i) {
    const double u = size(i) / h;
    out(i) = u >= 1 ? 0 : (1 - u * u) * (1 - u * u);
  }
  return out;
}

} // namespace

vec loess(const vec& value, uword window, const vec& weight, uword jump) {
  const uword n = value.n_elem;
  vec out(n);
  if (n == 0)
    return out;
  const double* const weights = weight.n_elem == n ? weight.memptr() : nullptr;
  uword before = 0;
  for (uword i = 0;; i = std::min(i + jump, n - 1)) {
    out(i) = loess_at(value.memptr(), weights, n, window, static_cast<double>(i));
    for (uword j = before + 1; j < i; ++j) {
      const double share = static_cast<double>(j - before) / static_cast<double>(i - before);
      out(j) = out(before) * (1 - share) + out(i) * share;
    }
    before = i;
    if (i == n - 1)
      return out;
  }
}

result<decomposition> stl(const vec& value, uword period, const stl_options& options) {
  const uword n = value.n_elem;
  if (period < 2)
    return fail(errc::invalid_argument, "a seasonal period must be at least 2 slots");
  if (n < 2 * period)
    return fail(errc::invalid_argument, "a decomposition needs two whole periods of values");
  const double seasonal_window = options.seasonal_window == 0
                                     ? static_cast<double>(n) * 10
                                     : static_cast<double>(std::max<uword>(options.seasonal_window | 1, 3));
  const uword trend_window = odd_at_least(1.5 * static_cast<double>(period) / (1 - 1.5 / seasonal_window));
  const uword low_window = odd_at_least(static_cast<double>(period));
  decomposition out{vec(n, arma::fill::zeros), vec(n, arma::fill::zeros), vec(n, arma::fill::zeros)};
  vec weight(n, arma::fill::ones);
  for (uword outer = 0; outer <= options.robust_iterations; ++outer) {
    for (uword inner = 0; inner < std::max<uword>(1, options.inner_iterations); ++inner) {
      const vec phases = smooth_phases(value - out.trend, weight, period, options.seasonal_window);
      const vec low = loess(moving_average(moving_average(moving_average(phases, period), period), 3), low_window, {},
                            jump_for(low_window));
      out.seasonal = phases.subvec(period, period + n - 1) - low;
      out.trend = loess(value - out.seasonal, trend_window, weight, jump_for(trend_window));
    }
    out.remainder = value - out.seasonal - out.trend;
    if (outer < options.robust_iterations)
      weight = robustness(out.remainder);
  }
  return out;
}

} // namespace gnomon::forecasting
