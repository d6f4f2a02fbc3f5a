// The fit pool: order, budget, replacement, limits, what jobs throw, and the stop. Blocks the pool's threads with
// gates that the test opens, so that nothing depends on how fast the machine is.
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <future>
#include <stdexcept>

#include <boost/test/unit_test.hpp>

#include "actors/runtime/background_pool.hpp"
#include "tests/actors/actor_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::tests;
using namespace std::chrono_literals;
using urgency = background_pool::urgency;

BOOST_AUTO_TEST_SUITE(background_pool_test)
namespace {

// A job that runs until the test lets it end.
struct gate {
  std::promise<void> open;
  std::atomic<bool> entered{false};
  std::function<void()> job() {
    return [this, opened = open.get_future().share()] {
      entered = true;
      opened.wait();
    };
  }
};

struct ordered_names {
  std::mutex mutex;
  std::vector<std::string> names;
  std::function<void()> note(std::string name) {
    return [this, name = std::move(name)] {
      std::lock_guard lock(mutex);
      names.push_back(name);
    };
  }
  std::vector<std::string> seen() {
    std::lock_guard lock(mutex);
    return names;
  }
};

constexpr double no_budget_worth_naming = 1e9;

} // namespace

BOOST_AUTO_TEST_CASE(the_most_urgent_goes_first_and_the_oldest_within_an_urgency) {
  background_pool pool({.threads = 1, .cpu_budget = no_budget_worth_naming});
  gate background, clients;
  BOOST_REQUIRE(pool.submit({"hold", urgency::critical, background.job()}).has_value());
  BOOST_REQUIRE(eventually([&] { return background.entered.load(); }));
  BOOST_REQUIRE(pool.submit({"hold clients", urgency::person_waits, clients.job()}).has_value());
  BOOST_REQUIRE(eventually([&] { return clients.entered.load(); }));
  ordered_names order;
  for (const auto& [name, level] : std::vector<std::pair<std::string, urgency>>{{"low", urgency::low},
                                                                                {"normal 1", urgency::normal},
                                                                                {"normal 2", urgency::normal},
                                                                                {"critical", urgency::critical}})
    BOOST_REQUIRE(pool.submit({name, level, order.note(name)}).has_value());
  BOOST_TEST(pool.now().queued == 4u);
  background.open.set_value();
  BOOST_REQUIRE(eventually([&] { return order.seen().size() == 4; }));
  BOOST_TEST((order.seen() == std::vector<std::string>{"critical", "normal 1", "normal 2", "low"}));
  clients.open.set_value();
  BOOST_TEST(eventually([&] { return pool.now().done == 6; }));
}

BOOST_AUTO_TEST_CASE(a_person_never_waits_behind_a_fit_that_hangs) {
  background_pool pool({.threads = 1, .cpu_budget = no_budget_worth_naming});
  gate hung;
  BOOST_REQUIRE(pool.submit({"hung", urgency::normal, hung.job()}).has_value());
  BOOST_REQUIRE(eventually([&] { return hung.entered.load(); }));
  std::atomic<bool> answered{false}, fitted{false};
  BOOST_REQUIRE(pool.submit({"fit", urgency::critical, [&] { fitted = true; }}).has_value());
  BOOST_REQUIRE(pool.submit({"question", urgency::person_waits, [&] { answered = true; }}).has_value());
  BOOST_TEST(eventually([&] { return answered.load(); }));
  BOOST_TEST(!fitted.load());
  BOOST_TEST(pool.now().running == "hung");
  hung.open.set_value();
  BOOST_TEST(eventually([&] { return fitted.load(); }));
}

BOOST_AUTO_TEST_CASE(a_waiting_job_is_replaced_and_keeps_its_place_or_a_better_one) {
  background_pool pool({.threads = 1, .cpu_budget = no_budget_worth_naming});
  gate hold;
  BOOST_REQUIRE(pool.submit({"hold", urgency::normal, hold.job()}).has_value());
  BOOST_REQUIRE(eventually([&] { return hold.entered.load(); }));
  ordered_names order;
  BOOST_REQUIRE(pool.submit({"a", urgency::normal, order.note("a, stale")}).has_value());
  BOOST_REQUIRE(pool.submit({"b", urgency::normal, order.note("b")}).has_value());
  BOOST_REQUIRE(pool.submit({"c", urgency::normal, order.note("c, stale")}).has_value());
  BOOST_REQUIRE(pool.submit({"a", urgency::low, order.note("a")}).has_value());
  BOOST_REQUIRE(pool.submit({"c", urgency::critical, order.note("c")}).has_value());
  BOOST_TEST(pool.now().queued == 3u);
  hold.open.set_value();
  BOOST_REQUIRE(eventually([&] { return order.seen().size() == 3; }));
  BOOST_TEST((order.seen() == std::vector<std::string>{"c", "a", "b"}));
}

BOOST_AUTO_TEST_CASE(two_jobs_of_one_name_never_run_at_once) {
  background_pool pool({.threads = 4, .cpu_budget = no_budget_worth_naming});
  std::atomic<int> inside{0}, most{0}, done{0};
  const auto job = [&] {
    most = std::max(most.load(), ++inside);
    std::this_thread::yield();
    --inside;
    ++done;
  };
  int started = 0;
  for (; started < 200; ++started) {
    BOOST_REQUIRE(pool.submit({"same", urgency::normal, job}).has_value());
    if (started % 10 == 0)
      BOOST_REQUIRE(eventually([&] { return done.load() > 0 && pool.now().queued == 0; }));
  }
  BOOST_REQUIRE(eventually([&] { return pool.now().queued == 0 && pool.now().running.empty(); }));
  BOOST_TEST(most.load() == 1);
  BOOST_TEST(done.load() <= started);
}

BOOST_AUTO_TEST_CASE(the_allowance_runs_off_at_the_budget) {
  const auto start = boot_time{1000s};
  cpu_allowance allowance(0.25);
  BOOST_TEST((allowance.free_at(start) == start));
  allowance.spend(1.0, start);
  BOOST_TEST((allowance.free_at(start) == start + 4s));
  BOOST_TEST((allowance.free_at(start + 3s) == start + 4s));
  allowance.set_budget(0.5, start + 2s); // half a second is left to run off
  BOOST_TEST((allowance.free_at(start + 2s) == start + 3s));
  BOOST_TEST((allowance.free_at(start + 100s) == start + 100s));
  allowance.spend(0.5, start + 100s); // rest is not saved up
  BOOST_TEST((allowance.free_at(start + 100s) == start + 101s));
}

BOOST_AUTO_TEST_CASE(beyond_the_budget_fits_wait_and_clients_do_not) {
  background_pool pool({.threads = 1, .cpu_budget = background_pool::cpu_budget_min});
  const auto burn = [] {
    const auto cpu = [] {
      timespec t{};
      ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
      return t.tv_sec * 1'000'000'000L + t.tv_nsec;
    };
    const long until = cpu() + 120'000'000L; // two minutes' worth at this budget
    while (cpu() < until) {
    }
  };
  BOOST_REQUIRE(pool.submit({"burn", urgency::normal, burn}).has_value());
  BOOST_REQUIRE(eventually([&] { return pool.now().done == 1; }));
  std::atomic<bool> fitted{false}, answered{false};
  BOOST_REQUIRE(pool.submit({"fit", urgency::critical, [&] { fitted = true; }}).has_value());
  BOOST_REQUIRE(pool.submit({"question", urgency::person_waits, [&] { answered = true; }}).has_value());
  BOOST_REQUIRE(eventually([&] { return answered.load(); }));
  BOOST_TEST(!fitted.load());
  BOOST_TEST(pool.now().queued == 1u);
  pool.set_cpu_budget(no_budget_worth_naming); // what waits notices
  BOOST_TEST(eventually([&] { return fitted.load(); }));
}

BOOST_AUTO_TEST_CASE(a_throw_is_counted_and_the_next_job_runs) {
  background_pool pool({.threads = 1, .cpu_budget = no_budget_worth_naming});
  std::atomic<bool> ran{false};
  BOOST_REQUIRE(pool.submit({"bad", urgency::normal, [] { throw std::runtime_error("as the test wants"); }}));
  BOOST_REQUIRE(pool.submit({"worse", urgency::normal, [] { throw 7; }}));
  BOOST_REQUIRE(pool.submit({"good", urgency::normal, [&] { ran = true; }}));
  BOOST_REQUIRE(eventually([&] { return pool.now().done == 1; }));
  BOOST_TEST(ran.load());
  BOOST_TEST(pool.now().failed == 2u);
}

BOOST_AUTO_TEST_CASE(too_many_waiting_jobs_are_refused) {
  background_pool pool({.threads = 1, .cpu_budget = no_budget_worth_naming, .queued_max = 2});
  gate hold;
  BOOST_REQUIRE(pool.submit({"hold", urgency::normal, hold.job()}).has_value());
  BOOST_REQUIRE(eventually([&] { return hold.entered.load(); }));
  BOOST_REQUIRE(pool.submit({"a", urgency::normal, [] {}}).has_value());
  BOOST_REQUIRE(pool.submit({"b", urgency::normal, [] {}}).has_value());
  BOOST_TEST((pool.submit({"c", urgency::critical, [] {}}).error().code == errc::limit_reached));
  BOOST_TEST(pool.submit({"b", urgency::critical, [] {}}).has_value()); // no more than before
  hold.open.set_value();
}

BOOST_AUTO_TEST_CASE(a_stop_finishes_what_runs_and_drops_the_rest) {
  background_pool pool({.threads = 1, .cpu_budget = no_budget_worth_naming});
  gate hold;
  std::atomic<bool> dropped_ran{false};
  auto held = std::make_shared<int>(1);
  std::weak_ptr<int> watch = held;
  BOOST_REQUIRE(pool.submit({"hold", urgency::normal, hold.job()}).has_value());
  BOOST_REQUIRE(eventually([&] { return hold.entered.load(); }));
  BOOST_REQUIRE(pool.submit({"dropped", urgency::normal, [&, held = std::move(held)] { dropped_ran = true; }}));
  std::thread stopper([&] { pool.stop(); });
  BOOST_REQUIRE(eventually([&] { return watch.expired(); })); // what a dropped job held is gone
  BOOST_TEST((pool.submit({"late", urgency::normal, [] {}}).error().code == errc::shutting_down));
  BOOST_TEST(pool.now().done == 0u);
  hold.open.set_value();
  stopper.join();
  BOOST_TEST(pool.now().done == 1u);
  BOOST_TEST(!dropped_ran.load());
  pool.stop();
}

BOOST_AUTO_TEST_CASE(fits_run_at_idle_priority) {
  background_pool pool({.threads = 1});
  std::atomic<int> policy{-1}, nice{0};
  BOOST_REQUIRE(pool.submit({"look", urgency::normal, [&] {
                               policy = ::sched_getscheduler(0);
                               nice = ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()));
                             }}));
  BOOST_REQUIRE(eventually([&] { return pool.now().done == 1; }));
  BOOST_TEST((policy.load() == SCHED_IDLE || nice.load() == 19));
}

BOOST_AUTO_TEST_SUITE_END()
