// Counters of one volume: per ring and operation requests, bytes, errors and a latency histogram, added up on demand.
//
// A ring writes only its own part (plain loads and stores, no lock prefix); sum() is any thread's and may be a
// request behind. Memory is lazy: two cache lines per ring at rest; an operation's 2.5 KiB come with the ring's first
// use of it, which is the only time anything here allocates. Nothing here locks or blocks.
#pragma once

#include <array>
#include <atomic>
#include <cassert>
#include <cstdint>
#include <memory>
#include <new>

#include "config/types.hpp"
#include "io/measure/latency_histogram.hpp"
#include "io/measure/reports.hpp"
#include "io/ring/wake.hpp"

namespace gnomon::io {

enum class request_outcome : std::uint8_t { done, failed };

class volume_meter {
public:
  explicit volume_meter(std::uint32_t ring_count)
      : rings_(std::make_unique<per_ring[]>(ring_count)), ring_count_(ring_count) {
    assert(ring_count > 0 && ring_count <= rings_max);
  }
  ~volume_meter() {
    for (std::uint32_t r = 0; r < ring_count_; ++r)
      for (auto& part : rings_[r].by_operation)
        delete part.load(std::memory_order_acquire);
  }
  volume_meter(const volume_meter&) = delete;
  volume_meter& operator=(const volume_meter&) = delete;

  // --- the ring itself

  void connection_opened(ring_index ring) noexcept { single_writer_add(of(ring).connections, std::uint64_t{1}); }
  void connection_closed(ring_index ring) noexcept { single_writer_add(of(ring).connections, ~std::uint64_t{0}); }

  // A request was parsed; every begin() is followed by one end() on the same ring.
  void begin(ring_index ring) noexcept { single_writer_add(of(ring).in_flight, std::uint64_t{1}); }

  // Requests between begin() and end() on this ring.
  std::uint64_t in_flight(ring_index ring) const noexcept {
    return rings_[ring.value].in_flight.load(std::memory_order_relaxed);
  }

  // Its reply was handed to the socket, `latency` after it was parsed. `bytes` moved; 0 when it failed.
  void end(ring_index ring, operation op, byte_count bytes, std::uint64_t latency_nanoseconds,
           request_outcome outcome = request_outcome::done) noexcept {
    per_ring& mine = of(ring);
    single_writer_add(mine.in_flight, ~std::uint64_t{0});
    operation_part* part = mine.by_operation[static_cast<std::size_t>(op)].load(std::memory_order_relaxed);
    if (part == nullptr) {
      part = first_use(mine, op);
      if (part == nullptr)
        return single_writer_add(mine.uncounted, std::uint64_t{1});
    }
    single_writer_add(part->requests, std::uint64_t{1});
    single_writer_add(part->bytes, bytes.value);
    if (outcome == request_outcome::failed)
      single_writer_add(part->errors, std::uint64_t{1});
    single_writer_add(part->latency[latency_histogram::bucket_of(latency_nanoseconds)], std::uint64_t{1});
  }

  // --- any thread

  // Monotone per counter. About 17 KiB: meant for once a second, not for the hot path.
  volume_counters sum() const noexcept {
    volume_counters total;
    std::uint64_t in_flight = 0, connections = 0;
    for (std::uint32_t r = 0; r < ring_count_; ++r) {
      const per_ring& ring = rings_[r];
      in_flight += ring.in_flight.load(std::memory_order_relaxed);
      connections += ring.connections.load(std::memory_order_relaxed);
      for (std::size_t op = 0; op < operation_count; ++op) {
        const operation_part* part = ring.by_operation[op].load(std::memory_order_acquire);
        if (part != nullptr)
          add(total.by_operation[op], *part);
      }
    }
    total.in_flight = in_flight;
    total.connections = connections;
    return total;
  }

  // Requests that were served but not counted because memory for their counters could not be had.
  std::uint64_t uncounted() const noexcept {
    std::uint64_t total = 0;
    for (std::uint32_t r = 0; r < ring_count_; ++r)
      total += rings_[r].uncounted.load(std::memory_order_relaxed);
    return total;
  }

private:
  using counter = std::atomic<std::uint64_t>;
  struct alignas(cache_line_bytes) operation_part {
    counter requests{0}, bytes{0}, errors{0};
    std::array<counter, latency_histogram::bucket_count> latency{};
  };
  struct alignas(cache_line_bytes) per_ring {
    counter in_flight{0}, connections{0}, uncounted{0};
    std::array<std::atomic<operation_part*>, operation_count> by_operation{};
  };

  per_ring& of(ring_index ring) noexcept {
    assert(ring.value < ring_count_);
    return rings_[ring.value];
  }

  // Release, so that sum() finds zeroed counters behind the pointer.
  static operation_part* first_use(per_ring& mine, operation op) noexcept {
    auto* part = new (std::nothrow) operation_part;
    mine.by_operation[static_cast<std::size_t>(op)].store(part, std::memory_order_release);
    return part;
  }

  static void add(operation_counters& total, const operation_part& part) noexcept {
    total.requests += part.requests.load(std::memory_order_relaxed);
    total.bytes += part.bytes.load(std::memory_order_relaxed);
    total.errors += part.errors.load(std::memory_order_relaxed);
    for (std::size_t b = 0; b < latency_histogram::bucket_count; ++b)
      if (const auto n = part.latency[b].load(std::memory_order_relaxed))
        total.latency.add_bucket(b, n);
  }

  std::unique_ptr<per_ring[]> rings_;
  std::uint32_t ring_count_;
};

} // namespace gnomon::io
