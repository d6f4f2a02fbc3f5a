#include "io/ring/quiescence.hpp"

#include <array>
#include <memory>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "tests/support/seeded.hpp"

namespace gnomon::io {
BOOST_AUTO_TEST_SUITE(quiescence_test)
namespace {

constexpr ring_index ring0{0}, ring1{1};
constexpr std::uint64_t intact = 0x600d600d600d600d;

struct counted {
  std::atomic<int>& alive;
  explicit counted(std::atomic<int>& a) : alive(a) { alive.fetch_add(1); }
  ~counted() { alive.fetch_sub(1); }
};

} // namespace

BOOST_AUTO_TEST_CASE(a_retired_object_lives_until_every_online_ring_has_passed) {
  std::atomic<int> alive{0};
  quiescence domain(2);
  domain.online(ring0);
  domain.online(ring1);
  domain.retire(std::make_unique<counted>(alive));
  BOOST_TEST(domain.reclaim() == 0u);
  domain.quiescent(ring0);
  BOOST_TEST(domain.reclaim() == 0u);
  BOOST_TEST(alive.load() == 1);
  domain.quiescent(ring1);
  BOOST_TEST(domain.reclaim() == 1u);
  BOOST_TEST(alive.load() == 0);
  BOOST_TEST(domain.pending() == 0u);
  domain.offline(ring0);
  domain.offline(ring1);
}

BOOST_AUTO_TEST_CASE(a_sleeping_ring_holds_nothing_back) {
  std::atomic<int> alive{0};
  quiescence domain(2);
  domain.online(ring0);
  domain.retire(std::make_unique<counted>(alive));
  BOOST_TEST(domain.reclaim() == 0u);
  domain.offline(ring0);
  BOOST_TEST(domain.reclaim() == 1u);
  domain.online(ring1); // after the retirement: it cannot have seen the object
  domain.retire(std::make_unique<counted>(alive));
  BOOST_TEST(domain.reclaim() == 0u);
  domain.offline(ring1);
  BOOST_TEST(domain.reclaim() == 1u);
}

BOOST_AUTO_TEST_CASE(what_is_left_is_freed_with_the_domain) {
  std::atomic<int> alive{0};
  {
    quiescence domain(1);
    published<counted> route(domain, std::make_unique<counted>(alive));
    domain.online(ring0);
    route.swap(std::make_unique<counted>(alive));
    BOOST_TEST(alive.load() == 2);
    domain.offline(ring0);
  }
  BOOST_TEST(alive.load() == 0);
}

BOOST_AUTO_TEST_CASE(an_epoch_passes_when_all_rings_that_were_online_have_moved_on) {
  quiescence domain(2);
  domain.online(ring0);
  const auto first = domain.begin_epoch();
  domain.online(ring1);
  BOOST_TEST(!domain.passed(first));
  domain.quiescent(ring0);
  BOOST_TEST(domain.passed(first));
  const auto second = domain.begin_epoch();
  BOOST_TEST(!domain.passed(second));
  domain.offline(ring0);
  domain.offline(ring1);
  BOOST_TEST(domain.passed(second));
}

// Rings read what is published, and sleep and wake; two publishers replace it; freed objects are poisoned first, so a
// ring that reads one too late sees it (and the sanitizers see it too).
BOOST_AUTO_TEST_CASE(no_ring_ever_reads_a_freed_object_and_all_are_freed) {
  struct object {
    std::atomic<std::uint64_t>* freed;
    std::uint64_t serial;
    std::array<std::uint64_t, 4> canary;
    object(std::atomic<std::uint64_t>* f, std::uint64_t n) : freed(f), serial(n) { canary.fill(intact); }
    ~object() {
      for (volatile auto& c : canary)
        c = 0xdeaddeaddeaddead;
      freed->fetch_add(1);
    }
  };
  const auto seed = test::seed_for("quiescence/stress");
  constexpr std::uint32_t ring_count = 3;
  constexpr std::uint64_t swaps = 20000;
  std::atomic<std::uint64_t> freed{0}, bad{0}, backwards{0};
  {
    quiescence domain(ring_count);
    published<object> one(domain, std::make_unique<object>(&freed, 0)),
        two(domain, std::make_unique<object>(&freed, 0));
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (std::uint32_t r = 0; r < ring_count; ++r)
      threads.emplace_back([&, r] {
        test::random_source random(seed + r);
        const ring_index ring{r};
        std::uint64_t newest_one = 0;
        while (!stop.load(std::memory_order_relaxed)) {
          domain.online(ring);
          for (auto turns = random.below(20); turns > 0; --turns) {
            const object *a = one.load(), *b = two.load();
            if (random.one_in(32))
              std::this_thread::yield(); // preempted with both in hand
            for (const object* o : {a, b})
              for (const auto c : o->canary)
                if (c != intact)
                  bad.fetch_add(1);
            if (a->serial < newest_one)
              backwards.fetch_add(1);
            newest_one = a->serial;
            domain.quiescent(ring);
          }
          domain.offline(ring);
          if (random.one_in(8))
            std::this_thread::yield();
        }
      });
    std::thread other_publisher([&] {
      for (std::uint64_t n = 1; n <= swaps; ++n) {
        two.swap(std::make_unique<object>(&freed, n));
        if (n % 16 == 0)
          domain.reclaim();
      }
    });
    for (std::uint64_t n = 1; n <= swaps; ++n) {
      one.swap(std::make_unique<object>(&freed, n));
      if (n % 7 == 0)
        domain.reclaim();
      if (n % 64 == 0)
        std::this_thread::yield();
    }
    other_publisher.join();
    while (domain.pending() > 0) { // rings go on, so everything retired gets free
      domain.reclaim();
      std::this_thread::yield();
    }
    BOOST_TEST(freed.load() == 2 * swaps);
    stop = true;
    for (auto& t : threads)
      t.join();
  }
  BOOST_TEST(bad.load() == 0u);
  BOOST_TEST(backwards.load() == 0u);
  BOOST_TEST(freed.load() == 2 * swaps + 2);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace gnomon::io
