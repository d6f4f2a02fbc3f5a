// From what the caller gave to what the solver needs: rows chosen and sorted, times and values scaled, design built.
// Internal to forecasting/. Pure functions; any thread.
#pragma once

#include <vector>

#include <armadillo>

#include "forecasting/prophet/map_solver.hpp"
#include "forecasting/prophet/map_solver_gram.hpp"
#include "forecasting/prophet/prophet.hpp"

namespace gnomon::forecasting {

// All that does not depend on the values: shared by series with the same rows.
struct history_design {
  prophet_model model;       // everything but y_scale and the parameters
  arma::vec t;               // n, sorted, 0..1
  arma::mat features;        // n x P
  arma::vec capacity, floor; // n with logistic growth, else empty; in units of y
  trend_segments segments;
  map_priors priors;
};

// `rows` are those of `time_seconds` to use, in order of time. Expects checked arguments.
result<history_design> design_history(const arma::vec& time_seconds, const std::vector<arma::uword>& rows,
                                      const prophet_options& options, const covariates& known);

// The regressors of the given times on the model's scale, and a covariate spread to every row.
arma::mat standardised_regressors(const prophet_model& model, const arma::mat& regressors);
arma::vec spread(const arma::vec& given, double otherwise, arma::uword rows);

} // namespace gnomon::forecasting
