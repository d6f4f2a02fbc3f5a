// The methods: the simple and the learned ways to forecast one volume's load, each a pure function of its past, all on
// log1p scale. The ensemble weighs them (ensemble.hpp).
// Pure functions on values: any thread, no clock, no I/O, no hidden state.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include <armadillo>

#include "forecasting/series/period_detector.hpp"
#include "forecasting/series/series.hpp"

namespace gnomon::forecasting {

// The order is part of the persisted form of a model: append only.
enum class method {
  last_value,     // as now
  ewma,           // simple exponential smoothing, alpha optimised on the past
  yesterday,      // same time yesterday; as now while there is no yesterday
  seasonal_naive, // same phase of the strongest detected period, one cycle ago; as now without a period
  profile,        // mean shape of the recent days (or detected cycles) at the newest level, plus a fading residual
  stl_ets,        // exponential smoothing of the seasonally adjusted series (STL) plus the last cycle
  prophet_ar,     // Prophet's model plus a first-order autoregression of its residual
};
inline constexpr std::size_t method_count = 7;
inline constexpr std::array<method, method_count> all_methods = {method::last_value,     method::ewma,    method::yesterday,
                                                              method::seasonal_naive, method::profile, method::stl_ets,
                                                              method::prophet_ar};
// What costs nothing to know: the forecast that is served is never worse than these on the rolling backtest.
inline constexpr std::array<method, 4> naive_methods = {method::last_value, method::ewma, method::yesterday,
                                                      method::seasonal_naive};

std::string_view to_string(method v) noexcept; // "last value", "EWMA", ...
bool is_naive(method v) noexcept;

// The input of a method. Borrowed: must outlive the call.
struct method_input {
  const arma::vec& log_value; // finite, length T
  double start_seconds = 0;   // of the first slot, since 1970-01-01 UTC
  double step_seconds = minute;
};

struct method_options {
  // The learned methods are fitted again after this many slots of a backtest, and only updated in between.
  arma::uword refit_slots = 48;
  period_options periods;
  // Prophet's order per cycle of a day or longer, and of shorter ones.
  unsigned day_order = 6;
  unsigned short_order = 3;
};

// Forecasts of one method from many origins: horizon x origins; column j holds what the method says at origins(j), when
// it knows log_value(0 .. origins(j) - 1), about the `horizon` slots from origins(j) on. `origins` ascending, each
// 0 .. T; nothing at or after an origin is ever looked at for its column. Always finite: where there is too little
// past a method falls back to the last value, at origin 0 to 0.
arma::mat forecast_by_one(method v, const method_input& input, const arma::uvec& origins, arma::uword horizon,
                const method_options& options = {});

// The same for several methods, which share what they need (detected periods); one matrix per method, in that order.
std::vector<arma::mat> forecast_all(const std::vector<method>& methods, const method_input& input,
                                 const arma::uvec& origins, arma::uword horizon, const method_options& options = {});

} // namespace gnomon::forecasting
