#include "forecasting/ensemble/ensemble.hpp"

#include <algorithm>
#include <cmath>

#include "forecasting/ensemble/backtest.hpp"
#include "forecasting/ensemble/learned_methods.hpp"
#include "forecasting/prophet/uncertainty.hpp"

namespace gnomon::forecasting {

namespace {

using arma::mat;
using arma::uvec;
using arma::uword;
using arma::vec;

const double log_value_max = std::log1p(value_magnitude_max);

result<void> check_options(const grid& past, const ensemble_options& options) {
  if (options.horizon_slots < 1 || options.horizon_slots > horizon_slots_max)
    return fail(errc::invalid_argument, "a forecast's horizon must be 1 to 20160 slots");
  if (past.size() > grid_length_max)
    return fail(errc::invalid_argument, "a grid may have at most 2^20 slots");
  if (!(past.step_seconds > 0) || !std::isfinite(past.step_seconds) ||
      !(std::abs(past.start_seconds) <= time_seconds_max))
    return fail(errc::invalid_argument, "a grid needs a positive step and a start within the limits");
  double before = 0;
  for (double level : options.quantiles) {
    if (!(level > before && level < 1))
      return fail(errc::invalid_argument, "quantile levels must ascend within (0, 1)");
    before = level;
  }
  if (!(options.weight_power >= 0) || !(options.lone_method_below >= 0 && options.lone_method_below <= 1) ||
      !(options.backtest_seconds >= 0) || options.backtest_origins_max < 1)
    return fail(errc::invalid_argument, "the backtest's options must not be negative");
  return {};
}

// A second method that says the same as another would only make it louder.
bool repeats_another(method v, const std::vector<detected_period>& periods, double step_seconds) {
  if (v != method::seasonal_naive)
    return false;
  double best = -1;
  uword slots = 0;
  for (const auto& period : periods)
    if (period.strength > best)
      best = period.strength, slots = period.slots;
  return slots == 0 || std::abs(static_cast<double>(slots) * step_seconds - day) < 1;
}

// 1, 2, 4, 8 ... and the last one.
std::vector<uword> measured_horizons(uword horizon) {
  std::vector<uword> out;
  for (uword h = 1; h < horizon; h *= 2)
    out.push_back(h);
  out.push_back(horizon);
  return out;
}

horizon_choice unmeasured(uword slots_ahead) {
  horizon_choice out;
  out.slots_ahead = slots_ahead;
  out.weight[static_cast<std::size_t>(method::last_value)] = 1;
  return out;
}

// What the served forecast of one horizon says, given what each method says.
double serve(const horizon_choice& choice, const double* said, uword stride) {
  std::array<double, method_count> values;
  for (std::size_t v = 0; v < method_count; ++v)
    values[v] = said[v * stride];
  const double blended = weighted_median(values, choice.weight);
  const double naive = values[static_cast<std::size_t>(choice.best_naive)];
  return blended + choice.naive_share * (naive - blended);
}

// The conformal offsets between measured horizons: linear in the logarithm of the slots ahead.
double offset_at(const std::vector<horizon_choice>& choices, uword slots_ahead, std::size_t level) {
  const horizon_choice* below = nullptr;
  const horizon_choice* above = nullptr;
  for (const auto& choice : choices) {
    if (choice.conformal_offset.empty())
      continue;
    if (choice.slots_ahead <= slots_ahead)
      below = &choice;
    else if (above == nullptr)
      above = &choice;
  }
  if (below == nullptr && above == nullptr)
    return 0;
  if (below == nullptr || above == nullptr)
    return (below != nullptr ? below : above)->conformal_offset[level];
  const double from = std::log(static_cast<double>(below->slots_ahead));
  const double to = std::log(static_cast<double>(above->slots_ahead));
  const double share = (std::log(static_cast<double>(slots_ahead)) - from) / (to - from);
  return below->conformal_offset[level] * (1 - share) + above->conformal_offset[level] * share;
}

// Quantiles about the served value, in order, never negative as a load.
void fill_quantiles(forecast_model& model, const prophet_ar_method& learned) {
  const std::size_t levels = model.quantile_levels.size();
  model.conformal_quantiles.set_size(model.horizon(), levels);
  model.model_quantiles.set_size(model.horizon(), levels);
  for (uword h = 0; h < model.horizon(); ++h) {
    const double spread = learned.spread(h + 1);
    double before = 0, before_model = 0;
    for (std::size_t q = 0; q < levels; ++q) {
      const double normal = model.served(h) + spread * gaussian_quantile(model.quantile_levels[q]);
      const bool measured = std::any_of(model.choices.begin(), model.choices.end(),
                                        [](const auto& c) { return !c.conformal_offset.empty(); });
      const double conformal = measured ? model.served(h) + offset_at(model.choices, h + 1, q) : normal;
      before = std::clamp(conformal, before, log_value_max);
      before_model = std::clamp(normal, before_model, log_value_max);
      model.conformal_quantiles(h, q) = before;
      model.model_quantiles(h, q) = before_model;
    }
  }
}

void decide(forecast_model& model, const vec& cleaned, const vec& observed, const ensemble_options& options) {
  const uvec origins = backtest_origins(cleaned.n_elem, model.step_seconds, options);
  const auto horizons = measured_horizons(options.horizon_slots);
  if (origins.is_empty()) {
    for (uword h : horizons)
      model.choices.push_back(unmeasured(h));
    return;
  }
  const method_input input{cleaned, model.start_seconds - static_cast<double>(cleaned.n_elem) * model.step_seconds,
                          model.step_seconds};
  method_options methods = options.methods;
  methods.refit_slots = std::max<uword>(1, (cleaned.n_elem - origins(0) + 3) / 4);
  const uword needed = std::min(options.horizon_slots, cleaned.n_elem - origins(0));
  const std::vector<method> all(all_methods.begin(), all_methods.end());
  const auto said = forecast_all(all, input, origins, needed, methods);
  std::array<bool, method_count> excluded{};
  for (std::size_t v = 0; v < method_count; ++v)
    excluded[v] = repeats_another(all_methods[v], model.periods, model.step_seconds);
  for (uword h : horizons)
    model.choices.push_back(h <= needed ? choose(h, said, origins, observed, excluded, options) : unmeasured(h));
  // A horizon that could not be measured is served as the longest one that could.
  for (std::size_t i = 1; i < model.choices.size(); ++i)
    if (model.choices[i].origins < backtest_origins_min && model.choices[i - 1].origins >= backtest_origins_min) {
      const uword slots_ahead = model.choices[i].slots_ahead;
      model.choices[i] = model.choices[i - 1];
      model.choices[i].slots_ahead = slots_ahead;
    }
}

} // namespace

const horizon_choice& forecast_model::choice_at(uword slots_ahead) const {
  const auto distance = [&](const horizon_choice& c) {
    return std::abs(std::log(static_cast<double>(c.slots_ahead)) - std::log(static_cast<double>(slots_ahead)));
  };
  return *std::min_element(choices.begin(), choices.end(),
                           [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
}

double forecast_model::mase(const horizon_choice&, double error) const { return scale > 0 ? error / scale : 0; }

vec forecast_model::load() const { return from_log(served); }

vec forecast_model::load_quantile(uword level) const { return from_log(vec(conformal_quantiles.col(level))); }

result<forecast_model> learn_forecast(const grid& past, const ensemble_options& options) {
  if (auto ok = check_options(past, options); !ok)
    return tl::unexpected(ok.error());
  forecast_model model;
  model.step_seconds = past.step_seconds;
  model.start_seconds = past.end_seconds();
  model.past_slots = past.size();
  model.quantile_levels = options.quantiles;

  const vec observed = to_log(past.value);
  const vec filled = fill_gaps(observed);
  double sum = 0;
  for (double v : observed)
    if (std::isfinite(v))
      ++model.observed_slots, sum += from_log(v) / static_cast<double>(past.size());
  model.mean_load = model.observed_slots > 0
                        ? std::min(sum * static_cast<double>(past.size()) / static_cast<double>(model.observed_slots),
                                   value_magnitude_max)
                        : 0;
  model.scale = naive_scale(observed);
  model.periods = detect_periods(filled, past.step_seconds, options.methods.periods);

  // Events first: methods that know nothing of them forecast the load without, and their effect is added.
  model.effects = learn_effects({filled, past.start_seconds, past.step_seconds}, options.events, model.periods);
  const vec past_effect =
      effect_path(model.effects, options.events, past.start_seconds, past.step_seconds, past.size());
  model.event_effect_log =
      effect_path(model.effects, options.events, model.start_seconds, past.step_seconds, options.horizon_slots);
  const vec cleaned = filled - past_effect;
  decide(model, cleaned, vec(observed - past_effect), options);

  const method_input input{cleaned, past.start_seconds, past.step_seconds};
  const uvec now{cleaned.n_elem};
  const auto said =
      forecast_all({all_methods.begin(), all_methods.end()}, input, now, options.horizon_slots, options.methods);
  model.methods.set_size(options.horizon_slots, method_count);
  for (std::size_t v = 0; v < method_count; ++v)
    model.methods.col(v) = arma::clamp(said[v].col(0), 0.0, log_value_max);
  model.served.set_size(options.horizon_slots);
  for (uword h = 0; h < options.horizon_slots; ++h) {
    const double without = serve(model.choice_at(h + 1), model.methods.memptr() + h, options.horizon_slots);
    model.served(h) = std::clamp(without + model.event_effect_log(h), 0.0, log_value_max);
  }
  fill_quantiles(model, prophet_ar_method(input, cleaned.n_elem, cleaned.n_elem, model.periods, options.methods));
  return model;
}

grid sum_of_loads(const std::vector<forecast_model>& models) {
  grid out;
  if (models.empty())
    return out;
  out.step_seconds = models.front().step_seconds;
  out.start_seconds = models.front().start_seconds;
  double end = out.start_seconds;
  for (const auto& model : models) {
    out.start_seconds = std::max(out.start_seconds, model.start_seconds);
    end = std::max(end, model.start_seconds + model.step_seconds * static_cast<double>(model.horizon()));
  }
  const double slots = std::min((end - out.start_seconds) / out.step_seconds, static_cast<double>(horizon_slots_max));
  out.value.zeros(static_cast<uword>(std::max(0.0, std::round(slots))));
  for (const auto& model : models) {
    const vec load = model.load();
    for (uword i = 0; i < out.size() && !load.is_empty(); ++i) {
      const double at = std::floor((out.time_of(i) - model.start_seconds) / model.step_seconds + 1e-6);
      const uword slot = std::min(static_cast<uword>(std::max(0.0, at)), load.n_elem - 1);
      out.value(i) = std::min(out.value(i) + load(slot), value_magnitude_max);
    }
  }
  return out;
}

} // namespace gnomon::forecasting
