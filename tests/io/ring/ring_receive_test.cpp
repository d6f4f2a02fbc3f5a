// The receive buffers of a ring: which one a receive gets, and what happens when there are fewer than receives.
#include "io/ring/ring.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <future>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

using namespace gnomon;
using namespace gnomon::io;

BOOST_AUTO_TEST_SUITE(ring_receive_test)
namespace {

constexpr std::uint32_t buffer_count = 4;

struct running_ring {
  running_ring() {
    ring_options options;
    options.receive_buffers = buffer_count;
    on = ring::create(options).value();
    BOOST_REQUIRE(on->start({}));
  }
  // On the ring's thread, and waited for.
  template <class Task>
  void run(Task task) {
    std::promise<void> done;
    BOOST_REQUIRE(on->post([&](ring& r) {
      task(r);
      done.set_value();
    }));
    done.get_future().wait();
  }
  std::unique_ptr<ring> on;
};

// One end of a socket pair that receives on the ring, and the other to feed it.
struct receiver : completion {
  receiver() {
    BOOST_REQUIRE_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    on_complete = [](completion& self, ring& on, int got, unsigned flags) {
      auto& me = static_cast<receiver&>(self);
      on.receive_selected_ended(flags);
      me.result = got;
      me.buffer = got > 0 ? ring::receive_buffer_id(flags) : -1;
      me.text = got > 0 ? static_cast<char>(*on.receive_buffer(flags)) : '\0';
      me.ended.set_value();
    };
  }
  ~receiver() {
    for (const int fd : ends)
      if (fd >= 0)
        close(fd);
  }
  void begin(ring& on) {
    ended = {};
    on.submit_receive_selected(*this, ends[0]);
  }
  void feed(char c) { BOOST_REQUIRE_EQUAL(write(ends[1], &c, 1), 1); }
  void hang_up() { close(std::exchange(ends[1], -1)); }
  void wait() { ended.get_future().wait(); }

  std::array<int, 2> ends{-1, -1};
  int result = 0, buffer = -1;
  char text = '\0';
  std::promise<void> ended;
};

} // namespace

BOOST_AUTO_TEST_CASE(one_client_after_the_other_uses_the_buffer_that_is_still_warm) {
  running_ring rings;
  receiver one;
  std::set<int> used;
  for (char c = 'a'; c <= 'z'; ++c) {
    rings.run([&](ring& on) { one.begin(on); });
    one.feed(c);
    one.wait();
    BOOST_REQUIRE_EQUAL(one.result, 1);
    BOOST_REQUIRE_EQUAL(one.text, c);
    used.insert(one.buffer);
    rings.run([&](ring& on) { on.return_receive_buffer(static_cast<std::uint16_t>(one.buffer)); });
  }
  BOOST_TEST(used.size() == 1u);
}

BOOST_AUTO_TEST_CASE(receives_without_a_buffer_say_so_and_get_one_when_it_has_come_back) {
  running_ring rings;
  std::vector<std::unique_ptr<receiver>> all;
  for (std::uint32_t n = 0; n < 3 * buffer_count; ++n)
    all.push_back(std::make_unique<receiver>());
  for (int round = 0; round < 50; ++round) {
    rings.run([&](ring& on) {
      for (auto& r : all)
        r->begin(on);
    });
    for (std::size_t n = 0; n < all.size(); ++n)
      all[n]->feed(static_cast<char>('a' + n));
    std::vector<receiver*> waiting;
    for (auto& r : all)
      waiting.push_back(r.get());
    while (!waiting.empty()) {
      std::vector<receiver*> refused;
      std::set<int> held;
      for (receiver* r : waiting) {
        r->wait();
        if (r->result == -ENOBUFS) {
          refused.push_back(r);
          continue;
        }
        BOOST_REQUIRE_EQUAL(r->result, 1);
        BOOST_REQUIRE(held.insert(r->buffer).second); // two never have the same one
      }
      BOOST_REQUIRE_EQUAL(held.size(), std::min<std::size_t>(buffer_count, waiting.size()));
      rings.run([&](ring& on) {
        for (const int b : held)
          on.return_receive_buffer(static_cast<std::uint16_t>(b));
        for (receiver* r : refused)
          r->begin(on);
      });
      waiting = refused;
    }
    for (std::size_t n = 0; n < all.size(); ++n)
      BOOST_REQUIRE_EQUAL(all[n]->text, static_cast<char>('a' + n));
  }
}

BOOST_AUTO_TEST_CASE(receives_that_end_without_data_keep_no_buffer) {
  running_ring rings;
  for (int round = 0; round < 10; ++round) {
    std::vector<std::unique_ptr<receiver>> all;
    for (std::uint32_t n = 0; n < buffer_count; ++n)
      all.push_back(std::make_unique<receiver>());
    rings.run([&](ring& on) {
      for (auto& r : all)
        r->begin(on);
    });
    rings.run([&](ring& on) { on.submit_cancel(*all[0]); });
    for (auto& r : all) {
      r->hang_up();
      r->wait();
      BOOST_TEST(r->result <= 0);
    }
    std::vector<std::unique_ptr<receiver>> next;
    for (std::uint32_t n = 0; n < buffer_count; ++n)
      next.push_back(std::make_unique<receiver>());
    rings.run([&](ring& on) {
      for (auto& r : next)
        r->begin(on);
    });
    std::set<int> held;
    for (auto& r : next) {
      r->feed('x');
      r->wait();
      BOOST_REQUIRE_EQUAL(r->result, 1);
      held.insert(r->buffer);
    }
    BOOST_REQUIRE_EQUAL(held.size(), buffer_count);
    rings.run([&](ring& on) {
      for (const int b : held)
        on.return_receive_buffer(static_cast<std::uint16_t>(b));
    });
  }
}

BOOST_AUTO_TEST_SUITE_END()
