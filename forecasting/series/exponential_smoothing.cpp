#include "forecasting/series/exponential_smoothing.hpp"

#include <array>
#include <cmath>
#include <limits>

namespace gnomon::forecasting {

namespace {

// The first values say little about how well the parameters forecast: the level starts at their mean.
constexpr arma::uword warm_up = 4;

double start_level(const arma::vec& value) {
  return arma::mean(value.head(std::min<arma::uword>(warm_up, value.n_elem)));
}

// Runs many simple smoothers at once over the series: one pass, alphas in the inner loop.
template <std::size_t N>
smoothing best_simple(const arma::vec& value, const std::array<double, N>& alphas) {
  std::array<double, N> level;
  std::array<double, N> sum{};
  level.fill(start_level(value));
  for (double v : value)
    for (std::size_t i = 0; i < N; ++i) {
      const double error = v - level[i];
      sum[i] += error * error;
      level[i] += alphas[i] * error;
    }
  std::size_t best = 0;
  for (std::size_t i = 1; i < N; ++i)
    if (sum[i] < sum[best])
      best = i;
  smoothing out;
  out.alpha = alphas[best];
  out.level = level[best];
  out.mean_squared_error = sum[best] / static_cast<double>(value.n_elem);
  return out;
}

smoothing run(const arma::vec& value, double alpha, double beta, double phi) {
  smoothing state{alpha, beta, phi, start_level(value), 0, 0};
  double sum = 0;
  for (double v : value) {
    const double error = state.update(v);
    sum += error * error;
  }
  state.mean_squared_error = sum / static_cast<double>(value.n_elem);
  return state;
}

double corrected_akaike(const smoothing& fit, double n, double parameters) {
  const double floor = std::numeric_limits<double>::min();
  return n * std::log(std::max(fit.mean_squared_error, floor)) + 2 * parameters +
         2 * parameters * (parameters + 1) / std::max(n - parameters - 1, 1.0);
}

} // namespace

double smoothing::ahead(arma::uword steps) const {
  if (phi == 0 || slope == 0)
    return level;
  const double h = static_cast<double>(steps);
  return level + slope * (phi < 1 ? phi * (1 - std::pow(phi, h)) / (1 - phi) : h);
}

smoothing fit_simple_smoothing(const arma::vec& value) {
  if (value.is_empty())
    return {};
  std::array<double, 16> alphas;
  alphas[0] = 0.02;
  for (std::size_t i = 1; i < alphas.size(); ++i)
    alphas[i] = static_cast<double>(i) / 15.0;
  const auto coarse = best_simple(value, alphas);
  std::array<double, 8> near;
  for (std::size_t i = 0; i < near.size(); ++i)
    near[i] = std::clamp(coarse.alpha + (static_cast<double>(i) - 3.5) / 60.0, 0.01, 1.0);
  const auto fine = best_simple(value, near);
  return fine.mean_squared_error < coarse.mean_squared_error ? fine : coarse;
}

smoothing fit_smoothing(const arma::vec& value) {
  const auto simple = fit_simple_smoothing(value);
  if (value.n_elem < 10)
    return simple;
  smoothing damped = simple;
  damped.mean_squared_error = std::numeric_limits<double>::infinity();
  for (double alpha : {0.1, 0.25, 0.45, 0.7, 0.95})
    for (double share : {0.02, 0.1, 0.3})
      for (double phi : {0.8, 0.9, 0.98}) {
        const auto tried = run(value, alpha, alpha * share, phi);
        if (tried.mean_squared_error < damped.mean_squared_error)
          damped = tried;
      }
  const auto n = static_cast<double>(value.n_elem);
  return corrected_akaike(damped, n, 5) < corrected_akaike(simple, n, 2) ? damped : simple;
}

} // namespace gnomon::forecasting
