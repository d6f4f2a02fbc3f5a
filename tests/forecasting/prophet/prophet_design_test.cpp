// The rules that turn a history into columns: changepoints, seasonalities, events, regressors.
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <numbers>
#include <random>

#include "forecasting/prophet/design_matrix.hpp"
#include "forecasting/prophet/history.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(prophet_design_test)
namespace {

arma::vec grid(double start_seconds, double step_seconds, arma::uword n) {
  return start_seconds + step_seconds * arma::regspace(0, static_cast<double>(n) - 1);
}

std::vector<std::string> names_of(const std::vector<seasonality>& list) {
  std::vector<std::string> names;
  for (const seasonality& s : list)
    names.push_back(s.name);
  return names;
}

std::vector<arma::uword> all_rows(const arma::vec& time) {
  std::vector<arma::uword> rows(time.n_elem);
  for (arma::uword i = 0; i < rows.size(); ++i)
    rows[i] = i;
  return rows;
}

using strings = std::vector<std::string>;

} // namespace

BOOST_AUTO_TEST_CASE(sine_and_cosine_agree_with_the_c_library_at_every_magnitude) {
  std::mt19937_64 random(7);
  for (const double magnitude : {1e-9, 1.0, 1e3, 1e6, 9.9e7, 1e9, 1e15}) {
    std::uniform_real_distribution<double> uniform(-magnitude, magnitude);
    arma::vec x(5001), sine(5001), cosine(5001);
    for (double& value : x)
      value = uniform(random);
    sine_cosine(x.memptr(), x.n_elem, sine.memptr(), cosine.memptr());
    BOOST_TEST(arma::abs(sine - arma::sin(x)).max() <= 1e-15);
    BOOST_TEST(arma::abs(cosine - arma::cos(x)).max() <= 1e-15);
  }
}

BOOST_AUTO_TEST_CASE(sine_and_cosine_are_right_where_quadrants_meet) {
  for (int quarter = -9; quarter <= 9; ++quarter)
    for (const double offset : {-1e-8, 0.0, 1e-8}) {
      const double x = quarter * std::numbers::pi / 4 + offset;
      double sine = 0, cosine = 0;
      sine_cosine(&x, 1, &sine, &cosine);
      BOOST_TEST(std::abs(sine - std::sin(x)) <= 1e-15);
      BOOST_TEST(std::abs(cosine - std::cos(x)) <= 1e-15);
    }
}

BOOST_AUTO_TEST_CASE(fourier_rows_have_unit_length_and_repeat_after_a_period) {
  const arma::vec time = grid(1.6e9, 613.0, 1000);
  const arma::mat now = fourier_series(time, day, 3);
  const arma::mat later = fourier_series(time + day, day, 3);
  BOOST_REQUIRE(now.n_cols == 6u);
  for (arma::uword pair = 0; pair < 3; ++pair)
    BOOST_TEST(arma::abs(arma::square(now.col(2 * pair)) + arma::square(now.col(2 * pair + 1)) - 1).max() <= 1e-14);
  BOOST_TEST(arma::abs(now - later).max() <= 1e-9); // the angle itself is rounded to about 1e-10
}

BOOST_AUTO_TEST_CASE(changepoints_lie_in_the_first_part_and_never_on_the_first_row) {
  const arma::vec t = arma::linspace(0, 1, 101);
  const arma::vec points = automatic_changepoints(t, 25, 0.8);
  BOOST_REQUIRE(points.n_elem == 25u);
  BOOST_TEST(points.min() > 0);
  BOOST_TEST(points.max() == t[79]); // floor(0.8 * 101) = 80 rows
  BOOST_TEST(points.is_sorted());
}

BOOST_AUTO_TEST_CASE(short_histories_have_fewer_changepoints) {
  for (arma::uword n = 0; n <= 40; ++n) {
    const arma::vec t = arma::linspace(0, 1, n);
    const auto rows = static_cast<arma::uword>(std::floor(static_cast<double>(n) * 0.8));
    const arma::uword expected = rows < 2 ? 0 : std::min<arma::uword>(25, rows - 1);
    BOOST_TEST(automatic_changepoints(t, 25, 0.8).n_elem == expected);
  }
  BOOST_TEST(automatic_changepoints(arma::linspace(0, 1, 100), 0, 0.8).n_elem == 0u);
}

BOOST_AUTO_TEST_CASE(halves_round_to_the_even_row_as_in_r) {
  // round(seq.int(1, 8, length.out = 3))[-1] is 4 8 in R: 4.5 goes to 4.
  const arma::vec t = grid(0, 1, 10);
  const arma::vec points = automatic_changepoints(t, 2, 0.8);
  BOOST_REQUIRE(points.n_elem == 2u);
  BOOST_TEST(points[0] == t[3]);
  BOOST_TEST(points[1] == t[7]);
}

BOOST_AUTO_TEST_CASE(automatic_seasonalities_follow_span_and_step) {
  const prophet_options automatic;
  BOOST_TEST(names_of(choose_seasonalities(automatic, grid(0, 300, 2 * 288))) == strings{},
             boost::test_tools::per_element());
  BOOST_TEST(names_of(choose_seasonalities(automatic, grid(0, 300, 2 * 288 + 1))) == strings{"daily"},
             boost::test_tools::per_element());
  BOOST_TEST(names_of(choose_seasonalities(automatic, grid(0, hour, 14 * 24 + 1))) == (strings{"weekly", "daily"}),
             boost::test_tools::per_element());
  BOOST_TEST(names_of(choose_seasonalities(automatic, grid(0, day, 731))) == (strings{"yearly", "weekly"}),
             boost::test_tools::per_element());
  BOOST_TEST(names_of(choose_seasonalities(automatic, grid(0, 7 * day, 200))) == strings{"yearly"},
             boost::test_tools::per_element());
  BOOST_TEST(names_of(choose_seasonalities(automatic, arma::vec())) == strings{}, boost::test_tools::per_element());
  // Equal times say nothing about the step.
  BOOST_TEST(names_of(choose_seasonalities(automatic, arma::vec{0, 0, 30 * day})) == strings{},
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(switches_and_own_seasonalities_come_before_the_rules) {
  prophet_options options;
  options.yearly = seasonality_switch::on;
  options.weekly = seasonality_switch::off;
  options.seasonalities = {{"six_hours", 6 * hour, 2}, {"daily", day, 9}};
  const auto chosen = choose_seasonalities(options, grid(0, hour, 24 * 30));
  BOOST_TEST(names_of(chosen) == (strings{"six_hours", "daily", "yearly"}), boost::test_tools::per_element());
  BOOST_TEST(chosen[1].fourier_order == 9u);
  BOOST_TEST(list_columns(options, chosen).size() == 2u * (2 + 9 + 10));
}

BOOST_AUTO_TEST_CASE(event_slots_cover_the_window_and_the_duration) {
  prophet_options options;
  options.event_kinds = {{"zeta", hour, 0, 0}, {"batch", hour, 1, 2}};
  const std::vector<event> events = {{"batch", 10 * hour, 2.5 * hour}, {"unknown", 0, 0}};
  const arma::vec time = grid(0, hour / 2, 48);
  const arma::mat x = feature_matrix(time, {options, {}, events, {}}, 5);
  const auto marked = [&](arma::uword column, double begin, double end) {
    for (arma::uword row = 0; row < time.n_elem; ++row)
      BOOST_TEST(x(row, column) == (time[row] >= begin && time[row] < end ? 1.0 : 0.0));
  };
  marked(0, 9 * hour, 10 * hour);      // one slot before
  marked(1, 10 * hour, 12.5 * hour);   // the event
  marked(2, 12.5 * hour, 13.5 * hour); // two slots after
  marked(3, 13.5 * hour, 14.5 * hour);
  marked(4, 0, 0); // "zeta" sorts last and never happened
  const arma::uvec shuffled = arma::shuffle(arma::regspace<arma::uvec>(0, 47));
  const arma::mat unsorted = feature_matrix(time.elem(shuffled), {options, {}, events, {}}, 5);
  BOOST_TEST(arma::abs(unsorted - x.rows(shuffled)).max() == 0.0);
}

BOOST_AUTO_TEST_CASE(regressors_are_standardised_unless_binary_or_constant) {
  prophet_options options;
  options.regressors = {
      {"clients"}, {"flag"}, {"constant"}, {"raw", 10, standardisation::off}, {"forced", 10, standardisation::on}};
  const arma::vec time = grid(0, hour, 6);
  covariates known;
  known.regressors = {{1, 0, 5, 1, 0}, {2, 1, 5, 2, 1}, {3, 0, 5, 3, 1},
                      {4, 0, 5, 4, 0}, {5, 1, 5, 5, 1}, {6, 1, 5, 6, 0}};
  const auto design = design_history(time, all_rows(time), options, known);
  BOOST_REQUIRE(design);
  BOOST_TEST(design->model.regressor_mean[0] == 3.5);
  BOOST_TEST(std::abs(design->model.regressor_sd[0] - std::sqrt(3.5)) <= 1e-15);
  for (const arma::uword untouched : {1u, 2u, 3u}) {
    BOOST_TEST(design->model.regressor_mean[untouched] == 0.0);
    BOOST_TEST(design->model.regressor_sd[untouched] == 1.0);
  }
  BOOST_TEST(design->model.regressor_mean[4] == 0.5);
}

BOOST_AUTO_TEST_CASE(own_changepoints_are_sorted_and_must_be_inside_the_history) {
  const arma::vec time = grid(1000, 10, 101);
  prophet_options options;
  options.changepoints_seconds = {1500, 1200};
  const auto design = design_history(time, all_rows(time), options, {});
  BOOST_REQUIRE(design);
  BOOST_TEST(std::abs(design->model.changepoints_t[0] - 0.2) <= 1e-15);
  BOOST_TEST(std::abs(design->model.changepoints_t[1] - 0.5) <= 1e-15);
  options.changepoints_seconds = {999};
  const auto refused = design_history(time, all_rows(time), options, {});
  BOOST_REQUIRE(!refused);
  BOOST_TEST((refused.error().code == errc::invalid_argument));
}

BOOST_AUTO_TEST_SUITE_END()
