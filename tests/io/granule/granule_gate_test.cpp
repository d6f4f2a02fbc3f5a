#include "io/granule/granule_gate.hpp"

#include <algorithm>
#include <array>
#include <barrier>
#include <deque>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "tests/io/granule/gate_waiter.hpp"
#include "tests/io/ring/wakeable.hpp"
#include "tests/support/seeded.hpp"

namespace gnomon::io {
BOOST_AUTO_TEST_SUITE(granule_gate_test)
namespace {

using outcome = granule_gate::outcome;
using test::waiter;

// A gate whose one ring is the test itself.
struct fixture {
  test::wakeable_rings rings{1};
  granule_gate gate;
  explicit fixture(std::uint32_t stripes = 4093, std::uint32_t waiters_max = 16384)
      : gate({byte_count{granule_bytes}, stripes, waiters_max, rings.target()}) {}

  outcome take(waiter& w, std::uint64_t first, std::uint64_t count, gate_mode mode) {
    w.resumed = false;
    return gate.try_acquire(byte_offset{first * granule_bytes}, byte_count{count * granule_bytes}, mode, w);
  }
  void run_inbox() { rings.inbox(ring_index{0}).resume_all(); }
};

constexpr auto shared = gate_mode::shared;
constexpr auto exclusive = gate_mode::exclusive;

} // namespace

BOOST_AUTO_TEST_CASE(shared_ones_go_together_and_an_exclusive_one_waits_for_all_of_them) {
  fixture f;
  waiter a, b, c;
  BOOST_TEST((f.take(a, 10, 4, shared) == outcome::acquired));
  BOOST_TEST((f.take(b, 12, 4, shared) == outcome::acquired));
  BOOST_TEST((f.take(c, 13, 1, exclusive) == outcome::parked));
  f.gate.release(a);
  f.run_inbox();
  BOOST_TEST(!c.resumed);
  f.gate.release(b);
  f.run_inbox();
  BOOST_TEST(c.resumed);
  BOOST_TEST(f.gate.waiting() == 0u);
  BOOST_TEST(!f.gate.try_acquire_now(byte_offset{13 * granule_bytes}, byte_count{1}, shared, a));
  f.gate.release(c);
  BOOST_TEST(f.gate.try_acquire_now(byte_offset{13 * granule_bytes}, byte_count{1}, shared, a));
  f.gate.release(a);
}

BOOST_AUTO_TEST_CASE(a_range_covers_every_unit_that_it_touches) {
  fixture f;
  waiter a, b;
  const auto now = [&](std::uint64_t offset, std::uint64_t length) {
    const bool got = f.gate.try_acquire_now(byte_offset{offset}, byte_count{length}, exclusive, b);
    if (got)
      f.gate.release(b);
    return got;
  };
  // The last byte of granule 0 to the first byte of granule 2.
  BOOST_TEST((f.gate.try_acquire(byte_offset{granule_bytes - 1}, byte_count{granule_bytes + 2}, exclusive, a) ==
              outcome::acquired));
  BOOST_TEST(!now(0, 1));
  BOOST_TEST(!now(granule_bytes, 512));
  BOOST_TEST(!now(3 * granule_bytes - 1, 1));
  BOOST_TEST(now(3 * granule_bytes, 1));
  f.gate.release(a);
  BOOST_TEST(now(0, 1));
}

BOOST_AUTO_TEST_CASE(a_range_of_all_stripes_or_more_is_the_whole_gate) {
  fixture f;
  waiter zero, one;
  BOOST_TEST((f.take(zero, 1, 65536, exclusive) == outcome::acquired)); // 4 GiB
  for (const std::uint64_t at : {0ull, 1ull, 4092ull, 4093ull, 1000000ull})
    BOOST_TEST(!f.gate.try_acquire_now(byte_offset{at * granule_bytes}, byte_count{512}, shared, one));
  f.gate.release(zero);
  BOOST_TEST((f.take(one, 5, 1, shared) == outcome::acquired));
  BOOST_TEST((f.take(zero, 1, 65536, exclusive) == outcome::parked));
  f.gate.release(one);
  f.run_inbox();
  BOOST_TEST(zero.resumed);
  f.gate.release(zero);
}

BOOST_AUTO_TEST_CASE(an_exclusive_waiter_is_not_overtaken_by_new_shared_ones) {
  fixture f;
  waiter a, b, c;
  BOOST_TEST((f.take(a, 0, 1, shared) == outcome::acquired));
  BOOST_TEST((f.take(b, 0, 1, exclusive) == outcome::parked));
  BOOST_TEST((f.take(c, 0, 1, shared) == outcome::parked));
  f.gate.release(a);
  f.run_inbox();
  BOOST_TEST(b.resumed);
  BOOST_TEST(!c.resumed);
  f.gate.release(b);
  f.run_inbox();
  BOOST_TEST(c.resumed);
  f.gate.release(c);
}

BOOST_AUTO_TEST_CASE(a_shared_waiter_is_not_overtaken_by_new_exclusive_ones) {
  fixture f;
  waiter a, b, c;
  BOOST_TEST((f.take(a, 0, 1, exclusive) == outcome::acquired));
  BOOST_TEST((f.take(b, 0, 1, shared) == outcome::parked));
  BOOST_TEST((f.take(c, 0, 1, exclusive) == outcome::parked));
  f.gate.release(a);
  f.run_inbox();
  BOOST_TEST(b.resumed);
  BOOST_TEST(!c.resumed);
  f.gate.release(b);
  f.run_inbox();
  BOOST_TEST(c.resumed);
  f.gate.release(c);
}

BOOST_AUTO_TEST_CASE(a_large_waiter_keeps_the_places_it_waits_for) {
  fixture f;
  waiter small, large, other, elsewhere;
  BOOST_TEST((f.take(small, 100, 1, shared) == outcome::acquired));
  BOOST_TEST((f.take(large, 0, 513, exclusive) == outcome::parked));
  BOOST_TEST((f.take(other, 300, 1, shared) == outcome::parked)); // free just now, but the large one comes first
  BOOST_TEST((f.take(elsewhere, 600, 1, exclusive) == outcome::acquired));
  f.gate.release(small);
  f.run_inbox();
  BOOST_TEST(large.resumed);
  BOOST_TEST(!other.resumed);
  f.gate.release(large);
  f.run_inbox();
  BOOST_TEST(other.resumed);
  f.gate.release(other);
  f.gate.release(elsewhere);
}

BOOST_AUTO_TEST_CASE(a_cancelled_wait_lets_those_behind_it_go) {
  fixture f;
  waiter a, b, c;
  BOOST_TEST((f.take(a, 0, 1, shared) == outcome::acquired));
  BOOST_TEST((f.take(b, 0, 2, exclusive) == outcome::parked));
  BOOST_TEST((f.take(c, 1, 1, shared) == outcome::parked));
  BOOST_TEST(f.gate.cancel(b));
  f.run_inbox();
  BOOST_TEST(c.resumed);
  BOOST_TEST(!b.resumed);
  BOOST_TEST((f.take(b, 0, 1, exclusive) == outcome::parked));
  f.gate.release(a);
  BOOST_TEST(!f.gate.cancel(b)); // already on its way
  f.run_inbox();
  BOOST_TEST(b.resumed);
  f.gate.release(b);
  f.gate.release(c);
}

BOOST_AUTO_TEST_CASE(a_full_queue_says_so_and_changes_nothing) {
  fixture f(4093, 1);
  waiter a, b, c;
  BOOST_TEST((f.take(a, 0, 1, exclusive) == outcome::acquired));
  BOOST_TEST((f.take(b, 0, 1, exclusive) == outcome::parked));
  BOOST_TEST((f.take(c, 0, 1, exclusive) == outcome::full));
  f.gate.release(a);
  f.run_inbox();
  BOOST_TEST(b.resumed);
  f.gate.release(b);
  BOOST_TEST((f.take(c, 0, 1, exclusive) == outcome::acquired));
  f.gate.release(c);
}

// The model: who holds what, and a first-come-first-served queue. Outcome by outcome and wake-up by wake-up the gate
// does what the model says.
BOOST_AUTO_TEST_CASE(random_operations_agree_with_a_model) {
  test::random_source random(test::seed_for("granule_gate/model"));
  for (int round = 0; round < 300; ++round) {
    const auto stripes = static_cast<std::uint32_t>(1 + random.below(13));
    fixture f(stripes);
    struct model_request {
      waiter w;
      std::set<std::uint32_t> where;
      gate_mode mode;
      enum { free, held, waiting } state = free;
      std::uint64_t since = 0;
    };
    std::vector<model_request> requests(12);
    std::uint64_t clock = 0;
    const auto conflict = [](const model_request& a, const model_request& b) {
      if (a.mode == shared && b.mode == shared)
        return false;
      return std::any_of(a.where.begin(), a.where.end(), [&](auto s) { return b.where.contains(s); });
    };
    const auto may_go = [&](const model_request& r) {
      return std::none_of(requests.begin(), requests.end(), [&](const model_request& o) {
        if (&o == &r || !conflict(r, o))
          return false;
        return o.state == model_request::held || (o.state == model_request::waiting && o.since < r.since);
      });
    };
    const auto check_wake_ups = [&] {
      // Waits end in their order, each grant before the next is looked at.
      std::vector<model_request*> queue;
      for (auto& r : requests)
        if (r.state == model_request::waiting)
          queue.push_back(&r);
      std::sort(queue.begin(), queue.end(), [](auto* a, auto* b) { return a->since < b->since; });
      for (auto* r : queue)
        if (may_go(*r))
          r->state = model_request::held;
      f.run_inbox();
      for (auto* r : queue)
        BOOST_REQUIRE(r->w.resumed == (r->state == model_request::held));
    };
    for (int step = 0; step < 200; ++step) {
      auto& r = requests[random.below(requests.size())];
      switch (r.state) {
      case model_request::free: {
        const std::uint64_t first = random.below(40), count = 1 + random.below(random.one_in(4) ? 16 : 3);
        r.mode = random.one_in(3) ? exclusive : shared;
        r.where.clear();
        for (std::uint64_t u = first; u < first + count; ++u)
          r.where.insert(static_cast<std::uint32_t>(u % stripes));
        r.since = ++clock;
        const bool go = may_go(r);
        BOOST_REQUIRE((f.take(r.w, first, count, r.mode) == (go ? outcome::acquired : outcome::parked)));
        r.state = go ? model_request::held : model_request::waiting;
        break;
      }
      case model_request::held:
        f.gate.release(r.w);
        r.state = model_request::free;
        check_wake_ups();
        break;
      case model_request::waiting:
        if (!random.one_in(4))
          break;
        BOOST_REQUIRE(f.gate.cancel(r.w));
        r.state = model_request::free;
        check_wake_ups();
        break;
      }
    }
    for (bool any = true; any;) {
      any = false;
      for (auto& r : requests)
        if (r.state == model_request::held) {
          any = true;
          f.gate.release(r.w);
          r.state = model_request::free;
          check_wake_ups();
        }
    }
    for (auto& r : requests)
      BOOST_REQUIRE((r.state == model_request::free));
    BOOST_REQUIRE(f.gate.waiting() == 0u);
  }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace gnomon::io
