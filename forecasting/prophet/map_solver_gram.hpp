// Gram matrices of Prophet's design without building its trend columns. Every trend column is zero before its
// changepoint and linear after it, so that all of its products follow from sums over the segments between
// changepoints: O(n P), not O(n S^2). Internal to forecasting/, open to tests. Pure functions; any thread.
#pragma once

#include <vector>

#include <armadillo>

namespace gnomon::forecasting {

// The rows between changepoints: segment 0 before the first, segment j from changepoint j (inclusive) on.
struct trend_segments {
  arma::vec changepoints_t;           // S, ascending
  std::vector<arma::uword> first_row; // S + 2, the last one is the number of rows
};
trend_segments cut_segments(const arma::vec& t, const arma::vec& changepoints_t); // t: sorted

enum class trend_base { slope_and_offset, offset_only };

// Columns in the order of the solver's parameters: [w t, w] (or [w]), the P columns of X, then w (t - s_j)+ for each
// changepoint. `weight` = w and `weighted_rest` = w (1 - t) have length n. Sums are taken of the time that is left
// because a late changepoint's column, (1 - s_j) - (1 - t), is then a difference of numbers of its own size.
struct weighted_design {
  const trend_segments& segments;
  trend_base base;
  const arma::vec& weight;
  const arma::vec& weighted_rest;
  const arma::mat& features; // n x P
};

// Z'Z. `feature_gram`: X'X where it is known already, else nullptr.
arma::mat gram_matrix(const weighted_design& design, const arma::mat* feature_gram = nullptr);

// Z'y for the n values at y. `feature_projection`: X'y.
arma::vec project(const weighted_design& design, const double* y, const double* feature_projection);

// The trend's linear predictor k t + m + sum delta_j (t - s_j)+ in every row.
void piecewise_linear(const trend_segments& segments, const arma::vec& t, double k, double m, const double* delta,
                      double* out);

} // namespace gnomon::forecasting
