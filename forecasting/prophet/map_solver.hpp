// The exact MAP solver. For fixed sigma Prophet's posterior with a model linear in its parameters is a quadratic with
// a ridge on some of them and an L1 penalty on the changes of slope: solved to the optimum by an active set. Sigma
// has a closed form given the residual sum of squares; the two alternate, accelerated by secants. Internal to
// forecasting/, open to tests. A solver is used by one thread at a time; everything else here is a pure function.
#pragma once

#include <vector>

#include <armadillo>

namespace gnomon::forecasting {

// The noise never gets smaller than this part of y_scale: where a model passes through all of its points the
// likelihood has no maximum, and below it the rounding of the Gram matrix would decide.
inline constexpr double sigma_min = 1e-5;

// Parameters are ordered theta = [ridge block: k, m, beta | delta].
struct map_priors {
  arma::vec precision;             // 1 / sd^2 of the ridge block
  double changepoint_scale = 0.05; // of the Laplace prior
};

struct map_optimum {
  arma::vec theta;
  double sigma = 1;
  double residual_sum_of_squares = 0;
  double log_posterior = 0;
  unsigned iterations = 0;
  bool converged = false;
};

// -[ n ln sigma + RSS / (2 sigma^2) + theta_R' D theta_R / 2 + |delta|_1 / tau + 2 sigma^2 ]: Stan's `value`.
double log_posterior(arma::uword n, double residual_sum_of_squares, double sigma, const arma::vec& theta,
                     const map_priors& priors);

// The sigma^2 that maximises it for given residuals; at least sigma_min^2.
double noise_variance(arma::uword n, double residual_sum_of_squares);

class map_solver {
public:
  // `gram` = Z'Z, (R + S) x (R + S), R = priors.precision.n_elem. Copies what it needs.
  map_solver(const arma::mat& gram, const map_priors& priors);

  // Jointly over theta and sigma, for observations with Z'y = `projection` and y'y = `total`.
  map_optimum solve(arma::uword n, const arma::vec& projection, double total);

  // Over theta alone. `theta` holds the start (its delta chooses the first active set) and becomes the optimum.
  // Returns the residual sum of squares.
  double solve_at(double variance, const arma::vec& projection, double total, arma::vec& theta);

private:
  void reduce(double variance);
  void solve_changes(double penalty, double rounding, double* delta);

  arma::uword ridge_count_;
  arma::uword change_count_;
  map_priors priors_;
  arma::mat gram_ridge_, gram_cross_, gram_change_; // R x R, S x R, S x S
  arma::mat factor_, cross_, schur_; // for the last variance: Cholesky of the ridge block, S x R, S x S
  arma::vec ridge_target_, change_target_, gradient_, scratch_;
  std::vector<double> active_factor_, active_solution_;
  std::vector<arma::uword> active_;
  std::vector<double> sign_;
  std::vector<char> is_active_, is_blocked_;
};

} // namespace gnomon::forecasting
