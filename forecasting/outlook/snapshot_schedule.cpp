#include "forecasting/outlook/snapshot_schedule.hpp"

#include <algorithm>
#include <cmath>

namespace gnomon::forecasting {
namespace {

using arma::uword;

// The slots of [from, until), the first and last one that it only touches included, as far as the load reaches.
grid part_of(const grid& load, double from, double until) {
  grid out;
  out.step_seconds = load.step_seconds;
  if (!(load.step_seconds > 0) || load.size() == 0 || from < load.start_seconds)
    return out;
  until = std::min(until, load.end_seconds());
  if (from >= until)
    return out;
  const auto first = static_cast<uword>((from - load.start_seconds) / load.step_seconds);
  const auto end = static_cast<uword>(std::ceil((until - load.start_seconds) / load.step_seconds - 1e-9));
  if (first >= end || end > load.size())
    return out;
  out.start_seconds = load.time_of(first);
  out.value = load.value.subvec(first, end - 1);
  return out;
}

// Whether some times of the load are better than others.
bool says_something(const grid& load) {
  const arma::vec finite = load.value.elem(arma::find_finite(load.value));
  return !finite.is_empty() && finite.max() > finite.min();
}

// The first time from `from` on at which nothing within `length` is kept clear; vetoes in any order.
double after_vetoes(double from, double length, const std::vector<veto>& vetoes) {
  for (bool moved = true; moved;) {
    moved = false;
    for (const auto& v : vetoes)
      if (v.start_seconds < from + length && v.end_seconds > from) {
        from = v.end_seconds;
        moved = true;
      }
  }
  return from;
}

chosen_start by_schedule(const layer_choice& choice, double latest, const std::vector<veto>& vetoes) {
  const double clear = after_vetoes(choice.from, choice.length_seconds, vetoes);
  if (choice.from >= latest || clear > latest)
    return {std::max(choice.from, latest), start_reason::deadline, std::nullopt};
  return {clear, clear > choice.from ? start_reason::after_event : start_reason::schedule, std::nullopt};
}

double interval_start(const snapshot_past& past, double every, double at) {
  return past.created + std::floor((at - past.created) / every) * every;
}

// The interval after the one of the last snapshot, or the present one where that is over.
layer_choice next_choice(const snapshot_rule& rule, const snapshot_past& past, double every,
                         const std::optional<double>& last, double now, double length) {
  layer_choice out;
  out.length_seconds = length;
  out.quiet_below = rule.quiet_below;
  double begin = last ? interval_start(past, every, *last) + every : past.created;
  if (begin + every <= now)
    begin = interval_start(past, every, now);
  out.from = std::max(begin, now);
  out.until = begin + every;
  return out;
}

planned_snapshot next_differential(const snapshot_rule& rule, const snapshot_past& past, const expected_demand& demand,
                                   const std::vector<veto>& vetoes, double now) {
  const double length = std::min(differential_seconds_usual, rule.every_seconds / 4);
  const double since = past.newest.value_or(past.created);
  const double bound = since + rule.bound_seconds();
  planned_snapshot out;
  out.latest = bound - length;
  auto choice = next_choice(rule, past, rule.every_seconds, past.newest, now, length);
  const bool coarse = demand.load.step_seconds * 2 > rule.every_seconds; // too few slots to choose from
  if (rule.prediction && demand.unusable.empty() && !coarse) {
    choice.until = std::min(choice.until, bound);
    if (choice.from + length <= choice.until) {
      out.chosen = choose_start(choice, demand, vetoes);
      if (out.chosen.load_fraction)
        return out;
    }
  }
  // The plain schedule counts from the last one.
  choice.from = std::max(now, std::min(past.newest ? since + rule.every_seconds : past.created, out.latest));
  choice.until = bound;
  out.chosen = by_schedule(choice, out.latest, vetoes);
  return out;
}

planned_snapshot next_baseline(const snapshot_rule& rule, const snapshot_past& past, const expected_demand& demand,
                               const std::vector<veto>& vetoes, double now) {
  const double every = rule.baseline_every_seconds;
  const auto choice =
      next_choice(rule, past, every, past.newest_baseline, now, std::min(baseline_seconds_usual, every / 4));
  planned_snapshot out;
  out.kind = snapshot_kind::baseline;
  out.latest = choice.until - choice.length_seconds;
  out.chosen = rule.prediction && demand.unusable.empty() ? choose_start(choice, demand, vetoes)
                                                          : by_schedule(choice, out.latest, vetoes);
  return out;
}

} // namespace

std::string_view to_string(snapshot_kind kind) noexcept {
  return kind == snapshot_kind::baseline ? "baseline" : "differential";
}

std::string_view to_string(start_reason reason) noexcept {
  switch (reason) {
  case start_reason::quiet_window:
    return "quiet window";
  case start_reason::least_load:
    return "least load";
  case start_reason::schedule:
    return "schedule";
  case start_reason::after_event:
    return "after an event";
  case start_reason::deadline:
    return "deadline";
  }
  return "unknown";
}

chosen_start choose_start(const layer_choice& choice, const expected_demand& demand, const std::vector<veto>& vetoes) {
  const double latest = choice.until - choice.length_seconds;
  const auto part = part_of(demand.load, choice.from, choice.until);
  // Within a part of equal slots the earliest is as good as any.
  if (!demand.unusable.empty() || part.size() == 0 || !part.value.is_finite() || !says_something(demand.load))
    return by_schedule(choice, latest, vetoes);
  const auto within = [&](double start) { return std::clamp(start, choice.from, std::max(choice.from, latest)); };
  quiet_options quiet;
  quiet.quiet_below = choice.quiet_below;
  quiet.length_seconds_min = choice.length_seconds;
  if (const auto window = widest(quiet_windows(part, demand.mean_load, quiet, vetoes)))
    if (const auto best = quietest(part_of(part, window->start_seconds, window->end_seconds), choice.length_seconds,
                                   demand.mean_load))
      return {within(best->start_seconds), start_reason::quiet_window, best->fraction_of_mean};
  if (const auto best = quietest(part, choice.length_seconds, demand.mean_load, vetoes))
    return {within(best->start_seconds), start_reason::least_load, best->fraction_of_mean};
  return by_schedule(choice, latest, vetoes); // events leave no room
}

std::vector<planned_snapshot> plan_snapshots(const snapshot_rule& rule, const snapshot_past& past,
                                             const expected_demand& demand, const std::vector<veto>& vetoes, double now,
                                             double until, std::size_t snapshots_max) {
  std::vector<planned_snapshot> out;
  if (!(rule.every_seconds > 0))
    return out;
  auto known = past;
  while (out.size() < snapshots_max) {
    auto next = next_differential(rule, known, demand, vetoes, now);
    // The first snapshot is a baseline by itself.
    if (known.newest && rule.baseline_every_seconds > 0)
      if (auto baseline = next_baseline(rule, known, demand, vetoes, now); baseline.chosen.start <= next.chosen.start)
        next = std::move(baseline);
    if (!known.newest)
      next.kind = snapshot_kind::baseline;
    if (next.chosen.start > until)
      break;
    known.newest = next.chosen.start;
    if (next.kind == snapshot_kind::baseline)
      known.newest_baseline = next.chosen.start;
    now = std::max(now, next.chosen.start);
    out.push_back(std::move(next));
  }
  return out;
}

} // namespace gnomon::forecasting
