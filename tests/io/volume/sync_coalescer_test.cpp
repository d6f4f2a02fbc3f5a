#include "io/volume/sync_coalescer.hpp"

#include <algorithm>
#include <deque>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "tests/io/ring/wakeable.hpp"
#include "tests/support/seeded.hpp"

namespace gnomon::io {
BOOST_AUTO_TEST_SUITE(sync_coalescer_test)
namespace {

using arrival = sync_coalescer::arrival;

std::vector<parked*> list(parked* first) {
  std::vector<parked*> out;
  for (; first != nullptr; first = first->next)
    out.push_back(first);
  return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(flushes_that_arrive_during_a_sync_share_the_next_one) {
  sync_coalescer syncs;
  sync_waiter a, b, c, d;
  BOOST_TEST((syncs.arrive(a) == arrival::start_sync));
  BOOST_TEST((syncs.arrive(b) == arrival::joined));
  BOOST_TEST((syncs.arrive(c) == arrival::joined));
  auto done = syncs.completed(0);
  BOOST_TEST((list(done.answer) == std::vector<parked*>{&a}));
  BOOST_TEST(done.start_another);
  BOOST_TEST((syncs.arrive(d) == arrival::joined));
  done = syncs.completed(0);
  BOOST_TEST((list(done.answer) == std::vector<parked*>{&b, &c}));
  BOOST_TEST(done.start_another);
  done = syncs.completed(0);
  BOOST_TEST((list(done.answer) == std::vector<parked*>{&d}));
  BOOST_TEST(!done.start_another);
  BOOST_TEST(syncs.idle());
  BOOST_TEST((a.os_errno == 0 && b.os_errno == 0 && d.os_errno == 0));
}

BOOST_AUTO_TEST_CASE(a_failed_sync_fails_all_who_wait_and_all_who_come_until_it_is_cleared) {
  sync_coalescer syncs;
  sync_waiter a, b, c;
  BOOST_TEST((syncs.arrive(a) == arrival::start_sync));
  BOOST_TEST((syncs.arrive(b) == arrival::joined)); // its data may be what the failed sync dropped
  const auto done = syncs.completed(ENOSPC);
  BOOST_TEST(done.answer == nullptr); // not before the failure's mark is decided
  BOOST_TEST(!done.start_another);
  BOOST_TEST(done.newly_failed);
  BOOST_TEST(syncs.failed());
  sync_waiter meanwhile;
  BOOST_TEST((syncs.arrive(meanwhile) == arrival::joined));
  syncs.clear_failure(); // too early: nobody has been told yet
  BOOST_TEST(syncs.failed());
  auto answered = list(syncs.marked());
  std::sort(answered.begin(), answered.end());
  std::vector<parked*> expected{&a, &b, &meanwhile};
  std::sort(expected.begin(), expected.end());
  BOOST_TEST((answered == expected));
  BOOST_TEST((a.os_errno == ENOSPC && b.os_errno == ENOSPC && meanwhile.os_errno == ENOSPC));
  BOOST_TEST((syncs.arrive(c) == arrival::failed));
  BOOST_TEST(c.os_errno == ENOSPC);
  syncs.clear_failure();
  BOOST_TEST((syncs.arrive(c) == arrival::start_sync));
  BOOST_TEST(!syncs.completed(0).newly_failed);
  BOOST_TEST(c.os_errno == 0);
}

BOOST_AUTO_TEST_CASE(a_sync_that_succeeds_after_a_failed_one_counts_for_nothing) {
  sync_coalescer syncs;
  sync_waiter a, b;
  BOOST_TEST((syncs.arrive(a) == arrival::start_sync));
  BOOST_TEST(syncs.fail(EIO)); // somebody else's sync of the file, while ours is in flight
  BOOST_TEST(!syncs.fail(ENOSPC));
  BOOST_TEST((syncs.arrive(b) == arrival::joined));
  const auto done = syncs.completed(0);
  BOOST_TEST(done.answer == nullptr);
  BOOST_TEST(!done.newly_failed);
  BOOST_TEST(!done.start_another);
  BOOST_TEST(list(syncs.marked()).size() == 2u);
  BOOST_TEST((a.os_errno == EIO && b.os_errno == EIO));

  // The mark was decided before the sync in flight came back.
  sync_coalescer late;
  BOOST_TEST((late.arrive(a) == arrival::start_sync));
  BOOST_TEST(late.fail(EIO));
  BOOST_TEST(late.marked() == nullptr);
  BOOST_TEST((list(late.completed(0).answer) == std::vector<parked*>{&a}));
  BOOST_TEST(a.os_errno == EIO);
}

BOOST_AUTO_TEST_CASE(a_failure_of_an_earlier_life_refuses_flushes_from_the_start) {
  sync_coalescer syncs(true);
  sync_waiter a;
  BOOST_TEST(syncs.failed());
  BOOST_TEST((syncs.arrive(a) == arrival::failed));
  BOOST_TEST(a.os_errno == EIO);
}

BOOST_AUTO_TEST_CASE(only_so_many_wait) {
  sync_coalescer syncs;
  std::deque<sync_waiter> waiters(sync_coalescer::waiters_max);
  for (auto& w : waiters)
    BOOST_REQUIRE((syncs.arrive(w) != arrival::full));
  sync_waiter one_more;
  BOOST_TEST((syncs.arrive(one_more) == arrival::full));
  BOOST_TEST(list(syncs.completed(0).answer).size() == 1u);
  BOOST_TEST((syncs.arrive(one_more) == arrival::joined));
  BOOST_TEST(list(syncs.completed(0).answer).size() == waiters.size() - 1);
  BOOST_TEST(list(syncs.completed(0).answer).size() == 1u);
}

// A file as Linux has it: a sync makes durable what was written before it began; a failed one drops that for ever and
// is reported once. Every flush answered with success finds durable what was written before it arrived.
BOOST_AUTO_TEST_CASE(a_flush_answered_with_success_is_durable) {
  const auto seed = test::seed_for("sync_coalescer/stress");
  constexpr std::uint32_t ring_count = 3;
  constexpr std::uint64_t flushes = 20000;
  test::wakeable_rings rings(ring_count);
  const resume_target resume = rings.target();
  sync_coalescer syncs;
  enum : std::uint8_t { pending, durable, lost, loss_accepted };
  std::deque<std::atomic<std::uint8_t>> writes(ring_count * flushes + 1);
  std::atomic<std::uint64_t> written{0};
  std::mutex failing; // a failure and an operator's acceptance are each one step
  std::atomic<std::uint64_t> broken{0}, answered{0}, failures{0}, in_flight{0}, overlapping{0}, reported{0}, begun{0};
  struct flush : sync_waiter {
    std::uint64_t covers = 0;
    bool done = false;
  };
  std::uint64_t settled = 0; // touched by the sync in flight only; the coalescer orders one after the other
  std::vector<std::thread> threads;
  for (std::uint32_t r = 0; r < ring_count; ++r)
    threads.emplace_back([&, r] {
      test::random_source random(seed + r);
      const ring_index ring{r};
      flush f;
      f.ring = ring;
      f.resume = [](parked& self) { static_cast<flush&>(self).done = true; };
      const auto run_syncs = [&] { // plays the ring that was told to start one
        for (bool another = true; another;) {
          begun.fetch_add(1);
          if (in_flight.fetch_add(1) != 0)
            overlapping.fetch_add(1);
          const auto covered = written.load();
          if (random.one_in(2))
            std::this_thread::yield();
          const bool fails = random.one_in(400);
          std::unique_lock lock(failing, std::defer_lock);
          if (fails)
            lock.lock();
          const auto settled_up_to = fails ? written.load() : covered; // dirty pages written meanwhile go as well
          for (; settled < settled_up_to; ++settled)
            writes[settled + 1].store(fails ? lost : durable);
          in_flight.fetch_sub(1);
          const auto result = syncs.completed(fails ? EIO : 0);
          parked* told = nullptr;
          if (result.newly_failed) {
            told = syncs.marked();
            reported.fetch_add(1);
          }
          if (fails)
            lock.unlock();
          resume.resume_list(told);
          failures.fetch_add(fails ? 1 : 0);
          another = result.start_another;
          resume.resume_list(result.answer);
        }
      };
      for (std::uint64_t n = 0; n < flushes; ++n) {
        f.done = false;
        f.covers = written.fetch_add(1) + 1;
        switch (syncs.arrive(f)) {
        case arrival::start_sync:
          run_syncs();
          break;
        case arrival::joined:
          break;
        case arrival::failed: { // an operator looks, accepts the loss and clears it
          const std::lock_guard lock(failing);
          for (auto& w : writes) {
            std::uint8_t was = lost;
            w.compare_exchange_strong(was, loss_accepted);
          }
          syncs.clear_failure();
          continue;
        }
        case arrival::full:
          broken.fetch_add(1);
          continue;
        }
        while (rings.inbox(ring).resume_all() == 0)
          rings.sleep_until_woken(ring);
        answered.fetch_add(1);
        if (!f.done)
          broken.fetch_add(1);
        const auto state = writes[f.covers].load();
        if (f.os_errno == 0 && state != durable && state != loss_accepted)
          broken.fetch_add(1);
      }
    });
  for (auto& t : threads)
    t.join();
  BOOST_TEST(broken.load() == 0u);
  BOOST_TEST(overlapping.load() == 0u); // one sync in flight at a time
  BOOST_TEST(failures.load() == reported.load());
  BOOST_TEST(answered.load() > 0u);
  BOOST_TEST(syncs.idle());
  BOOST_TEST_MESSAGE(answered.load() << " flushes by " << begun.load() << " syncs, " << failures.load() << " failed");
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace gnomon::io
