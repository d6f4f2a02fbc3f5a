#include "io/granule/generation.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "tests/io/ring/wakeable.hpp"
#include "tests/support/seeded.hpp"

namespace gnomon::io {
BOOST_AUTO_TEST_SUITE(generation_test)
namespace {

constexpr ring_index ring0{0}, ring1{1};
constexpr boot_time far_away{boot_time::duration{std::int64_t{1} << 60}};
using status = generation_gate::hold_result::status;

} // namespace

BOOST_AUTO_TEST_CASE(a_generation_drains_when_its_last_request_leaves_on_any_ring) {
  generation_gate gate(2);
  const auto first = gate.enter(ring0), second = gate.enter(ring1);
  BOOST_TEST(first.generation.value == 1u);
  BOOST_TEST(!first.held);
  BOOST_TEST(!gate.drained(first.generation)); // requests may still enter
  const auto next = gate.advance();
  BOOST_REQUIRE(next.has_value());
  BOOST_TEST(next->value == 2u);
  const auto third = gate.enter(ring0);
  BOOST_TEST(third.generation.value == 2u);
  BOOST_TEST(gate.in_flight() == 3u);
  BOOST_TEST(!gate.drained(first.generation));
  gate.leave(ring0, first.generation);
  BOOST_TEST(!gate.drained(first.generation));
  BOOST_TEST(!gate.advance().has_value()); // busy
  gate.leave(ring1, second.generation);
  BOOST_TEST(gate.drained(first.generation));
  BOOST_TEST(gate.advance()->value == 3u);
  BOOST_TEST(!gate.drained(third.generation));
  BOOST_TEST(gate.drained(first.generation)); // for ever
  gate.leave(ring0, third.generation);
  BOOST_TEST(gate.drained(third.generation));
}

BOOST_AUTO_TEST_CASE(a_hold_parks_writes_lets_reads_pass_and_ends_by_release) {
  test::wakeable_rings rings(2);
  generation_gate gate(2, rings.waker());
  const auto hold = gate.advance_and_hold(hold_id{7}, far_away);
  BOOST_TEST((hold.what == status::held));
  BOOST_TEST(hold.generation.value == 2u);
  BOOST_TEST((gate.hold_deadline() == far_away));
  const auto write = gate.enter(ring0);
  BOOST_TEST(write.held);
  BOOST_TEST(gate.in_flight() == 0u);
  const auto read = gate.enter(ring0, hold_rule::pass);
  BOOST_TEST(!read.held);
  BOOST_TEST(read.generation.value == 2u);
  BOOST_TEST(gate.park(ring0));
  BOOST_TEST((gate.outcome(hold_id{7}) == hold_outcome::holding));
  BOOST_TEST(!gate.advance().has_value());
  BOOST_TEST((gate.release(hold_id{7}) == hold_outcome::released));
  rings.sleep_until_woken(ring0); // was woken
  BOOST_TEST(!gate.enter(ring0).held);
  BOOST_TEST(!gate.expire(hold.generation)); // too late
  BOOST_TEST((gate.release(hold_id{7}) == hold_outcome::released));
  BOOST_TEST(!gate.hold_deadline().has_value());
}

BOOST_AUTO_TEST_CASE(a_deadline_that_comes_first_makes_the_release_say_expired) {
  generation_gate gate(1);
  const auto hold = gate.advance_and_hold(hold_id{7}, far_away);
  BOOST_TEST(gate.expire(hold.generation));
  BOOST_TEST(!gate.expire(hold.generation)); // once
  BOOST_TEST(!gate.held());
  BOOST_TEST((gate.release(hold_id{7}) == hold_outcome::expired));
  BOOST_TEST((gate.release(hold_id{7}) == hold_outcome::expired));
}

BOOST_AUTO_TEST_CASE(an_id_holds_once_and_repeats_get_the_recorded_outcome) {
  generation_gate gate(1);
  const auto hold = gate.advance_and_hold(hold_id{7}, far_away);
  auto again = gate.advance_and_hold(hold_id{7}, far_away);
  BOOST_TEST((again.what == status::repeated && again.outcome == hold_outcome::holding));
  BOOST_TEST((again.generation == hold.generation));
  BOOST_TEST((gate.advance_and_hold(hold_id{8}, far_away).what == status::busy));
  BOOST_TEST(gate.expire(hold.generation));
  again = gate.advance_and_hold(hold_id{7}, far_away);
  BOOST_TEST((again.what == status::repeated && again.outcome == hold_outcome::expired));
  BOOST_TEST(!gate.held());
  BOOST_TEST((gate.advance_and_hold(hold_id{8}, far_away).what == status::held));
  BOOST_TEST((gate.release(hold_id{7}) == hold_outcome::expired)); // does not touch the hold of another
  BOOST_TEST(gate.held());
  BOOST_TEST((gate.release(hold_id{8}) == hold_outcome::released));
  BOOST_TEST(!gate.release(hold_id{9}).has_value());
}

BOOST_AUTO_TEST_CASE(only_so_many_outcomes_are_remembered) {
  generation_gate gate(1);
  const std::uint64_t count = generation_gate::holds_remembered_max + 1;
  for (std::uint64_t id = 1; id <= count; ++id) {
    BOOST_TEST((gate.advance_and_hold(hold_id{id}, far_away).what == status::held));
    BOOST_TEST((gate.release(hold_id{id}) == hold_outcome::released));
  }
  BOOST_TEST(!gate.outcome(hold_id{1}).has_value());
  for (std::uint64_t id = 2; id <= count; ++id)
    BOOST_TEST((gate.outcome(hold_id{id}) == hold_outcome::released));
}

BOOST_AUTO_TEST_CASE(parking_after_the_hold_has_ended_is_refused_and_holds_are_not_chained) {
  generation_gate gate(1);
  const auto hold = gate.advance_and_hold(hold_id{1}, far_away);
  BOOST_TEST(gate.enter(ring0).held);
  BOOST_TEST(gate.expire(hold.generation));
  BOOST_TEST(!gate.park(ring0)); // enters again instead
  const auto second = gate.advance_and_hold(hold_id{2}, far_away);
  BOOST_TEST((second.what == status::held));
  BOOST_TEST(gate.park(ring0));
  BOOST_TEST(gate.expire(second.generation));
  BOOST_TEST((gate.advance_and_hold(hold_id{3}, far_away).what == status::busy)); // parked ones go first
  BOOST_TEST(gate.advance().has_value());                                         // moving on is fine
  gate.unpark(ring0);
  BOOST_TEST((gate.advance_and_hold(hold_id{3}, far_away).what == status::held));
  BOOST_TEST((gate.release(hold_id{3}) == hold_outcome::released));
}

BOOST_AUTO_TEST_CASE(a_look_under_way_holds_up_no_generation_and_is_waited_for_where_files_are_given_up) {
  generation_gate gate(1);
  const auto old_look = gate.enter(ring0, request_class::looks, hold_rule::pass);
  for (std::uint64_t n = 2; n < 10; ++n)
    BOOST_TEST(gate.advance()->value == n); // changes only
  BOOST_TEST(gate.drained(generation_number{8}));
  BOOST_TEST(!gate.looks_drained(generation_number{1}));
  BOOST_TEST(!gate.may_begin_epoch());
  const auto new_look = gate.enter(ring0, request_class::looks, hold_rule::pass);
  gate.leave(ring0, old_look);
  BOOST_TEST(gate.looks_drained(generation_number{1}));
  BOOST_TEST(!gate.looks_drained(generation_number{9})); // new_look, whose epoch began with 2
  BOOST_TEST(gate.advance()->value == 10u);
  BOOST_TEST(gate.epoch_is_after(generation_number{9}));
  BOOST_TEST(!gate.looks_drained(generation_number{9}));
  gate.leave(ring0, new_look);
  BOOST_TEST(gate.looks_drained(generation_number{9}));
}

BOOST_AUTO_TEST_CASE(random_looks_are_drained_when_those_of_the_generation_and_before_have_left_and_never_sooner) {
  test::random_source random(test::seed_for("generation/looks"));
  for (int round = 0; round < 200; ++round) {
    generation_gate gate(2);
    std::vector<std::pair<ring_index, generation_gate::entry>> looks;
    for (int step = 0; step < 200; ++step) {
      const ring_index ring{static_cast<std::uint32_t>(random.below(2))};
      switch (random.below(4)) {
      case 0:
        looks.emplace_back(ring, gate.enter(ring, request_class::looks, hold_rule::pass));
        break;
      case 1:
        if (!looks.empty()) {
          const auto at = random.below(looks.size());
          gate.leave(looks[at].first, looks[at].second);
          looks.erase(looks.begin() + static_cast<std::ptrdiff_t>(at));
        }
        break;
      default:
        BOOST_REQUIRE(gate.advance().has_value()); // no change is under way
      }
      const std::uint64_t now = gate.current().value;
      for (std::uint64_t g = 1; g <= now; ++g) {
        const bool over = std::none_of(looks.begin(), looks.end(),
                                       [&](const auto& l) { return l.second.generation.value <= g; });
        if (gate.looks_drained(generation_number{g}))
          BOOST_REQUIRE((g < now && over));
      }
      if (looks.empty()) { // two advances always get there
        BOOST_REQUIRE(gate.advance().has_value());
        BOOST_REQUIRE(gate.looks_drained(generation_number{now}));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(an_abandoned_hold_ends_at_once_and_one_that_did_not_hold_yet_never_will) {
  generation_gate gate(1);
  BOOST_TEST((gate.advance_and_hold(hold_id{1}, far_away).what == status::held));
  gate.abandon(hold_id{1});
  BOOST_TEST(!gate.held());
  BOOST_TEST((gate.release(hold_id{1}) == hold_outcome::abandoned));
  gate.abandon(hold_id{2});
  const auto late = gate.advance_and_hold(hold_id{2}, far_away);
  BOOST_TEST((late.what == status::repeated && late.outcome == hold_outcome::abandoned));
  BOOST_TEST(!gate.held());
  BOOST_TEST((gate.advance_and_hold(hold_id{3}, far_away).what == status::held));
  BOOST_TEST((gate.release(hold_id{3}) == hold_outcome::released));
  gate.abandon(hold_id{3}); // too late
  BOOST_TEST((gate.outcome(hold_id{3}) == hold_outcome::released));
}

BOOST_AUTO_TEST_CASE(random_operations_agree_with_a_model) {
  test::random_source random(test::seed_for("generation/model"));
  for (int round = 0; round < 200; ++round) {
    constexpr std::uint32_t ring_count = 3;
    generation_gate gate(ring_count);
    std::uint64_t number = 1;
    bool held = false;
    std::map<std::uint64_t, std::uint64_t> in_flight; // by generation
    std::vector<std::pair<ring_index, generation_number>> requests;
    std::map<std::uint64_t, hold_outcome> holds;
    std::uint64_t last_id = 0;
    for (int step = 0; step < 300; ++step) {
      const ring_index ring{static_cast<std::uint32_t>(random.below(ring_count))};
      switch (random.below(7)) {
      case 0:
      case 1: {
        const auto rule = random.one_in(2) ? hold_rule::park : hold_rule::pass;
        const auto got = gate.enter(ring, rule);
        BOOST_REQUIRE(got.generation.value == number);
        BOOST_REQUIRE(got.held == (held && rule == hold_rule::park));
        if (!got.held)
          ++in_flight[number], requests.emplace_back(ring, got.generation);
        break;
      }
      case 2:
      case 3: {
        if (requests.empty())
          break;
        const auto at = random.below(requests.size());
        gate.leave(requests[at].first, requests[at].second);
        --in_flight[requests[at].second.value];
        requests.erase(requests.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      }
      case 4: {
        const bool possible = !held && in_flight[number - 1] == 0;
        BOOST_REQUIRE(gate.advance().has_value() == possible);
        if (possible)
          ++number;
        break;
      }
      case 5: {
        const std::uint64_t id = 1 + random.below(last_id + 1);
        const bool known = holds.contains(id) && id + generation_gate::holds_remembered_max > last_id;
        const auto got = gate.advance_and_hold(hold_id{id}, far_away);
        if (known) {
          BOOST_REQUIRE((got.what == status::repeated && got.outcome == holds[id]));
        } else if (held || in_flight[number - 1] != 0) {
          BOOST_REQUIRE((got.what == status::busy));
        } else {
          BOOST_REQUIRE((got.what == status::held));
          BOOST_REQUIRE(got.generation.value == ++number);
          held = true, last_id = std::max(last_id, id), holds[id] = hold_outcome::holding;
        }
        break;
      }
      case 6: {
        if (random.one_in(2)) {
          BOOST_REQUIRE(gate.expire(generation_number{number}) == held);
          for (auto& [id, outcome] : holds)
            if (outcome == hold_outcome::holding)
              outcome = hold_outcome::expired;
          held = false;
        } else if (last_id > 0) {
          const std::uint64_t id = last_id;
          if (holds[id] == hold_outcome::holding)
            holds[id] = hold_outcome::released, held = false;
          BOOST_REQUIRE((gate.release(hold_id{id}) == holds[id]));
        }
        break;
      }
      }
      for (std::uint64_t g = 1; g <= number; ++g)
        BOOST_REQUIRE(gate.drained(generation_number{g}) == (g < number && in_flight[g] == 0));
    }
  }
}

namespace {

// Requests write to plain memory of "their" generation; the control side takes it back once it has drained. Too early
// a yes, or one without the memory ordering promised, is a data race or a wrong sum. `open_max` 0: in and out at
// once, so that generations change as fast as they can.
void reuse_what_drained(std::uint64_t seed, std::size_t open_max, std::uint64_t generations) {
  constexpr std::uint32_t ring_count = 3;
  generation_gate gate(ring_count);
  struct alignas(64) area {
    std::uint64_t value = 0;
  };
  std::array<std::array<area, ring_count>, 2> used; // by generation parity; plain on purpose
  std::atomic<bool> stop{false};
  std::array<std::uint64_t, ring_count> entered{};
  std::atomic<std::uint64_t> drained_up_to{0}, used_after_drained{0};
  const auto use = [&](std::uint32_t r, generation_number g) {
    used[g.value & 1][r].value++;
    if (drained_up_to.load() >= g.value)
      used_after_drained.fetch_add(1);
  };
  std::vector<std::thread> rings;
  for (std::uint32_t r = 0; r < ring_count; ++r)
    rings.emplace_back([&, r] {
      test::random_source random(seed + r);
      std::vector<generation_number> open;
      while (!stop.load(std::memory_order_relaxed)) {
        if (open.size() < std::max<std::size_t>(open_max, 1) && (open_max == 0 || random.one_in(2))) {
          const auto e = gate.enter(ring_index{r});
          use(r, e.generation);
          ++entered[r];
          open.push_back(e.generation);
        } else if (!open.empty()) {
          use(r, open.back());
          gate.leave(ring_index{r}, open.back());
          open.pop_back();
        }
        if (open_max > 0 && random.one_in(64))
          std::this_thread::yield();
      }
      for (const auto g : open) {
        use(r, g);
        gate.leave(ring_index{r}, g);
      }
    });
  std::uint64_t collected = 0;
  const auto collect = [&](generation_number drained) {
    for (auto& a : used[drained.value & 1])
      collected += std::exchange(a.value, 0);
  };
  for (std::uint64_t n = 1; n < generations;) {
    const auto next = gate.advance();
    if (!next) {
      std::this_thread::yield();
      continue;
    }
    n = next->value;
    while (!gate.drained(generation_number{n - 1}))
      std::this_thread::yield();
    drained_up_to.store(n - 1);
    collect(generation_number{n - 1});
  }
  stop = true;
  for (auto& t : rings)
    t.join();
  collect(generation_number{0});
  collect(generation_number{1});
  std::uint64_t expected = 0;
  for (const auto n : entered)
    expected += 2 * n;
  BOOST_TEST(collected == expected);
  BOOST_TEST(used_after_drained.load() == 0u);
}

} // namespace

BOOST_AUTO_TEST_CASE(what_a_drained_generation_used_may_be_reused_at_once) {
  const auto seed = test::seed_for("generation/reuse");
  reuse_what_drained(seed, 4, 3000);
#ifdef GNOMON_SANITIZED
  reuse_what_drained(seed, 0, 20000); // it sees a race without luck
#else
  reuse_what_drained(seed, 0, 100000);
#endif
}

// Holds under load, with deadlines that rings enforce and releases racing them. Every request gets through although
// rings sleep while all they have is parked; a hold that says "released" saw no write of its generation before.
BOOST_AUTO_TEST_CASE(exactly_one_of_release_and_deadline_ends_a_hold_and_no_parked_request_is_forgotten) {
  const auto seed = test::seed_for("generation/holds");
  constexpr std::uint32_t ring_count = 3;
  constexpr std::uint64_t holds = 1500;
  test::wakeable_rings sleepers(ring_count);
  generation_gate gate(ring_count, sleepers.waker());
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> expired_by_rings{0}, finished{0}, started{0};
  std::atomic<std::uint64_t> newest_write{0}; // the newest generation a write has entered
  std::vector<std::thread> rings;
  for (std::uint32_t r = 0; r < ring_count; ++r)
    rings.emplace_back([&, r] {
      test::random_source random(seed + r);
      const ring_index ring{r};
      while (!stop.load()) {
        started.fetch_add(1);
        for (;;) {
          const auto e = gate.enter(ring);
          if (!e.held) {
            auto seen = newest_write.load();
            while (seen < e.generation.value && !newest_write.compare_exchange_weak(seen, e.generation.value)) {
            }
            gate.leave(ring, e.generation);
            break;
          }
          // Sometimes this ring plays the deadline, as if its timer had fired; else it sleeps until it is woken.
          if (random.one_in(3)) {
            if (gate.expire(e.generation))
              expired_by_rings.fetch_add(1);
          } else if (gate.park(ring)) {
            sleepers.sleep_until_woken(ring);
            while (gate.held())
              sleepers.sleep_until_woken(ring); // woken by an older wake-up
            gate.unpark(ring);
          }
        }
        finished.fetch_add(1);
        if (random.one_in(16))
          std::this_thread::yield();
      }
    });
  test::random_source random(seed + 100);
  std::uint64_t released = 0, expired = 0;
  for (std::uint64_t id = 1; id <= holds;) {
    const auto hold = gate.advance_and_hold(hold_id{id}, far_away);
    if (hold.what == status::busy) {
      std::this_thread::yield();
      continue;
    }
    BOOST_REQUIRE((hold.what == status::held));
    for (auto spins = random.below(200); spins > 0; --spins)
      std::this_thread::yield();
    const auto newest_before = newest_write.load();
    const auto outcome = gate.release(hold_id{id});
    BOOST_REQUIRE(outcome.has_value());
    if (*outcome == hold_outcome::released) {
      ++released;
      BOOST_REQUIRE(newest_before < hold.generation.value);
    } else {
      ++expired;
    }
    ++id;
  }
  stop = true;
  for (auto& t : rings)
    t.join();
  BOOST_TEST(released + expired == holds);
  BOOST_TEST(expired == expired_by_rings.load());
  BOOST_TEST(started.load() == finished.load());
  BOOST_TEST_MESSAGE("released " << released << ", expired " << expired);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace gnomon::io
