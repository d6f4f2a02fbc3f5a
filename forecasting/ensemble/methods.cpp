#include "forecasting/ensemble/methods.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "forecasting/ensemble/learned_methods.hpp"
#include "forecasting/series/exponential_smoothing.hpp"

namespace gnomon::forecasting {

namespace {

using arma::mat;
using arma::uvec;
using arma::uword;
using arma::vec;

constexpr uword profile_cycles = 7;                       // how many recent cycles the profile averages
constexpr double profile_decay = 0.7;                     // weight of a cycle relative to the next newer one
constexpr double profile_residual_half_life = 1.5 * hour; // how fast "busier than usual now" is forgotten

uword slots_per_day(const method_input& input) {
  const double slots = day / input.step_seconds;
  return std::abs(slots - std::round(slots)) < 1e-6 ? static_cast<uword>(std::round(slots)) : 0;
}

// What was detected on the past of some origin; found again every refit_slots.
struct known_periods {
  uword origin = 0;
  std::vector<detected_period> found;
};

// The one whose cycle explains most; 0 without any.
uword strongest(const std::vector<detected_period>& found) {
  uword slots = 0;
  double best = -1;
  for (const auto& period : found)
    if (period.strength > best)
      best = period.strength, slots = period.slots;
  return slots;
}

// A cycle that holds all detected ones, as far as the past has two of it: the day does for 1, 2, 3, 4, 6, 8, 12
// hours.
uword season_of(const std::vector<detected_period>& found, uword past) {
  uword slots = 0;
  for (const auto& period : found)
    if (2 * period.slots <= past)
      slots = std::max(slots, period.slots);
  return slots;
}

std::vector<known_periods> periods_along(const method_input& input, const uvec& origins,
                                         const method_options& options) {
  std::vector<known_periods> out;
  for (uword origin : origins)
    if (out.empty() || origin >= out.back().origin + options.refit_slots) {
      out.push_back({origin, detect_periods(known_at(input.log_value, origin), input.step_seconds, options.periods)});
    }
  return out;
}

const known_periods& periods_at(const std::vector<known_periods>& along, uword origin) {
  auto after = std::upper_bound(along.begin(), along.end(), origin,
                                [](uword o, const known_periods& known) { return o < known.origin; });
  return after == along.begin() ? *after : *(after - 1);
}

double newest(const vec& value, uword origin) { return origin > 0 ? value(origin - 1) : 0; }

// Same phase, one period before each slot ahead (two where the horizon is longer than the period, and so on).
void repeat_cycle(const vec& value, uword origin, uword period, arma::subview_col<double> out) {
  for (uword h = 0; h < out.n_elem; ++h)
    out(h) = period > 0 && origin >= period ? value(origin - period + h % period) : newest(value, origin);
}

// The shape of the recent cycles (each less its own mean, newer ones count more) at the level of the newest cycle,
// plus what the newest slot differs from it, fading.
void forecast_profile(const vec& value, uword origin, uword period, double step_seconds, arma::subview_col<double> out) {
  const uword cycles = period > 0 ? std::min(profile_cycles, origin / period) : 0;
  if (cycles < 2) {
    repeat_cycle(value, origin, cycles == 1 ? period : 0, out);
    return;
  }
  vec shape(period, arma::fill::zeros); // shape(p): phase p of the cycle that begins at the origin
  double total = 0, weight = 1;
  for (uword c = 1; c <= cycles; ++c, weight *= profile_decay) {
    const auto cycle = value.subvec(origin - c * period, origin - (c - 1) * period - 1);
    shape += weight * (cycle - arma::mean(cycle));
    total += weight;
  }
  shape = shape / total + arma::mean(value.subvec(origin - period, origin - 1));
  double residual = value(origin - 1) - shape(period - 1);
  const double fade = std::exp2(-step_seconds / profile_residual_half_life);
  for (uword h = 0; h < out.n_elem; ++h) {
    residual *= fade;
    out(h) = shape(h % period) + residual;
  }
}

mat forecast_ewma(const vec& value, const uvec& origins, uword horizon, const method_options& options) {
  mat out(horizon, origins.n_elem);
  smoothing state;
  uword fitted_at = 0, position = 0;
  for (uword j = 0; j < origins.n_elem; ++j) {
    const uword origin = origins(j);
    if (j == 0 || origin >= fitted_at + std::max<uword>(1, options.refit_slots / 4)) {
      state = fit_simple_smoothing(known_at(value, origin));
      fitted_at = position = origin;
    }
    for (; position < origin; ++position)
      state.update(value(position));
    out.col(j).fill(state.level);
  }
  return out;
}

mat forecast_stl_ets(const method_input& input, const uvec& origins, uword horizon,
                  const std::vector<known_periods>& along) {
  mat out(horizon, origins.n_elem);
  std::optional<stl_ets_method> fitted;
  const known_periods* of = nullptr;
  for (uword j = 0; j < origins.n_elem; ++j) {
    const auto& known = periods_at(along, origins(j));
    if (of != &known) {
      of = &known;
      fitted.emplace(input.log_value, origins(j), season_of(known.found, origins(j)));
    }
    fitted->advance(input.log_value, origins(j));
    for (uword h = 0; h < horizon; ++h)
      out(h, j) = fitted->ahead(h + 1);
  }
  return out;
}

mat forecast_prophet(const method_input& input, const uvec& origins, uword horizon,
                  const std::vector<known_periods>& along, const method_options& options) {
  mat out(horizon, origins.n_elem);
  std::optional<prophet_ar_method> fitted;
  const known_periods* of = nullptr;
  for (uword j = 0; j < origins.n_elem; ++j) {
    const auto& known = periods_at(along, origins(j));
    if (of != &known) {
      of = &known;
      uword last = j;
      while (last + 1 < origins.n_elem && &periods_at(along, origins(last + 1)) == of)
        ++last;
      fitted.emplace(input, origins(j), origins(last) + horizon, known.found, options);
    }
    fitted->advance(input.log_value, origins(j));
    for (uword h = 0; h < horizon; ++h)
      out(h, j) = fitted->fitted() ? fitted->ahead(h + 1) : newest(input.log_value, origins(j));
  }
  return out;
}

mat forecast_by(method v, const method_input& input, const uvec& origins, uword horizon, const method_options& options,
               const std::vector<known_periods>& along) {
  const vec& value = input.log_value;
  mat out(horizon, origins.n_elem);
  switch (v) {
  case method::last_value:
    for (uword j = 0; j < origins.n_elem; ++j)
      out.col(j).fill(newest(value, origins(j)));
    break;
  case method::ewma:
    return forecast_ewma(value, origins, horizon, options);
  case method::yesterday:
    for (uword j = 0; j < origins.n_elem; ++j)
      repeat_cycle(value, origins(j), slots_per_day(input), out.col(j));
    break;
  case method::seasonal_naive:
    for (uword j = 0; j < origins.n_elem; ++j)
      repeat_cycle(value, origins(j), strongest(periods_at(along, origins(j)).found), out.col(j));
    break;
  case method::profile:
    for (uword j = 0; j < origins.n_elem; ++j) {
      const uword detected = season_of(periods_at(along, origins(j)).found, origins(j));
      const uword a_day = slots_per_day(input);
      forecast_profile(value, origins(j), a_day > 0 ? a_day : detected, input.step_seconds, out.col(j));
    }
    break;
  case method::stl_ets:
    return forecast_stl_ets(input, origins, horizon, along);
  case method::prophet_ar:
    return forecast_prophet(input, origins, horizon, along, options);
  }
  return out;
}

} // namespace

std::string_view to_string(method v) noexcept {
  switch (v) {
  case method::last_value:
    return "last value";
  case method::ewma:
    return "EWMA";
  case method::yesterday:
    return "yesterday";
  case method::seasonal_naive:
    return "seasonal naive";
  case method::profile:
    return "profile";
  case method::stl_ets:
    return "STL+ETS";
  case method::prophet_ar:
    return "Prophet+AR";
  }
  return "unknown";
}

bool is_naive(method v) noexcept {
  return std::find(naive_methods.begin(), naive_methods.end(), v) != naive_methods.end();
}

std::vector<mat> forecast_all(const std::vector<method>& methods, const method_input& input, const uvec& origins,
                           uword horizon, const method_options& options) {
  std::vector<mat> out;
  if (origins.is_empty() || horizon == 0) {
    out.assign(methods.size(), mat(horizon, origins.n_elem));
    return out;
  }
  const auto along = periods_along(input, origins, options);
  for (method v : methods)
    out.push_back(forecast_by(v, input, origins, horizon, options, along));
  return out;
}

mat forecast_by_one(method v, const method_input& input, const uvec& origins, uword horizon, const method_options& options) {
  return std::move(forecast_all({v}, input, origins, horizon, options).front());
}

} // namespace gnomon::forecasting
