#include "actors/fit_pool.hpp"

#include <atomic>
#include <stdexcept>

#include <boost/test/unit_test.hpp>

#include "tests/actors/actor_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::tests;
using urgency = fit_pool::urgency;

namespace {

// Holds the pool's only thread until it is let go, so that what is submitted meanwhile waits in order.
struct plug {
  std::atomic<bool> inside{false}, let_go{false};
  fit_pool::job job() {
    return {"plug", urgency::person_waits, [this] {
              inside = true;
              while (!let_go)
                std::this_thread::yield();
            }};
  }
};

void burn(double seconds) {
  timespec t{};
  const auto now = [&] {
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
  };
  const double until = now() + seconds;
  while (now() < until) {
  }
}

} // namespace

BOOST_AUTO_TEST_SUITE(fit_pool_test)

BOOST_AUTO_TEST_CASE(the_urgent_goes_first_and_among_equals_the_oldest) {
  fit_pool pool({.cpu_budget = 1});
  plug held;
  BOOST_REQUIRE(pool.submit(held.job()).has_value());
  BOOST_REQUIRE(eventually([&] { return held.inside.load(); }));
  std::string order; // written by the pool's only thread, read after stop()
  std::atomic<int> done{0};
  const auto add = [&](char name, urgency level) {
    BOOST_REQUIRE(pool.submit({std::string(1, name), level,
                               [&order, &done, name] {
                                 order += name;
                                 ++done;
                               }})
                      .has_value());
  };
  add('l', urgency::low);
  add('n', urgency::normal);
  add('m', urgency::normal);
  add('c', urgency::critical);
  add('p', urgency::person_waits);
  BOOST_TEST(pool.now().queued == 5u);
  held.let_go = true;
  BOOST_REQUIRE(eventually([&] { return done == 5; }));
  pool.stop();
  BOOST_TEST(order == "pcnml");
}

BOOST_AUTO_TEST_CASE(a_job_of_the_same_name_takes_the_place_of_the_one_that_waits) {
  fit_pool pool({.cpu_budget = 1});
  plug held;
  BOOST_REQUIRE(pool.submit(held.job()).has_value());
  BOOST_REQUIRE(eventually([&] { return held.inside.load(); }));
  std::atomic<int> first{0}, second{0};
  BOOST_REQUIRE(pool.submit({"fit", urgency::normal, [&] { ++first; }}).has_value());
  BOOST_REQUIRE(pool.submit({"fit", urgency::normal, [&] { ++second; }}).has_value());
  BOOST_TEST(pool.now().queued == 1u);
  held.let_go = true;
  BOOST_REQUIRE(eventually([&] { return second == 1; }));
  pool.stop();
  BOOST_TEST(first == 0);
}

BOOST_AUTO_TEST_CASE(a_job_that_throws_is_counted_and_the_next_one_runs) {
  fit_pool pool({.cpu_budget = 1});
  std::atomic<bool> ran{false};
  BOOST_REQUIRE(pool.submit({"bad", urgency::normal, [] { throw std::runtime_error("on purpose"); }}).has_value());
  BOOST_REQUIRE(pool.submit({"good", urgency::normal, [&] { ran = true; }}).has_value());
  BOOST_TEST(eventually([&] { return ran.load() && pool.now().done == 1; }));
  BOOST_TEST(pool.now().failed == 1u);
}

BOOST_AUTO_TEST_CASE(the_queue_has_a_limit_and_a_stopped_pool_takes_nothing) {
  fit_pool pool({.cpu_budget = 1, .queued_max = 2});
  plug held;
  BOOST_REQUIRE(pool.submit(held.job()).has_value());
  BOOST_REQUIRE(eventually([&] { return held.inside.load(); }));
  BOOST_TEST(pool.submit({"a", urgency::normal, [] {}}).has_value());
  BOOST_TEST(pool.submit({"b", urgency::normal, [] {}}).has_value());
  BOOST_TEST((pool.submit({"c", urgency::normal, [] {}}).error().code == errc::limit_reached));
  held.let_go = true;
  pool.stop();
  BOOST_TEST((pool.submit({"d", urgency::normal, [] {}}).error().code == errc::shutting_down));
}

// The budget: what is fitted in the background rests in between, what a person waits for does not.
BOOST_AUTO_TEST_CASE(the_background_keeps_its_cpu_budget_and_a_person_does_not_wait_for_it) {
  fit_pool pool({.cpu_budget = 0.01});
  std::atomic<int> background{0};
  std::atomic<bool> answered{false};
  for (const char* name : {"one", "two"})
    BOOST_REQUIRE(pool.submit({name, urgency::normal,
                               [&] {
                                 burn(0.5); // the rest that follows takes 49.5 s
                                 ++background;
                               }})
                      .has_value());
  BOOST_REQUIRE(eventually([&] { return background == 1; }));
  BOOST_REQUIRE(pool.submit({"picture", urgency::person_waits, [&] { answered = true; }}).has_value());
  BOOST_TEST(eventually([&] { return answered.load(); }));
  BOOST_TEST(background == 1);
}

BOOST_AUTO_TEST_SUITE_END()
