// Grids: how observations become slots, and what becomes of gaps.
#include <boost/test/unit_test.hpp>

#include "forecasting/series/exponential_smoothing.hpp"
#include "forecasting/series/grid.hpp"
#include "forecasting/series/stl.hpp"
#include "tests/forecasting/synthetic.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;
using test::not_a_number;

BOOST_AUTO_TEST_SUITE(grid_test)

BOOST_AUTO_TEST_CASE(observations_are_added_up_in_the_slot_they_belong_to) {
  const series input{{125, 61, 119, 305}, {1, 2, 3, 4}};
  const auto g = to_grid(input, 60);
  BOOST_REQUIRE(g);
  BOOST_TEST(g->start_seconds == 60);
  BOOST_REQUIRE(g->size() == 5u);
  BOOST_TEST(g->value(0) == 5);
  BOOST_TEST(g->value(1) == 1);
  BOOST_TEST(std::isnan(g->value(2)));
  BOOST_TEST(g->value(4) == 4);
  BOOST_TEST(to_grid(input, 60, slot_rule::mean)->value(0) == 2.5);
  BOOST_TEST(to_grid(input, 60, slot_rule::sum, empty_slot::is_zero)->value(2) == 0);
}

BOOST_AUTO_TEST_CASE(a_step_that_is_not_positive_is_refused) {
  for (double step : {0.0, -1.0, not_a_number, std::numeric_limits<double>::infinity()})
    BOOST_TEST(!to_grid({{1}, {1}}, step));
}

BOOST_AUTO_TEST_CASE(a_span_beyond_the_limit_keeps_the_newest) {
  const auto g = to_grid({{0, 1e12}, {1, 2}}, 1);
  BOOST_REQUIRE(g);
  BOOST_TEST(g->size() == grid_length_max);
  BOOST_TEST(g->value(g->size() - 1) == 2);
}

BOOST_AUTO_TEST_CASE(coarsening_keeps_the_newest_slot_complete_and_scales_gaps_up) {
  const grid fine{0, 60, {100, 1, 2, not_a_number, 4, not_a_number, not_a_number}};
  const grid coarse = coarsen(fine, 2);
  BOOST_TEST(coarse.start_seconds == 60);
  BOOST_TEST(coarse.step_seconds == 120);
  BOOST_REQUIRE(coarse.size() == 3u);
  BOOST_TEST(coarse.value(0) == 3);
  BOOST_TEST(coarse.value(1) == 8); // 4, seen for half of the slot
  BOOST_TEST(std::isnan(coarse.value(2)));
  BOOST_TEST(coarse.end_seconds() == fine.end_seconds());
}

BOOST_AUTO_TEST_CASE(gaps_are_filled_by_straight_lines_and_ends_by_their_neighbour) {
  const arma::vec filled = fill_gaps({not_a_number, 1, not_a_number, not_a_number, 4, not_a_number});
  const arma::vec expected{1, 1, 2, 3, 4, 4};
  BOOST_TEST(arma::approx_equal(filled, expected, "absdiff", 1e-12));
  BOOST_TEST(fill_gaps({not_a_number, not_a_number}).is_zero());
}

BOOST_AUTO_TEST_CASE(log_scale_comes_back_and_never_overflows) {
  for (double v : {0.0, 1.0, 1e12, 1e300})
    BOOST_TEST(from_log(to_log(arma::vec{v})(0)) == v, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(from_log(1e9) <= 1.1e300);
  BOOST_TEST(to_log(arma::vec{-5})(0) == 0);
  BOOST_TEST(std::isnan(to_log(arma::vec{std::numeric_limits<double>::infinity()})(0)));
}

BOOST_AUTO_TEST_CASE(a_decomposition_adds_up_and_finds_the_cycle) {
  arma::vec y(240);
  for (arma::uword i = 0; i < y.n_elem; ++i)
    y(i) = 0.01 * static_cast<double>(i) + std::sin(2 * std::numbers::pi * static_cast<double>(i) / 24);
  const auto parts = stl(y, 24);
  BOOST_REQUIRE(parts);
  BOOST_TEST(arma::approx_equal(parts->seasonal + parts->trend + parts->remainder, y, "absdiff", 1e-10));
  for (arma::uword i = 48; i < 192; ++i) {
    BOOST_TEST(std::abs(parts->seasonal(i) - std::sin(2 * std::numbers::pi * static_cast<double>(i) / 24)) < 0.05);
    BOOST_TEST(std::abs(parts->trend(i) - 0.01 * static_cast<double>(i)) < 0.05);
  }
  BOOST_TEST(!stl(y, 1));
  BOOST_TEST(!stl(y, 121));
}

BOOST_AUTO_TEST_CASE(an_outlier_does_not_bend_a_robust_decomposition) {
  arma::vec y(240);
  for (arma::uword i = 0; i < y.n_elem; ++i)
    y(i) = std::sin(2 * std::numbers::pi * static_cast<double>(i) / 24);
  y(100) += 50;
  stl_options robust;
  robust.robust_iterations = 5;
  const auto parts = stl(y, 24, robust);
  BOOST_TEST(parts->remainder(100) > 45);
  BOOST_TEST(std::abs(parts->seasonal(124) - std::sin(2 * std::numbers::pi * 124 / 24.0)) < 0.2);
}

BOOST_AUTO_TEST_CASE(smoothing_of_a_constant_is_the_constant_and_of_a_walk_its_last_value) {
  const auto constant = fit_smoothing(arma::vec(50, arma::fill::value(3.0)));
  BOOST_TEST(constant.ahead(10) == 3, boost::test_tools::tolerance(1e-12));
  std::mt19937_64 random(5);
  std::normal_distribution<double> normal;
  arma::vec walk(400);
  double at = 0;
  for (double& v : walk)
    v = at += normal(random);
  BOOST_TEST(fit_simple_smoothing(walk).alpha > 0.8);
  arma::vec noise(400);
  for (double& v : noise)
    v = normal(random);
  BOOST_TEST(fit_simple_smoothing(noise).alpha < 0.15);
  BOOST_TEST(fit_smoothing({}).ahead(1) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
