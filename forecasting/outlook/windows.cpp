#include "forecasting/outlook/windows.hpp"

#include <algorithm>
#include <cmath>

namespace gnomon::forecasting {

using arma::uword;
using arma::vec;

namespace {

load_window window_over(const grid& load, uword from, uword to, double mean_load) {
  load_window out;
  out.start_seconds = load.time_of(from);
  out.end_seconds = load.time_of(to);
  for (uword i = from; i < to; ++i)
    out.expected_load = std::min(out.expected_load + std::max(0.0, load.value(i)), value_magnitude_max);
  const double slot = out.expected_load / static_cast<double>(to - from);
  out.fraction_of_mean = mean_load > 0 ? std::min(slot / mean_load, value_magnitude_max) : 0;
  return out;
}

// Which slots some veto touches.
std::vector<bool> vetoed(const grid& load, const std::vector<veto>& vetoes) {
  std::vector<bool> out(load.size(), false);
  for (const auto& v : vetoes)
    for (uword i = 0; i < load.size(); ++i)
      if (load.time_of(i) < v.end_seconds && load.time_of(i + 1) > v.start_seconds)
        out[i] = true;
  return out;
}

template <class Wanted>
std::vector<load_window> stretches(const grid& load, double mean_load, Wanted&& wanted) {
  std::vector<load_window> out;
  const uword n = load.size();
  for (uword i = 0; i < n; ++i) {
    if (!wanted(i))
      continue;
    const uword from = i;
    while (i < n && wanted(i))
      ++i;
    out.push_back(window_over(load, from, i, mean_load));
  }
  return out;
}

} // namespace

std::vector<veto> vetoes_of(const std::vector<event>& events, double margin_seconds) {
  std::vector<veto> out;
  const double margin = std::max(0.0, margin_seconds);
  for (const auto& e : events)
    if (std::isfinite(e.start_seconds) && e.duration_seconds >= 0)
      out.push_back({e.start_seconds - margin, e.start_seconds + e.duration_seconds + margin});
  return out;
}

std::vector<load_window> quiet_windows(const grid& load, double mean_load, const quiet_options& options,
                                       const std::vector<veto>& vetoes) {
  const auto closed = vetoed(load, vetoes);
  const double bound = std::max(0.0, options.quiet_below) * std::max(0.0, mean_load);
  auto out = stretches(load, mean_load, [&](uword i) {
    const double v = load.value(i);
    return !closed[i] && std::isfinite(v) && (mean_load <= 0 || v <= bound);
  });
  std::erase_if(out, [&](const load_window& w) { return w.length_seconds() < options.length_seconds_min; });
  return out;
}

std::optional<load_window> widest(const std::vector<load_window>& windows) {
  const auto best = std::max_element(windows.begin(), windows.end(), [](const auto& a, const auto& b) {
    return a.length_seconds() < b.length_seconds();
  });
  return best == windows.end() ? std::nullopt : std::optional(*best);
}

std::optional<load_window> quietest(const grid& load, double length_seconds, double mean_load,
                                    const std::vector<veto>& vetoes) {
  if (!(length_seconds > 0) || load.size() == 0)
    return std::nullopt;
  const double wanted = std::ceil(length_seconds / load.step_seconds - 1e-9);
  if (!(wanted <= static_cast<double>(load.size())))
    return std::nullopt;
  const uword slots = std::max<uword>(1, static_cast<uword>(wanted));
  const auto closed = vetoed(load, vetoes);
  uword open = 0; // slots in a row up to i that may be used
  double sum = 0, least = 0;
  std::optional<uword> best;
  for (uword i = 0; i < load.size(); ++i) {
    const double v = load.value(i);
    if (closed[i] || !std::isfinite(v)) {
      open = 0;
      sum = 0;
      continue;
    }
    sum += v;
    if (++open > slots)
      sum -= load.value(i - slots);
    if (open >= slots && (!best || sum < least)) {
      best = i + 1 - slots;
      least = sum;
    }
  }
  return best ? std::optional(window_over(load, *best, *best + slots, mean_load)) : std::nullopt;
}

std::vector<load_window> high_stretches(const grid& load, double threshold, double mean_load) {
  return stretches(load, mean_load, [&](uword i) { return load.value(i) > threshold; });
}

grid plan_load(const forecast_model& model) {
  grid out;
  out.start_seconds = model.start_seconds;
  out.step_seconds = model.step_seconds;
  const vec yesterday = model.methods.col(static_cast<uword>(method::yesterday)) + model.event_effect_log;
  out.value = from_log(vec(0.5 * model.served + 0.5 * yesterday));
  return out;
}

} // namespace gnomon::forecasting
