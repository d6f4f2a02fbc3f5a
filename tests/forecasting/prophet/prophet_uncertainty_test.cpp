// Intervals: reproducible, ordered, of the right width, and honest on series drawn from the model itself.
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <random>

#include "forecasting/prophet/prophet.hpp"
#include "forecasting/prophet/uncertainty.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(prophet_uncertainty_test)
namespace {

// A straight line with noise of standard deviation `sigma`, from 0 to 100 h.
series noisy_line(unsigned seed, double sigma, arma::uword n = 600) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  series s{10 * minute * arma::regspace(0, static_cast<double>(n) - 1), arma::vec(n)};
  for (arma::uword i = 0; i < n; ++i)
    s.value[i] = 5 + 0.001 * static_cast<double>(i) + sigma * normal(random);
  return s;
}

prophet_options no_season() {
  prophet_options options;
  options.yearly = options.weekly = options.daily = seasonality_switch::off;
  return options;
}

arma::vec ahead(const prophet_model& model, arma::uword n) {
  return model.start_seconds + model.span_seconds + 10 * minute * arma::regspace(1, static_cast<double>(n));
}

} // namespace

BOOST_AUTO_TEST_CASE(normal_quantiles_match_tables) {
  BOOST_TEST(std::abs(gaussian_quantile(0.975) - 1.959963984540054) <= 1e-9);
  BOOST_TEST(std::abs(gaussian_quantile(0.01) + 2.3263478740408408) <= 1e-9);
  BOOST_TEST(std::abs(gaussian_quantile(0.9) - 1.2815515655446004) <= 1e-9);
  BOOST_TEST(std::abs(gaussian_quantile(0.5)) <= 1e-9);
  BOOST_TEST(std::abs(gaussian_quantile(1e-6) + 4.753424308822899) <= 1e-8);
  for (const double p : {0.001, 0.1, 0.3, 0.7})
    BOOST_TEST(std::abs(gaussian_quantile(p) + gaussian_quantile(1 - p)) <= 1e-9);
}

BOOST_AUTO_TEST_CASE(the_seed_decides_everything) {
  const auto model = fit(noisy_line(1, 0.3));
  BOOST_REQUIRE(model);
  const arma::vec time = ahead(*model, 100);
  const auto first = predict(*model, time, {}, {200, {0.1, 0.9}, 7});
  const auto again = predict(*model, time, {}, {200, {0.1, 0.9}, 7});
  const auto other = predict(*model, time, {}, {200, {0.1, 0.9}, 8});
  BOOST_REQUIRE((first && again && other));
  BOOST_TEST(arma::abs(first->quantiles - again->quantiles).max() == 0.0);
  BOOST_TEST(arma::abs(first->quantiles - other->quantiles).max() > 0.0);
}

BOOST_AUTO_TEST_CASE(without_samples_there_are_no_quantiles) {
  const auto model = fit(noisy_line(1, 0.3));
  BOOST_REQUIRE(model);
  const auto forecast = predict(*model, ahead(*model, 10));
  BOOST_REQUIRE(forecast);
  BOOST_TEST(forecast->quantiles.is_empty());
  const auto mean = predict_mean(*model, ahead(*model, 10));
  BOOST_REQUIRE(mean);
  BOOST_TEST(arma::abs(*mean - forecast->yhat).max() == 0.0);
}

BOOST_AUTO_TEST_CASE(the_past_has_exactly_the_noise_and_no_uncertain_trend) {
  const auto model = fit(noisy_line(2, 0.3), no_season());
  BOOST_REQUIRE(model);
  const arma::vec time = 3 * hour * arma::regspace(0, 20);
  const auto forecast = predict(*model, time, {}, {50, {0.1, 0.5, 0.9}, 1});
  BOOST_REQUIRE(forecast);
  const double half_width = 1.2815515655446004 * model->sigma * model->y_scale;
  BOOST_TEST(arma::abs(forecast->quantiles.col(2) - forecast->yhat - half_width).max() <= 1e-8);
  BOOST_TEST(arma::abs(forecast->quantiles.col(1) - forecast->yhat).max() <= 1e-8);
  BOOST_TEST(arma::abs(forecast->trend_quantiles.col(0) - forecast->trend).max() <= 1e-12);
}

BOOST_AUTO_TEST_CASE(intervals_widen_with_the_horizon_and_order_of_times_does_not_matter) {
  series s = noisy_line(3, 0.05);
  s.value.tail(300) += arma::linspace(0, 3, 300); // a change of slope to learn from
  const auto model = fit(s, no_season());
  BOOST_REQUIRE(model);
  const arma::vec time = ahead(*model, 600);
  const auto forecast = predict(*model, time, {}, {2000, {0.1, 0.9}, 1});
  BOOST_REQUIRE(forecast);
  const arma::vec width = forecast->trend_quantiles.col(1) - forecast->trend_quantiles.col(0);
  BOOST_TEST(width[0] < width[150]);
  BOOST_TEST(width[150] < width[599]);
  BOOST_TEST(width[599] > 5 * width[50]);
  const auto reversed = predict(*model, arma::reverse(time), {}, {2000, {0.1, 0.9}, 1});
  BOOST_REQUIRE(reversed);
  BOOST_TEST(arma::abs(arma::reverse(reversed->quantiles.col(0)) - forecast->quantiles.col(0)).max() == 0.0);
}

// Series from the model with noise alone: an 80 % interval holds 80 % of what comes, over 200 series.
BOOST_AUTO_TEST_CASE(intervals_cover_what_they_claim) {
  unsigned inside = 0, total = 0;
  for (unsigned seed = 1; seed <= 200; ++seed) {
    const series all = noisy_line(seed, 0.4, 660);
    const auto model = fit({all.time_seconds.head(600), all.value.head(600)}, no_season());
    BOOST_REQUIRE(model);
    const auto forecast = predict(*model, all.time_seconds.tail(60), {}, {300, {0.1, 0.9}, seed});
    BOOST_REQUIRE(forecast);
    for (arma::uword i = 0; i < 60; ++i, ++total)
      inside += all.value[600 + i] >= forecast->quantiles(i, 0) && all.value[600 + i] <= forecast->quantiles(i, 1);
  }
  const double coverage = static_cast<double>(inside) / total;
  BOOST_TEST_MESSAGE("coverage " << coverage);
  BOOST_TEST(coverage > 0.77);
  BOOST_TEST(coverage < 0.85); // somewhat wide is right: the trend may change
}

BOOST_AUTO_TEST_CASE(flat_growth_has_no_uncertain_trend_and_logistic_stays_between_its_bounds) {
  prophet_options options = no_season();
  options.growth = trend_growth::flat;
  const auto flat = fit(noisy_line(4, 0.2), options);
  BOOST_REQUIRE(flat);
  const auto flat_forecast = predict(*flat, ahead(*flat, 500), {}, {100, {0.05, 0.95}, 1});
  BOOST_REQUIRE(flat_forecast);
  BOOST_TEST(arma::abs(flat_forecast->trend_quantiles.col(0) - flat_forecast->trend).max() <= 1e-12);

  options.growth = trend_growth::logistic;
  covariates known;
  known.capacity = {6};
  known.floor = {4};
  const auto logistic = fit(noisy_line(4, 0.1), options, known);
  BOOST_REQUIRE(logistic);
  const auto forecast = predict(*logistic, ahead(*logistic, 5000), known, {300, {0.01, 0.99}, 1});
  BOOST_REQUIRE(forecast);
  BOOST_TEST(forecast->trend_quantiles.min() >= 4);
  BOOST_TEST(forecast->trend_quantiles.max() <= 6);
}

BOOST_AUTO_TEST_CASE(levels_may_come_in_any_order_and_as_many_as_allowed) {
  const auto model = fit(noisy_line(6, 0.2), no_season());
  BOOST_REQUIRE(model);
  std::vector<double> ascending;
  for (std::size_t i = 1; i <= quantile_levels_max; ++i)
    ascending.push_back(static_cast<double>(i) / (quantile_levels_max + 1));
  const std::vector<double> descending(ascending.rbegin(), ascending.rend());
  for (const unsigned samples : {1u, 2u, 97u, 1000u}) {
    const auto up = predict(*model, ahead(*model, 5), {}, {samples, ascending, 1});
    const auto down = predict(*model, ahead(*model, 5), {}, {samples, descending, 1});
    BOOST_REQUIRE((up && down));
    BOOST_TEST(arma::abs(up->quantiles - arma::fliplr(down->quantiles)).max() == 0.0);
    BOOST_TEST(arma::diff(up->quantiles, 1, 1).min() >= 0);
  }
}

BOOST_AUTO_TEST_CASE(horizons_of_thousands_of_spans_are_answered) {
  const auto model = fit(noisy_line(5, 0.2, 50), no_season());
  BOOST_REQUIRE(model);
  const auto forecast = predict(*model, arma::vec{1e8, 1e10}, {}, {100, {0.1, 0.9}, 1});
  BOOST_REQUIRE(forecast);
  BOOST_TEST(forecast->quantiles.is_finite());
}

BOOST_AUTO_TEST_SUITE_END()
