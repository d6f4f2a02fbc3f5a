// A ring's turns: long copies share them, and a ring that stays in one is seen.
#include <atomic>
#include <future>
#include <memory>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "io/ring/ring.hpp"
#include "io/ring/ring_watch.hpp"

namespace gnomon::io {
BOOST_AUTO_TEST_SUITE(ring_turns_test)
namespace {

constexpr std::size_t piece = 128 * 1024;

// Copies `pieces` pieces, put off whenever the ring says so.
struct long_copy : completion {
  std::size_t pieces, done = 0;
  std::vector<int>* order;
  int id;
  void go(ring& on, bool resumed) {
    while (done < pieces) {
      if (!on.may_copy(piece, resumed)) {
        on_complete = [](completion& self, ring& r, int, unsigned) { static_cast<long_copy&>(self).go(r, true); };
        return on.put_off(*this);
      }
      resumed = false;
      ++done;
    }
    order->push_back(id);
  }
};

} // namespace

BOOST_AUTO_TEST_CASE(long_copies_take_many_turns_and_end_in_the_order_in_which_they_came) {
  auto on = ring::create({}).value();
  std::atomic<unsigned> turns{0};
  ring::hooks h;
  h.each_turn = [&](ring&) { ++turns; };
  on->start(std::move(h));
  std::vector<int> order;
  std::vector<std::unique_ptr<long_copy>> copies;
  std::promise<unsigned> begun;
  (void)on->post([&](ring& r) {
    begun.set_value(turns.load());
    for (int i = 0; i < 8; ++i) {
      copies.push_back(std::make_unique<long_copy>());
      copies.back()->pieces = 256; // 32 MiB
      copies.back()->order = &order;
      copies.back()->id = i;
      copies.back()->go(r, false);
    }
  });
  const unsigned first = begun.get_future().get();
  const auto size = [&] {
    std::promise<std::size_t> p;
    (void)on->post([&](ring&) { p.set_value(order.size()); });
    return p.get_future().get();
  };
  while (size() < 8)
    std::this_thread::yield();
  on->request_stop();
  on->join();
  BOOST_TEST((order == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7}));
  BOOST_TEST(turns.load() - first >= 8 * 32u * 1024 * 1024 / (512 * 1024)); // at most half a MiB in each
}

BOOST_AUTO_TEST_CASE(a_ring_that_stays_in_one_turn_is_seen_with_what_it_works_on_and_others_are_not) {
  ring_options second;
  second.index = 1;
  auto stuck = ring::create({}).value(), fine = ring::create(second).value();
  stuck->start({});
  fine->start({});
  int disk = 0;
  std::promise<void*> seen;
  std::atomic<bool> once{false}, wrong{false};
  {
    ring_watch watch({stuck.get(), fine.get()}, [&](ring& one, nanoseconds stayed) {
      wrong = wrong || one.index() != 0 || stayed < ring_watch::patience;
      if (!once.exchange(true))
        seen.set_value(one.working_on());
    });
    std::promise<void> answer;
    (void)stuck->post([&](ring& r) {
      r.set_working_on(&disk);
      answer.get_future().wait();
      r.set_working_on(nullptr);
    });
    BOOST_TEST(seen.get_future().get() == &disk);
    answer.set_value();
  }
  BOOST_TEST(!wrong);
  for (auto* one : {stuck.get(), fine.get()}) {
    one->request_stop();
    one->join();
  }
}

BOOST_AUTO_TEST_SUITE_END()
} // namespace gnomon::io
