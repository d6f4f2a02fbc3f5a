// Seeded simulation of future trends. Random numbers are made here from the bits of std::mt19937_64, whose sequence
// the C++ standard fixes, since the standard's distributions differ between libraries.
#include "forecasting/prophet/uncertainty.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace gnomon::forecasting {
namespace {

using arma::uword;

// A path with more changes than this gets this many, each larger, so that its slope varies as much.
constexpr double changes_per_path_max = 4096;
constexpr std::size_t changes_max = 1u << 24; // of all paths together: 256 MiB

class random_numbers {
public:
  explicit random_numbers(std::uint64_t seed) : bits_(seed) {}

  double uniform() { return (static_cast<double>(bits_() >> 11) + 0.5) * 0x1p-53; } // in (0, 1)

  double normal() { // Box & Muller 1958, in pairs
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    const double radius = std::sqrt(-2 * std::log(uniform()));
    const double angle = 2 * std::numbers::pi * uniform();
    spare_ = radius * std::sin(angle);
    has_spare_ = true;
    return radius * std::cos(angle);
  }

  double laplace(double scale) {
    const double u = uniform() - 0.5;
    return u < 0 ? scale * std::log(1 + 2 * u) : -scale * std::log(1 - 2 * u);
  }

  double poisson(double mean) { // by waiting times; the normal approximation where that would take long
    if (mean > 500)
      return std::max(0.0, std::nearbyint(mean + std::sqrt(mean) * normal()));
    double count = 0;
    for (double waited = -std::log(uniform()); waited < mean; waited -= std::log(uniform()))
      ++count;
    return count;
  }

private:
  std::mt19937_64 bits_;
  double spare_ = 0;
  bool has_spare_ = false;
};

struct change {
  double t;
  double delta;
};

// One possible future: its changes of slope, and how far it has walked through them.
struct path {
  std::vector<change> changes;
  std::size_t next = 0;
  double slope = 0;
  double offset = 0;

  double deviation(double t) {
    for (; next < changes.size() && changes[next].t <= t; ++next) {
      slope += changes[next].delta;
      offset -= changes[next].delta * changes[next].t;
    }
    return slope * t + offset;
  }
};

std::vector<path> draw_paths(const prophet_model& model, double t_max, unsigned samples, random_numbers& random) {
  std::vector<path> paths(samples);
  if (model.options.growth == trend_growth::flat || model.changepoints_t.is_empty() || t_max <= 1)
    return paths;
  const double scale = arma::mean(arma::abs(model.delta)) + 1e-8;
  const double expected = static_cast<double>(model.changepoints_t.n_elem) * (t_max - 1);
  const double limit = std::min(changes_per_path_max, static_cast<double>(changes_max) / samples);
  const double kept = std::min(1.0, limit / expected);
  for (path& p : paths) {
    const double count = std::min(random.poisson(expected * kept), 2 * limit);
    p.changes.resize(static_cast<std::size_t>(count));
    for (change& c : p.changes)
      c = {1 + random.uniform() * (t_max - 1), random.laplace(scale) / std::sqrt(kept)};
    std::sort(p.changes.begin(), p.changes.end(), [](const change& a, const change& b) { return a.t < b.t; });
  }
  return paths;
}

// Linear interpolation between order statistics (R's type 7, as Prophet takes them). Reorders `values`; `ascending`
// lists the levels by size, so that each selection only looks at what the one before left above it.
void take_quantiles(std::vector<double>& values, const std::vector<double>& levels,
                    const std::vector<uword>& ascending, arma::mat& out, uword row) {
  auto unsettled = values.begin();
  for (const uword level : ascending) {
    const double position = levels[level] * static_cast<double>(values.size() - 1);
    const auto below = values.begin() + static_cast<std::ptrdiff_t>(position);
    if (below >= unsettled) {
      std::nth_element(unsettled, below, values.end());
      unsettled = below;
    }
    const double above = below + 1 == values.end() ? *below : *std::min_element(below + 1, values.end());
    out(row, level) = *below + (position - std::floor(position)) * (above - *below);
  }
}

double trend_of(const prophet_model& model, const scaled_forecast& forecast, uword row, double predictor) {
  return model.options.growth == trend_growth::logistic ? forecast.capacity[row] / (1 + std::exp(-predictor))
                                                        : predictor;
}

} // namespace

result<void> check(const uncertainty_options& options) {
  if (options.samples == 0)
    return {};
  if (options.samples > uncertainty_samples_max)
    return fail(errc::invalid_argument, std::to_string(options.samples) + " samples, the limit is " +
                                            std::to_string(uncertainty_samples_max));
  if (options.quantiles.empty() || options.quantiles.size() > quantile_levels_max)
    return fail(errc::invalid_argument, std::to_string(options.quantiles.size()) +
                                            " quantile levels, expected 1 to " + std::to_string(quantile_levels_max));
  for (const double level : options.quantiles)
    if (!(level > 0 && level < 1))
      return fail(errc::invalid_argument, "quantile level " + std::to_string(level) + " is not between 0 and 1");
  return {};
}

double gaussian_quantile(double p) {
  // Halley's method on erfc from a rough start (Abramowitz & Stegun 26.2.23).
  const double tail = std::min(p, 1 - p);
  const double s = std::sqrt(-2 * std::log(tail));
  double x = s - (2.515517 + s * (0.802853 + s * 0.010328)) / (1 + s * (1.432788 + s * (0.189269 + s * 0.001308)));
  for (int i = 0; i < 2; ++i) {
    const double excess = 0.5 * std::erfc(x / std::numbers::sqrt2) - tail;
    const double newton = excess * std::sqrt(2 * std::numbers::pi) * std::exp(x * x / 2);
    x += newton / (1 - x * newton / 2);
  }
  return p < 0.5 ? -x : x;
}

forecast_quantiles simulate_quantiles(const prophet_model& model, const scaled_forecast& forecast,
                                      const uncertainty_options& options) {
  const uword rows = forecast.t.n_elem;
  const uword levels = options.quantiles.size();
  forecast_quantiles result{arma::mat(rows, levels, arma::fill::none), arma::mat(rows, levels, arma::fill::none)};
  if (rows == 0)
    return result;
  std::vector<uword> order(rows);
  std::iota(order.begin(), order.end(), uword{0});
  std::stable_sort(order.begin(), order.end(), [&](uword a, uword b) { return forecast.t[a] < forecast.t[b]; });

  std::vector<uword> ascending(levels);
  std::iota(ascending.begin(), ascending.end(), uword{0});
  std::sort(ascending.begin(), ascending.end(),
            [&](uword a, uword b) { return options.quantiles[a] < options.quantiles[b]; });

  random_numbers random(options.seed);
  std::vector<path> paths = draw_paths(model, forecast.t.max(), options.samples, random);
  std::vector<double> trend(options.samples);
  std::vector<double> observation(options.samples);
  for (const uword row : order) {
    const double mean_trend = trend_of(model, forecast, row, forecast.predictor[row]);
    if (forecast.t[row] <= 1) {
      for (uword level = 0; level < levels; ++level) {
        result.trend(row, level) = mean_trend;
        result.observation(row, level) = mean_trend * forecast.factor[row] + forecast.additive[row] +
                                         model.sigma * gaussian_quantile(options.quantiles[level]);
      }
      continue;
    }
    for (unsigned i = 0; i < options.samples; ++i) {
      trend[i] = trend_of(model, forecast, row, forecast.predictor[row] + paths[i].deviation(forecast.t[row]));
      observation[i] = trend[i] * forecast.factor[row] + forecast.additive[row] + model.sigma * random.normal();
    }
    take_quantiles(observation, options.quantiles, ascending, result.observation, row);
    take_quantiles(trend, options.quantiles, ascending, result.trend, row);
  }
  return result;
}

} // namespace gnomon::forecasting
