#include "forecasting/ensemble/event_effects.hpp"

#include <algorithm>
#include <cmath>
#include <map>

namespace gnomon::forecasting {

using arma::uword;
using arma::vec;

namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool concerns(const load_event& event, const event_subject& subject) {
  switch (event.target) {
  case event_target::everything:
    return true;
  case event_target::volume:
    return event.target_name == subject.volume;
  case event_target::instance:
    return contains(subject.instances, event.target_name);
  case event_target::application:
    return contains(subject.applications, event.target_name);
  }
  return false;
}

bool usable(const event& e) {
  return std::abs(e.start_seconds) <= time_seconds_max && e.duration_seconds >= 0 &&
         e.duration_seconds <= time_seconds_max;
}

// Share of each slot covered by events of one kind; at most 1 however many overlap.
vec indicator(const std::string& kind, const std::vector<event>& events, double first_seconds, double step_seconds,
              uword slots) {
  vec out(slots, arma::fill::zeros);
  const double last_seconds = first_seconds + step_seconds * static_cast<double>(slots);
  for (const auto& e : events) {
    const double duration = std::max(e.duration_seconds, step_seconds);
    if (e.kind != kind || !usable(e) || e.start_seconds >= last_seconds ||
        e.start_seconds + duration <= first_seconds)
      continue;
    const double from = std::max(0.0, (e.start_seconds - first_seconds) / step_seconds);
    const double to =
        std::min(static_cast<double>(slots), (e.start_seconds + duration - first_seconds) / step_seconds);
    for (auto slot = static_cast<uword>(from); slot < slots && static_cast<double>(slot) < to; ++slot) {
      const auto begin = static_cast<double>(slot);
      out(slot) = std::min(1.0, out(slot) + std::min(to, begin + 1) - std::max(from, begin));
    }
  }
  return out;
}

std::vector<std::string> most_frequent_kinds(const std::vector<event>& events) {
  std::map<std::string, std::size_t> count;
  for (const auto& e : events)
    ++count[e.kind];
  std::vector<std::string> kinds;
  for (const auto& [kind, times] : count)
    kinds.push_back(kind);
  std::stable_sort(kinds.begin(), kinds.end(), [&](const auto& a, const auto& b) { return count[a] > count[b]; });
  if (kinds.size() > event_kinds_max)
    kinds.resize(event_kinds_max);
  return kinds;
}

} // namespace

std::vector<event> events_for(const std::vector<load_event>& events, const event_subject& subject) {
  std::vector<event> out;
  for (const auto& t : events)
    if (concerns(t, subject) && std::isfinite(t.start_seconds))
      out.push_back({t.type, t.start_seconds, t.duration_seconds});
  std::stable_sort(out.begin(), out.end(),
                   [](const event& a, const event& b) { return a.start_seconds < b.start_seconds; });
  if (out.size() > learned_events_max)
    out.erase(out.begin(), out.end() - static_cast<std::ptrdiff_t>(learned_events_max));
  return out;
}

std::vector<event_effect> learn_effects(const method_input& past, const std::vector<event>& events,
                                        const std::vector<detected_period>& periods) {
  std::vector<event_effect> out;
  const uword n = past.log_value.n_elem;
  std::vector<vec> columns;
  prophet_options options;
  options.yearly = options.weekly = options.daily = seasonality_switch::off;
  for (const auto& kind : most_frequent_kinds(events)) {
    vec column = indicator(kind, events, past.start_seconds, past.step_seconds, n);
    const double seen = arma::accu(column);
    out.push_back({kind, 0, seen});
    // An event that always was, or never, says nothing.
    if (seen <= 0 || seen >= static_cast<double>(n) - 1)
      continue;
    options.regressors.push_back({kind, 10, standardisation::off, component_mode::additive});
    columns.push_back(std::move(column));
  }
  if (columns.empty() || n < 8)
    return out;
  for (const auto& period : periods) {
    const auto order = static_cast<unsigned>(std::clamp<uword>((period.slots - 1) / 2, 1, 4));
    options.seasonalities.push_back({"every " + std::to_string(period.slots) + " slots",
                                     static_cast<double>(period.slots) * past.step_seconds, order, 10,
                                     component_mode::additive});
  }
  covariates known;
  known.regressors.set_size(n, columns.size());
  for (uword j = 0; j < columns.size(); ++j)
    known.regressors.col(j) = columns[j];
  const vec times = past.start_seconds + arma::regspace<vec>(0, static_cast<double>(n) - 1) * past.step_seconds;
  const auto model = fit({times, past.log_value}, options, known);
  if (!model)
    return out;
  for (uword p = 0; p < model->columns.size(); ++p)
    for (auto& effect : out)
      if (effect.kind == model->columns[p].component && effect.slots_seen > 0) {
        const double learned = model->beta(p) * model->y_scale;
        effect.effect = std::isfinite(learned) ? learned * effect.slots_seen / (effect.slots_seen + 2) : 0;
      }
  return out;
}

vec effect_path(const std::vector<event_effect>& effects, const std::vector<event>& events, double first_seconds,
                double step_seconds, uword slots) {
  vec out(slots, arma::fill::zeros);
  for (const auto& effect : effects)
    if (effect.effect != 0)
      out += effect.effect * indicator(effect.kind, events, first_seconds, step_seconds, slots);
  return out;
}

} // namespace gnomon::forecasting
