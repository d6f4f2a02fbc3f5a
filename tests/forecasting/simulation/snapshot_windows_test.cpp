// Snapshots planned by what is expected meet less load than at fixed times where a load has a daily shape, no more
// where it has none, and never miss their bound.
#include <boost/test/unit_test.hpp>

#include <numbers>
#include <random>

#include "forecasting/simulation/snapshot_windows.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(snapshot_windows_test)
namespace {

grid load_of(double days, bool tide, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  grid g;
  g.start_seconds = 1.7e9 - std::fmod(1.7e9, day);
  g.step_seconds = 5 * minute;
  g.value.set_size(static_cast<arma::uword>(days * day / g.step_seconds));
  for (arma::uword s = 0; s < g.value.n_elem; ++s) {
    const double at = static_cast<double>(s) * g.step_seconds / day;
    const double mean = tide ? 100 * (1.05 - std::cos(2 * std::numbers::pi * (at - 0.1))) : 100;
    g.value(s) = static_cast<double>(std::poisson_distribution<int>(mean)(random));
  }
  return g;
}

const timing_score& of(const std::array<timing_score, snapshot_timing_count>& scores, snapshot_timing t) {
  return scores[static_cast<std::size_t>(t)];
}

} // namespace

BOOST_AUTO_TEST_CASE(a_daily_quiet_time_is_found) {
  const auto scores = simulate_snapshots(load_of(6, true, 1));
  BOOST_REQUIRE(scores.has_value());
  BOOST_TEST(scores->days == 4);
  const auto& planned = of(scores->baselines, snapshot_timing::planned);
  BOOST_TEST(planned.snapshots == 4);
  BOOST_TEST(planned.load_met < 0.3);
  BOOST_TEST(planned.quietest_quarter == 1);
  BOOST_TEST(planned.load_met >= of(scores->baselines, snapshot_timing::oracle).load_met);
  BOOST_TEST(of(scores->differentials, snapshot_timing::planned).load_met < 1);
  BOOST_TEST(scores->latest_seconds < 2 * day);
  BOOST_TEST(scores->latest_seconds > 0);
}

BOOST_AUTO_TEST_CASE(without_a_shape_nothing_is_gained_and_little_lost) {
  const auto scores = simulate_snapshots(load_of(6, false, 2));
  BOOST_REQUIRE(scores.has_value());
  BOOST_TEST(of(scores->baselines, snapshot_timing::planned).load_met < 1.1);
  BOOST_TEST(of(scores->baselines, snapshot_timing::oracle).load_met < 1);
}

BOOST_AUTO_TEST_CASE(an_idle_volume_is_no_choice_and_keeps_its_schedule) {
  auto idle = load_of(4, false, 3);
  idle.value.zeros();
  const auto scores = simulate_snapshots(idle);
  BOOST_REQUIRE(scores.has_value());
  BOOST_TEST(of(scores->baselines, snapshot_timing::planned).snapshots == 0);
  BOOST_TEST(scores->planned_by_schedule == scores->days);
}

BOOST_AUTO_TEST_CASE(a_short_or_odd_load_is_refused) {
  BOOST_TEST(!simulate_snapshots(load_of(2, true, 4)).has_value());
  auto odd = load_of(6, true, 5);
  odd.step_seconds = 7 * minute;
  BOOST_TEST(!simulate_snapshots(odd).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
