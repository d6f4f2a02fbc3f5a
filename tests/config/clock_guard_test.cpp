// A clock that leaps ahead ages nothing, until somebody or time confirms it.
#include "config/clock_guard.hpp"

#include <boost/test/unit_test.hpp>

using namespace gnomon;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(clock_guard_test)
namespace {

// Wall and boot time that move apart.
struct two_clocks final : clock_source {
  wall_time wall{std::chrono::seconds(1'700'000'000)};
  boot_time boot{1h};
  wall_time wall_now() const override { return wall; }
  boot_time boot_now() const override { return boot; }
  void pass(std::chrono::seconds by) { wall += by, boot += by; }
};

} // namespace

BOOST_AUTO_TEST_CASE(an_ordinary_clock_is_passed_through) {
  two_clocks clocks;
  clock_guard guard(clocks, clocks.wall - 3h); // it was off for three hours
  BOOST_TEST((guard.wall_now() == clocks.wall));
  clocks.pass(10h);
  BOOST_TEST((guard.wall_now() == clocks.wall));
  clocks.wall -= 5h; // set back
  BOOST_TEST((guard.wall_now() == clocks.wall));
  BOOST_TEST(!guard.now().held);
}

BOOST_AUTO_TEST_CASE(a_start_weeks_ahead_is_held_until_it_is_accepted) {
  two_clocks clocks;
  const auto seen = clocks.wall;
  clocks.wall += 60 * 24h;
  clock_guard guard(clocks, seen);
  BOOST_TEST((guard.wall_now() == seen));
  clocks.pass(1h);
  BOOST_TEST((guard.wall_now() == seen + 1h)); // time goes on
  BOOST_TEST(guard.now().held);
  guard.accept();
  BOOST_TEST((guard.wall_now() == clocks.wall));
  BOOST_TEST(!guard.now().held);
}

BOOST_AUTO_TEST_CASE(a_leap_while_it_runs_is_held_until_it_has_stood_for_a_day) {
  two_clocks clocks;
  clock_guard guard(clocks);
  (void)guard.wall_now();
  const auto before = clocks.wall;
  clocks.wall += 30 * 24h;
  BOOST_TEST((guard.wall_now() == before));
  clocks.pass(23h);
  BOOST_TEST((guard.wall_now() == before + 23h));
  clocks.pass(1h);
  BOOST_TEST((guard.wall_now() == clocks.wall));
}

BOOST_AUTO_TEST_CASE(a_clock_that_is_put_right_again_is_believed_at_once) {
  two_clocks clocks;
  clock_guard guard(clocks);
  (void)guard.wall_now();
  clocks.wall += 60 * 24h;
  (void)guard.wall_now();
  clocks.wall -= 60 * 24h;
  clocks.pass(1min);
  BOOST_TEST((guard.wall_now() == clocks.wall));
  BOOST_TEST(!guard.now().held);
}

BOOST_AUTO_TEST_SUITE_END()
