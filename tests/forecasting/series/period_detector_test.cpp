// The detector finds the cycles that volumes have, and none where there are none.
#include <boost/test/unit_test.hpp>

#include "forecasting/series/period_detector.hpp"
#include "tests/forecasting/synthetic.hpp"

using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(period_detector_test)
namespace {

bool has(const std::vector<detected_period>& found, arma::uword slots) {
  for (const auto& p : found)
    if (p.slots == slots)
      return true;
  return false;
}

// Spikes of a few slots at the start of each cycle, as jobs make them, on noise.
arma::vec spiky(arma::uword n, arma::uword period, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  arma::vec y(n);
  for (arma::uword i = 0; i < n; ++i)
    y(i) = 5 + (i % period == 0 ? 3 : 0) + 0.5 * normal(random);
  return y;
}

} // namespace

BOOST_AUTO_TEST_CASE(periods_of_1_2_3_4_6_and_24_hours_are_found_in_a_week_of_half_hours) {
  for (arma::uword slots : {2, 4, 6, 8, 12, 48}) {
    BOOST_TEST_CONTEXT("period of " << slots << " slots") {
      BOOST_TEST(has(detect_periods(to_log(test::cyclic_load(336, slots, 0.5, slots)), 1800), slots));
      if (slots > 2)
        BOOST_TEST(has(detect_periods(spiky(336, slots, slots), 1800), slots));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_period_that_no_calendar_knows_is_found) {
  BOOST_TEST(has(detect_periods(spiky(600, 37, 1), 1800), 37));
}

BOOST_AUTO_TEST_CASE(a_short_cycle_within_a_day_is_reported_beside_it) {
  const arma::vec y = to_log(test::cyclic_load(336, 48, 0.2, 3)) + spiky(336, 4, 4);
  const auto found = detect_periods(y, 1800);
  BOOST_TEST(has(found, 4));
  BOOST_TEST(has(found, 48));
}

BOOST_AUTO_TEST_CASE(noise_has_a_period_in_at_most_one_of_twenty_five_series) {
  const auto seed = test::seed_for("noise_has_a_period_in_at_most_one_of_twenty_five_series");
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  constexpr int series_count = 200;
  int found[4] = {};
  for (int s = 0; s < series_count; ++s) {
    arma::vec white(336);
    for (double& v : white)
      v = normal(random);
    arma::vec red = white;
    for (arma::uword i = 1; i < red.n_elem; ++i)
      red(i) += 0.9 * red(i - 1);
    const arma::vec kinds[] = {white, red, arma::cumsum(white), arma::log1p(arma::exp(2 * white))};
    for (int k = 0; k < 4; ++k)
      for (const auto& p : detect_periods(kinds[k], 1800))
        if (!p.assumed) {
          ++found[k];
          break;
        }
  }
  // 1 % was measured over many seeds; 8 of 200 would then be a one in a thousand chance.
  for (int k = 0; k < 4; ++k)
    BOOST_TEST(found[k] <= 8, "kind " << k << ": " << found[k]);
}

BOOST_AUTO_TEST_CASE(constant_short_and_hostile_series_have_none) {
  BOOST_TEST(detect_periods(arma::vec(300, arma::fill::value(4.0)), 1800).empty());
  BOOST_TEST(detect_periods({1, 2}, 1800).empty());
  BOOST_TEST(detect_periods({}, 1800).empty());
  arma::vec with_nan(300, arma::fill::randu);
  with_nan(7) = test::not_a_number;
  BOOST_TEST(detect_periods(with_nan, 1800).empty());
  BOOST_TEST(detect_periods(arma::vec(300, arma::fill::randu), 0).empty());
}

BOOST_AUTO_TEST_CASE(autocorrelation_of_a_cycle_is_one_minus_the_overlap) {
  arma::vec y(480);
  for (arma::uword i = 0; i < y.n_elem; ++i)
    y(i) = std::cos(2 * std::numbers::pi * static_cast<double>(i) / 48);
  const auto acf = autocorrelation(y, 48);
  BOOST_TEST(acf(0) == 1);
  BOOST_TEST(acf(48) == 0.9, boost::test_tools::tolerance(0.01));
  BOOST_TEST(acf(24) == -0.95, boost::test_tools::tolerance(0.01));
}

BOOST_AUTO_TEST_SUITE_END()
