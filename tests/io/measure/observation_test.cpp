#include "io/measure/observation.hpp"

#include <algorithm>
#include <map>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "io/ring/quiescence.hpp"
#include "tests/support/seeded.hpp"

namespace gnomon::io {
BOOST_AUTO_TEST_SUITE(observation_test)
namespace {

constexpr ring_index ring0{0};
constexpr std::uint64_t mebibyte = 1 << 20;
constexpr byte_count chunk{16 * mebibyte};

struct collected {
  std::map<std::pair<std::uint64_t, std::uint32_t>, chunk_activity> by_chunk;
  chunk_activity overflow;

  static void add(chunk_activity& to, const chunk_activity& a) {
    to.reads += a.reads, to.writes += a.writes, to.sequential += a.sequential;
    to.read_bytes += a.read_bytes, to.write_bytes += a.write_bytes;
    for (std::size_t b = 0; b < a.read_latency.size(); ++b)
      to.read_latency[b] += a.read_latency[b], to.write_latency[b] += a.write_latency[b];
  }
  void collect(observation_set& set) {
    set.collect(
        [&](chunk_index c, instance_slot i, const chunk_activity& a) {
          add(by_chunk[{c.value, i.value}], a);
        },
        [&](const chunk_activity& a) { add(overflow, a); });
  }
  chunk_activity total() const {
    chunk_activity sum = overflow;
    for (const auto& [key, a] : by_chunk)
      add(sum, a);
    return sum;
  }
};

// One period, the test being ring and collector.
collected period(observation_set& set) {
  set.flip();
  collected out;
  out.collect(set);
  return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(counts_are_kept_per_chunk_and_instance_and_once) {
  observation_set set(1, chunk);
  set.observe(ring0, instance_slot{1}, operation::read, byte_offset{0}, byte_count{4096});
  set.observe(ring0, instance_slot{1}, operation::read, byte_offset{8192}, byte_count{4096});
  set.observe(ring0, instance_slot{2}, operation::write, byte_offset{0}, byte_count{512});
  set.observe(ring0, instance_slot{2}, operation::trim, byte_offset{17 * mebibyte}, byte_count{4096});
  set.observe(ring0, instance_slot{2}, operation::flush, byte_offset{0}, byte_count{0});
  auto got = period(set).by_chunk;
  BOOST_TEST(got.size() == 3u);
  BOOST_TEST((got[{0, 1}].reads == 2 && got[{0, 1}].read_bytes == 8192 && got[{0, 1}].writes == 0));
  BOOST_TEST((got[{0, 2}].writes == 1 && got[{0, 2}].write_bytes == 512));
  BOOST_TEST((got[{1, 2}].writes == 1));
  BOOST_TEST(period(set).by_chunk.empty());
}

BOOST_AUTO_TEST_CASE(a_request_across_chunks_counts_in_each_with_its_bytes_there) {
  observation_set set(1, chunk);
  set.observe(ring0, instance_slot{0}, operation::read, byte_offset{16 * mebibyte - 4096}, byte_count{32 * mebibyte});
  auto got = period(set).by_chunk;
  BOOST_TEST(got.size() == 3u);
  BOOST_TEST((got[{0, 0}].reads == 1 && got[{0, 0}].read_bytes == 4096));
  BOOST_TEST((got[{1, 0}].reads == 1 && got[{1, 0}].read_bytes == 16 * mebibyte));
  BOOST_TEST((got[{2, 0}].reads == 1 && got[{2, 0}].read_bytes == 16 * mebibyte - 4096));
}

BOOST_AUTO_TEST_CASE(latencies_are_counted_where_the_request_began_also_in_the_next_period) {
  observation_set set(1, chunk);
  const byte_offset at{16 * mebibyte - 4096};
  set.observe(ring0, instance_slot{5}, operation::read, at, byte_count{8192});
  set.observe(ring0, instance_slot{5}, operation::zero, at, byte_count{4096});
  set.answered(ring0, instance_slot{5}, operation::read, at, 100'000);
  auto got = period(set).by_chunk;
  const auto bucket = coarse_latency::bucket_of(100'000);
  BOOST_TEST((coarse_latency::lower_bound(bucket) <= 100'000 && 100'000 < coarse_latency::lower_bound(bucket + 1)));
  BOOST_TEST((got[{0, 5}].read_latency[bucket] == 1));
  BOOST_TEST((got[{1, 5}].read_latency == coarse_latency::counts{}));
  set.answered(ring0, instance_slot{5}, operation::zero, at, ~std::uint64_t{0});
  set.answered(ring0, instance_slot{5}, operation::flush, at, 1);
  got = period(set).by_chunk;
  BOOST_TEST(got.size() == 1u);
  BOOST_TEST((got[{0, 5}].writes == 0 && got[{0, 5}].write_latency.back() == 1));
}

BOOST_AUTO_TEST_CASE(interleaved_sequential_streams_are_recognised_and_random_access_is_not) {
  observation_set set(1, chunk);
  for (std::uint64_t n = 0; n < 10; ++n)
    for (std::uint64_t stream = 0; stream < 4; ++stream)
      set.observe(ring0, instance_slot{static_cast<std::uint32_t>(stream)}, operation::read,
                  byte_offset{stream * mebibyte + n * 4096}, byte_count{4096});
  auto got = period(set);
  BOOST_TEST(got.total().sequential == 36u);
  // The same place, another instance: not its stream.
  set.observe(ring0, instance_slot{77}, operation::read, byte_offset{10 * 4096}, byte_count{4096});
  for (std::uint64_t n = 0; n < 10; ++n)
    set.observe(ring0, instance_slot{1}, operation::read, byte_offset{(n * 7919 % 1000) * 8192 + 4096},
                byte_count{4096});
  BOOST_TEST(period(set).total().sequential == 0u);
}

BOOST_AUTO_TEST_CASE(what_finds_no_cell_is_counted_and_the_table_grows_for_the_next_period) {
  observation_set set(1, chunk);
  constexpr std::uint64_t chunks = 4096;
  const auto touch_all = [&] {
    for (std::uint64_t c = 0; c < chunks; ++c)
      set.observe(ring0, instance_slot{3}, operation::write, byte_offset{c * chunk.value}, byte_count{4096});
    return period(set);
  };
  const auto first = touch_all();
  BOOST_TEST(first.overflow.writes > 0u);
  BOOST_TEST(first.total().writes == chunks);
  BOOST_TEST(first.total().write_bytes == chunks * 4096);
  std::size_t periods = 1;
  while (touch_all().by_chunk.size() < chunks)
    BOOST_REQUIRE(++periods < 40);
  const auto last = touch_all();
  BOOST_TEST(last.by_chunk.size() == chunks);
  BOOST_TEST(last.overflow.writes == 0u);
}

BOOST_AUTO_TEST_CASE(a_burst_over_all_chunks_of_an_idle_volume_keeps_chunk_and_instance) {
  observation_spill spill(1);
  observation_set set(1, chunk, &spill);
  const auto scan = [&](std::uint64_t chunks, std::uint32_t instance) {
    for (std::uint64_t c = 0; c < chunks; ++c) {
      set.observe(ring0, instance_slot{instance}, operation::read, byte_offset{c * chunk.value}, byte_count{512});
      set.answered(ring0, instance_slot{instance}, operation::read, byte_offset{c * chunk.value}, 100'000);
    }
  };
  scan(4096, 3);
  auto got = period(set);
  BOOST_TEST((got.overflow == chunk_activity{}));
  BOOST_REQUIRE(got.by_chunk.size() == 4096u);
  chunk_activity once;
  once.reads = 1, once.read_bytes = 512, once.read_latency[coarse_latency::bucket_of(100'000)] = 1;
  for (const auto& [key, activity] : got.by_chunk)
    BOOST_REQUIRE((key.second == 3 && activity == once));
  // The next period finds a table that holds it: the spill is free for others.
  scan(4096, 3);
  observation_set other(1, chunk, &spill);
  scan(4096, 3);
  got = period(set);
  BOOST_TEST((got.overflow == chunk_activity{}));
  BOOST_TEST(got.by_chunk.size() == 4096u);
  BOOST_TEST(got.total().reads == 2 * 4096u);
}

BOOST_AUTO_TEST_CASE(blocks_come_back_and_what_finds_none_is_counted_without_its_chunk) {
  observation_spill spill(1, 2);
  for (int round = 0; round < 50; ++round) {
    observation_set set(1, chunk, &spill); // destroyed with its blocks in use every other round
    for (std::uint64_t c = 0; c < 4096; ++c)
      set.observe(ring0, instance_slot{3}, operation::write, byte_offset{c * chunk.value}, byte_count{512});
    if (round % 2 == 1)
      continue;
    const auto got = period(set);
    BOOST_REQUIRE(got.by_chunk.size() >= 2 * observation_block::records_max);
    BOOST_REQUIRE(got.overflow.writes > 0u);
    BOOST_REQUIRE(got.total().writes == 4096u);
  }
  // Exactly the blocks there are, each once.
  auto* first = spill.take(ring0);
  auto* second = spill.take(ring0);
  BOOST_REQUIRE((first != nullptr && second != nullptr && first != second));
  BOOST_TEST((spill.take(ring0) == nullptr));
  first->next = second;
  spill.give_back(ring0, first);
}

BOOST_AUTO_TEST_CASE(random_requests_agree_with_a_model) {
  test::random_source random(test::seed_for("observation/model"));
  observation_spill spill(1);
  observation_set set(1, chunk, &spill);
  for (int round = 0; round < 200; ++round) {
    std::map<std::pair<std::uint64_t, std::uint32_t>, chunk_activity> model;
    for (auto n = random.one_in(10) ? 1000 : random.below(100); n > 0; --n) {
      const auto op = static_cast<operation>(random.below(operation_count));
      const instance_slot who{static_cast<std::uint32_t>(random.below(3))};
      const std::uint64_t offset = random.below(200 * mebibyte / 512) * 512, length = 512 * (1 + random.below(65536));
      set.observe(ring0, who, op, byte_offset{offset}, byte_count{length});
      if (op == operation::flush || op == operation::cache || op == operation::block_status)
        continue;
      std::map<std::uint64_t, std::uint64_t> bytes;
      for (std::uint64_t at = offset, next = 0; at < offset + length; at = next) {
        next = std::min((at / chunk.value + 1) * chunk.value, offset + length);
        bytes[at / chunk.value] += next - at;
      }
      for (const auto& [c, b] : bytes) {
        auto& a = model[{c, who.value}];
        if (op == operation::read)
          ++a.reads, a.read_bytes += b;
        else
          ++a.writes, a.write_bytes += b;
      }
    }
    auto got = period(set);
    BOOST_REQUIRE(got.overflow.reads + got.overflow.writes == 0u);
    BOOST_REQUIRE(got.by_chunk.size() == model.size());
    for (const auto& [key, a] : model) {
      const auto& b = got.by_chunk[key];
      BOOST_REQUIRE((a.reads == b.reads && a.writes == b.writes && a.read_bytes == b.read_bytes &&
                     a.write_bytes == b.write_bytes));
    }
  }
}

// Rings observe, sleep and wake while the collector takes period after period: every request is found exactly once.
BOOST_AUTO_TEST_CASE(nothing_is_lost_or_doubled_while_rings_run) {
  const auto seed = test::seed_for("observation/stress");
  constexpr std::uint32_t ring_count = 3;
  constexpr std::uint64_t requests = 100000;
  quiescence domain(ring_count);
  observation_spill spill(ring_count, 4); // scarce, so that it runs out now and then
  observation_set set(ring_count, chunk, &spill);
  std::atomic<std::uint32_t> running{ring_count};
  std::array<std::uint64_t, ring_count> bytes{};
  std::vector<std::thread> rings;
  for (std::uint32_t r = 0; r < ring_count; ++r)
    rings.emplace_back([&, r] {
      test::random_source random(seed + r);
      const ring_index ring{r};
      std::uint64_t n = 0;
      while (n < requests) {
        domain.online(ring);
        for (auto turns = random.below(50); turns > 0; --turns) {
          for (auto batch = random.below(16); batch > 0 && n < requests; --batch, ++n) {
            const auto length = 512 * (1 + random.below(16));
            set.observe(ring, instance_slot{r}, operation::read, byte_offset{random.below(500) * chunk.value},
                        byte_count{length});
            bytes[r] += length;
          }
          domain.quiescent(ring);
        }
        domain.offline(ring);
        if (random.one_in(4))
          std::this_thread::yield();
      }
      running.fetch_sub(1);
    });
  collected all;
  std::uint64_t periods = 0;
  for (bool last = false; !last; ++periods) {
    last = running.load() == 0; // one more period after the last request
    set.flip();
    const auto epoch = domain.begin_epoch();
    while (!domain.passed(epoch))
      std::this_thread::yield();
    all.collect(set);
  }
  for (auto& t : rings)
    t.join();
  std::uint64_t expected = 0;
  for (const auto b : bytes)
    expected += b;
  BOOST_TEST(all.total().reads == ring_count * requests);
  BOOST_TEST(all.total().read_bytes == expected);
  BOOST_TEST(set.unobserved() == 0u);
  BOOST_TEST_MESSAGE(periods << " periods, " << all.overflow.reads << " without a cell");
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace gnomon::io
