// Fits and forecasts against the reference implementation: the committed golden files always, and a larger set of
// real series where the environment variable GNOMON_FORECAST_GOLDEN names its folder.
#include <boost/test/unit_test.hpp>

#include <cstdlib>

#include "forecasting/prophet/design_matrix.hpp"
#include "forecasting/prophet/history.hpp"
#include "forecasting/prophet/map_solver_nonlinear.hpp"
#include "tests/forecasting/prophet/prophet_golden.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;
using golden::reference_fit;

BOOST_AUTO_TEST_SUITE(prophet_golden_test)
namespace {

// Every tolerance of these tests.
constexpr double objective_tolerance = 1e-5;       // our objective at the reference's parameters against Stan's value
constexpr double design_tolerance = 1e-12;         // Fourier rows, changepoint positions, growth initialisation
constexpr double exact_objective_tolerance = 1e-7; // relative, below the exact optimum
constexpr double exact_forecast_tolerance = 1e-4;  // of y_scale, against the exact optimum's forecast
constexpr double newton_forecast_rms = 2.5e-3;     // the same where the reference used Newton's method
constexpr double default_forecast_rms = 1e-2;      // of y_scale, over the history, against the reference's forecast

std::vector<reference_fit> committed_fits() {
  return golden::read_fits(std::string(GNOMON_SOURCE_DIR) + "/tests/golden/forecasting");
}

std::vector<reference_fit> external_fits() {
  const char* folder = std::getenv("GNOMON_FORECAST_GOLDEN");
  return folder == nullptr ? std::vector<reference_fit>{} : golden::read_fits(folder);
}

boost::test_tools::assertion_result has_external_fits(boost::unit_test::test_unit_id) {
  if (std::getenv("GNOMON_FORECAST_GOLDEN") != nullptr)
    return true;
  boost::test_tools::assertion_result no(false);
  no.message() << "GNOMON_FORECAST_GOLDEN is not set";
  return no;
}

std::vector<arma::uword> observed_rows_by_time(const reference_fit& fit) {
  std::vector<arma::uword> rows;
  for (arma::uword row = 0; row < fit.history.size(); ++row)
    if (!std::isnan(fit.history.value[row]))
      rows.push_back(row);
  std::stable_sort(rows.begin(), rows.end(), [&](arma::uword a, arma::uword b) {
    return fit.history.time_seconds[a] < fit.history.time_seconds[b];
  });
  return rows;
}

// The reference trains with columns called "zeros" where a model has no features.
bool is_placeholder(const std::string& feature) { return feature == "zeros"; }

struct prepared {
  history_design design;
  arma::vec y, capacity;
};

prepared prepare(const reference_fit& fit) {
  const auto rows = observed_rows_by_time(fit);
  auto design = design_history(fit.history.time_seconds, rows, fit.options, fit.known);
  BOOST_REQUIRE(design);
  prepared p{std::move(*design), fit.history.value.elem(arma::uvec(rows)), {}};
  const double scale = fit.number("y_scale");
  if (!p.design.floor.is_empty()) {
    p.y -= p.design.floor;
    p.capacity = (p.design.capacity - p.design.floor) / scale;
  }
  p.y /= scale;
  return p;
}

// Promise 1: the model is the reference's, column by column, and its posterior is Stan's.
void check_design(const reference_fit& fit) {
  const prepared p = prepare(fit);
  const prophet_model& model = p.design.model;
  BOOST_TEST(model.n == static_cast<arma::uword>(fit.number("n")));
  BOOST_TEST(model.start_seconds == golden::parse_time(fit.meta.at("t_start")));
  BOOST_TEST(model.span_seconds == fit.number("t_scale_seconds"));

  const auto chosen = golden::parse_seasonalities(fit.meta.at("seasonalities"));
  BOOST_REQUIRE(model.seasonalities.size() == chosen.size());
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    BOOST_TEST(model.seasonalities[i].name == chosen[i].name);
    BOOST_TEST(model.seasonalities[i].period_seconds == chosen[i].period_seconds);
    BOOST_TEST(model.seasonalities[i].fourier_order == chosen[i].fourier_order);
    BOOST_TEST(model.seasonalities[i].prior_scale == chosen[i].prior_scale);
    BOOST_TEST((model.seasonalities[i].mode == chosen[i].mode));
  }

  const arma::vec positions =
      automatic_changepoints(p.design.t, fit.options.n_changepoints, fit.options.changepoint_range);
  const arma::vec expected = fit.changepoints.numbers("changepoint_t");
  if (positions.is_empty()) {
    BOOST_TEST(expected.n_elem == 1u); // the reference's dummy at t = 0
  } else {
    BOOST_REQUIRE(positions.n_elem == expected.n_elem);
    BOOST_TEST(arma::abs(positions - expected).max() <= design_tolerance);
  }

  const auto features = fit.beta.texts("feature");
  const arma::vec priors = fit.beta.numbers("prior_scale");
  const arma::vec additive = fit.beta.numbers("additive");
  if (is_placeholder(features.at(0))) {
    BOOST_TEST(model.columns.empty());
  } else {
    BOOST_REQUIRE(model.columns.size() == features.size());
    for (std::size_t c = 0; c < features.size(); ++c) {
      BOOST_TEST(features[c].substr(0, features[c].find("_delim_")) == model.columns[c].component);
      BOOST_TEST(model.columns[c].prior_scale == priors[c]);
      BOOST_TEST((model.columns[c].mode == component_mode::additive) == (additive[c] != 0));
    }
    const arma::vec sampled_rows = fit.x_sample.numbers("row");
    double worst = 0;
    for (std::size_t c = 0; c < features.size(); ++c) {
      const arma::vec sample = fit.x_sample.numbers(features[c]);
      for (arma::uword i = 0; i < sample.n_elem; ++i)
        worst = std::max(worst,
                         std::abs(sample[i] - p.design.features(static_cast<arma::uword>(sampled_rows[i]) - 1, c)));
    }
    BOOST_TEST(worst <= design_tolerance);
  }
  if (fit.meta.contains("init_k")) {
    const growth_start start = initial_growth(fit.options.growth, p.design.t, p.y, p.capacity);
    BOOST_TEST(std::abs(start.k - fit.number("init_k")) <= design_tolerance * (1 + std::abs(start.k)));
    BOOST_TEST(std::abs(start.m - fit.number("init_m")) <= design_tolerance * (1 + std::abs(start.m)));
  }
}

void check_objective(const reference_fit& fit) {
  const prepared p = prepare(fit);
  const arma::uword base = fit.options.growth == trend_growth::flat ? 1 : 2;
  const arma::uword columns = p.design.model.columns.size();
  arma::vec theta(base + columns + p.design.model.changepoints_t.n_elem);
  if (base == 2)
    theta[0] = fit.number("k");
  theta[base - 1] = fit.number("m");
  if (columns > 0)
    theta.subvec(base, base + columns - 1) = fit.beta.numbers("beta");
  if (!p.design.model.changepoints_t.is_empty())
    theta.tail(p.design.model.changepoints_t.n_elem) = fit.changepoints.numbers("delta");
  map_evaluation at;
  evaluate({fit.options.growth, p.design.segments, p.design.t, p.y, p.capacity, p.design.features,
            p.design.model.columns, p.design.priors},
           theta, at);
  const double value =
      log_posterior(p.y.n_elem, at.residual_sum_of_squares, fit.number("sigma_obs"), theta, p.design.priors);
  BOOST_TEST(std::abs(value - fit.number("stan_value")) <= objective_tolerance);
}

bool is_convex(const reference_fit& fit) {
  return fit.options.growth != trend_growth::logistic && fit.options.seasonality_mode == component_mode::additive;
}

// Series of working days say nothing about weekends: only the prior does.
bool is_fully_observed(const reference_fit& fit) { return !fit.name().starts_with("testdata"); }

bool is_observed(const reference_fit& fit, double time_seconds) {
  if (is_fully_observed(fit))
    return true;
  const auto days = static_cast<long>(std::floor(time_seconds / day));
  const long weekday = ((days + 4) % 7 + 7) % 7; // 1970-01-01 was a Thursday; 0 = Sunday
  return weekday != 0 && weekday != 6;
}

double largest_difference(const reference_fit& fit, const arma::vec& ours, const arma::vec& theirs) {
  BOOST_REQUIRE(ours.n_elem == theirs.n_elem);
  double worst = 0;
  for (arma::uword i = 0; i < ours.n_elem; ++i)
    if (is_observed(fit, fit.future_times[i]))
      worst = std::max(worst, std::abs(ours[i] - theirs[i]));
  return worst / fit.number("y_scale");
}

// Promises 2 and 3: never below the reference's posterior, at the exact optimum where there is one to compare with,
// and a forecast that agrees.
void check_fit(const reference_fit& reference) {
  const auto model = fit(reference.history, reference.options, reference.known);
  BOOST_REQUIRE(model);
  BOOST_TEST(model->converged);
  BOOST_TEST(std::abs(model->y_scale - reference.number("y_scale")) <= design_tolerance * model->y_scale);
  BOOST_TEST(model->log_posterior >= reference.number("stan_value"));
  const auto forecast = predict(*model, reference.future_times, reference.future_known);
  BOOST_REQUIRE(forecast);

  if (reference.has_exact && is_convex(reference)) {
    const double exact = reference.exact_objective;
    BOOST_TEST(model->log_posterior >= exact - exact_objective_tolerance * std::abs(exact));
    BOOST_TEST(largest_difference(reference, forecast->yhat, reference.exact_forecast.numbers("yhat")) <=
               exact_forecast_tolerance);
    BOOST_TEST(largest_difference(reference, forecast->trend, reference.exact_forecast.numbers("trend")) <=
               exact_forecast_tolerance);
  }
  const double end = reference.history.time_seconds.max();
  const arma::uvec past = arma::find(reference.future_times <= end);
  const auto rms = [&](const arma::vec& ours, const std::string& theirs) {
    const arma::vec difference = ours - reference.forecast.numbers(theirs);
    return arma::norm(difference.elem(past)) / std::sqrt(static_cast<double>(past.n_elem));
  };
  BOOST_TEST(rms(forecast->yhat, "yhat") <= default_forecast_rms * model->y_scale);
  if (!is_fully_observed(reference))
    return; // trend and season may shift against each other
  BOOST_TEST(rms(forecast->trend, "trend") <= default_forecast_rms * model->y_scale);
  for (const component_forecast& component : forecast->components)
    if (reference.forecast.has(component.name))
      BOOST_TEST(rms(component.value, component.name) <=
                 default_forecast_rms * (component.mode == component_mode::additive ? model->y_scale : 1));
}

void check_all(const std::vector<reference_fit>& fits, void (*promise)(const reference_fit&)) {
  for (const reference_fit& fit : fits)
    BOOST_TEST_CONTEXT(fit.name()) promise(fit);
}

} // namespace

BOOST_AUTO_TEST_CASE(committed_reference_files_are_there) { BOOST_TEST(committed_fits().size() == 16u); }

BOOST_AUTO_TEST_CASE(design_equals_the_reference_column_by_column) { check_all(committed_fits(), check_design); }

BOOST_AUTO_TEST_CASE(posterior_of_the_reference_parameters_equals_stans) {
  check_all(committed_fits(), check_objective);
}

BOOST_AUTO_TEST_CASE(fits_reach_the_reference_posterior_and_forecasts_agree) {
  check_all(committed_fits(), check_fit);
}

// Stan's Newton comes closer to the optimum than the L-BFGS that the general tolerance is for, though it still stops
// at the kinks of the prior.
BOOST_AUTO_TEST_CASE(convex_fits_agree_closely_with_newtons_method) {
  for (const reference_fit& reference : committed_fits()) {
    if (!is_convex(reference))
      continue;
    BOOST_TEST_CONTEXT(reference.name()) {
      const auto model = fit(reference.history, reference.options, reference.known);
      BOOST_REQUIRE(model);
      const auto yhat = predict_mean(*model, reference.future_times, reference.future_known);
      BOOST_REQUIRE(yhat);
      const arma::uvec past = arma::find(reference.future_times <= reference.history.time_seconds.max());
      const arma::vec difference = *yhat - reference.forecast.numbers("yhat");
      BOOST_TEST(arma::norm(difference.elem(past)) / std::sqrt(static_cast<double>(past.n_elem)) <=
                 newton_forecast_rms * model->y_scale);
    }
  }
}

BOOST_AUTO_TEST_CASE(external_design, *boost::unit_test::precondition(has_external_fits)) {
  const auto fits = external_fits();
  BOOST_TEST(!fits.empty());
  check_all(fits, check_design);
}

BOOST_AUTO_TEST_CASE(external_posterior, *boost::unit_test::precondition(has_external_fits)) {
  check_all(external_fits(), check_objective);
}

BOOST_AUTO_TEST_CASE(external_fits_and_forecasts, *boost::unit_test::precondition(has_external_fits)) {
  check_all(external_fits(), check_fit);
}

BOOST_AUTO_TEST_SUITE_END()
