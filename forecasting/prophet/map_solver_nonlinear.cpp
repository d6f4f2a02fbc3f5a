// Gauss-Newton steps are exact solutions of the linearised problem, L1 penalty included, so that changepoints come
// and go.
#include "forecasting/prophet/map_solver_nonlinear.hpp"

#include <algorithm>
#include <cmath>

namespace gnomon::forecasting {
namespace {

using arma::uword;

constexpr unsigned iterations_max = 200;
constexpr unsigned halvings_max = 20;
constexpr double relative_gain_min = 1e-11; // of the posterior, twice in a row: done

uword base_columns(const map_problem& problem) { return problem.growth == trend_growth::flat ? 1 : 2; }

bool any_multiplicative(const map_problem& problem) {
  return std::any_of(problem.columns.begin(), problem.columns.end(),
                     [](const feature_column& c) { return c.mode == component_mode::multiplicative; });
}

// Z of the linearised model at theta, as solver columns [k, m, beta, delta].
class linearisation {
public:
  explicit linearisation(const map_problem& problem)
      : problem_(problem), multiplicative_(any_multiplicative(problem)), features_(problem.features) {
    if (!multiplicative_ && !features_.is_empty())
      feature_gram_ = features_.t() * features_;
  }

  // Fills `gram` and `projection` = Z'residual.
  void build(const arma::vec& theta, const map_evaluation& at, const arma::vec& residual) {
    weight_ = at.trend_slope % at.factor;
    weighted_rest_ = weight_ % (1 - problem_.t);
    if (multiplicative_)
      for (uword c = 0; c < features_.n_cols; ++c)
        if (problem_.columns[c].mode == component_mode::multiplicative)
          features_.col(c) = at.trend % problem_.features.col(c);
    const bool flat = problem_.growth == trend_growth::flat;
    const weighted_design design{problem_.segments, flat ? trend_base::offset_only : trend_base::slope_and_offset,
                                 weight_, weighted_rest_, features_};
    gram = gram_matrix(design, multiplicative_ ? nullptr : &feature_gram_);
    const arma::vec feature_projection = features_.t() * residual;
    projection = project(design, residual.memptr(), feature_projection.memptr());
    if (problem_.growth == trend_growth::logistic)
      change_to_logistic(theta[0], theta[1]);
  }

  arma::mat gram;
  arma::vec projection;

private:
  // The predictor k (t - m) has the columns t - m and -k where a line has t and 1.
  void change_to_logistic(double k, double m) {
    gram.row(0) -= m * gram.row(1);
    gram.row(1) *= -k;
    gram.col(0) -= m * gram.col(1);
    gram.col(1) *= -k;
    projection[0] -= m * projection[1];
    projection[1] *= -k;
  }

  const map_problem& problem_;
  bool multiplicative_;
  arma::mat features_;
  arma::mat feature_gram_;
  arma::vec weight_, weighted_rest_;
};

} // namespace

growth_start initial_growth(trend_growth growth, const arma::vec& t, const arma::vec& y, const arma::vec& capacity) {
  if (t.is_empty())
    return {};
  if (growth == trend_growth::flat)
    return {0, arma::mean(y)};
  const uword last = t.n_elem - 1;
  const double span = t[last] > t[0] ? t[last] - t[0] : 1;
  if (growth == trend_growth::linear) {
    const double k = (y[last] - y[0]) / span;
    return {k, y[0] - k * t[0]};
  }
  const auto ratio = [&](uword row) {
    const double inside = std::max(0.01 * capacity[row], std::min(0.99 * capacity[row], y[row]));
    return capacity[row] / inside;
  };
  double first_ratio = ratio(0);
  const double last_ratio = ratio(last);
  if (std::abs(first_ratio - last_ratio) <= 0.01)
    first_ratio *= 1.05;
  const double first_logit = std::log(first_ratio - 1);
  const double last_logit = std::log(last_ratio - 1);
  return {(first_logit - last_logit) / span, first_logit * span / (first_logit - last_logit)};
}

void evaluate(const map_problem& problem, const arma::vec& theta, map_evaluation& out) {
  const uword n = problem.t.n_elem;
  const uword base = base_columns(problem);
  const bool logistic = problem.growth == trend_growth::logistic;
  const double k = base == 2 ? theta[0] : 0;
  const double m = logistic ? -theta[0] * theta[1] : theta[base - 1];
  out.trend.set_size(n);
  // The logistic's offsets make its predictor continuous (Taylor & Letham 2018, section 3.1.1), so that it is a
  // piecewise linear function like the linear trend.
  piecewise_linear(problem.segments, problem.t, k, m, theta.memptr() + base + problem.features.n_cols,
                   out.trend.memptr());
  if (logistic) {
    out.trend_slope.set_size(n);
    for (uword row = 0; row < n; ++row) {
      const double share = 1 / (1 + std::exp(-out.trend[row]));
      out.trend[row] = problem.capacity[row] * share;
      out.trend_slope[row] = out.trend[row] * (1 - share);
    }
  } else {
    out.trend_slope.ones(n);
  }
  out.factor.ones(n);
  out.fitted.zeros(n);
  for (uword c = 0; c < problem.features.n_cols; ++c) {
    arma::vec& target = problem.columns[c].mode == component_mode::additive ? out.fitted : out.factor;
    target += theta[base + c] * problem.features.col(c);
  }
  out.fitted += out.trend % out.factor;
  double rss = 0;
  for (uword row = 0; row < n; ++row) {
    const double residual = problem.y[row] - out.fitted[row];
    rss += residual * residual;
  }
  out.residual_sum_of_squares = rss;
}

map_optimum solve_nonlinear(const map_problem& problem, const arma::vec& start) {
  const uword n = problem.t.n_elem;
  map_optimum optimum;
  optimum.theta = start;
  map_evaluation at;
  const auto take = [&](const arma::vec& theta) {
    map_optimum candidate;
    evaluate(problem, theta, at);
    candidate.theta = theta;
    candidate.residual_sum_of_squares = at.residual_sum_of_squares;
    candidate.sigma = std::sqrt(noise_variance(n, at.residual_sum_of_squares));
    candidate.log_posterior = log_posterior(n, at.residual_sum_of_squares, candidate.sigma, theta, problem.priors);
    return candidate;
  };
  optimum = take(start);
  linearisation linear(problem);
  unsigned small_gains = 0;
  for (unsigned iteration = 1; iteration <= iterations_max; ++iteration) {
    const arma::vec residual = problem.y - at.fitted;
    linear.build(optimum.theta, at, residual);
    const arma::vec target = linear.projection + linear.gram * optimum.theta;
    const double total = arma::dot(residual, residual) + arma::dot(optimum.theta, linear.projection + target);
    if (!target.is_finite() || !linear.gram.is_finite())
      break;
    map_solver solver(linear.gram, problem.priors);
    arma::vec step = optimum.theta;
    solver.solve_at(optimum.sigma * optimum.sigma, target, total, step);
    if (!step.is_finite())
      break;
    step -= optimum.theta;

    // At fixed sigma the step leads downhill, and sigma is then chosen best: a short enough one always gains.
    map_optimum better = optimum;
    double fraction = 1;
    for (unsigned halving = 0; halving <= halvings_max; ++halving, fraction /= 2) {
      map_optimum candidate = take(optimum.theta + fraction * step);
      if (!(candidate.log_posterior > optimum.log_posterior))
        continue;
      better = std::move(candidate);
      break;
    }
    const double gain = better.log_posterior - optimum.log_posterior;
    optimum = std::move(better);
    optimum.iterations = iteration;
    const bool small = !(gain > relative_gain_min * (1 + std::abs(optimum.log_posterior)));
    small_gains = small ? small_gains + 1 : 0;
    if (gain == 0 || small_gains == 2) {
      optimum.converged = true;
      break;
    }
  }
  return optimum;
}

} // namespace gnomon::forecasting
