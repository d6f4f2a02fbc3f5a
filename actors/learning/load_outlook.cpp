#include "actors/learning/load_outlook.hpp"

#include <algorithm>
#include <cmath>

#include "config/log.hpp"

namespace gnomon::actors {
namespace {

constexpr std::chrono::hours ratios_look_back{24};

double board_seconds(std::int64_t us) { return static_cast<double>(us) * 1e-6; }

double mean_of_first(const std::vector<finite>& slots, std::size_t count) {
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i)
    sum += static_cast<double>(slots[i]);
  return count > 0 ? sum / static_cast<double>(count) : 0;
}

std::vector<forecasting::board_window> windows_of(const std::vector<predicted_window>& all) {
  std::vector<forecasting::board_window> out;
  for (const auto& w : all)
    out.push_back({board_seconds(w.start_us), board_seconds(w.end_us), static_cast<double>(w.expected_load),
                   static_cast<double>(w.fraction_of_mean)});
  return out;
}

} // namespace

load_ratios recent_ratios(const store::history& history, const forecast_subject& subject, wall_time now) {
  double requests = 0;
  load_ratios sums;
  for (const auto& source : subject.sources) {
    store::history_query query;
    query.volume = source.volume, query.at = store::resolution::five_minutes;
    query.from = now - ratios_look_back, query.to = now + std::chrono::minutes(5);
    const auto totals = history.read_totals(query);
    if (!totals) {
      log::debug("history of volume {}: {}", source.volume.to_string(), totals.error().to_string());
      continue;
    }
    for (const auto& row : *totals) {
      const double weight = std::exp2((seconds_of(row.slot) - seconds_of(now)) / ratio_half_life_seconds);
      requests += weight * static_cast<double>(row.counters.reads + row.counters.writes);
      sums.reads += weight * static_cast<double>(row.counters.reads);
      sums.writes += weight * static_cast<double>(row.counters.writes);
      sums.bytes += weight * static_cast<double>(row.counters.read_bytes + row.counters.write_bytes);
    }
  }
  if (requests <= 0)
    return {};
  return {sums.reads / requests, sums.writes / requests, sums.bytes / requests};
}

forecasting::load_outlook outlook_of(const forecast_view& view, const load_ratios& per_request) {
  forecasting::load_outlook out;
  out.fitted_seconds = board_seconds(view.fitted_us);
  out.enough_past = view.enough_past;
  out.quiet = windows_of(view.quiet);
  out.busy = windows_of(view.busy);
  out.ahead.start_seconds = board_seconds(view.start_us);
  out.ahead.step_seconds = board_seconds(view.step_us);
  out.ahead.mean_per_second = static_cast<double>(view.mean);
  const auto slots_kept = std::min(view.planned.size(), forecasting::board_slots_max);
  out.ahead.per_second.reserve(slots_kept);
  for (std::size_t slot = 0; slot < slots_kept; ++slot)
    out.ahead.per_second.push_back(static_cast<float>(static_cast<double>(view.planned[slot])));
  for (const auto& score : view.horizons) {
    forecasting::load_horizon h;
    h.ahead_seconds = board_seconds(score.ahead_us);
    const auto wanted =
        view.step_us > 0
            ? static_cast<std::size_t>(std::max<std::int64_t>(1, (score.ahead_us + view.step_us / 2) / view.step_us))
            : std::size_t{0};
    const auto slots = std::min({wanted, view.ahead.size(), view.low.size(), view.high.size()});
    const forecasting::expected_load requests{mean_of_first(view.ahead, slots), mean_of_first(view.low, slots),
                                              mean_of_first(view.high, slots)};
    const auto in_proportion = [&](double ratio) {
      return forecasting::expected_load{requests.per_second * ratio, requests.low * ratio, requests.high * ratio};
    };
    h.load = {requests, in_proportion(per_request.bytes), in_proportion(per_request.reads),
              in_proportion(per_request.writes)};
    h.accuracy = {static_cast<double>(score.served_mase), static_cast<double>(score.best_naive_mase), score.origins};
    for (const auto& burst : view.bursts)
      if (burst.ahead_us == score.ahead_us)
        h.burst = {static_cast<double>(burst.threshold), static_cast<double>(burst.chance), burst.announced};
    out.horizons.push_back(h);
  }
  return out;
}

} // namespace gnomon::actors
