#include "io/measure/recorder.hpp"

#include <array>
#include <condition_variable>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "tests/support/seeded.hpp"

namespace gnomon::io {
BOOST_AUTO_TEST_SUITE(recorder_test)
namespace {

request_record record_of(ring_index ring, std::uint64_t serial) {
  return {serial, serial * 512, ring.value, operation::write};
}

} // namespace

BOOST_AUTO_TEST_CASE(everything_pushed_before_stop_reaches_the_sink_in_order) {
  std::vector<request_record> got;
  std::uint64_t lost = 0;
  recorder recording(1, [&](std::span<const request_record> batch, std::uint64_t dropped) {
    got.insert(got.end(), batch.begin(), batch.end());
    lost = dropped;
  });
  for (std::uint64_t n = 0; n < 20000; ++n)
    recording.push(ring_index{0}, record_of(ring_index{0}, n));
  recording.stop();
  recording.stop(); // idempotent
  BOOST_REQUIRE(got.size() == 20000u);
  for (std::uint64_t n = 0; n < got.size(); ++n)
    BOOST_REQUIRE(got[n].time_ns == n);
  BOOST_TEST(lost == 0u);
}

BOOST_AUTO_TEST_CASE(a_stuck_sink_costs_records_which_are_counted_and_told) {
  std::mutex mutex;
  std::condition_variable condition;
  bool entered = false, go_on = false;
  std::uint64_t received = 0, told = 0;
  recorder recording(
      1,
      [&](std::span<const request_record> batch, std::uint64_t dropped) {
        std::unique_lock lock(mutex);
        entered = true;
        condition.notify_all();
        condition.wait(lock, [&] { return go_on; });
        received += batch.size();
        told = dropped;
      },
      64);
  recording.push(ring_index{0}, record_of(ring_index{0}, 0));
  {
    std::unique_lock lock(mutex);
    condition.wait(lock, [&] { return entered; });
  }
  for (std::uint64_t n = 1; n <= 1000; ++n)
    recording.push(ring_index{0}, record_of(ring_index{0}, n)); // never waits
  BOOST_TEST(recording.dropped() == 1000u - 64u);
  {
    const std::lock_guard lock(mutex);
    go_on = true;
  }
  condition.notify_all();
  recording.stop();
  BOOST_TEST(received == 65u);
  BOOST_TEST(told == 1000u - 64u);
}

// Per ring the order stays, and received plus dropped is pushed, whatever the speeds.
BOOST_AUTO_TEST_CASE(many_rings_and_a_sink_of_changing_speed_lose_nothing_uncounted) {
  const auto seed = test::seed_for("recorder/stress");
  constexpr std::uint32_t ring_count = 3;
  constexpr std::uint64_t pushes = 100000;
  std::array<std::uint64_t, ring_count> received{}, next{};
  std::uint64_t told = 0;
  bool ordered = true;
  test::random_source sink_random(seed + 100);
  recorder recording(
      ring_count,
      [&](std::span<const request_record> batch, std::uint64_t dropped) {
        for (const auto& r : batch) {
          const auto ring = r.length_bytes;
          ordered &= r.time_ns >= next[ring] && r.offset_bytes == r.time_ns * 512;
          next[ring] = r.time_ns + 1;
          ++received[ring];
        }
        ordered &= dropped >= told;
        told = dropped;
        if (sink_random.one_in(4))
          std::this_thread::sleep_for(std::chrono::milliseconds(2));
      },
      1024);
  std::vector<std::thread> rings;
  for (std::uint32_t r = 0; r < ring_count; ++r)
    rings.emplace_back([&, r] {
      test::random_source random(seed + r);
      for (std::uint64_t n = 0; n < pushes; ++n) {
        recording.push(ring_index{r}, record_of(ring_index{r}, n));
        if (random.one_in(500))
          std::this_thread::sleep_for(std::chrono::microseconds(random.below(300)));
      }
    });
  for (auto& t : rings)
    t.join();
  recording.stop();
  BOOST_TEST(ordered);
  BOOST_TEST(received[0] + received[1] + received[2] + recording.dropped() == ring_count * pushes);
  BOOST_TEST(told == recording.dropped());
  BOOST_TEST_MESSAGE("dropped " << recording.dropped());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace gnomon::io
