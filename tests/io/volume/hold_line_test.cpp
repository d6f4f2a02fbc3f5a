#include "io/volume/hold_line.hpp"

#include <atomic>
#include <future>
#include <memory>

#include <boost/test/unit_test.hpp>

#include "io/volume/core.hpp"
#include "io/volume/data_plane.hpp"
#include "tests/io/engine/io_fixture.hpp"

namespace gnomon::io {
BOOST_AUTO_TEST_SUITE(hold_line_test)
namespace {

using namespace test;

// One ring, and volumes on it.
struct ring_fixture {
  temporary_directory directory;
  data_plane plane{1};

  ring_fixture() {
    plane.rings.push_back(ring::create({}).value());
    plane.holds[0].set_ring(*plane.rings[0]);
    ring::hooks h;
    h.each_turn = [this](ring&) {
      plane.inboxes[0].resume_all();
      plane.holds[0].turn();
    };
    plane.rings[0]->start(std::move(h));
  }
  ~ring_fixture() {
    plane.rings[0]->request_stop();
    plane.rings[0]->join();
  }
  std::shared_ptr<volume_core> core(const std::string& name) {
    volume_spec s;
    s.uuid = volume_uuid::random();
    s.name = volume_name{name};
    s.path = make_file(directory, name, 1 << 20);
    s.size = byte_count{1 << 20};
    return volume_core::open(s, plane).value();
  }
};

struct waiter : parked {
  std::promise<boot_time> resumed;
  volume_core* core = nullptr;
  waiter() {
    ring = ring_index{0};
    resume = [](parked& self) { static_cast<waiter&>(self).resumed.set_value(boot_clock::now()); };
  }
  // Waits on the ring for the end of a hold of `c` that lasts `span` from now.
  std::future<boot_time> hold(ring_fixture& f, volume_core& c, std::uint64_t id, std::chrono::milliseconds span) {
    core = &c;
    (void)c.generations().advance_and_hold(hold_id{id}, boot_clock::now() + span);
    f.plane.rings[0]->post([this, &f](gnomon::io::ring&) { f.plane.holds[0].park(*core, *this); });
    return resumed.get_future();
  }
};

} // namespace

BOOST_AUTO_TEST_CASE(of_two_holds_on_one_ring_the_nearer_deadline_ends_its_own_in_time) {
  ring_fixture f;
  const auto first = f.core("first"), second = f.core("second");
  waiter a, b;
  auto far = a.hold(f, *first, 1, std::chrono::seconds{5});
  auto near = b.hold(f, *second, 2, std::chrono::milliseconds{20});
  near.get();
  BOOST_TEST((far.wait_for(std::chrono::seconds{0}) == std::future_status::timeout)); // seconds are left of it
  BOOST_TEST(first->generations().held());
  (void)first->generations().release(hold_id{1});
  f.plane.rings[0]->wake();
  far.get();
}

BOOST_AUTO_TEST_CASE(each_of_many_holds_in_any_order_ends_no_earlier_than_its_deadline) {
  ring_fixture f;
  constexpr std::array<int, 6> spans{150, 30, 90, 10, 120, 60};
  std::vector<std::shared_ptr<volume_core>> cores;
  std::array<waiter, spans.size()> waiters;
  std::vector<std::future<boot_time>> ends;
  std::vector<boot_time> deadlines;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    cores.push_back(f.core("v" + std::to_string(i)));
    deadlines.push_back(boot_clock::now() + std::chrono::milliseconds{spans[i]});
    ends.push_back(waiters[i].hold(f, *cores[i], i, std::chrono::milliseconds{spans[i]}));
  }
  for (std::size_t i = 0; i < spans.size(); ++i)
    BOOST_TEST((ends[i].get() >= deadlines[i]));
}

BOOST_AUTO_TEST_CASE(a_volume_whose_last_request_was_held_stays_until_its_line_is_done) {
  struct last_request : parked {
    std::shared_ptr<volume_core> core;
    std::promise<bool> gone_within;
  };
  ring_fixture f;
  last_request last;
  last.core = f.core("v");
  last.ring = ring_index{0};
  last.resume = [](parked& node) {
    auto& self = static_cast<last_request&>(node);
    const std::weak_ptr<volume_core> core = self.core;
    self.core.reset();
    self.gone_within.set_value(core.expired());
  };
  (void)last.core->generations().advance_and_hold(hold_id{1}, boot_clock::now() + std::chrono::milliseconds{10});
  f.plane.rings[0]->post([&](gnomon::io::ring&) { f.plane.holds[0].park(*last.core, last); });
  BOOST_TEST(!last.gone_within.get_future().get());
}

BOOST_AUTO_TEST_SUITE_END()
} // namespace gnomon::io
