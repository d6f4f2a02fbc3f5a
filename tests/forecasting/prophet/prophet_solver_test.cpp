// The solver against its definition: the Gram matrix against explicit columns, the optimum against its optimality
// conditions, sigma against a search, Gauss-Newton against small moves in every direction.
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <random>

#include "forecasting/prophet/map_solver_nonlinear.hpp"

using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(prophet_solver_test)
namespace {

struct sample_problem {
  arma::vec t, y, capacity;
  trend_segments segments;
  arma::mat features;
  std::vector<feature_column> columns;
  map_priors priors;
};

// Sorted times with repetitions, some changepoints on them and one between; `n` rows, `p` columns.
sample_problem make_problem(unsigned seed, arma::uword n, arma::uword p, arma::uword changes, component_mode mode) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(0, 1);
  std::normal_distribution<double> normal;
  sample_problem problem;
  problem.t.set_size(n);
  for (double& t : problem.t)
    t = std::round(uniform(random) * 500) / 500;
  problem.t = arma::sort(problem.t);
  problem.t[0] = 0;
  problem.t[n - 1] = 1;
  arma::vec changepoints(changes);
  for (double& s : changepoints)
    s = uniform(random) * 0.9;
  problem.segments = cut_segments(problem.t, arma::sort(changepoints));
  problem.features.set_size(n, p);
  for (double& x : problem.features)
    x = normal(random);
  problem.columns.assign(p, {"component", 10, mode});
  problem.priors.precision.set_size(2 + p);
  problem.priors.precision.fill(0.01);
  problem.priors.changepoint_scale = 0.05;
  problem.y.set_size(n);
  for (arma::uword i = 0; i < n; ++i)
    problem.y[i] = 0.3 + 0.4 * problem.t[i] - 0.9 * std::max(0.0, problem.t[i] - 0.5) + 0.1 * normal(random);
  problem.capacity.set_size(n);
  problem.capacity.fill(1.2);
  return problem;
}

// [t, 1, X, (t - s)+], every column written out.
arma::mat explicit_design(const sample_problem& problem, const arma::vec& weight) {
  const arma::vec& s = problem.segments.changepoints_t;
  arma::mat z(problem.t.n_elem, 2 + problem.features.n_cols + s.n_elem);
  z.col(0) = weight % problem.t;
  z.col(1) = weight;
  if (problem.features.n_cols > 0)
    z.cols(2, 1 + problem.features.n_cols) = problem.features;
  for (arma::uword j = 0; j < s.n_elem; ++j)
    z.col(2 + problem.features.n_cols + j) = weight % arma::clamp(problem.t - s[j], 0, 1);
  return z;
}

// The subgradient conditions of ridge and L1 at fixed variance, relative to the penalty.
double worst_violation(const arma::mat& gram, const arma::vec& projection, const map_priors& priors, double variance,
                       const arma::vec& theta) {
  const arma::uword ridge = priors.precision.n_elem;
  const double penalty = variance / priors.changepoint_scale;
  arma::vec gradient = gram * theta - projection;
  double worst = 0;
  for (arma::uword i = 0; i < theta.n_elem; ++i) {
    double violation = 0;
    if (i < ridge)
      violation = std::abs(gradient[i] + variance * priors.precision[i] * theta[i]);
    else if (theta[i] != 0)
      violation = std::abs(gradient[i] + penalty * (theta[i] > 0 ? 1 : -1));
    else
      violation = std::max(0.0, std::abs(gradient[i]) - penalty);
    worst = std::max(worst, violation / penalty);
  }
  return worst;
}

} // namespace

BOOST_AUTO_TEST_CASE(gram_matrix_from_segment_sums_equals_the_product_of_explicit_columns) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    const sample_problem problem = make_problem(seed, 40 + 17 * seed, seed % 7, seed % 30, component_mode::additive);
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> uniform(0.5, 2);
    arma::vec weight(problem.t.n_elem);
    for (double& w : weight)
      w = uniform(random);
    const arma::vec weighted_rest = weight % (1 - problem.t);
    const weighted_design design{problem.segments, trend_base::slope_and_offset, weight, weighted_rest,
                                 problem.features};
    const arma::mat z = explicit_design(problem, weight);
    const double scale = static_cast<double>(problem.t.n_elem);
    BOOST_TEST(arma::abs(gram_matrix(design) - z.t() * z).max() <= 1e-13 * scale);
    const arma::vec feature_projection = problem.features.t() * problem.y;
    const arma::vec projection = project(design, problem.y.memptr(), feature_projection.memptr());
    BOOST_TEST(arma::abs(projection - z.t() * problem.y).max() <= 1e-13 * scale);

    const weighted_design flat{problem.segments, trend_base::offset_only, weight, weighted_rest, problem.features};
    const arma::mat z_flat = z.tail_cols(z.n_cols - 1);
    BOOST_TEST(arma::abs(gram_matrix(flat) - z_flat.t() * z_flat).max() <= 1e-13 * scale);
  }
}

BOOST_AUTO_TEST_CASE(solution_at_fixed_sigma_meets_the_optimality_conditions) {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    const sample_problem problem =
        make_problem(seed, 60 + 5 * seed, seed % 9, 1 + seed % 40, component_mode::additive);
    const arma::vec ones(problem.t.n_elem, arma::fill::ones);
    const arma::mat z = explicit_design(problem, ones);
    const arma::mat gram = z.t() * z;
    const arma::vec projection = z.t() * problem.y;
    map_solver solver(gram, problem.priors);
    for (const double variance : {1.0, 1e-2, 1e-4, 1e-6}) {
      arma::vec theta(z.n_cols, arma::fill::zeros);
      const double rss = solver.solve_at(variance, projection, arma::dot(problem.y, problem.y), theta);
      BOOST_TEST_CONTEXT("seed " << seed << ", variance " << variance) {
        BOOST_TEST(worst_violation(gram, projection, problem.priors, variance, theta) <= 1e-6);
        BOOST_TEST(std::abs(rss - arma::accu(arma::square(problem.y - z * theta))) <= 1e-9 * (1 + rss));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(solution_does_not_depend_on_where_it_starts) {
  const sample_problem problem = make_problem(3, 300, 6, 25, component_mode::additive);
  const arma::vec ones(problem.t.n_elem, arma::fill::ones);
  const arma::mat z = explicit_design(problem, ones);
  map_solver solver(z.t() * z, problem.priors);
  const arma::vec projection = z.t() * problem.y;
  arma::vec from_zero(z.n_cols, arma::fill::zeros);
  solver.solve_at(1e-3, projection, 1, from_zero);
  std::mt19937_64 random(5);
  std::normal_distribution<double> normal;
  for (int start = 0; start < 20; ++start) {
    arma::vec theta(z.n_cols);
    for (double& value : theta)
      value = normal(random);
    solver.solve_at(1e-3, projection, 1, theta);
    BOOST_TEST(arma::abs(theta - from_zero).max() <= 1e-8);
  }
}

BOOST_AUTO_TEST_CASE(repeated_and_empty_columns_leave_the_solution_finite) {
  sample_problem problem = make_problem(9, 50, 4, 5, component_mode::additive);
  problem.features.col(1) = problem.features.col(0);
  problem.features.col(2).zeros();
  problem.segments = cut_segments(problem.t, arma::vec{0, 0, 0.3, 0.3, 1});
  const arma::vec ones(problem.t.n_elem, arma::fill::ones);
  const arma::mat z = explicit_design(problem, ones);
  map_solver solver(z.t() * z, problem.priors);
  const map_optimum optimum = solver.solve(50, z.t() * problem.y, arma::dot(problem.y, problem.y));
  BOOST_TEST(optimum.converged);
  BOOST_TEST(optimum.theta.is_finite());
  BOOST_TEST(std::abs(optimum.theta[2] - optimum.theta[3]) <= 1e-6); // twins share their effect
  BOOST_TEST(optimum.theta[4] == 0.0);
}

BOOST_AUTO_TEST_CASE(sigma_in_closed_form_maximises_the_posterior) {
  const map_priors priors{arma::vec(2, arma::fill::ones), 0.05};
  const arma::vec theta{0.1, 0.2};
  for (const double rss : {1e-4, 0.3, 12.0, 500.0}) {
    const double sigma = std::sqrt(noise_variance(100, rss));
    const double best = log_posterior(100, rss, sigma, theta, priors);
    for (const double factor : {0.9, 0.999, 1.001, 1.1})
      BOOST_TEST(log_posterior(100, rss, sigma * factor, theta, priors) < best);
  }
  BOOST_TEST(noise_variance(100, 0) == sigma_min * sigma_min);
}

BOOST_AUTO_TEST_CASE(joint_optimum_is_stationary_in_theta_and_sigma) {
  for (unsigned seed = 1; seed <= 30; ++seed) {
    const sample_problem problem = make_problem(seed, 100 + 20 * seed, seed % 6, 25, component_mode::additive);
    const arma::vec ones(problem.t.n_elem, arma::fill::ones);
    const arma::mat z = explicit_design(problem, ones);
    const arma::mat gram = z.t() * z;
    const arma::vec projection = z.t() * problem.y;
    map_solver solver(gram, problem.priors);
    const map_optimum optimum = solver.solve(problem.t.n_elem, projection, arma::dot(problem.y, problem.y));
    const double variance = optimum.sigma * optimum.sigma;
    BOOST_TEST(optimum.converged);
    BOOST_TEST(worst_violation(gram, projection, problem.priors, variance, optimum.theta) <= 1e-5);
    const double rss = arma::accu(arma::square(problem.y - z * optimum.theta));
    BOOST_TEST(std::abs(noise_variance(problem.t.n_elem, rss) / variance - 1) <= 1e-6);
  }
}

BOOST_AUTO_TEST_CASE(gauss_newton_ends_where_no_small_move_gains) {
  for (const trend_growth growth : {trend_growth::linear, trend_growth::logistic})
    for (unsigned seed = 1; seed <= 8; ++seed) {
      const sample_problem p = make_problem(seed, 300, 4, 10, component_mode::multiplicative);
      const arma::vec no_capacity;
      const map_problem problem{
          growth,     p.segments, p.t,     p.y, growth == trend_growth::logistic ? p.capacity : no_capacity,
          p.features, p.columns,  p.priors};
      const growth_start begin = initial_growth(growth, p.t, p.y, problem.capacity);
      arma::vec start(2 + 4 + 10, arma::fill::zeros);
      start[0] = begin.k;
      start[1] = begin.m;
      const map_optimum optimum = solve_nonlinear(problem, start);
      BOOST_TEST(optimum.converged);
      map_evaluation at;
      for (arma::uword i = 0; i < optimum.theta.n_elem; ++i)
        for (const double move : {-1e-3, 1e-3}) {
          arma::vec moved = optimum.theta;
          moved[i] += move;
          evaluate(problem, moved, at);
          BOOST_TEST(log_posterior(300, at.residual_sum_of_squares, optimum.sigma, moved, p.priors) <
                     optimum.log_posterior + 1e-9 * std::abs(optimum.log_posterior));
        }
    }
}

BOOST_AUTO_TEST_CASE(logistic_predictor_is_continuous_at_changepoints) {
  // The published recursion of the offsets and the continuous form are the same curve.
  const arma::vec t = arma::linspace(0, 1, 400), s{0.2, 0.5, 0.7}, delta{1.5, -4, 0.75};
  const double k = 2, m = 0.3;
  arma::vec u(400);
  const trend_segments segments = cut_segments(t, s);
  piecewise_linear(segments, t, k, -k * m, delta.memptr(), u.memptr());
  for (arma::uword row = 0; row < t.n_elem; ++row) {
    double rate = k, offset = m;
    for (arma::uword j = 0; j < s.n_elem && t[row] >= s[j]; ++j) {
      offset += (s[j] - offset) * (1 - rate / (rate + delta[j]));
      rate += delta[j];
    }
    BOOST_TEST(std::abs(u[row] - rate * (t[row] - offset)) <= 1e-13);
  }
}

BOOST_AUTO_TEST_SUITE_END()
