// Backoff, jitter and giving up, on a clock that the test moves.
#include "actors/runtime/restart_policy.hpp"

#include <boost/test/unit_test.hpp>

using namespace gnomon;
using namespace gnomon::actors;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(restart_policy_test)
namespace {
constexpr double middle = 0.5; // no jitter
boot_time at(std::chrono::milliseconds t) { return boot_time{} + t; }
restart_policy policy() {
  restart_policy p;
  p.backoff_first = 100ms;
  p.backoff_max = 1000ms;
  p.restarts_max = 5;
  p.window = 60s;
  return p;
}
} // namespace

BOOST_AUTO_TEST_CASE(waits_double_up_to_the_maximum) {
  restart_tracker tracker(policy());
  for (const auto expected : {100ms, 200ms, 400ms, 800ms, 1000ms}) {
    const auto wait = tracker.on_death(at(1s), middle);
    BOOST_REQUIRE(wait.has_value());
    BOOST_TEST(wait->count() == expected.count());
  }
}

BOOST_AUTO_TEST_CASE(gives_up_after_the_maximum_within_the_window) {
  restart_tracker tracker(policy());
  for (int i = 0; i < 5; ++i)
    BOOST_TEST(tracker.on_death(at(i * 1000ms), middle).has_value());
  BOOST_TEST(!tracker.on_death(at(5s), middle).has_value());
  BOOST_TEST(tracker.restarts() == 5u);
}

BOOST_AUTO_TEST_CASE(deaths_outside_the_window_are_forgotten) {
  restart_tracker tracker(policy());
  for (int i = 0; i < 100; ++i) {
    const auto wait = tracker.on_death(at(i * 61'000ms), middle);
    BOOST_REQUIRE(wait.has_value());
    BOOST_TEST(wait->count() == 100);
  }
  BOOST_TEST(tracker.restarts() == 100u);
}

BOOST_AUTO_TEST_CASE(jitter_stays_within_its_fraction) {
  for (const double random : {0.0, 0.25, 0.999999}) {
    restart_tracker tracker(policy());
    const auto wait = tracker.on_death(at(0s), random);
    BOOST_REQUIRE(wait.has_value());
    BOOST_TEST(wait->count() >= 80);
    BOOST_TEST(wait->count() <= 120);
  }
  restart_tracker low(policy()), high(policy());
  BOOST_TEST(low.on_death(at(0s), 0.0)->count() < high.on_death(at(0s), 0.99)->count());
}

BOOST_AUTO_TEST_CASE(a_given_up_child_that_is_forgiven_starts_over) {
  restart_tracker tracker(policy());
  for (int i = 0; i < 6; ++i)
    (void)tracker.on_death(at(0s), middle);
  BOOST_TEST(!tracker.on_death(at(1s), middle).has_value());
  tracker.forget();
  const auto wait = tracker.on_death(at(2s), middle);
  BOOST_REQUIRE(wait.has_value());
  BOOST_TEST(wait->count() == 100);
}

BOOST_AUTO_TEST_CASE(what_nobody_can_do_without_is_never_given_up) {
  restart_tracker tracker(retried_for_ever());
  for (int i = 0; i < 50; ++i)
    BOOST_REQUIRE(tracker.on_death(at(i * 1000ms), middle).has_value());
  BOOST_TEST((*tracker.on_death(at(50s), middle) == tracker.policy().backoff_max));
  BOOST_TEST(tracker.failing(at(51s)));   // somebody should look
  BOOST_TEST(!tracker.failing(at(200s))); // it lives
}

BOOST_AUTO_TEST_SUITE_END()
