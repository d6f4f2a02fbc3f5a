#include "io/ring/lane_pool.hpp"

#include <atomic>
#include <future>
#include <memory>
#include <vector>

#include <boost/test/unit_test.hpp>

namespace gnomon::io {
BOOST_AUTO_TEST_SUITE(lane_pool_test)
namespace {

using lane = lane_pool::lane;
std::chrono::steady_clock::time_point in(std::chrono::milliseconds span) {
  return std::chrono::steady_clock::now() + span;
}

} // namespace

BOOST_AUTO_TEST_CASE(lanes_whose_disks_hang_hold_no_other_lane) {
  lane_pool pool;
  std::promise<void> disk;
  const auto disk_answers = disk.get_future().share();
  std::vector<std::shared_ptr<lane>> hanging;
  std::atomic<int> at_once{0}, done{0};
  const unsigned lanes = lane_pool::threads_max / lane_pool::lane_threads_max - 1;
  for (unsigned i = 0; i < lanes; ++i) {
    hanging.push_back(std::make_shared<lane>());
    for (int job = 0; job < 10; ++job)
      BOOST_REQUIRE(pool.submit(hanging.back(), [&, disk_answers] {
        ++at_once;
        disk_answers.wait();
        ++done;
      }));
  }
  const auto healthy = std::make_shared<lane>();
  for (int i = 0; i < 20; ++i) {
    const auto ran = std::make_shared<std::promise<void>>();
    const auto end = ran->get_future();
    BOOST_REQUIRE(pool.submit(healthy, [ran] { ran->set_value(); }));
    end.wait();
  }
  BOOST_TEST(at_once.load() <= static_cast<int>(lanes * lane_pool::lane_threads_max));
  BOOST_TEST(!pool.stop(in(std::chrono::milliseconds{1})));
  disk.set_value();
  BOOST_TEST(pool.stop(in(std::chrono::hours{1})));
  BOOST_TEST(done.load() == static_cast<int>(lanes * 10)); // what was queued is done
  BOOST_TEST(!pool.submit(healthy, [] {}));
}

BOOST_AUTO_TEST_CASE(jobs_of_a_lane_begin_in_order_and_a_lane_may_go_before_its_last_job_has_returned) {
  lane_pool pool;
  std::vector<std::future<int>> order;
  std::atomic<int> begun{0};
  {
    auto mine = std::make_shared<lane>();
    for (int i = 0; i < 100; ++i) {
      auto promise = std::make_shared<std::promise<int>>();
      order.push_back(promise->get_future());
      BOOST_REQUIRE(pool.submit(mine, [&begun, promise] { promise->set_value(begun++); }));
    }
  }
  // Of the jobs before one, only those that the lane's other threads hold may not have counted themselves yet.
  for (int i = 0; i < 100; ++i)
    BOOST_TEST(order[static_cast<std::size_t>(i)].get() >= i - static_cast<int>(lane_pool::lane_threads_max - 1));
  BOOST_TEST(pool.stop(in(std::chrono::hours{1})));
}

BOOST_AUTO_TEST_SUITE_END()
} // namespace gnomon::io
