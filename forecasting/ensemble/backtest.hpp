// The rolling backtest behind the ensemble: where its origins lie, how a horizon's methods are weighed, what the errors
// say about the future. Internal to the ensemble. Pure functions on values: any thread, no clock, no I/O.
#pragma once

#include <array>
#include <vector>

#include <armadillo>

#include "forecasting/ensemble/ensemble.hpp"

namespace gnomon::forecasting {

inline constexpr arma::uword backtest_origins_min = 6; // fewer say nothing

// Ascending origins in the newest backtest_seconds of T slots, none in the first third; empty where T is too short.
arma::uvec backtest_origins(arma::uword past_slots, double step_seconds, const ensemble_options& options);

// Weighs the methods for one number of slots ahead. said: per method a matrix (at least slots_ahead) x origins;
// observed: length T, NaN where missing. Excluded methods get weight 0, naive ones still bound the served error.
horizon_choice choose(arma::uword slots_ahead, const std::vector<arma::mat>& said, const arma::uvec& origins,
                      const arma::vec& observed, const std::array<bool, method_count>& excluded,
                      const ensemble_options& options);

// The value at which half of the weight lies on either side, interpolated between neighbours. Weights sum to 1.
double weighted_median(const std::array<double, method_count>& value, const std::array<double, method_count>& weight);

// Split-conformal offset (Vovk et al. 2005; Romano, Patterson & Candes 2019): the residual of rank
// ceil((m + 1) * level) of the m given, the extreme ones where the rank lies beyond them.
double conformal_offset(std::vector<double> residuals, double level);

} // namespace gnomon::forecasting
