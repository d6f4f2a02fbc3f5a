#include "actors/learning/forecast_fit.hpp"

#include <algorithm>
#include <cmath>

#include "actors/learning/volume_pattern.hpp"
#include "actors/protocol/volume_messages.hpp"
#include "config/log.hpp"
#include "forecasting/ensemble/ensemble.hpp"
#include "forecasting/outlook/bursts.hpp"
#include "forecasting/outlook/windows.hpp"

namespace gnomon::actors {
namespace {

using forecasting::forecast_model;
using forecasting::grid;

// A grid's step, from how much past on, how much of it is used and how far ahead it looks.
struct scale {
  store::resolution rows;
  double step_seconds, from_span_seconds, past_seconds_max, ahead_seconds;
};
constexpr scale scales[] = {
    {store::resolution::five_minutes, 300, 36 * forecasting::hour, 14 * forecasting::day, forecasting::day},
    {store::resolution::one_minute, 60, 2 * forecasting::hour, 36 * forecasting::hour, 6 * forecasting::hour},
    {store::resolution::ten_seconds, 10, 0, 2 * forecasting::hour, 2 * forecasting::hour},
};
constexpr auto look_back = std::chrono::hours(15 * 24);
constexpr double interval_level = 0.9; // between the quantiles 0.05 and 0.95
constexpr double busy_above_mean = 1.5;
constexpr double quietest_seconds = 2 * forecasting::hour; // of the window that is named where none is quiet

// At most a quarter of what is looked ahead.
double quietest_length(const grid& plan) {
  return std::min(quietest_seconds, plan.step_seconds * static_cast<double>(plan.size()) / 4);
}

wall_time wall_of(double seconds) { return wall_time{microseconds{static_cast<std::int64_t>(seconds * 1e6)}}; }
std::int64_t us_of(double seconds) { return static_cast<std::int64_t>(std::llround(seconds * 1e6)); }

double quantity_of(const store::access_counters& c, load_kind load) {
  switch (load) {
  case load_kind::requests:
    return static_cast<double>(c.reads + c.writes);
  case load_kind::bytes:
    return static_cast<double>(c.read_bytes + c.write_bytes);
  case load_kind::reads:
    return static_cast<double>(c.reads);
  case load_kind::writes:
    return static_cast<double>(c.writes);
  case load_kind::read_bytes:
    return static_cast<double>(c.read_bytes);
  case load_kind::write_bytes:
    return static_cast<double>(c.write_bytes);
  }
  return 0;
}

// Calls each(time in seconds, counters) for all the subject did in [from, to).
template <class Each>
result<void> for_each_row(const store::history& history, const forecast_subject& subject, store::resolution at,
                          wall_time from, wall_time to, const Each& each) {
  for (const auto& source : subject.sources) {
    store::history_query query;
    query.volume = source.volume, query.at = at, query.from = from, query.to = to;
    if (source.instance) {
      query.instance = source.instance;
      const auto read =
          history.visit(query, [&](const store::history_sample& row) { each(seconds_of(row.slot), row.counters); });
      if (!read)
        return read;
      continue;
    }
    const auto totals = history.read_totals(query);
    if (!totals)
      return tl::unexpected(totals.error());
    for (const auto& row : *totals)
      each(seconds_of(row.slot), row.counters);
  }
  return {};
}

// A model learned a moment ago, of the same grid.
std::optional<forecast_model> saved_model(const store::history& history, const std::string& object,
                                          const std::string& name, const grid& past, forecast_freshness freshness) {
  if (freshness.model_age_max <= std::chrono::seconds{0})
    return std::nullopt; // not even one of this very slot: it may not know of an event that was told since
  const auto stored = history.get_model(object, name);
  if (!stored || stored->version != forecast_model_blob_version)
    return std::nullopt;
  const auto numbers = numbers_from(stored->blob);
  auto model = numbers ? forecasting::forecast_model_from(*numbers) : tl::unexpected(numbers.error());
  if (!model) {
    log::warning("forecast of {}: {}; learning it again", object, model.error().to_string());
    return std::nullopt;
  }
  const double age = past.end_seconds() - model->start_seconds;
  const bool usable = model->step_seconds == past.step_seconds && age >= 0 &&
                      age <= static_cast<double>(freshness.model_age_max.count());
  return usable ? std::optional(std::move(*model)) : std::nullopt;
}

void describe_choices(const forecast_model& model, const forecast_subject& subject, forecast_view& view) {
  for (const auto horizon : subject.horizons) {
    const auto slots = static_cast<arma::uword>(
        std::max(1.0, std::round(static_cast<double>(horizon.count()) / model.step_seconds)));
    if (slots > model.horizon() || model.choices.empty())
      continue;
    const auto& choice = model.choice_at(slots);
    horizon_score score;
    score.ahead_us = std::chrono::duration_cast<microseconds>(horizon).count();
    score.origins = choice.origins;
    score.served_mase = model.mase(choice, choice.served_error);
    score.best_naive = std::string(to_string(choice.best_naive));
    score.best_naive_mase = model.mase(choice, choice.error[static_cast<std::size_t>(choice.best_naive)]);
    score.naive_share = choice.naive_share;
    for (const auto method : forecasting::all_methods) {
      const auto i = static_cast<std::size_t>(method);
      score.methods.push_back({std::string(to_string(method)), forecasting::is_naive(method),
                              model.mase(choice, choice.error[i]), choice.weight[i]});
    }
    view.horizons.push_back(std::move(score));
  }
  view.enough_past = !view.horizons.empty() && view.horizons.front().origins > 0;
}

void describe_load(const forecast_model& model, forecast_view& view) {
  const double per_second = 1 / model.step_seconds;
  const auto load = model.load();
  const auto low = model.load_quantile(0), high = model.load_quantile(model.quantile_levels.size() - 1);
  for (arma::uword slot = 0; slot < load.n_elem; ++slot) {
    view.ahead.emplace_back(load(slot) * per_second);
    view.low.emplace_back(low(slot) * per_second);
    view.high.emplace_back(high(slot) * per_second);
  }
  view.interval = interval_level;
  const auto append = [](const std::vector<forecasting::load_window>& from, std::vector<predicted_window>& to) {
    for (const auto& w : from)
      to.push_back({us_of(w.start_seconds), us_of(w.end_seconds), w.expected_load, w.fraction_of_mean});
  };
  const auto plan = forecasting::plan_load(model);
  for (const double slot : plan.value)
    view.planned.emplace_back(slot * per_second);
  view.mean = model.mean_load * per_second;
  auto quiet = forecasting::quiet_windows(plan, model.mean_load);
  // Where the load never falls that low there is still a quietest time.
  if (quiet.empty())
    if (const auto least = forecasting::quietest(plan, quietest_length(plan), model.mean_load))
      quiet.push_back(*least);
  append(quiet, view.quiet);
  if (model.mean_load > 0)
    append(forecasting::high_stretches(plan, busy_above_mean * model.mean_load, model.mean_load), view.busy);
}

void describe_bursts(const grid& past, const forecast_subject& subject, forecast_view& view) {
  for (const auto horizon : subject.horizons) {
    forecasting::burst_options options;
    options.ahead_seconds = static_cast<double>(horizon.count());
    if (options.ahead_seconds < past.step_seconds)
      continue;
    const auto outlook = forecasting::burst_ahead(past, options);
    if (!outlook)
      continue;
    view.bursts.push_back({std::chrono::duration_cast<microseconds>(horizon).count(),
                           outlook->slot_seconds > 0 ? outlook->threshold / outlook->slot_seconds : 0,
                           outlook->chance, outlook->announced});
  }
}

void describe_events(const forecast_model& model, const std::vector<forecasting::event>& events,
                     forecast_view& view) {
  const double ends = model.start_seconds + model.step_seconds * static_cast<double>(model.horizon());
  for (const auto& event : events) {
    const double end = event.start_seconds + event.duration_seconds;
    if (event.start_seconds > ends ||
        end < model.start_seconds - model.step_seconds * static_cast<double>(view.past.size()))
      continue;
    double effect = 0;
    for (const auto& learned : model.effects)
      if (learned.kind == event.kind)
        effect = learned.effect;
    view.events.push_back({event.kind, us_of(event.start_seconds), us_of(end), std::exp(effect)});
  }
}

} // namespace

result<grid> past_load(const store::history& history, const forecast_subject& subject, load_kind load,
                       wall_time now) {
  const double until = seconds_of(now);
  double first = until;
  const auto find_first = [&](double time, const store::access_counters&) { first = std::min(first, time); };
  if (const auto read =
          for_each_row(history, subject, store::resolution::five_minutes, now - look_back, now, find_first);
      !read)
    return tl::unexpected(read.error());
  const auto* chosen = &scales[0];
  while (until - first < chosen->from_span_seconds)
    ++chosen;
  grid past;
  past.step_seconds = chosen->step_seconds;
  const double end = std::floor(until / past.step_seconds) * past.step_seconds;
  past.start_seconds =
      std::floor(std::max(first, until - chosen->past_seconds_max) / past.step_seconds) * past.step_seconds;
  if (first >= until || past.start_seconds >= end) {
    past.start_seconds = end;
    return past;
  }
  past.value.zeros(static_cast<arma::uword>(std::llround((end - past.start_seconds) / past.step_seconds)));
  const auto add = [&](double time, const store::access_counters& counters) {
    const double slot = std::floor((time - past.start_seconds) / past.step_seconds);
    if (slot >= 0 && slot < static_cast<double>(past.value.n_elem))
      past.value(static_cast<arma::uword>(slot)) += quantity_of(counters, load);
  };
  if (const auto read = for_each_row(history, subject, chosen->rows, wall_of(past.start_seconds), wall_of(end), add);
      !read)
    return tl::unexpected(read.error());
  // What was found as the first five minutes may begin with nothing: that is not known to have been quiet.
  arma::uword quiet = 0;
  while (quiet < past.value.n_elem && past.value(quiet) == 0 && quiet * past.step_seconds < 300)
    ++quiet;
  if (quiet > 0 && quiet < past.value.n_elem) {
    past.start_seconds = past.time_of(quiet);
    past.value = arma::vec(past.value.tail(past.value.n_elem - quiet));
  }
  return past;
}

result<forecast_view> make_forecast(store::history& history, const forecast_subject& subject, load_kind load,
                                    const std::vector<forecasting::load_event>& told, wall_time now,
                                    forecast_freshness freshness) {
  const auto began = std::chrono::steady_clock::now();
  const auto past = past_load(history, subject, load, now);
  if (!past)
    return tl::unexpected(past.error());
  const auto events = forecasting::events_for(told, subject.concerns);
  const auto name = "forecast/" + std::string(to_string(load));
  auto model = saved_model(history, subject.object, name, *past, freshness);
  const bool learned = !model;
  if (learned) {
    forecasting::ensemble_options options;
    for (const auto& one : scales)
      if (one.step_seconds == past->step_seconds)
        options.horizon_slots = static_cast<arma::uword>(one.ahead_seconds / one.step_seconds);
    options.events = events;
    auto made = forecasting::learn_forecast(*past, options);
    if (!made)
      return tl::unexpected(made.error());
    model = std::move(*made);
  }
  forecast_view view;
  view.subject = subject.name, view.kind = subject.kind, view.load = load;
  view.start_us = us_of(model->start_seconds), view.step_us = us_of(model->step_seconds);
  view.past_slots = model->past_slots, view.observed_slots = model->observed_slots;
  // The past up to where the model begins, its newest slots.
  for (arma::uword slot = 0; slot < past->size() && past->time_of(slot) < model->start_seconds; ++slot)
    view.past.emplace_back(past->value(slot) / past->step_seconds);
  if (view.past.size() > forecast_points_max)
    view.past.erase(view.past.begin(), view.past.end() - static_cast<std::ptrdiff_t>(forecast_points_max));
  for (const auto& period : model->periods)
    view.periods_us.push_back(us_of(static_cast<double>(period.slots) * model->step_seconds));
  describe_choices(*model, subject, view);
  describe_load(*model, view);
  describe_bursts(*past, subject, view);
  describe_events(*model, events, view);
  view.fitted_us = learned ? to_microseconds(now) : view.start_us;
  view.fit_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  if (learned)
    if (const auto kept = history.put_model(subject.object, name, forecast_model_blob_version,
                                            to_bytes(forecasting::to_numbers(*model)));
        !kept && kept.error().code != errc::shutting_down)
      log::warning("forecast of {}: could not be saved: {}", subject.name, kept.error().to_string());
  return view;
}

} // namespace gnomon::actors
