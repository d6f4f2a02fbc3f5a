#include "forecasting/ensemble/backtest.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace gnomon::forecasting {

using arma::uvec;
using arma::uword;
using arma::vec;

uvec backtest_origins(uword past_slots, double step_seconds, const ensemble_options& options) {
  const double wanted = std::min(options.backtest_seconds / step_seconds, static_cast<double>(past_slots) * 2 / 3);
  const auto window = static_cast<uword>(std::max(0.0, wanted));
  if (past_slots < 12 || window < backtest_origins_min)
    return {};
  const uword stride = (window + options.backtest_origins_max - 1) / options.backtest_origins_max;
  const uword count = window / stride;
  uvec out(count);
  for (uword i = 0; i < count; ++i)
    out(i) = past_slots - (count - i) * stride;
  return out;
}

double weighted_median(const std::array<double, method_count>& value, const std::array<double, method_count>& weight) {
  std::array<std::size_t, method_count> order;
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return value[a] < value[b]; });
  double passed = 0, before_centre = 0, before_value = 0;
  bool any = false;
  for (std::size_t i : order) {
    if (weight[i] <= 0)
      continue;
    // Each value stands at the centre of its weight.
    const double centre = passed + weight[i] / 2;
    if (centre >= 0.5) {
      if (!any || centre == before_centre)
        return value[i];
      const double share = (0.5 - before_centre) / (centre - before_centre);
      return before_value + share * (value[i] - before_value);
    }
    passed += weight[i];
    before_centre = centre;
    before_value = value[i];
    any = true;
  }
  return before_value;
}

double conformal_offset(std::vector<double> residuals, double level) {
  if (residuals.empty())
    return 0;
  const auto m = static_cast<double>(residuals.size());
  const double rank = std::clamp(std::ceil((m + 1) * level), 1.0, m);
  const auto nth = residuals.begin() + static_cast<std::ptrdiff_t>(rank) - 1;
  std::nth_element(residuals.begin(), nth, residuals.end());
  return *nth;
}

horizon_choice choose(uword slots_ahead, const std::vector<arma::mat>& said, const uvec& origins, const vec& observed,
                      const std::array<bool, method_count>& excluded, const ensemble_options& options) {
  horizon_choice out;
  out.slots_ahead = slots_ahead;
  out.weight[static_cast<std::size_t>(method::last_value)] = 1;
  std::vector<std::array<double, method_count>> values;
  std::vector<double> truth;
  for (uword j = 0; j < origins.n_elem; ++j) {
    const uword slot = origins(j) + slots_ahead - 1;
    if (slot >= observed.n_elem || !std::isfinite(observed(slot)))
      continue;
    truth.push_back(observed(slot));
    auto& row = values.emplace_back();
    for (std::size_t v = 0; v < method_count; ++v)
      row[v] = said[v](slots_ahead - 1, j);
  }
  out.origins = truth.size();
  if (out.origins < backtest_origins_min)
    return out;
  const auto count = static_cast<double>(truth.size());
  for (std::size_t i = 0; i < truth.size(); ++i)
    for (std::size_t v = 0; v < method_count; ++v)
      out.error[v] += std::abs(values[i][v] - truth[i]) / count;

  // A small floor, so that one method that was never wrong does not silence the others for ever.
  const double floor = 1e-3 + 0.02 * *std::min_element(out.error.begin(), out.error.end());
  double total = 0;
  for (std::size_t v = 0; v < method_count; ++v) {
    out.weight[v] = excluded[v] ? 0 : std::pow(out.error[v] + floor, -options.weight_power);
    total += out.weight[v];
  }
  for (double& weight : out.weight)
    weight /= total;

  out.best_naive = *std::min_element(naive_methods.begin(), naive_methods.end(), [&](method a, method b) {
    return out.error[static_cast<std::size_t>(a)] < out.error[static_cast<std::size_t>(b)];
  });
  const auto naive = static_cast<std::size_t>(out.best_naive);
  std::vector<double> blended(truth.size());
  double median_error = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    blended[i] = weighted_median(values[i], out.weight);
    median_error += std::abs(blended[i] - truth[i]) / count;
  }
  std::size_t best = naive;
  for (std::size_t v = 0; v < method_count; ++v)
    if (!excluded[v] && out.error[v] < out.error[best])
      best = v;
  if (out.error[best] < options.lone_method_below * median_error) {
    out.weight.fill(0);
    out.weight[best] = 1;
    for (std::size_t i = 0; i < truth.size(); ++i)
      blended[i] = values[i][best];
  }
  std::vector<double> residuals(truth.size());
  const auto error_with = [&](double share) {
    double sum = 0;
    for (std::size_t i = 0; i < truth.size(); ++i) {
      residuals[i] = truth[i] - (blended[i] + share * (values[i][naive] - blended[i]));
      sum += std::abs(residuals[i]) / count;
    }
    return sum;
  };
  out.blend_error = error_with(0);
  out.served_error = out.blend_error;
  for (double share : {0.25, 0.5, 0.75, 1.0}) {
    if (out.served_error <= out.error[naive])
      break;
    out.naive_share = share;
    out.served_error = error_with(share);
  }
  // All of the naive method is that method, to the last bit.
  if (out.naive_share == 1)
    out.served_error = out.error[naive];
  for (double level : options.quantiles)
    out.conformal_offset.push_back(conformal_offset(residuals, level));
  return out;
}

} // namespace gnomon::forecasting
