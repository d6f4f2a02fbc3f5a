#include "io/granule_gate.hpp"

#include <algorithm>
#include <array>
#include <barrier>
#include <deque>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "tests/io/seeded.hpp"
#include "tests/io/wakeable.hpp"

namespace gnomon::io {
BOOST_AUTO_TEST_SUITE(granule_gate_test)
namespace {

using outcome = granule_gate::outcome;

struct waiter : gate_waiter {
  bool resumed = false;
  waiter() {
    resume = [](parked& self) { static_cast<waiter&>(self).resumed = true; };
  }
};

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

namespace {

// Per unit, plain memory that only a holder may touch: an exclusive holder writes it, shared ones read it.
struct unit_state {
  std::atomic<int> shared_holders{0}, exclusive_holders{0};
  std::uint64_t plain = 0;
};

struct stress {
  static constexpr std::uint32_t ring_count = 3;
  static constexpr std::uint64_t units = 64;
  static constexpr std::uint64_t requests_per_ring = 25000;

  test::wakeable_rings rings{ring_count};
  granule_gate gate;
  std::vector<unit_state> state{units};
  std::atomic<std::uint64_t> exclusive_done{0}, violations{0};

  explicit stress(std::uint32_t stripes) : gate({byte_count{block_bytes}, stripes, 64, rings.target()}) {}
  void ring(std::uint32_t index, std::uint64_t seed);
};

struct stress_request : gate_waiter {
  stress* test = nullptr;
  std::uint64_t first = 0, count = 0;
  bool free = true;
  bool granted = false;

  void enter() {
    for (std::uint64_t u = first; u < first + count; ++u) {
      auto& s = test->state[u];
      if (mode == exclusive) {
        if (s.exclusive_holders.fetch_add(1) != 0 || s.shared_holders.load() != 0)
          test->violations.fetch_add(1);
        ++s.plain;
      } else {
        s.shared_holders.fetch_add(1);
        if (s.exclusive_holders.load() != 0)
          test->violations.fetch_add(1);
        if (s.plain == ~std::uint64_t{0})
          test->violations.fetch_add(1);
      }
    }
    if (mode == exclusive)
      test->exclusive_done.fetch_add(count);
  }
  void leave() {
    for (std::uint64_t u = first; u < first + count; ++u)
      (mode == exclusive ? test->state[u].exclusive_holders : test->state[u].shared_holders).fetch_sub(1);
    test->gate.release(*this);
  }
};

void stress::ring(std::uint32_t index, std::uint64_t seed) {
  test::random_source random(seed);
  std::array<stress_request, 8> slots;
  std::uint64_t begun = 0;
  for (auto& s : slots) {
    s.test = this;
    s.ring = ring_index{index};
    s.resume = [](parked& self) { static_cast<stress_request&>(self).granted = true; };
  }
  std::size_t busy = 0;
  for (;;) {
    bool progress = false;
    progress |= rings.inbox(ring_index{index}).resume_all() > 0;
    for (auto& s : slots) {
      if (s.granted) { // holds its range
        s.granted = false;
        s.enter();
        if (random.one_in(8))
          std::this_thread::yield();
        s.leave();
        s.free = true;
        --busy;
        progress = true;
      } else if (s.free && begun < requests_per_ring) {
        const auto wanted = random.one_in(4) ? exclusive : shared;
        s.count = random.one_in(50) ? units : 1 + random.below(6);
        s.first = random.below(units - s.count + 1);
        const byte_offset offset{s.first * block_bytes};
        const byte_count length{s.count * block_bytes};
        switch (gate.try_acquire(offset, length, wanted, s)) {
        case outcome::acquired:
          s.granted = true;
          break;
        case outcome::parked:
          if (random.one_in(20) && gate.cancel(s))
            continue; // the client went away
          break;
        case outcome::full:
          continue;
        }
        s.free = false;
        ++busy;
        ++begun;
        progress = true;
      }
    }
    if (busy == 0 && begun == requests_per_ring)
      return;
    if (!progress) {
      if (busy == 0)
        std::this_thread::yield(); // the queue was full
      else
        rings.sleep_until_woken(ring_index{index});
    }
  }
}

} // namespace

// Never exclusive together with anything else, no lost wake-up (rings sleep when all they have is parked), and
// everything finishes; also with few stripes, where distant units share one.
BOOST_AUTO_TEST_CASE(many_rings_at_once_keep_the_promise_and_all_finish) {
  const auto seed = test::seed_for("granule_gate/stress");
  for (const std::uint32_t stripes : {4093u, 31u}) {
    stress s(stripes);
    std::vector<std::thread> threads;
    for (std::uint32_t r = 0; r < stress::ring_count; ++r)
      threads.emplace_back([&, r] { s.ring(r, seed + r); });
    for (auto& t : threads)
      t.join();
    BOOST_TEST(s.violations.load() == 0u);
    BOOST_TEST(s.gate.waiting() == 0u);
    std::uint64_t written = 0;
    for (const auto& u : s.state)
      written += u.plain;
    BOOST_TEST(written == s.exclusive_done.load()); // no update lost
  }
}

// Many short rounds, each until all are done: a wake-up that is lost only when nobody comes after it would be rescued
// by the traffic of the test above. Ring 0 will not wait: it takes its long range but for the last block, which ring
// 2 may hold, and gives it back; ring 1 meets that short hold.
BOOST_AUTO_TEST_CASE(nobody_is_forgotten_when_nobody_comes_after) {
  const auto seed = test::seed_for("granule_gate/short_rounds");
  constexpr std::uint32_t ring_count = 3;
  constexpr std::uint64_t long_range = 3000;
  constexpr int rounds = 5000;
  test::wakeable_rings rings(ring_count);
  granule_gate gate({byte_count{block_bytes}, 4093, 64, rings.target()});
  std::barrier round_begins(ring_count);
  std::vector<std::thread> threads;
  for (std::uint32_t r = 0; r < ring_count; ++r)
    threads.emplace_back([&, r] {
      test::random_source random(seed + r);
      const auto wait_if = [&](outcome got, waiter& w) {
        while (got == outcome::parked && !w.resumed) {
          rings.sleep_until_woken(ring_index{r});
          rings.inbox(ring_index{r}).resume_all();
        }
      };
      for (int round = 0; round < rounds; ++round) {
        waiter w;
        w.ring = ring_index{r};
        if (r == 2) // before the round, so that ring 0 meets it
          wait_if(gate.try_acquire(byte_offset{(long_range - 1) * block_bytes}, byte_count{block_bytes}, shared, w),
                  w);
        round_begins.arrive_and_wait();
        if (r == 0) {
          if (gate.try_acquire_now(byte_offset{0}, byte_count{long_range * block_bytes}, exclusive, w))
            gate.release(w);
        } else if (r == 1) {
          for (auto spins = random.below(2000); spins > 0; --spins)
            std::atomic_signal_fence(std::memory_order_seq_cst);
          wait_if(gate.try_acquire(byte_offset{0}, byte_count{(1 + random.below(6)) * block_bytes}, exclusive, w), w);
          gate.release(w);
        }
        round_begins.arrive_and_wait();
        if (r == 2)
          gate.release(w);
      }
    });
  for (auto& t : threads)
    t.join();
  BOOST_TEST(gate.waiting() == 0u);
}

// The holder's thread and the releasing thread differ, as when a completion is delivered elsewhere.
BOOST_AUTO_TEST_CASE(any_thread_may_release) {
  const auto seed = test::seed_for("granule_gate/release_elsewhere");
  test::wakeable_rings rings(1);
  granule_gate gate({byte_count{granule_bytes}, 7, 64, rings.target()});
  test::random_source random(seed);
  std::uint64_t plain = 0, expected = 0;
  std::mutex mutex;
  std::condition_variable filled;
  std::deque<waiter*> held;
  bool done = false;
  std::atomic<std::uint64_t> released{0};
  std::thread releaser([&] {
    for (;;) {
      std::unique_lock lock(mutex);
      filled.wait(lock, [&] { return done || !held.empty(); });
      if (held.empty())
        return;
      waiter* const w = held.front();
      held.pop_front();
      lock.unlock();
      if (w->mode == exclusive)
        ++plain;
      gate.release(*w);
      released.fetch_add(1); // from here on the waiter may be reused
    }
  });
  std::deque<waiter> waiters(20000);
  std::uint64_t handed = 0;
  const auto hand_over = [&](waiter& w) {
    {
      const std::lock_guard lock(mutex);
      held.push_back(&w);
    }
    filled.notify_one();
    ++handed;
  };
  std::size_t parked_now = 0;
  std::vector<waiter*> parked_ones;
  const auto collect = [&] {
    rings.inbox(ring_index{0}).resume_all();
    std::erase_if(parked_ones, [&](waiter* w) {
      if (w->resumed)
        hand_over(*w), --parked_now;
      return w->resumed;
    });
  };
  for (auto& w : waiters) {
    const auto mode = random.one_in(2) ? exclusive : shared;
    expected += mode == exclusive ? 1 : 0;
    const byte_offset offset{random.below(5) * granule_bytes};
    outcome got;
    while ((got = gate.try_acquire(offset, byte_count{3 * granule_bytes}, mode, w)) == outcome::full) {
      rings.sleep_until_woken(ring_index{0});
      collect();
    }
    if (got == outcome::acquired)
      hand_over(w);
    else
      parked_ones.push_back(&w), ++parked_now;
    collect();
  }
  while (parked_now > 0) {
    rings.sleep_until_woken(ring_index{0});
    collect();
  }
  {
    const std::lock_guard lock(mutex);
    done = true;
  }
  filled.notify_one();
  releaser.join();
  BOOST_TEST(handed == waiters.size());
  BOOST_TEST(released.load() == waiters.size());
  BOOST_TEST(plain == expected);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace gnomon::io
