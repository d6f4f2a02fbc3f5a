#include "io/measure/counters.hpp"

#include <thread>
#include <vector>

#include <malloc.h>

#include <boost/test/unit_test.hpp>

#include "io/measure/observation.hpp"
#include "tests/support/seeded.hpp"

namespace gnomon::io {

BOOST_AUTO_TEST_SUITE(counters_test)

BOOST_AUTO_TEST_CASE(rings_add_up) {
  volume_meter meter(2);
  const ring_index ring0{0}, ring1{1};
  meter.connection_opened(ring0);
  meter.connection_opened(ring1);
  meter.begin(ring0);
  meter.begin(ring0);
  meter.begin(ring1);
  meter.end(ring0, operation::read, byte_count{4096}, 1000);
  meter.end(ring1, operation::read, byte_count{512}, 5);
  auto sum = meter.sum();
  BOOST_TEST(sum.connections == 2u);
  BOOST_TEST(sum.in_flight == 1u);
  const auto& reads = sum.by_operation[static_cast<std::size_t>(operation::read)];
  BOOST_TEST(reads.requests == 2u);
  BOOST_TEST(reads.bytes == 4608u);
  BOOST_TEST(reads.errors == 0u);
  BOOST_TEST(reads.latency.count() == 2u);
  BOOST_TEST(reads.latency.count_in(latency_histogram::bucket_of(1000)) == 1u);
  meter.end(ring0, operation::write, byte_count{0}, 7, request_outcome::failed);
  meter.connection_closed(ring1);
  sum = meter.sum();
  BOOST_TEST(sum.connections == 1u);
  BOOST_TEST(sum.in_flight == 0u);
  const auto& writes = sum.by_operation[static_cast<std::size_t>(operation::write)];
  BOOST_TEST(writes.requests == 1u);
  BOOST_TEST(writes.errors == 1u);
  BOOST_TEST(writes.bytes == 0u);
  BOOST_TEST(sum.by_operation[static_cast<std::size_t>(operation::flush)].requests == 0u);
}

// Readers see counters that only grow while rings write, and the end is exact.
BOOST_AUTO_TEST_CASE(nothing_is_lost_while_others_read) {
  const auto seed = test::seed_for("counters/stress");
  constexpr std::uint32_t ring_count = 3;
  constexpr std::uint64_t requests = 60000;
  volume_meter meter(ring_count);
  std::atomic<std::uint32_t> running{ring_count};
  std::array<std::array<std::uint64_t, operation_count>, ring_count> bytes{};
  std::vector<std::thread> rings;
  for (std::uint32_t r = 0; r < ring_count; ++r)
    rings.emplace_back([&, r] {
      test::random_source random(seed + r);
      for (std::uint64_t n = 0; n < requests; ++n) {
        const auto op = static_cast<operation>(random.below(operation_count));
        const auto length = random.below(65536);
        meter.begin(ring_index{r});
        meter.end(ring_index{r}, op, byte_count{length}, random.below(1 << 20));
        bytes[r][static_cast<std::size_t>(op)] += length;
      }
      running.fetch_sub(1);
    });
  std::uint64_t before = 0;
  bool backwards = false;
  while (running.load() > 0) {
    std::uint64_t now = 0;
    for (const auto& op : meter.sum().by_operation)
      now += op.requests;
    backwards |= now < before;
    before = now;
  }
  for (auto& t : rings)
    t.join();
  BOOST_TEST(!backwards);
  const auto sum = meter.sum();
  std::uint64_t total = 0;
  for (std::size_t op = 0; op < operation_count; ++op) {
    std::uint64_t expected = 0;
    for (const auto& ring : bytes)
      expected += ring[op];
    BOOST_TEST(sum.by_operation[op].bytes == expected);
    BOOST_TEST(sum.by_operation[op].latency.count() == sum.by_operation[op].requests);
    total += sum.by_operation[op].requests;
  }
  BOOST_TEST(total == ring_count * requests);
  BOOST_TEST(sum.in_flight == 0u);
  BOOST_TEST(meter.uncounted() == 0u);
}

#ifndef GNOMON_SANITIZED
BOOST_AUTO_TEST_CASE(a_thousand_idle_volumes_cost_a_few_kibibytes_each) {
  constexpr std::size_t volumes = 1000;
  constexpr std::uint32_t ring_count = 16;
  const auto in_use = [] {
    const auto info = mallinfo2();
    return info.uordblks + info.hblkhd;
  };
  const auto before = in_use();
  std::vector<std::unique_ptr<volume_meter>> meters;
  std::vector<std::unique_ptr<observation_set>> observations;
  for (std::size_t v = 0; v < volumes; ++v) {
    meters.push_back(std::make_unique<volume_meter>(ring_count));
    observations.push_back(std::make_unique<observation_set>(ring_count, byte_count{16ull << 20}));
  }
  const auto each = (in_use() - before) / volumes;
  BOOST_TEST_MESSAGE("bytes per idle volume with " << ring_count << " rings: " << each);
  BOOST_TEST(each <= 12u * 1024);
}
#endif

BOOST_AUTO_TEST_SUITE_END()

} // namespace gnomon::io
