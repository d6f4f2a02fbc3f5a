// Many series on one grid: each gets the model it would get alone, whoever shares its rows.
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <limits>
#include <random>

#include "forecasting/prophet/prophet.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(prophet_batch_test)
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

arma::vec grid(arma::uword n) { return 1.6e9 + 600 * arma::regspace(0, static_cast<double>(n) - 1); }

arma::mat loads(arma::uword rows, arma::uword columns) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal;
  arma::mat y(rows, columns);
  for (arma::uword c = 0; c < columns; ++c)
    for (arma::uword i = 0; i < rows; ++i)
      y(i, c) = std::pow(10.0, static_cast<double>(c % 9)) *
                (2 + std::sin(6.283185307179586 * static_cast<double>(i) / 144 + static_cast<double>(c)) +
                 (i > 10 * c ? 0.002 * static_cast<double>(i) : 0.0) + 0.2 * normal(random));
  return y;
}

void check_like_alone(const arma::vec& time, const arma::mat& values, const prophet_options& options,
                      const covariates& known) {
  const auto models = fit_many(time, values, options, known);
  BOOST_REQUIRE(models.size() == values.n_cols);
  for (arma::uword c = 0; c < values.n_cols; ++c)
    BOOST_TEST_CONTEXT("column " << c) {
      const auto alone = fit({time, values.col(c)}, options, known);
      BOOST_REQUIRE(models[c].has_value() == alone.has_value());
      if (!alone) {
        BOOST_TEST(models[c].error().message == alone.error().message);
        continue;
      }
      BOOST_TEST(models[c]->n == alone->n);
      BOOST_TEST(std::abs(models[c]->log_posterior - alone->log_posterior) <= 1e-8 * std::abs(alone->log_posterior));
      const auto shared_yhat = predict_mean(*models[c], time, known);
      const auto yhat = predict_mean(*alone, time, known);
      BOOST_REQUIRE(shared_yhat);
      BOOST_REQUIRE(yhat);
      BOOST_TEST(arma::abs(*shared_yhat - *yhat).max() <= 1e-7 * alone->y_scale);
    }
}

} // namespace

BOOST_AUTO_TEST_CASE(every_column_gets_the_model_it_would_get_alone) {
  check_like_alone(grid(500), loads(500, 150), {}, {}); // more than two blocks
}

BOOST_AUTO_TEST_CASE(columns_with_missing_infinite_and_constant_values_do_not_disturb_others) {
  arma::mat values = loads(400, 12);
  values.col(1).fill(not_a_number);
  values.col(2).zeros();
  values(5, 3) = std::numeric_limits<double>::infinity();
  values.col(4).head(150).fill(not_a_number);
  values.col(5).head(150).fill(not_a_number); // shares its rows with column 4
  values(77, 6) = not_a_number;
  values.col(7).head(399).fill(not_a_number); // one value
  check_like_alone(grid(400), values, {}, {});
  const auto models = fit_many(grid(400), values);
  BOOST_TEST(!models[1]);
  BOOST_TEST(!models[3]);
  BOOST_TEST(!models[7]);
}

BOOST_AUTO_TEST_CASE(flat_growth_events_and_unsorted_times_are_shared_too) {
  prophet_options options;
  options.growth = trend_growth::flat;
  options.event_kinds = {{"job", 3600, 1, 1}};
  covariates known;
  known.events = {{"job", 1.6e9 + 40000, 7200}};
  arma::vec time = grid(400);
  std::swap(time[10], time[200]);
  check_like_alone(time, loads(400, 20), options, known);
}

BOOST_AUTO_TEST_CASE(logistic_and_multiplicative_models_are_fitted_one_by_one) {
  prophet_options options;
  options.seasonality_mode = component_mode::multiplicative;
  check_like_alone(grid(400), loads(400, 5), options, {});
  options.growth = trend_growth::logistic;
  covariates known;
  known.capacity = {1e6};
  check_like_alone(grid(400), loads(400, 5), options, known);
}

BOOST_AUTO_TEST_CASE(models_without_any_feature_are_shared_too) {
  prophet_options options;
  options.daily = options.weekly = options.yearly = seasonality_switch::off;
  check_like_alone(grid(400), loads(400, 5), options, {});
}

BOOST_AUTO_TEST_CASE(nothing_to_fit_and_wrong_shapes_have_answers) {
  BOOST_TEST(fit_many(grid(10), arma::mat(10, 0)).empty());
  for (const auto& outcome : fit_many(arma::vec(), arma::mat(0, 2)))
    BOOST_TEST(!outcome);
  const auto wrong = fit_many(grid(10), arma::mat(9, 3, arma::fill::ones));
  BOOST_REQUIRE(wrong.size() == 3u);
  for (const auto& outcome : wrong)
    BOOST_TEST((!outcome && outcome.error().code == errc::invalid_argument));
  prophet_options bad;
  bad.changepoint_range = 0;
  for (const auto& outcome : fit_many(grid(10), arma::mat(10, 2, arma::fill::ones), bad))
    BOOST_TEST(!outcome);
}

BOOST_AUTO_TEST_SUITE_END()
