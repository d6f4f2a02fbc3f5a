// The ensemble: combines all methods for one volume, measures each by a rolling backtest on the volume's own past, and
// serves a blend of them that is never worse than the best naive method there. Everything it knew when it chose is
// part of the model it returns, for operators to see.
// Pure functions on values: any thread, no clock, no I/O, no hidden state.
//
// How: from up to 96 origins in the last two days each method forecasts what followed; nothing after an origin is
// looked at for its forecasts. Per horizon the methods are weighted by (mean absolute error)^-weight_power, and what
// is served is their weighted median; one that is better than that by far is served alone. Where that median was worse than the best naive method on those origins, it is
// mixed with that method, by the smallest share that makes it no worse. Choosing one method per volume by its recent
// error is what one would try first, and does worse on real volumes than the plain median.
#pragma once

#include <array>
#include <string>
#include <vector>

#include <armadillo>

#include "config/error.hpp"
#include "forecasting/ensemble/event_effects.hpp"
#include "forecasting/ensemble/methods.hpp"
#include "forecasting/series/grid.hpp"

namespace gnomon::forecasting {

inline constexpr arma::uword horizon_slots_max = 20'160; // two weeks of minutes

struct ensemble_options {
  arma::uword horizon_slots = 48;    // how far to forecast, 1 .. horizon_slots_max
  double backtest_seconds = 2 * day; // the newest part of the past in which the backtest's origins lie
  arma::uword backtest_origins_max = 96;
  double weight_power = 0.5; // 0: plain median; large: the best method alone
  // A method whose error is below this share of the blend's is served alone: 0 .. 1; 0: none ever does.
  double lone_method_below = 0.8;
  std::vector<double> quantiles = {0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95}; // levels in (0, 1), ascending
  method_options methods;
  std::vector<event> events; // past and planned ones that concern the series
};

// What the ensemble measured and decided for one number of slots ahead. Other horizons use the nearest of these.
struct horizon_choice {
  arma::uword slots_ahead = 1;
  arma::uword origins = 0;                  // that the scores rest on; 0: too little past to tell
  std::array<double, method_count> error{};  // mean absolute error of each method, log scale
  std::array<double, method_count> weight{}; // of each method in the median; sum 1
  double blend_error = 0;                   // of the weighted median
  double served_error = 0;                  // of what is served; <= error of every naive method if origins > 0
  method best_naive = method::last_value;
  double naive_share = 0;               // 0: the blend alone, 1: the best naive method alone
  std::vector<double> conformal_offset; // per quantile level, to be added to the served log value
};

struct forecast_model {
  double start_seconds = 0; // of the first slot ahead: where the past ends
  double step_seconds = minute;
  arma::uword past_slots = 0; // T, and how many of them were observed
  arma::uword observed_slots = 0;
  double scale = 0;     // mean |y(t) - y(t-1)| of the past, log scale: error / scale is MASE
  double mean_load = 0; // of the past, in its own units
  std::vector<detected_period> periods;
  std::vector<event_effect> effects;
  std::vector<horizon_choice> choices; // ascending slots_ahead
  std::vector<double> quantile_levels;
  arma::mat methods;              // horizon x method_count, log scale, without events
  arma::vec event_effect_log;    // horizon: what planned events add
  arma::vec served;              // horizon, log scale, with events
  arma::mat conformal_quantiles; // horizon x levels, log scale, ascending in the level
  arma::mat model_quantiles;     // the same, from the learned model's own noise

  arma::uword horizon() const { return served.n_elem; }
  const horizon_choice& choice_at(arma::uword slots_ahead) const; // slots_ahead >= 1
  double mase(const horizon_choice& at, double error) const;      // error / scale; 0 where the past was constant
  arma::vec load() const;                                         // served, in the past's own units
  arma::vec load_quantile(arma::uword level) const;               // conformal
};

// Learns a forecast from a load on an even grid (any unit; below 0 counts as 0; NaN: missing). Never fails on data:
// empty, constant, gappy, huge or short input give a finite model, the last value where nothing else can be said.
// errc::invalid_argument: options out of range, or a grid longer than grid_length_max.
result<forecast_model> learn_forecast(const grid& past, const ensemble_options& options = {});

// The served forecast of several loads at one time, slot by slot, in their own units: the load of a node. All must
// have the same step; slots are aligned by time, and where one ends its last slot goes on. Empty on no models.
grid sum_of_loads(const std::vector<forecast_model>& models);

// The model as plain numbers, to be stored anywhere: [magic, version, sizes..., values...]; strings as one number per
// byte. Decoding checks everything: errc::corrupt for what is not such a form or holds values that are not finite,
// errc::unsupported for a version this build does not know.
inline constexpr double forecast_model_magic = 0x676e6f6d; // "gnom"
inline constexpr double forecast_model_version = 1;
arma::vec to_numbers(const forecast_model& model);
result<forecast_model> forecast_model_from(const arma::vec& numbers);

} // namespace gnomon::forecasting
