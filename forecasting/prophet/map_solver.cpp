// The convex core: ridge and L1 at fixed sigma, and the alternation with sigma.
#include "forecasting/prophet/map_solver.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "forecasting/prophet/map_solver_kernels.hpp"

namespace gnomon::forecasting {
namespace {

using arma::uword;

constexpr unsigned alternations_max = 100;
constexpr double log_variance_tolerance = 1e-6;
constexpr double posterior_rounding = 1e-12;  // relative
constexpr double optimality_tolerance = 1e-9; // of the penalty, for the gradient of an inactive change
// Each change enters the active set a few times at most; the bound only stops a cycle caused by rounding.
constexpr unsigned active_set_steps_per_change_max = 8;
constexpr double gradient_rounding = 32 * std::numeric_limits<double>::epsilon(); // of the largest projection
constexpr double schur_diagonal_min = 1e-13; // of the Gram diagonal: below it a column depends on the ridge block

} // namespace

double noise_variance(uword n, double residual_sum_of_squares) {
  const double count = static_cast<double>(n);
  const double rss = std::max(residual_sum_of_squares, 0.0);
  return std::max(2 * rss / (count + std::sqrt(count * count + 16 * rss)), sigma_min * sigma_min);
}

double log_posterior(uword n, double residual_sum_of_squares, double sigma, const arma::vec& theta,
                     const map_priors& priors) {
  const uword ridge_count = priors.precision.n_elem;
  double penalty = 0;
  for (uword i = 0; i < ridge_count; ++i)
    penalty += priors.precision[i] * theta[i] * theta[i] / 2;
  for (uword i = ridge_count; i < theta.n_elem; ++i)
    penalty += std::abs(theta[i]) / priors.changepoint_scale;
  return -(static_cast<double>(n) * std::log(sigma) + residual_sum_of_squares / (2 * sigma * sigma) + penalty +
           2 * sigma * sigma);
}

map_solver::map_solver(const arma::mat& gram, const map_priors& priors)
    : ridge_count_(priors.precision.n_elem), change_count_(gram.n_rows - ridge_count_), priors_(priors),
      gram_ridge_(gram.submat(0, 0, arma::size(ridge_count_, ridge_count_))),
      gram_cross_(change_count_, ridge_count_), gram_change_(change_count_, change_count_),
      factor_(ridge_count_, ridge_count_), cross_(change_count_, ridge_count_), schur_(change_count_, change_count_),
      ridge_target_(ridge_count_), change_target_(change_count_), gradient_(change_count_), scratch_(gram.n_rows),
      active_factor_(change_count_ * change_count_), active_solution_(change_count_), is_active_(change_count_),
      is_blocked_(change_count_) {
  if (change_count_ == 0)
    return;
  gram_cross_ = gram.submat(ridge_count_, 0, arma::size(change_count_, ridge_count_));
  gram_change_ = gram.submat(ridge_count_, ridge_count_, arma::size(change_count_, change_count_));
  active_.reserve(change_count_);
  sign_.reserve(change_count_);
}

// Eliminates the ridge block: what remains is a problem in the changes alone.
void map_solver::reduce(double variance) {
  std::copy_n(gram_ridge_.memptr(), gram_ridge_.n_elem, factor_.memptr());
  for (uword i = 0; i < ridge_count_; ++i)
    factor_.at(i, i) += variance * priors_.precision[i];
  kernel::cholesky(factor_.memptr(), ridge_count_, scratch_.memptr());
  if (change_count_ == 0)
    return;
  std::copy_n(gram_cross_.memptr(), gram_cross_.n_elem, cross_.memptr());
  kernel::solve_right_transposed(factor_.memptr(), ridge_count_, cross_.memptr(), change_count_);
  std::copy_n(gram_change_.memptr(), gram_change_.n_elem, schur_.memptr());
  kernel::subtract_outer(schur_.memptr(), change_count_, cross_.memptr(), ridge_count_);
  for (uword i = 0; i < change_count_; ++i)
    schur_.at(i, i) = std::max(schur_.at(i, i), schur_diagonal_min * gram_change_.at(i, i));
}

// min 1/2 d'Ad - b'd + penalty |d|_1 by a primal active set: solve on the set, stop at the first change of sign and
// drop what became zero; when all signs hold, take in the change whose gradient exceeds the penalty most.
void map_solver::solve_changes(double penalty, double rounding, double* delta) {
  active_.clear();
  sign_.clear();
  std::fill(is_active_.begin(), is_active_.end(), 0);
  std::fill(is_blocked_.begin(), is_blocked_.end(), 0);
  const auto take_in = [&](uword i, double sign) {
    active_.push_back(i);
    sign_.push_back(sign);
    is_active_[i] = 1;
  };
  for (uword i = 0; i < change_count_; ++i)
    if (delta[i] != 0)
      take_in(i, delta[i] > 0 ? 1.0 : -1.0);

  const double* a = schur_.memptr();
  const double tolerance = optimality_tolerance * penalty + rounding;
  const uword steps_max = active_set_steps_per_change_max * change_count_ + 8;
  uword newest = change_count_; // none
  for (uword step = 0; step < steps_max; ++step) {
    const uword size = active_.size();
    if (size > 0) {
      double* factor = active_factor_.data();
      double* solution = active_solution_.data();
      for (uword j = 0; j < size; ++j) {
        const double* column = a + active_[j] * change_count_;
        for (uword i = j; i < size; ++i)
          factor[i + j * size] = column[active_[i]];
        solution[j] = change_target_[active_[j]] - penalty * sign_[j];
      }
      kernel::cholesky(factor, size, scratch_.memptr());
      kernel::cholesky_solve(factor, size, solution);
      double fraction = 1;
      for (uword j = 0; j < size; ++j) {
        const double now = delta[active_[j]];
        if (solution[j] * sign_[j] <= 0)
          fraction = std::min(fraction, now / (now - solution[j]));
      }
      if (fraction < 1 || (size > 0 && std::any_of(solution, solution + size, [](double d) { return d == 0; }))) {
        uword kept = 0;
        for (uword j = 0; j < size; ++j) {
          const uword i = active_[j];
          const double now = delta[i];
          const bool crosses = solution[j] * sign_[j] <= 0 && now / (now - solution[j]) <= fraction;
          delta[i] = crosses || !std::isfinite(solution[j]) ? 0 : now + fraction * (solution[j] - now);
          if (delta[i] == 0 || delta[i] * sign_[j] < 0) { // rounding may carry a value past zero
            delta[i] = 0;
            is_active_[i] = 0;
            // What leaves in the step it came in would come back for ever.
            if (i == newest)
              is_blocked_[i] = 1;
            continue;
          }
          active_[kept] = i;
          sign_[kept++] = sign_[j];
        }
        active_.resize(kept);
        sign_.resize(kept);
        newest = change_count_;
        continue;
      }
      for (uword j = 0; j < size; ++j)
        delta[active_[j]] = solution[j];
    }
    for (uword i = 0; i < change_count_; ++i)
      gradient_[i] = change_target_[i]; // the negative gradient of the quadratic
    for (uword j = 0; j < size; ++j)
      kernel::subtract_product(gradient_.memptr(), a + active_[j] * change_count_, change_count_, 1,
                               delta + active_[j]);
    uword worst = change_count_;
    double excess_max = tolerance;
    for (uword i = 0; i < change_count_; ++i) {
      const double excess = std::abs(gradient_[i]) - penalty;
      if (is_active_[i] || is_blocked_[i] || !(excess > excess_max))
        continue;
      excess_max = excess;
      worst = i;
    }
    if (worst == change_count_)
      return;
    take_in(worst, gradient_[worst] > 0 ? 1.0 : -1.0);
    newest = worst;
  }
}

double map_solver::solve_at(double variance, const arma::vec& projection, double total, arma::vec& theta) {
  reduce(variance);
  const double penalty = variance / priors_.changepoint_scale;
  std::copy_n(projection.memptr(), ridge_count_, ridge_target_.memptr());
  kernel::solve_lower(factor_.memptr(), ridge_count_, ridge_target_.memptr());
  double* delta = theta.memptr() + ridge_count_;
  if (change_count_ > 0) {
    std::copy_n(projection.memptr() + ridge_count_, change_count_, change_target_.memptr());
    kernel::subtract_product(change_target_.memptr(), cross_.memptr(), change_count_, ridge_count_,
                             ridge_target_.memptr());
    solve_changes(penalty, gradient_rounding * arma::abs(projection).max(), delta);
    kernel::subtract_transposed_product(ridge_target_.memptr(), cross_.memptr(), change_count_, ridge_count_, delta);
  }
  kernel::solve_lower_transposed(factor_.memptr(), ridge_count_, ridge_target_.memptr());
  std::copy_n(ridge_target_.memptr(), ridge_count_, theta.memptr());

  // At the optimum G theta = c - v D theta - penalty sign(delta), hence RSS = y'y - c'theta - v theta'D theta -
  // penalty |delta|.
  double rss = total;
  for (uword i = 0; i < ridge_count_; ++i)
    rss -= theta[i] * (projection[i] + variance * priors_.precision[i] * theta[i]);
  for (uword i = 0; i < change_count_; ++i)
    rss -= delta[i] * projection[ridge_count_ + i] + penalty * std::abs(delta[i]);
  return std::max(rss, 0.0);
}

map_optimum map_solver::solve(uword n, const arma::vec& projection, double total) {
  // x = ln v and h(x) = ln F(e^x) - x, where F maps a variance to that of the residuals it leads to. F grows with v,
  // slower than v near a maximum of the posterior, so that h has a slope between -1 and 0 there. A plain step (slope
  // -1) never loses posterior; a secant step that does has left for another maximum and is taken back.
  struct point {
    double x = 0;
    double h = 0;
    map_optimum reached;
  };
  point now;
  point next;
  now.reached.theta.zeros(ridge_count_ + change_count_);
  next.reached.theta = now.reached.theta;
  next.x = std::log(noise_variance(n, total));
  bool secant_step = false;
  unsigned iterations = 0;
  while (iterations < alternations_max) {
    ++iterations;
    const double rss = solve_at(std::exp(next.x), projection, total, next.reached.theta);
    const double variance = noise_variance(n, rss);
    next.h = std::log(variance) - next.x;
    next.reached.residual_sum_of_squares = rss;
    next.reached.sigma = std::sqrt(variance);
    next.reached.log_posterior = forecasting::log_posterior(n, rss, next.reached.sigma, next.reached.theta, priors_);
    const double loss = now.reached.log_posterior - next.reached.log_posterior;
    if (secant_step && loss > posterior_rounding * (1 + std::abs(now.reached.log_posterior))) {
      next.x = now.x + now.h;
      next.reached.theta = now.reached.theta;
      secant_step = false;
      continue;
    }
    next.reached.converged = std::abs(next.h) <= log_variance_tolerance;
    double slope = -1;
    if (iterations > 1)
      slope = std::clamp((next.h - now.h) / (next.x - now.x), -1.0, -0.1);
    if (!std::isfinite(slope))
      slope = -1;
    std::swap(now, next);
    if (now.reached.converged)
      break;
    secant_step = slope != -1;
    next.x = std::max(now.x - now.h / slope, 2 * std::log(sigma_min));
    next.reached.theta = now.reached.theta;
  }
  now.reached.iterations = iterations;
  return now.reached;
}

} // namespace gnomon::forecasting
