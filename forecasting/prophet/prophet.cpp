// Fits: one series, or many that share their rows.
#include "forecasting/prophet/prophet.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>

#include "forecasting/prophet/check.hpp"
#include "forecasting/prophet/history.hpp"
#include "forecasting/prophet/map_solver_kernels.hpp"
#include "forecasting/prophet/map_solver_nonlinear.hpp"

// OpenBLAS would start a thread per core for every large product; present only where that library is.
extern "C" void openblas_set_num_threads(int) __attribute__((weak));

namespace gnomon::forecasting {
namespace {

using arma::uword;

constexpr uword series_per_block = 64;       // of fit_many: their scaled values stay in the second-level cache
constexpr double gram_precision_loss = 1e-6; // residuals below this part of y'y are summed up from the rows again
constexpr double capacity_over_scale_max = 1e100; // beyond it squares of the trend overflow
constexpr uword series_count_max = 1u << 20;      // of fit_many

void hold_blas_to_one_thread() {
  static const bool done = [] {
    if (openblas_set_num_threads != nullptr)
      openblas_set_num_threads(1);
    return true;
  }();
  (void)done;
}

std::vector<uword> rows_by_time(const arma::vec& time_seconds, const double* values) {
  std::vector<uword> rows;
  rows.reserve(time_seconds.n_elem);
  for (uword row = 0; row < time_seconds.n_elem; ++row)
    if (!std::isnan(values[row]))
      rows.push_back(row);
  const auto earlier = [&](uword a, uword b) { return time_seconds[a] < time_seconds[b]; };
  if (!std::is_sorted(rows.begin(), rows.end(), earlier))
    std::stable_sort(rows.begin(), rows.end(), earlier);
  return rows;
}

// Armadillo has no column pointer for a matrix without elements.
const double* column_of(const arma::mat& matrix, uword column) {
  return matrix.is_empty() ? nullptr : matrix.colptr(column);
}

bool is_convex(const history_design& design) {
  return design.model.options.growth != trend_growth::logistic &&
         std::none_of(design.model.columns.begin(), design.model.columns.end(),
                      [](const feature_column& c) { return c.mode == component_mode::multiplicative; });
}

trend_base base_of(const history_design& design) {
  return design.model.options.growth == trend_growth::flat ? trend_base::offset_only : trend_base::slope_and_offset;
}

map_problem problem_of(const history_design& design, const arma::vec& y, const arma::vec& capacity) {
  return {design.model.options.growth, design.segments, design.t, y, capacity, design.features,
          design.model.columns,        design.priors};
}

void store(const map_optimum& optimum, prophet_model& model) {
  const uword base = model.options.growth == trend_growth::flat ? 1 : 2;
  const uword columns = model.columns.size();
  model.k = base == 2 ? optimum.theta[0] : 0;
  model.m = optimum.theta[base - 1];
  model.beta = columns == 0 ? arma::vec() : arma::vec(optimum.theta.subvec(base, base + columns - 1));
  model.delta =
      model.changepoints_t.is_empty() ? arma::vec() : arma::vec(optimum.theta.tail(model.changepoints_t.n_elem));
  model.sigma = optimum.sigma;
  model.log_posterior = optimum.log_posterior;
  model.iterations = optimum.iterations;
  model.converged = optimum.converged;
}

result<prophet_model> finished(prophet_model model) {
  const bool finite = std::isfinite(model.k) && std::isfinite(model.m) && std::isfinite(model.sigma) &&
                      std::isfinite(model.log_posterior) && model.delta.is_finite() && model.beta.is_finite();
  if (!finite)
    return fail(errc::internal, "the fit of " + std::to_string(model.n) + " values did not stay finite");
  return model;
}

// Residuals of a close fit, summed up row by row: through the Gram matrix they would be differences of large numbers.
void sharpen(const history_design& design, const arma::vec& y, map_optimum& optimum) {
  map_evaluation at;
  const arma::vec none;
  evaluate(problem_of(design, y, none), optimum.theta, at);
  optimum.residual_sum_of_squares = at.residual_sum_of_squares;
  optimum.sigma = std::sqrt(noise_variance(y.n_elem, at.residual_sum_of_squares));
  optimum.log_posterior =
      log_posterior(y.n_elem, at.residual_sum_of_squares, optimum.sigma, optimum.theta, design.priors);
}

map_optimum constant_optimum(const history_design& design, const arma::vec& y) {
  map_optimum optimum;
  const uword base = design.model.options.growth == trend_growth::flat ? 1 : 2;
  optimum.theta.zeros(design.priors.precision.n_elem + design.model.changepoints_t.n_elem);
  optimum.theta[base - 1] = y[0];
  optimum.sigma = sigma_min;
  optimum.converged = true;
  optimum.log_posterior = log_posterior(y.n_elem, 0, optimum.sigma, optimum.theta, design.priors);
  return optimum;
}

// The design and Gram matrix of series on the same rows, and their solver.
class shared_fit {
public:
  explicit shared_fit(const history_design& design)
      : design_(design), weight_(design.t.n_elem, arma::fill::ones),
        rest_(1 - design.t), weighted_{design_.segments, base_of(design), weight_, rest_, design_.features},
        solver_(gram_matrix(weighted_), design.priors) {}

  // `feature_projection`: X'y.
  map_optimum fit(const arma::vec& y, const double* feature_projection) {
    if (y.min() == y.max())
      return constant_optimum(design_, y);
    const double total = kernel::dot(y.memptr(), y.memptr(), y.n_elem);
    map_optimum optimum = solver_.solve(y.n_elem, project(weighted_, y.memptr(), feature_projection), total);
    if (optimum.residual_sum_of_squares < gram_precision_loss * total)
      sharpen(design_, y, optimum);
    return optimum;
  }

private:
  const history_design& design_;
  arma::vec weight_, rest_;
  weighted_design weighted_;
  map_solver solver_;
};

double scale_of(const arma::vec& y, const arma::vec& floor) {
  double scale = 0;
  for (uword i = 0; i < y.n_elem; ++i)
    scale = std::max(scale, std::abs(y[i] - (floor.is_empty() ? 0 : floor[i])));
  return scale > 0 ? scale : 1;
}

// The best trend without any component, a start that no constant beats.
arma::vec trend_alone(const history_design& design, const arma::vec& y) {
  history_design bare;
  bare.model.options = design.model.options;
  bare.model.changepoints_t = design.model.changepoints_t;
  bare.t = design.t;
  bare.features.set_size(y.n_elem, 0);
  bare.segments = design.segments;
  const uword base = design.model.options.growth == trend_growth::flat ? 1 : 2;
  bare.priors = {design.priors.precision.head(base), design.priors.changepoint_scale};
  const map_optimum optimum = shared_fit(bare).fit(y, nullptr);
  arma::vec theta(design.priors.precision.n_elem + design.model.changepoints_t.n_elem);
  theta.head(base) = optimum.theta.head(base);
  const uword changes = design.model.changepoints_t.n_elem;
  if (changes > 0)
    theta.tail(changes) = optimum.theta.tail(changes);
  return theta;
}

map_optimum fit_nonlinear(const history_design& design, const arma::vec& y, const arma::vec& capacity) {
  const bool logistic = design.model.options.growth == trend_growth::logistic;
  if (!logistic && y.min() == y.max())
    return constant_optimum(design, y);
  const map_problem problem = problem_of(design, y, capacity);
  const growth_start begin = initial_growth(problem.growth, design.t, y, capacity);
  arma::vec start(design.priors.precision.n_elem + design.model.changepoints_t.n_elem);
  if (problem.growth != trend_growth::flat)
    start[0] = begin.k;
  start[problem.growth == trend_growth::flat ? 0 : 1] = begin.m;
  map_optimum optimum = solve_nonlinear(problem, start);
  if (logistic || optimum.converged)
    return optimum;
  // Prophet's start led nowhere, as it may where the trend passes through zero.
  map_optimum other = solve_nonlinear(problem, trend_alone(design, y));
  return other.log_posterior > optimum.log_posterior ? other : optimum;
}

result<prophet_model> fit_one(history_design design, const double* values, const std::vector<uword>& rows) {
  prophet_model& model = design.model;
  arma::vec y(rows.size(), arma::fill::none);
  for (uword i = 0; i < rows.size(); ++i)
    y[i] = values[rows[i]];
  model.y_scale = scale_of(y, design.floor);
  if (!design.floor.is_empty())
    y -= design.floor;
  y /= model.y_scale;
  if (is_convex(design)) {
    const arma::vec feature_projection = design.features.t() * y;
    store(shared_fit(design).fit(y, feature_projection.memptr()), model);
    return finished(std::move(model));
  }
  arma::vec capacity;
  if (!design.capacity.is_empty()) {
    capacity = (design.capacity - design.floor) / model.y_scale;
    if (!(capacity.max() <= capacity_over_scale_max))
      return fail(errc::invalid_argument, "the capacity is more than 1e100 times the largest value");
  }
  store(fit_nonlinear(design, y, capacity), model);
  return finished(std::move(model));
}

// Series on the same rows with an additive model: one design, one Gram matrix, and X'Y in blocks.
void fit_shared(const history_design& design, const std::vector<uword>& rows, const arma::mat& values,
                const std::vector<uword>& columns, std::vector<result<prophet_model>>& results) {
  shared_fit shared(design);
  const uword n = rows.size();
  arma::mat block(n, std::min<uword>(series_per_block, columns.size()), arma::fill::none);
  for (uword begin = 0; begin < columns.size(); begin += series_per_block) {
    const uword width = std::min<uword>(series_per_block, columns.size() - begin);
    arma::vec scale(width);
    for (uword c = 0; c < width; ++c) {
      arma::vec y(block.colptr(c), n, false, true);
      const double* source = values.colptr(columns[begin + c]);
      for (uword i = 0; i < n; ++i)
        y[i] = source[rows[i]];
      scale[c] = scale_of(y, {});
      y /= scale[c];
    }
    const arma::mat projections = design.features.t() * block.head_cols(width);
    for (uword c = 0; c < width; ++c) {
      const arma::vec y(block.colptr(c), n, false, true);
      prophet_model model = design.model;
      model.y_scale = scale[c];
      store(shared.fit(y, column_of(projections, c)), model);
      results[columns[begin + c]] = finished(std::move(model));
    }
  }
}

capacity_need capacity_need_of(const prophet_options& options) {
  return options.growth == trend_growth::logistic ? capacity_need::required : capacity_need::none;
}

} // namespace

result<prophet_model> fit(const series& history, const prophet_options& options, const covariates& known) {
  hold_blas_to_one_thread();
  if (auto ok = check(options); !ok)
    return tl::unexpected<error>(ok.error());
  if (auto ok = check(history); !ok)
    return tl::unexpected<error>(ok.error());
  if (auto ok = check(known, options, history.size(), capacity_need_of(options)); !ok)
    return tl::unexpected<error>(ok.error());
  const std::vector<uword> rows = rows_by_time(history.time_seconds, history.value.memptr());
  auto design = design_history(history.time_seconds, rows, options, known);
  if (!design)
    return tl::unexpected<error>(design.error());
  return fit_one(std::move(*design), history.value.memptr(), rows);
}

std::vector<result<prophet_model>> fit_many(const arma::vec& time_seconds, const arma::mat& values,
                                            const prophet_options& options, const covariates& known) {
  hold_blas_to_one_thread();
  const uword count = values.n_cols;
  std::vector<result<prophet_model>> results(count, fail(errc::internal, "not fitted"));
  const auto refuse = [&](const error& why) {
    std::fill(results.begin(), results.end(), result<prophet_model>(tl::unexpected<error>(why)));
    return results;
  };
  if (count > series_count_max)
    return refuse({errc::invalid_argument, "more than 1048576 series in one call"});
  if (auto ok = check(options); !ok)
    return refuse(ok.error());
  if (auto ok = check(known, options, time_seconds.n_elem, capacity_need_of(options)); !ok)
    return refuse(ok.error());

  // Columns by which of their rows are missing; complete ones have an empty key.
  std::map<std::vector<uword>, std::vector<uword>> groups;
  for (uword c = 0; c < count; ++c) {
    const arma::vec column(const_cast<double*>(column_of(values, c)), values.n_rows, false, true);
    if (auto ok = check({time_seconds, column}); !ok) {
      results[c] = tl::unexpected<error>(ok.error());
      continue;
    }
    std::vector<uword> missing;
    for (uword row = 0; row < values.n_rows; ++row)
      if (std::isnan(column[row]))
        missing.push_back(row);
    groups[std::move(missing)].push_back(c);
  }
  for (const auto& [missing, columns] : groups) {
    const std::vector<uword> rows = rows_by_time(time_seconds, column_of(values, columns.front()));
    const auto design = design_history(time_seconds, rows, options, known);
    if (!design) {
      for (const uword c : columns)
        results[c] = tl::unexpected<error>(design.error());
    } else if (is_convex(*design)) {
      fit_shared(*design, rows, values, columns, results);
    } else {
      for (const uword c : columns)
        results[c] = fit_one(*design, values.colptr(c), rows);
    }
  }
  return results;
}

} // namespace gnomon::forecasting
