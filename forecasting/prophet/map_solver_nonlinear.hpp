// The MAP fit where the model is not linear in its parameters (multiplicative components, logistic growth):
// Gauss-Newton around the exact convex solver, with a line search on the true posterior. Internal to forecasting/,
// open to tests. Pure functions; any thread. Finds the local optimum nearest to Prophet's own starting point.
#pragma once

#include <vector>

#include <armadillo>

#include "forecasting/prophet/map_solver.hpp"
#include "forecasting/prophet/map_solver_gram.hpp"
#include "forecasting/prophet/prophet.hpp"

namespace gnomon::forecasting {

// y = g (1 + X_m b_m) + X_a b_a + noise in scaled units; g = k t + m + ..., m, or C / (1 + exp(-(k (t - m) + ...))).
struct map_problem {
  trend_growth growth = trend_growth::linear;
  const trend_segments& segments; // no changepoints with flat growth
  const arma::vec& t;             // n, sorted, 0..1
  const arma::vec& y;             // n
  const arma::vec& capacity;      // n with logistic growth, else empty
  const arma::mat& features;      // n x P
  const std::vector<feature_column>& columns;
  const map_priors& priors;
};

struct growth_start {
  double k = 0;
  double m = 0;
};
// Where Prophet starts its optimiser: the line or curve through the first and the last row, or the mean.
growth_start initial_growth(trend_growth growth, const arma::vec& t, const arma::vec& y, const arma::vec& capacity);

struct map_evaluation {
  arma::vec trend;       // g
  arma::vec trend_slope; // dg / d(linear predictor)
  arma::vec factor;      // 1 + X_m b_m
  arma::vec fitted;
  double residual_sum_of_squares = 0;
};
void evaluate(const map_problem& problem, const arma::vec& theta, map_evaluation& out);

map_optimum solve_nonlinear(const map_problem& problem, const arma::vec& start);

} // namespace gnomon::forecasting
