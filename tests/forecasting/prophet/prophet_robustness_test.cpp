// Whatever comes in, a fit is finite or refused in words: odd series by name, then thousands of random ones. A
// failure of the random part prints its seed; GNOMON_TEST_SEED and GNOMON_TEST_ROUNDS rerun or extend it.
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>

#include "forecasting/prophet/prophet.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(prophet_robustness_test)
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

arma::vec grid(arma::uword n, double step_seconds = 300) {
  return 1.6e9 + step_seconds * arma::regspace(0, static_cast<double>(n) - 1);
}

series from(const arma::vec& value, double step_seconds = 300) { return {grid(value.n_elem, step_seconds), value}; }

arma::vec noisy_day(arma::uword n, double step_seconds = 300) {
  std::mt19937_64 random(42);
  std::normal_distribution<double> normal;
  arma::vec y(n);
  for (arma::uword i = 0; i < n; ++i)
    y[i] =
        10 + 3 * std::sin(2 * 3.141592653589793 * static_cast<double>(i) * step_seconds / day) + 0.3 * normal(random);
  return y;
}

template <class Outcome>
std::string why(const Outcome& outcome) {
  return outcome ? std::string() : outcome.error().to_string();
}

bool is_finite(const prophet_model& m) {
  return std::isfinite(m.k) && std::isfinite(m.m) && m.delta.is_finite() && m.beta.is_finite() && m.sigma > 0 &&
         std::isfinite(m.sigma) && std::isfinite(m.log_posterior) && std::isfinite(m.y_scale) && m.y_scale > 0;
}

// A finite model with a finite forecast and ordered quantiles, over the history and as long again after it.
prophet_model expect_finite(const series& input, const prophet_options& options = {}, const covariates& known = {}) {
  const auto model = fit(input, options, known);
  BOOST_REQUIRE_MESSAGE(model, why(model));
  BOOST_TEST(is_finite(*model));
  const double end = model->start_seconds + 2 * model->span_seconds;
  const auto forecast = predict(*model, arma::linspace(model->start_seconds, end, 50), {}, {50, {0.1, 0.5, 0.9}, 1});
  BOOST_REQUIRE_MESSAGE(forecast, why(forecast));
  BOOST_TEST(forecast->yhat.is_finite());
  BOOST_TEST(forecast->quantiles.is_finite());
  BOOST_TEST(forecast->trend_quantiles.is_finite());
  BOOST_TEST(arma::diff(forecast->quantiles, 1, 1).min() >= 0);
  return *model;
}

void expect_refusal(const result<prophet_model>& outcome, const std::string& words) {
  BOOST_REQUIRE(!outcome);
  BOOST_TEST((outcome.error().code == errc::invalid_argument));
  BOOST_TEST(outcome.error().message.find(words) != std::string::npos,
             outcome.error().message << " should name " << words);
}

// The posterior the model reports is that of its forecasts, and no constant would have a better one.
void check_posterior(const series& input, const prophet_options& options, const covariates& known,
                     const prophet_model& model) {
  if (options.growth == trend_growth::logistic)
    return; // a constant is not among its curves
  const auto yhat = predict_mean(model, input.time_seconds, known);
  BOOST_REQUIRE(yhat);
  const arma::uvec present = arma::find_finite(input.value);
  const arma::vec y = input.value.elem(present) / model.y_scale;
  const auto posterior = [&](double rss, double sigma, double penalty) {
    return -(static_cast<double>(y.n_elem) * std::log(sigma) + rss / (2 * sigma * sigma) + penalty +
             2 * sigma * sigma);
  };
  double penalty = (model.k * model.k + model.m * model.m) / 50 +
                   arma::accu(arma::abs(model.delta)) / options.changepoint_prior_scale;
  for (arma::uword c = 0; c < model.beta.n_elem; ++c)
    penalty += std::pow(model.beta[c] / model.columns[c].prior_scale, 2) / 2;
  const double rss = arma::accu(arma::square(y - yhat->elem(present) / model.y_scale));
  const double reported = posterior(rss, model.sigma, penalty);
  const double slack = 1e-3 * (1 + std::abs(reported));
  BOOST_TEST(std::abs(reported - model.log_posterior) <= slack);

  const double mean = arma::mean(y);
  const double variance = arma::mean(arma::square(y - mean));
  if (!(variance > 1e-9))
    return;
  BOOST_TEST(model.log_posterior >=
             posterior(variance * static_cast<double>(y.n_elem), std::sqrt(variance), mean * mean / 50) - slack);
}

unsigned long environment_number(const char* name, unsigned long otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoul(text, nullptr, 10);
}

} // namespace

BOOST_AUTO_TEST_CASE(too_few_values_are_refused) {
  expect_refusal(fit({}), "at least 2 values, the series has 0");
  expect_refusal(fit(from({5})), "at least 2 values, the series has 1");
  expect_refusal(fit(from({not_a_number, not_a_number, 7, not_a_number})), "at least 2 values, the series has 1");
}

BOOST_AUTO_TEST_CASE(infinite_values_and_times_are_refused_with_their_row) {
  expect_refusal(fit(from({1, 2, infinity, 4})), "row 2");
  expect_refusal(fit(from({-infinity, 2, 3})), "row 0");
  expect_refusal(fit(from({1, 1e301, 3})), "row 1");
  expect_refusal(fit({{0, not_a_number, 2}, {1, 2, 3}}), "row 1");
  expect_refusal(fit({{0, 1, infinity}, {1, 2, 3}}), "row 2");
  expect_refusal(fit({{0, 1, 2}, {1, 2}}), "3 times");
}

BOOST_AUTO_TEST_CASE(constant_series_forecast_their_constant) {
  for (const double value : {0.0, 1.0, -3.5, 1e12, 1e-300, 1e299})
    for (const auto growth : {trend_growth::linear, trend_growth::flat}) {
      prophet_options options;
      options.growth = growth;
      arma::vec y(600);
      y.fill(value);
      const prophet_model model = expect_finite(from(y), options);
      const auto yhat = predict_mean(model, grid(1200));
      BOOST_REQUIRE(yhat);
      BOOST_TEST(arma::abs(*yhat - value).max() <= 1e-12 * std::abs(value));
    }
}

BOOST_AUTO_TEST_CASE(two_points_make_a_line) {
  const prophet_model model = expect_finite(from({1, 3}));
  BOOST_TEST(model.delta.is_empty());
  const auto yhat = predict_mean(model, grid(3));
  BOOST_REQUIRE(yhat);
  BOOST_TEST(std::abs((*yhat)[2] - 5) <= 1e-3); // the priors of slope and offset pull a little
}

BOOST_AUTO_TEST_CASE(rows_that_lie_exactly_on_the_model_have_small_but_positive_noise) {
  const prophet_model model = expect_finite(from(arma::linspace(3, 9, 500)));
  BOOST_TEST(model.sigma <= 1e-4);
  const auto yhat = predict_mean(model, grid(500));
  BOOST_REQUIRE(yhat);
  BOOST_TEST(arma::abs(*yhat - arma::linspace(3, 9, 500)).max() <= 1e-3);
}

BOOST_AUTO_TEST_CASE(spikes_leaps_and_huge_values_stay_finite) {
  arma::vec spike = noisy_day(2016);
  spike[1000] = 1e12;
  expect_finite(from(spike));
  arma::vec leap = noisy_day(2016);
  leap.tail(700) *= 1e9;
  expect_finite(from(leap));
  expect_finite(from(noisy_day(2016) * 1e12));
  expect_finite(from(noisy_day(2016) * 1e290));
  expect_finite(from(noisy_day(2016) * 1e-310)); // subnormal
  arma::vec alternating(300);
  for (arma::uword i = 0; i < 300; ++i)
    alternating[i] = i % 2 == 0 ? 1e12 : -1e12;
  expect_finite(from(alternating));
}

BOOST_AUTO_TEST_CASE(missing_rows_are_as_if_they_had_not_been_there) {
  arma::vec y = noisy_day(2016);
  const arma::uvec kept = arma::join_cols(arma::regspace<arma::uvec>(3, 400), arma::regspace<arma::uvec>(900, 2015));
  arma::vec with_nan(2016);
  with_nan.fill(not_a_number);
  with_nan.elem(kept) = y.elem(kept);
  const auto gap = fit(from(with_nan));
  const auto without = fit({arma::vec(grid(2016).elem(kept)), arma::vec(y.elem(kept))});
  BOOST_REQUIRE(gap);
  BOOST_REQUIRE(without);
  BOOST_TEST(gap->log_posterior == without->log_posterior);
  BOOST_TEST(arma::abs(gap->beta - without->beta).max() == 0.0);
}

BOOST_AUTO_TEST_CASE(a_clock_that_went_backwards_or_stood_still_is_sorted) {
  const arma::vec y = noisy_day(1500);
  const arma::vec time = grid(1500);
  arma::uvec order = arma::regspace<arma::uvec>(0, 1499);
  order.subvec(700, 899) = arma::reverse(order.subvec(700, 899));
  const auto straight = fit({time, y});
  const auto backwards = fit({arma::vec(time.elem(order)), arma::vec(y.elem(order))});
  BOOST_REQUIRE(straight);
  BOOST_REQUIRE(backwards);
  BOOST_TEST(straight->log_posterior == backwards->log_posterior);

  arma::vec still = time;
  still.subvec(200, 600).fill(time[200]);
  expect_finite({still, y});
  arma::vec one_moment(100);
  one_moment.fill(1.6e9);
  expect_finite({one_moment, noisy_day(100)}); // no span at all
}

BOOST_AUTO_TEST_CASE(long_gaps_and_odd_times_stay_finite) {
  arma::vec time = grid(1000);
  time.tail(500) += 3650 * day;
  expect_finite({time, noisy_day(1000)});
  expect_finite({arma::vec(grid(500) - 3e9), noisy_day(500)}); // before 1970
  expect_finite({arma::vec{-3e11, 0, 3e11}, arma::vec{1, 2, 4}});
  expect_finite({arma::vec(1.6e9 + 1e-6 * arma::regspace(0, 99)), noisy_day(100)}); // microseconds apart
}

BOOST_AUTO_TEST_CASE(logistic_growth_is_finite_at_and_beyond_its_bounds) {
  prophet_options options;
  options.growth = trend_growth::logistic;
  covariates known;
  known.capacity = {20};
  expect_finite(from(noisy_day(800)), options, known);
  known.capacity = {11}; // values above the capacity
  expect_finite(from(noisy_day(800)), options, known);
  known.floor = {9}; // and below the floor
  expect_finite(from(noisy_day(800)), options, known);
  known = {};
  known.capacity = {1e12};
  expect_finite(from(arma::vec(300, arma::fill::zeros)), options, known);
  expect_finite(from(noisy_day(300)), options, known);
  arma::vec falling = arma::reverse(arma::linspace(0, 10, 400));
  known.capacity = {10};
  expect_finite(from(falling), options, known);

  expect_refusal(fit(from(noisy_day(100)), options), "capacity");
  known.capacity = {5, 6};
  expect_refusal(fit(from(noisy_day(100)), options, known), "the capacity has 2 values");
  known.capacity = {5};
  known.floor = {5};
  expect_refusal(fit(from(noisy_day(100)), options, known), "row 0: the capacity is not above the floor");
  known.capacity = {not_a_number};
  expect_refusal(fit(from(noisy_day(100)), options, known), "capacity");
}

BOOST_AUTO_TEST_CASE(options_out_of_range_are_refused_by_name) {
  const series input = from(noisy_day(100));
  const auto refused = [&](auto change, const std::string& words) {
    prophet_options options;
    change(options);
    expect_refusal(fit(input, options), words);
  };
  refused([](auto& o) { o.changepoint_prior_scale = 0; }, "changepoint prior scale is 0");
  refused([](auto& o) { o.changepoint_prior_scale = not_a_number; }, "changepoint prior scale");
  refused([](auto& o) { o.changepoint_range = 1.5; }, "changepoint range");
  refused([](auto& o) { o.n_changepoints = 501; }, "changepoints");
  refused([](auto& o) { o.changepoints_seconds = {not_a_number}; }, "changepoint's time");
  refused([](auto& o) { o.changepoints_seconds = {5}; }, "outside of the history");
  refused([](auto& o) { o.daily_order = 0; }, "daily Fourier order");
  refused([](auto& o) { o.seasonalities = {{"", day, 3}}; }, "no name");
  refused([](auto& o) { o.seasonalities = {{"a", -5, 3}}; }, "a: period is -5 s");
  refused([](auto& o) { o.seasonalities = {{"a", day, 0}}; }, "a: Fourier order");
  refused([](auto& o) { o.seasonalities = {{"a", day, 3, -1}}; }, "a: prior scale");
  refused([](auto& o) { o.seasonalities = {{"a", day, 3}, {"a", hour, 3}}; }, "a is there twice");
  refused([](auto& o) { o.event_kinds = {{"job", 0}}; }, "job: slot");
  refused([](auto& o) { o.event_kinds = {{"job", day, 4'000'000'000u}}; }, "feature columns");
  refused([](auto& o) { o.regressors = {{"load"}}; }, "regressors are 0 x 0, expected 100 x 1");
}

BOOST_AUTO_TEST_CASE(covariates_out_of_range_are_refused_by_name) {
  const series input = from(noisy_day(100));
  prophet_options options;
  options.regressors = {{"load"}};
  covariates known;
  known.regressors.ones(100, 1);
  known.regressors(17, 0) = not_a_number;
  expect_refusal(fit(input, options, known), "load, row 17");
  known.regressors.ones();
  known.events = {{"job", not_a_number, 0}};
  expect_refusal(fit(input, options, known), "event of kind job");
  known.events = {{"job", 0, -1}};
  expect_refusal(fit(input, options, known), "event of kind job");
}

BOOST_AUTO_TEST_CASE(forecasts_refuse_what_they_cannot_answer) {
  const auto model = fit(from(noisy_day(600)));
  BOOST_REQUIRE(model);
  BOOST_TEST((!predict(*model, arma::vec{not_a_number})));
  BOOST_TEST((!predict(*model, arma::vec{2e12})));
  BOOST_TEST((!predict(*model, grid(3), {}, {10, {0.5, 1.0}, 1})));
  BOOST_TEST((!predict(*model, grid(3), {}, {10, {}, 1})));
  BOOST_TEST((!predict(*model, grid(3), {}, {uncertainty_samples_max + 1, {0.5}, 1})));
  BOOST_TEST((!predict(prophet_model{.columns = {{"lost"}}}, grid(3))));
  const auto nothing = predict(*model, arma::vec(), {}, {10, {0.5}, 1});
  BOOST_REQUIRE(nothing);
  BOOST_TEST(nothing->yhat.is_empty());
}

// Random series out of everything above at once, with random options.
BOOST_AUTO_TEST_CASE(random_series_are_finite_or_refused_in_words) {
  const unsigned long first_seed = environment_number("GNOMON_TEST_SEED", 1);
  const unsigned long rounds = environment_number("GNOMON_TEST_ROUNDS", 1500);
  unsigned fitted = 0;
  for (unsigned long seed = first_seed; seed < first_seed + rounds; ++seed) {
    std::mt19937_64 random(seed);
    const auto up_to = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
    const auto one_in = [&](unsigned n) { return random() % n == 0; };
    std::normal_distribution<double> normal;
    const arma::uword n = one_in(3) ? up_to(12) : up_to(400);
    const double step = std::pow(10.0, static_cast<double>(up_to(9)) - 2);
    series input{arma::vec(n), arma::vec(n)};
    double time = one_in(4) ? -2e9 : 1.6e9, level = 0;
    const double scale = std::pow(10.0, static_cast<double>(up_to(60)) - 30);
    for (arma::uword i = 0; i < n; ++i) {
      time += step * (one_in(50) ? -100.0 * up_to(5) : one_in(20) ? 50.0 : one_in(10) ? 0.0 : 1.0);
      if (one_in(3))
        level += normal(random);
      input.time_seconds[i] = time;
      input.value[i] = one_in(30)    ? not_a_number
                       : one_in(200) ? level * 1e12
                       : one_in(5)   ? 0
                                     : scale * (level + (one_in(2) ? 0.0 : 0.1 * normal(random)));
    }
    if (one_in(40) && n > 0)
      input.value[up_to(static_cast<unsigned>(n))] = infinity;
    prophet_options options;
    options.growth = static_cast<trend_growth>(up_to(3));
    options.n_changepoints = up_to(40);
    options.changepoint_range = 0.05 + 0.95 * static_cast<double>(up_to(101)) / 100;
    options.changepoint_prior_scale = std::pow(10.0, static_cast<double>(up_to(8)) - 4);
    options.seasonality_mode = one_in(3) ? component_mode::multiplicative : component_mode::additive;
    if (one_in(3))
      options.daily = seasonality_switch::on;
    if (one_in(5))
      options.yearly = seasonality_switch::on;
    if (one_in(4))
      options.seasonalities = {{"own", step * (1 + up_to(50)), 1 + up_to(6), 10, options.seasonality_mode}};
    if (one_in(4))
      options.event_kinds = {{"job", step, up_to(3), up_to(3), 10, options.seasonality_mode}};
    covariates known;
    known.events = {{"job", time - 20 * step, 3 * step}, {"job", time - 5 * step, 0}};
    known.capacity = {scale * std::pow(10.0, static_cast<double>(up_to(7)) - 3)};

    BOOST_TEST_CONTEXT("seed " << seed) {
      const auto model = fit(input, options, known);
      if (!model) {
        BOOST_TEST((model.error().code == errc::invalid_argument), model.error().to_string());
        BOOST_TEST(!model.error().message.empty());
        continue;
      }
      ++fitted;
      BOOST_TEST(is_finite(*model));
      check_posterior(input, options, known, *model);
      const auto forecast = predict(*model, arma::vec(input.time_seconds + 10 * step), {}, {20, {0.1, 0.9}, seed});
      BOOST_REQUIRE_MESSAGE(forecast, why(forecast));
      BOOST_TEST(forecast->yhat.is_finite());
      BOOST_TEST(forecast->quantiles.is_finite());
    }
  }
  BOOST_TEST(fitted > rounds / 2); // or the test would be about refusals
}

BOOST_AUTO_TEST_SUITE_END()
