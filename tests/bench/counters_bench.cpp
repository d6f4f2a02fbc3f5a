// What statistics cost a request: counters with a latency histogram, and the per-chunk observation, clock read
// included. Prints nanoseconds per request (median of rounds); the budget is 100 ns. Usage: counters_bench [requests]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "config/clock.hpp"
#include "io/granule/generation.hpp"
#include "io/granule/granule_gate.hpp"
#include "io/measure/counters.hpp"
#include "io/measure/observation.hpp"
#include "io/measure/recorder.hpp"
#include "tests/bench/measure.hpp"

namespace {

using namespace gnomon;
using namespace gnomon::io;

using bench::measure;
using bench::rounds;
using bench::scatter;

constexpr ring_index ring{0};

} // namespace

int main(int argc, char** argv) {
  const std::uint64_t requests = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 2'000'000;
  if (requests == 0) {
    std::fprintf(stderr, "usage: counters_bench [requests]\n");
    return 2;
  }
  const byte_count chunk{16ull << 20};
  volume_meter meter(2);
  observation_set observation(2, chunk);
  const auto read_at = [](std::uint64_t n) { return byte_offset{(scatter(n) >> 44) * 4096}; }; // 4 GiB, 256 chunks

  std::uint64_t sink = 0;
  measure("clock read (CLOCK_BOOTTIME)", requests,
          [&](auto) { sink += static_cast<std::uint64_t>(boot_clock::now().time_since_epoch().count()); });
  measure("counters: begin + end", requests, [&](auto n) {
    meter.begin(ring);
    meter.end(ring, operation::read, byte_count{4096}, scatter(n) >> 47);
  });
  // As after the first seconds on a node: the collector has brought a table of the right size.
  for (int period = 0; period < 8; ++period) {
    for (std::uint64_t n = 0; n < 10'000; ++n)
      observation.observe(ring, instance_slot{1}, operation::read, read_at(n), byte_count{4096});
    observation.flip();
    observation.collect([](auto&&...) {}, [](auto&&...) {});
  }
  measure("observation, random over 256 chunks", requests, [&](auto n) {
    observation.observe(ring, instance_slot{1}, operation::read, read_at(n), byte_count{4096});
  });
  measure("observation, sequential", requests, [&](auto n) {
    observation.observe(ring, instance_slot{1}, operation::read, byte_offset{(n & 0xfffff) * 4096}, byte_count{4096});
  });
  measure("all statistics of a request: clock, counters, observation", requests, [&](auto n) {
    const auto started = static_cast<std::uint64_t>(boot_clock::now().time_since_epoch().count());
    meter.begin(ring);
    observation.observe(ring, instance_slot{1}, operation::read, read_at(n), byte_count{4096});
    meter.end(ring, operation::read, byte_count{4096}, started & 0xfffff);
    observation.answered(ring, instance_slot{1}, operation::read, read_at(n), started & 0xfffff);
  });

  // A scan of an idle volume within one period: its table has 64 cells, nearly all goes into the ring's spill.
  observation_spill spill(2);
  constexpr std::uint64_t scanned_chunks = 4096;
  std::vector<double> scans;
  std::uint64_t unplaced = 0;
  for (int round = 0; round < rounds * 10; ++round) {
    observation_set idle(2, chunk, &spill);
    const auto start = boot_clock::now();
    for (std::uint64_t n = 0; n < scanned_chunks; ++n) {
      const auto started = static_cast<std::uint64_t>(boot_clock::now().time_since_epoch().count());
      meter.begin(ring);
      idle.observe(ring, instance_slot{1}, operation::read, byte_offset{n * chunk.value}, byte_count{4096});
      meter.end(ring, operation::read, byte_count{4096}, started & 0xfffff);
      idle.answered(ring, instance_slot{1}, operation::read, byte_offset{n * chunk.value}, started & 0xfffff);
    }
    scans.push_back(static_cast<double>((boot_clock::now() - start).count()) / scanned_chunks);
    idle.flip();
    idle.collect([](auto&&...) {}, [&](const chunk_activity& lost) { unplaced += lost.reads; });
  }
  std::nth_element(scans.begin(), scans.begin() + rounds * 5, scans.end());
  std::printf("%-58s %8.1f ns\n", "the same, an idle volume's 4,096 chunks once each", scans[rounds * 5]);
  std::printf("%-58s %8.2f %%\n", "  of its requests without chunk and instance",
              100.0 * static_cast<double>(unplaced) / (static_cast<double>(scanned_chunks) * rounds * 10));

  generation_gate generations(2);
  measure("for comparison: generation enter + leave", requests,
          [&](auto) { generations.leave(ring, generations.enter(ring).generation); });
  granule_gate gate({byte_count{block_bytes}, 4093, 64, {}});
  gate_waiter waiter;
  measure("for comparison: gate, one block shared", requests, [&](auto n) {
    if (gate.try_acquire_now(read_at(n), byte_count{4096}, gate_mode::shared, waiter))
      gate.release(waiter);
  });
  recorder recording(2, [&](std::span<const request_record> batch, std::uint64_t) { sink += batch.size(); });
  measure("for comparison: recorder push", requests, [&](auto n) {
    recording.push(ring, {n, read_at(n).value, 4096, operation::read});
  });
  recording.stop();
  return sink == 0 ? 1 : 0; // uses what was computed
}
