#include "io/volume/generation_scheduler.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/io/volume/core_fixture.hpp"

using namespace gnomon;
using namespace gnomon::io;
using namespace gnomon::io::test;

BOOST_AUTO_TEST_SUITE(generation_scheduler_test)
namespace {

using classes = generation_scheduler::classes;

struct scheduled_core {
  temporary_directory directory;
  running_plane running;
  std::shared_ptr<volume_core> core;

  explicit scheduled_core(cache_mode cache = cache_mode::buffered) {
    volume_spec s;
    s.uuid = volume_uuid::random();
    s.name = volume_name{"v"};
    s.path = make_file(directory, "v", 1 << 20);
    s.size = byte_count{1 << 20};
    s.cache = cache;
    auto opened = volume_core::open(s, running.plane);
    BOOST_REQUIRE_MESSAGE(opened, why(opened));
    core = *opened;
  }
  ~scheduled_core() { // an answered flush still counts itself out on its ring
    (void)running.plane.generations.wait_for(
        core, [](volume_core& c) { return c.awaiting_sync() == 0; }, boot_time::max());
  }
  // Counts a request on ring 0 until the test lets it leave.
  generation_gate::entry enter(request_class what) {
    std::promise<generation_gate::entry> entered;
    (void)running.plane.rings[0]->post([&](ring&) {
      entered.set_value(core->generations().enter(ring_index{0}, what, hold_rule::pass));
    });
    return entered.get_future().get();
  }
  void leave(generation_gate::entry entry) {
    std::promise<void> left; // the ring must not touch the core when the test is over
    (void)running.plane.rings[0]->post([&](ring&) {
      core->generations().leave(ring_index{0}, entry);
      left.set_value();
    });
    left.get_future().wait();
  }
  std::future<result<void>> when_over(classes which, boot_time until = boot_time::max()) {
    auto answer = std::make_shared<std::promise<result<void>>>();
    running.plane.generations.when_over(core, which, [answer](result<void> r) { answer->set_value(r); }, until);
    return answer->get_future();
  }
};

bool ready(const std::future<result<void>>& f) {
  return f.wait_for(std::chrono::milliseconds{30}) == std::future_status::ready;
}

} // namespace

BOOST_AUTO_TEST_CASE(changes_are_over_when_they_have_left_whatever_looks_are_under_way) {
  scheduled_core f;
  const auto look = f.enter(request_class::looks), change = f.enter(request_class::changes);
  auto changes = f.when_over(classes::changes), both = f.when_over(classes::changes_and_looks);
  BOOST_TEST(!ready(changes));
  f.leave(change);
  BOOST_CHECK(changes.get());
  BOOST_TEST(!ready(both));
  BOOST_CHECK(f.when_over(classes::changes).get()); // again, with the look still there
  f.leave(look);
  BOOST_CHECK(both.get());
}

BOOST_AUTO_TEST_CASE(a_deadline_ends_the_wait_and_a_stop_ends_all_of_them) {
  scheduled_core f;
  const auto change = f.enter(request_class::changes);
  auto late = f.when_over(classes::changes, boot_clock::now() + std::chrono::milliseconds{5});
  BOOST_TEST((late.get().error().code == errc::timed_out));
  auto never = f.when_over(classes::changes);
  f.running.plane.generations.stop();
  BOOST_TEST((never.get().error().code == errc::shutting_down));
  BOOST_TEST((f.when_over(classes::changes).get().error().code == errc::shutting_down));
  f.leave(change);
}

BOOST_AUTO_TEST_CASE(many_waits_during_traffic_on_all_rings_each_end) {
  scheduled_core f;
  std::atomic<bool> stop{false};
  std::atomic<int> failed{0};
  std::thread traffic([&] {
    std::vector<std::byte> data(4096, std::byte{1});
    for (std::uint32_t i = 0; !stop; ++i) {
      core_request a(*f.core, operation::write, 0, 4096, data), b(*f.core, operation::read, 4096, 4096);
      core_request c(*f.core, operation::flush, 0, 0), d(*f.core, operation::write, 8192, 4096, data, true);
      a.start_on(i % 2), b.start_on(1 - i % 2), c.start_on(i % 2), d.start_on(1 - i % 2);
      failed += a.wait() != 0, failed += b.wait() != 0, failed += c.wait() != 0, failed += d.wait() != 0;
    }
  });
  for (int i = 0; i < 500; ++i)
    BOOST_CHECK(f.when_over(i % 2 == 0 ? classes::changes : classes::changes_and_looks).get());
  stop = true;
  traffic.join();
  BOOST_TEST(failed.load() == 0);
  BOOST_TEST(f.core->generations().in_flight() == 0u);
}

// Its sync is under way or waits for the next one: neither keeps a generation from being over.
BOOST_AUTO_TEST_CASE(a_flush_is_counted_into_no_generation_while_it_waits_for_its_sync) {
  scheduled_core f;
  std::promise<void> taken, go_on;
  auto blocked = go_on.get_future();
  // A sync waiter that nobody answers while ring 0 is kept busy: the flush's completion cannot be delivered.
  core_request flush(*f.core, operation::flush, 0, 0);
  flush.start_on(0);
  (void)f.running.plane.rings[0]->post([&](ring&) {
    taken.set_value();
    blocked.wait();
  });
  taken.get_future().wait();
  BOOST_TEST(f.core->generations().in_flight() == 0u);
  go_on.set_value();
  BOOST_TEST(flush.wait() == 0);
  BOOST_CHECK(f.running.plane.generations.wait_for(
      f.core, [](volume_core& c) { return c.awaiting_sync() == 0; }, boot_time::max()));
}

// Parts of one block, so that each write waits for the others at the block gate.
BOOST_AUTO_TEST_CASE(requests_that_wait_at_a_gate_are_not_counted_and_all_get_through_holds) {
  scheduled_core f(cache_mode::direct);
  std::vector<std::unique_ptr<core_request>> writes;
  for (int round = 0; round < 20; ++round) {
    {
      const auto control = f.running.plane.generations.exclusive();
      const auto now = boot_clock::now();
      (void)f.core->generations().advance_and_hold(hold_id{static_cast<std::uint64_t>(round) + 1},
                                                   now + std::chrono::milliseconds{2});
    }
    for (std::uint32_t i = 0; i < 8; ++i) {
      const std::vector<std::byte> data(512, static_cast<std::byte>(round * 8 + static_cast<int>(i)));
      writes.push_back(std::make_unique<core_request>(*f.core, operation::write, i * 512, 512, data));
      writes.back()->start_on(i % 2);
    }
  }
  for (auto& one : writes)
    BOOST_TEST(one->wait() == 0);
  BOOST_CHECK(f.when_over(classes::changes_and_looks).get());
  BOOST_TEST(f.core->generations().in_flight() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
