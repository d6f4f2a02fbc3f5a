// The design of Prophet's model: where the changepoints are, which columns there are, and their rows.
// Internal to forecasting/, but open to tests. Pure functions; any thread. Never looks at the observed values.
#pragma once

#include <string>
#include <vector>

#include <armadillo>

#include "forecasting/prophet/prophet.hpp"

namespace gnomon::forecasting {

// sin and cos of 2 pi i d / P for i = 1..order, d = days since 1970-01-01 UTC; T x 2 order, columns sin 1, cos 1, sin
// 2, ... The angle is rounded step by step as Prophet's R code rounds it, so that rows agree to 1e-15 even where the
// angle is large.
arma::mat fourier_series(const arma::vec& time_seconds, double period_seconds, unsigned order);

// The same into columns that exist: `columns` points to 2 order columns of `rows` doubles.
void fourier_series_into(const double* time_seconds, arma::uword rows, double period_seconds, unsigned order,
                         double* columns);

// sin(x) and cos(x) of n values, error below 1e-15 absolute up to |x| = 1e8; any finite x is right.
void sine_cosine(const double* x, arma::uword n, double* sine, double* cosine);

// Prophet's rule: `n_changepoints` spread evenly over the first `range` of the rows of `t` (sorted), at most one per
// row, never the first row. Positions in the units of `t`.
arma::vec automatic_changepoints(const arma::vec& t, unsigned n_changepoints, double range);

// The seasonalities of a model whose sorted history is at `time_seconds`: custom ones, then yearly, weekly, daily.
std::vector<seasonality> choose_seasonalities(const prophet_options& options, const arma::vec& time_seconds);

// All P columns in order: seasonalities, event kinds by name with their slots in time order, regressors.
std::vector<feature_column> list_columns(const prophet_options& options,
                                         const std::vector<seasonality>& seasonalities);

// What fills the rows of the design beside the time.
struct feature_inputs {
  const prophet_options& options;
  const std::vector<seasonality>& seasonalities;
  const std::vector<event>& events;
  const arma::mat& regressors; // T x R, already standardised
};

// T x P.
arma::mat feature_matrix(const arma::vec& time_seconds, const feature_inputs& inputs, arma::uword column_count);

} // namespace gnomon::forecasting
