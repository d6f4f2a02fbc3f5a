// What each method says, and that none looks ahead.
#include <boost/test/unit_test.hpp>

#include "forecasting/ensemble/methods.hpp"
#include "tests/forecasting/synthetic.hpp"

using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(methods_test)

BOOST_AUTO_TEST_CASE(naive_methods_repeat_what_was) {
  const arma::vec y = arma::regspace(0, 199);
  const arma::uvec origins{100, 150};
  const method_input input{y, 0, 1800};
  const auto last = forecast_by_one(method::last_value, input, origins, 3);
  BOOST_TEST(last(0, 0) == 99);
  BOOST_TEST(last(2, 1) == 149);
  const auto yesterday = forecast_by_one(method::yesterday, input, origins, 50);
  BOOST_TEST(yesterday(0, 0) == 52);
  BOOST_TEST(yesterday(47, 0) == 99);
  BOOST_TEST(yesterday(48, 0) == 52); // the day after tomorrow is like yesterday
  BOOST_TEST(forecast_by_one(method::yesterday, input, arma::uvec{10}, 1)(0, 0) == 9);
}

BOOST_AUTO_TEST_CASE(seasonal_methods_forecast_a_cycle_far_better_than_the_last_value) {
  const arma::vec y = to_log(test::cyclic_load(480, 48, 0.1, 7));
  const arma::uvec origins = arma::regspace<arma::uvec>(384, 432);
  const method_input input{y, 0, 1800};
  const auto error = [&](method v) {
    const auto said = forecast_by_one(v, input, origins, 12);
    double sum = 0;
    for (arma::uword j = 0; j < origins.n_elem; ++j)
      sum += arma::accu(arma::abs(said.col(j) - y.subvec(origins(j), origins(j) + 11)));
    return sum;
  };
  const double naive = error(method::last_value);
  for (method v : {method::yesterday, method::seasonal_naive, method::profile, method::stl_ets, method::prophet_ar})
    BOOST_TEST(error(v) < 0.35 * naive, to_string(v));
}

BOOST_AUTO_TEST_CASE(no_method_looks_at_what_comes_after_an_origin) {
  const auto seed = test::seed_for("no_method_looks_at_what_comes_after_an_origin");
  const arma::vec y = to_log(test::cyclic_load(300, 48, 0.5, seed));
  const arma::uvec origins{150, 170, 200, 260};
  arma::vec other = y;
  other.tail(100).fill(20); // from slot 200 on
  for (method v : all_methods) {
    const auto a = forecast_by_one(v, {y, 0, 1800}, origins, 8), b = forecast_by_one(v, {other, 0, 1800}, origins, 8);
    BOOST_TEST(arma::approx_equal(a.head_cols(3), b.head_cols(3), "absdiff", 1e-12), to_string(v));
    BOOST_TEST(!arma::approx_equal(a.col(3), b.col(3), "absdiff", 1e-3), to_string(v));
  }
}

BOOST_AUTO_TEST_CASE(every_method_is_finite_on_every_past) {
  const auto seed = test::seed_for("every_method_is_finite_on_every_past");
  std::mt19937_64 random(seed);
  for (int round = 0; round < 150; ++round) {
    const arma::vec y = fill_gaps(to_log(test::odd_series(random)));
    const arma::uvec origins = y.n_elem < 3 ? arma::uvec{0, y.n_elem} : arma::uvec{0, 1, y.n_elem / 2, y.n_elem};
    for (method v : all_methods) {
      const auto said = forecast_by_one(v, {y, 1e9, 1800}, origins, 60);
      BOOST_REQUIRE_MESSAGE(said.is_finite(), to_string(v) << " in round " << round);
      BOOST_REQUIRE(said.n_rows == 60u && said.n_cols == origins.n_elem);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
