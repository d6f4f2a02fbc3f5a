// The gate's promises: never worse than the best naive method on its own backtest, honest intervals, finite on every
// input, a persisted form that comes back exactly and refuses damage.
#include <boost/test/unit_test.hpp>

#include "forecasting/ensemble/backtest.hpp"
#include "tests/forecasting/synthetic.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(ensemble_test)
namespace {

void check_finite_and_ordered(const forecast_model& model) {
  BOOST_REQUIRE(model.served.is_finite() && model.methods.is_finite());
  BOOST_REQUIRE(model.conformal_quantiles.is_finite() && model.model_quantiles.is_finite());
  BOOST_REQUIRE(model.load().is_finite());
  BOOST_REQUIRE(model.served.min() >= 0);
  BOOST_REQUIRE(std::isfinite(model.mean_load) && std::isfinite(model.scale));
  for (arma::uword h = 0; h < model.horizon(); ++h)
    for (arma::uword q = 1; q < model.quantile_levels.size(); ++q) {
      BOOST_REQUIRE(model.conformal_quantiles(h, q) >= model.conformal_quantiles(h, q - 1));
      BOOST_REQUIRE(model.model_quantiles(h, q) >= model.model_quantiles(h, q - 1));
    }
}

void check_promise(const forecast_model& model) {
  for (const auto& choice : model.choices) {
    double weight = 0;
    for (double w : choice.weight)
      weight += w;
    BOOST_REQUIRE(std::abs(weight - 1) < 1e-9);
    if (choice.origins < backtest_origins_min)
      continue;
    for (method naive : naive_methods)
      BOOST_REQUIRE_MESSAGE(choice.served_error <= choice.error[static_cast<std::size_t>(naive)],
                            choice.slots_ahead << " ahead: " << choice.served_error << " against "
                                               << to_string(naive));
    // A method that is better by far is not outvoted.
    double best = std::numeric_limits<double>::infinity();
    for (std::size_t v = 0; v < method_count; ++v)
      if (choice.weight[v] > 0)
        best = std::min(best, choice.error[v]);
    BOOST_REQUIRE(choice.served_error * ensemble_options{}.lone_method_below <= best * (1 + 1e-9));
  }
}

} // namespace

BOOST_AUTO_TEST_CASE(on_every_series_it_is_finite_ordered_and_no_worse_than_the_naive_methods) {
  const auto seed = test::seed_for("on_every_series_it_is_finite_ordered_and_no_worse_than_the_naive_methods");
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    BOOST_TEST_CONTEXT("round " << round) {
      ensemble_options options;
      options.horizon_slots = 1 + random() % 60;
      const double steps[] = {10, 300, 1800, 3600};
      const auto model = learn_forecast({1e9, steps[random() % 4], test::odd_series(random)}, options);
      BOOST_REQUIRE(model);
      check_finite_and_ordered(*model);
      check_promise(*model);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_daily_load_is_forecast_better_than_by_any_naive_method) {
  double served = 0, best_naive = 0;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    const arma::vec y = test::cyclic_load(400, 48, 0.4, seed);
    std::array<double, method_count> error{};
    for (arma::uword origin = 340; origin < 392; origin += 4) {
      ensemble_options options;
      options.horizon_slots = 8;
      const auto model = learn_forecast({0, 1800, y.head(origin)}, options);
      const arma::vec truth = to_log(y.subvec(origin, origin + 7));
      served += arma::accu(arma::abs(model->served - truth));
      for (method v : naive_methods)
        error[static_cast<std::size_t>(v)] +=
            arma::accu(arma::abs(model->methods.col(static_cast<arma::uword>(v)) - truth));
    }
    double best = error[0];
    for (method v : naive_methods)
      best = std::min(best, error[static_cast<std::size_t>(v)]);
    best_naive += best;
  }
  BOOST_TEST(served < 0.9 * best_naive);
}

BOOST_AUTO_TEST_CASE(nothing_after_the_origin_is_needed_and_equal_input_gives_equal_output) {
  const arma::vec y = test::cyclic_load(300, 48, 0.3, 11);
  const auto a = learn_forecast({0, 1800, y}), b = learn_forecast({0, 1800, y});
  BOOST_TEST(arma::approx_equal(to_numbers(*a), to_numbers(*b), "absdiff", 0));
  BOOST_TEST(a->start_seconds == 300 * 1800.0);
}

BOOST_AUTO_TEST_CASE(ninety_per_cent_intervals_hold_about_ninety_per_cent) {
  double inside = 0, all = 0;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    const arma::vec y = test::cyclic_load(480, 48, 0.5, seed);
    for (arma::uword origin = 300; origin < 476; origin += 4) {
      ensemble_options options;
      options.horizon_slots = 4;
      const auto model = learn_forecast({0, 1800, y.head(origin)}, options);
      const double truth = std::log1p(y(origin));
      inside += model->conformal_quantiles(0, 0) <= truth && truth <= model->conformal_quantiles(0, 6) ? 1 : 0;
      all += 1;
    }
  }
  BOOST_TEST(inside / all > 0.84);
  BOOST_TEST(inside / all < 0.96);
}

BOOST_AUTO_TEST_CASE(one_value_and_none_are_answered_with_what_there_is) {
  const auto none = learn_forecast({0, 300, {}});
  BOOST_REQUIRE(none);
  BOOST_TEST(none->load().is_zero());
  const auto one = learn_forecast({0, 300, {41}});
  BOOST_REQUIRE(one);
  BOOST_TEST(one->load()(0) == 41, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(one->choices.front().origins == 0u);
}

BOOST_AUTO_TEST_CASE(options_out_of_range_are_refused) {
  const grid past{0, 300, {1, 2, 3}};
  ensemble_options options;
  options.horizon_slots = 0;
  BOOST_TEST(!learn_forecast(past, options));
  options = {};
  options.quantiles = {0.5, 0.5};
  BOOST_TEST(!learn_forecast(past, options));
  options = {};
  options.weight_power = -1;
  BOOST_TEST(!learn_forecast(past, options));
  BOOST_TEST(!learn_forecast({0, 0, {1}}));
  BOOST_TEST(!learn_forecast({test::not_a_number, 1, {1}}));
}

BOOST_AUTO_TEST_CASE(a_model_comes_back_from_its_numbers_and_damage_is_refused) {
  const auto seed = test::seed_for("a_model_comes_back_from_its_numbers_and_damage_is_refused");
  std::mt19937_64 random(seed);
  ensemble_options options;
  options.events = {{"deploy \xc3\xa4", 1800.0 * 100, 7200}, {"deploy \xc3\xa4", 1800.0 * 310, 7200}};
  const auto model = learn_forecast({0, 1800, test::cyclic_load(300, 48, 0.3, 2)}, options);
  const arma::vec numbers = to_numbers(*model);
  const auto back = forecast_model_from(numbers);
  BOOST_REQUIRE(back);
  BOOST_TEST(arma::approx_equal(to_numbers(*back), numbers, "absdiff", 0));
  BOOST_TEST(back->effects.front().kind == "deploy \xc3\xa4");
  BOOST_TEST(back->choice_at(4).slots_ahead == 4u);

  for (arma::uword cut = 0; cut < numbers.n_elem; cut += 1 + random() % 7)
    BOOST_REQUIRE(!forecast_model_from(numbers.head(cut)));
  BOOST_TEST(!forecast_model_from(arma::join_cols(numbers, arma::vec{0})));
  arma::vec other = numbers;
  other(1) = 99;
  BOOST_TEST((forecast_model_from(other).error().code == errc::unsupported));
  // Whatever is written over it: refused, or a model that can be used.
  for (int round = 0; round < 2000; ++round) {
    other = numbers;
    const double wrong[] = {-1, 0.5, 1e300, test::not_a_number, 4096, 0};
    other(2 + random() % std::min<arma::uword>(numbers.n_elem - 2, 300)) = wrong[random() % 6];
    if (const auto model_again = forecast_model_from(other))
      BOOST_REQUIRE(model_again->load().n_elem == model_again->horizon());
  }
}

BOOST_AUTO_TEST_CASE(a_weighted_median_is_the_middle_of_the_weight) {
  std::array<double, method_count> value{5, 1, 9, 2, 7, 3, 4};
  std::array<double, method_count> even;
  even.fill(1.0 / method_count);
  BOOST_TEST(weighted_median(value, even) == 4, boost::test_tools::tolerance(1e-9));
  std::array<double, method_count> one{};
  one[2] = 1;
  BOOST_TEST(weighted_median(value, one) == 9);
  std::array<double, method_count> two{};
  two[0] = two[1] = 0.5;
  BOOST_TEST(weighted_median(value, two) == 3); // half way from 1 to 5
}

BOOST_AUTO_TEST_CASE(conformal_offsets_are_the_rank_they_promise) {
  std::vector<double> residuals;
  for (int i = 1; i <= 19; ++i)
    residuals.push_back(i);
  BOOST_TEST(conformal_offset(residuals, 0.95) == 19);
  BOOST_TEST(conformal_offset(residuals, 0.5) == 10);
  BOOST_TEST(conformal_offset(residuals, 0.05) == 1);
}

BOOST_AUTO_TEST_SUITE_END()
