// Windows of quiet, stretches of high demand, vetoes, the load of a node, and the outlook on bursts.
#include <boost/test/unit_test.hpp>

#include "forecasting/outlook/bursts.hpp"
#include "forecasting/outlook/windows.hpp"
#include "tests/forecasting/synthetic.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(windows_test)

BOOST_AUTO_TEST_CASE(quiet_windows_are_maximal_and_cut_by_vetoes) {
  const grid load{1000, 10, {9, 1, 2, 1, 9, 1, 1, 1, 1, 9}};
  const auto quiet = quiet_windows(load, 10);
  BOOST_REQUIRE(quiet.size() == 2u);
  BOOST_TEST(quiet[0].start_seconds == 1010);
  BOOST_TEST(quiet[0].end_seconds == 1040);
  BOOST_TEST(quiet[0].expected_load == 4);
  BOOST_TEST(quiet[0].fraction_of_mean == 4.0 / 30, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(widest(quiet)->start_seconds == 1050);
  const auto cut = quiet_windows(load, 10, {}, {{1065, 1066}});
  BOOST_REQUIRE(cut.size() == 3u);
  BOOST_TEST(cut[1].end_seconds == 1060);
  BOOST_TEST(cut[2].start_seconds == 1070);
  quiet_options longer;
  longer.length_seconds_min = 40;
  BOOST_TEST(quiet_windows(load, 10, longer).size() == 1u);
  BOOST_TEST(!widest(quiet_windows(load, 0.1)));
  BOOST_TEST(quiet_windows({0, 10, {0, 0}}, 0).size() == 1u); // a volume without load is quiet
  BOOST_TEST(quiet_windows({0, 10, {test::not_a_number}}, 5).empty());
}

BOOST_AUTO_TEST_CASE(the_quietest_window_has_the_least_load_of_all_that_fit) {
  const auto seed = test::seed_for("the_quietest_window_has_the_least_load_of_all_that_fit");
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    grid load{0, 60, arma::vec(1 + random() % 40)};
    for (double& v : load.value)
      v = random() % 20 == 0 ? test::not_a_number : static_cast<double>(random() % 100);
    const auto slots = 1 + random() % 6;
    const double veto_at = static_cast<double>(random() % 2400);
    const std::vector<veto> vetoes = {{veto_at, veto_at + 90}};
    double least = -1;
    for (arma::uword i = 0; i + slots <= load.size(); ++i) {
      double sum = 0;
      for (arma::uword j = i; j < i + slots; ++j)
        sum += load.time_of(j) < veto_at + 90 && load.time_of(j + 1) > veto_at ? test::not_a_number : load.value(j);
      if (std::isfinite(sum) && (least < 0 || sum < least))
        least = sum;
    }
    const auto found = quietest(load, 60.0 * static_cast<double>(slots), 1, vetoes);
    BOOST_REQUIRE(found.has_value() == (least >= 0));
    if (found)
      BOOST_REQUIRE_CLOSE(found->expected_load + 1, least + 1, 1e-9);
  }
  BOOST_TEST(!quietest({0, 60, {1, 2}}, 180, 1));
  BOOST_TEST(!quietest({0, 60, {}}, 60, 1));
}

BOOST_AUTO_TEST_CASE(high_stretches_carry_their_load) {
  const auto high = high_stretches({0, 300, {1, 10, 20, 1, 30}}, 5, 2);
  BOOST_REQUIRE(high.size() == 2u);
  BOOST_TEST(high[0].expected_load == 30);
  BOOST_TEST(high[0].fraction_of_mean == 7.5);
  BOOST_TEST(high[1].start_seconds == 1200);
  BOOST_TEST(high[1].end_seconds == 1500);
}

BOOST_AUTO_TEST_CASE(a_nodes_load_is_the_sum_of_its_volumes_aligned_in_time) {
  const auto a = learn_forecast({0, 300, arma::vec(50, arma::fill::value(10.0))});
  const auto b = learn_forecast({600, 300, arma::vec(50, arma::fill::value(5.0))}); // ends 600 s later
  const grid sum = sum_of_loads({*a, *b});
  BOOST_TEST(sum.start_seconds == b->start_seconds);
  BOOST_TEST(sum.size() == 48u);
  for (double v : sum.value)
    BOOST_TEST(v == 15, boost::test_tools::tolerance(1e-6));
  BOOST_TEST(sum_of_loads({}).size() == 0u);
}

BOOST_AUTO_TEST_CASE(a_daily_burst_is_announced_in_its_hour_and_not_at_others) {
  // 30-minute slots; a burst each day from slot 20 to 23, with a little noise elsewhere.
  std::mt19937_64 random(9);
  arma::vec y(48 * 7 + 48);
  for (arma::uword i = 0; i < y.n_elem; ++i)
    y(i) = (i % 48 >= 20 && i % 48 < 24 ? 1000 : 10) + static_cast<double>(random() % 5);
  const auto outlook_at = [&](arma::uword origin) { return *burst_ahead({0, 1800, y.head(origin)}); };
  BOOST_TEST(outlook_at(48 * 7 + 18).announced);
  BOOST_TEST(outlook_at(48 * 7 + 19).announced);
  BOOST_TEST(!outlook_at(48 * 7 + 2).announced);
  BOOST_TEST(!outlook_at(48 * 7 + 40).announced);
  BOOST_TEST(outlook_at(48 * 7 + 18).chance > 0.8);
  BOOST_TEST(outlook_at(48 * 7 + 18).rows > 200u);
}

BOOST_AUTO_TEST_CASE(the_outlook_is_a_probability_on_every_past) {
  const auto seed = test::seed_for("the_outlook_is_a_probability_on_every_past");
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    burst_options options;
    options.ahead_seconds = 300.0 * static_cast<double>(1 + random() % 40);
    const auto outlook = burst_ahead({0, 300, test::odd_series(random)}, options);
    BOOST_REQUIRE(outlook);
    BOOST_REQUIRE(outlook->chance >= 0 && outlook->chance <= 1);
    BOOST_REQUIRE(std::isfinite(outlook->threshold));
  }
  BOOST_TEST(burst_ahead({0, 300, {}})->chance == 0);
  burst_options wrong;
  wrong.ahead_seconds = 0;
  BOOST_TEST(!burst_ahead({0, 300, {1}}, wrong));
}

BOOST_AUTO_TEST_CASE(the_plan_lies_between_the_served_forecast_and_yesterday) {
  const auto model = learn_forecast({0, 1800, test::cyclic_load(300, 48, 0.3, 21)});
  const grid plan = plan_load(*model);
  BOOST_TEST(plan.size() == model->horizon());
  for (arma::uword h = 0; h < plan.size(); ++h) {
    const double a = model->served(h), b = model->methods(h, static_cast<arma::uword>(method::yesterday));
    const double x = std::log1p(plan.value(h));
    BOOST_TEST((x >= std::min(a, b) - 1e-9 && x <= std::max(a, b) + 1e-9));
  }
}

BOOST_AUTO_TEST_SUITE_END()
