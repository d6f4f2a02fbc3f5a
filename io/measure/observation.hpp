// What the pattern actors learn from: per volume and ring, how often, how much and how fast each instance read and
// wrote in each chunk since the last collection. One fixed open-addressing table at a time; what finds no cell goes
// into the ring's spill (observation_spill.hpp). Nothing is lost silently: what finds no room there either is counted
// without its chunk and instance.
//
// Threads: a ring observes (only its own part, while online in the quiescence domain). One collector, once a second:
// flip() every volume, one quiescence::begin_epoch() for all of them, wait until it passed(), collect() every volume.
// The ring allocates once, at its first request on the volume; larger tables are brought by the collector.
//
// Why plain cells are safe: there are two tables, and flip() tells the ring to write to the other one. Once the epoch
// has passed, the ring has been between two turns since (or asleep), so it has seen the flip and never touches the
// first again, and all it wrote there happened before (quiescence.hpp). The collector then owns that table, empties
// it, and the next flip (a release that the ring acquires) hands it back.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cassert>
#include <cstdint>
#include <memory>
#include <new>
#include <unordered_map>
#include <utility>

#include "config/types.hpp"
#include "io/measure/coarse_latency.hpp"
#include "io/measure/observation_spill.hpp"
#include "io/measure/reports.hpp"
#include "io/ring/wake.hpp"

namespace gnomon::io {

// A small number for an instance, given out by the engine when it first attaches; 0 is the anonymous one.
using instance_slot = strong_integer<struct instance_slot_tag, std::uint32_t>;

// What one instance did in one chunk. A request that touches several chunks counts in each, with its bytes there.
struct chunk_activity {
  std::uint32_t reads = 0;
  std::uint32_t writes = 0;     // trims and zeroings too
  std::uint32_t sequential = 0; // of both: went on where an earlier request of the instance on that ring ended
  std::uint64_t read_bytes = 0;
  std::uint64_t write_bytes = 0;
  coarse_latency::counts read_latency{}, write_latency{}; // counted when answered, in the chunk where it began
  friend bool operator==(const chunk_activity&, const chunk_activity&) = default;
};

class observation_set {
public:
  static constexpr std::uint32_t cells_min = 64;    // 11 KiB: an ordinary second of an ordinary volume
  static constexpr std::uint32_t cells_max = 16384; // 2.7 MiB per ring and table, for a volume that needs it
  static constexpr std::uint32_t probes_max = 16;
  static constexpr std::size_t streams = 8; // interleaved sequential streams told apart per ring

  // `chunk` is a power of two. `spill` outlives the set; none: what finds no cell is counted without its chunk.
  observation_set(std::uint32_t ring_count, byte_count chunk, observation_spill* spill = nullptr)
      : rings_(std::make_unique<per_ring[]>(ring_count)), ring_count_(ring_count),
        chunk_shift_(static_cast<unsigned>(std::countr_zero(chunk.value))), spill_(spill) {
    assert(ring_count > 0 && ring_count <= rings_max && std::has_single_bit(chunk.value));
  }
  ~observation_set() {
    for (std::uint32_t r = 0; r < ring_count_; ++r)
      for (side& s : rings_[r].sides)
        give_back(ring_index{r}, s);
  }
  observation_set(const observation_set&) = delete;
  observation_set& operator=(const observation_set&) = delete;

  // --- the ring itself

  // Counts one request with data; others (flush, block status) are ignored. length > 0.
  void observe(ring_index ring, instance_slot instance, operation op, byte_offset offset,
               byte_count length) noexcept {
    if (op != operation::read && op != operation::write && op != operation::trim && op != operation::zero)
      return;
    assert(ring.value < ring_count_ && length.value > 0);
    per_ring& mine = rings_[ring.value];
    side* const to = writable_side(mine);
    if (to == nullptr)
      return single_writer_add(mine.unobserved, std::uint64_t{1});
    const bool sequential = continues_a_stream(mine, instance, offset, length);
    const std::uint64_t end = offset.value + length.value;
    for (std::uint64_t at = offset.value; at < end;) {
      const std::uint64_t chunk = at >> chunk_shift_;
      const std::uint64_t next = std::min(end, (chunk + 1) << chunk_shift_);
      const std::uint64_t key = key_of(chunk, instance);
      if (chunk_activity* const activity = cell_of(*to, key); activity != nullptr) [[likely]]
        count(*activity, op, next - at, sequential);
      else if (observation_record* const r = spilled(ring, *to); r != nullptr)
        *r = {key, next - at, op == operation::read ? record_kind::read : record_kind::write, sequential, 0};
      else
        count(to->overflow, op, next - at, sequential);
      at = next;
    }
  }

  // The same request was answered, `latency_nanoseconds` after it was parsed. It may fall into the next period.
  void answered(ring_index ring, instance_slot instance, operation op, byte_offset offset,
                std::uint64_t latency_nanoseconds) noexcept {
    if (op != operation::read && op != operation::write && op != operation::trim && op != operation::zero)
      return;
    side* const to = writable_side(rings_[ring.value]);
    if (to == nullptr)
      return; // unobserved
    const std::uint64_t key = key_of(offset.value >> chunk_shift_, instance);
    const std::size_t bucket = coarse_latency::bucket_of(latency_nanoseconds);
    const bool read = op == operation::read;
    if (chunk_activity* const activity = cell_of(*to, key); activity != nullptr) [[likely]]
      ++(read ? activity->read_latency : activity->write_latency)[bucket];
    else if (observation_record* const r = spilled(ring, *to); r != nullptr)
      *r = {key, 0, read ? record_kind::read_answered : record_kind::write_answered, false,
            static_cast<std::uint8_t>(bucket)};
    else
      ++(read ? to->overflow.read_latency : to->overflow.write_latency)[bucket];
  }

  // --- the collector

  // Starts a new period on every ring that has something to report.
  void flip() noexcept {
    for (std::uint32_t r = 0; r < ring_count_; ++r) {
      per_ring& ring = rings_[r];
      if (!ring.ready.load(std::memory_order_acquire))
        continue;
      const std::uint32_t active = ring.active.load(std::memory_order_relaxed);
      // At rest: one load per ring. A count that is not visible yet is found the next time.
      if (ring.flipped || ring.sides[active].touched.load(std::memory_order_relaxed) == 0)
        continue;
      ring.flipped = true;
      ring.active.store(active ^ 1, std::memory_order_seq_cst); // hands the emptied table to the ring
    }
  }

  // Calls each(chunk_index, instance_slot, const chunk_activity&) for what the former period holds, each chunk and
  // instance of a ring once, and overflow(const chunk_activity&) for what found no room; then empties the table, and
  // makes it as large as the period showed the need. Only after an epoch begun after flip() has passed. Not
  // concurrently with flip().
  template <class Each, class Overflow>
  void collect(Each&& each, Overflow&& overflow) {
    for (std::uint32_t r = 0; r < ring_count_; ++r) {
      per_ring& ring = rings_[r];
      if (!ring.flipped)
        continue;
      ring.flipped = false;
      side& from = ring.sides[ring.active.load(std::memory_order_relaxed) ^ 1];
      for (std::uint32_t i = 0; i <= from.mask; ++i) {
        const cell& c = from.cells[i];
        if (c.key != 0)
          each(chunk_index{chunk_of(c.key)}, instance_of(c.key), c.activity);
      }
      const auto spilled = merged(from);
      for (const auto& [key, activity] : spilled)
        each(chunk_index{chunk_of(key)}, instance_of(key), activity);
      give_back(ring_index{r}, from);
      const bool overflowed = from.overflow != chunk_activity{};
      if (overflowed)
        overflow(from.overflow);
      empty(from, spilled.size(), overflowed);
    }
  }

  // Requests that could not be observed because memory for the first table could not be had.
  std::uint64_t unobserved() const noexcept {
    std::uint64_t total = 0;
    for (std::uint32_t r = 0; r < ring_count_; ++r)
      total += rings_[r].unobserved.load(std::memory_order_relaxed);
    return total;
  }

private:
  using record_kind = observation_record::kind;
  struct cell {
    std::uint64_t key = 0; // 0: free
    chunk_activity activity;
  };
  struct side {
    std::unique_ptr<cell[]> cells;
    std::uint32_t mask = 0;
    std::uint32_t used = 0;
    observation_block* newest = nullptr; // of what found no cell
    chunk_activity overflow;
    std::atomic<std::uint32_t> touched{0}; // written by the ring, looked at by flip()
  };
  struct alignas(cache_line_bytes) per_ring {
    std::atomic<std::uint32_t> active{0};
    std::atomic<bool> ready{false};
    bool flipped = false;          // collector only
    std::uint32_t next_stream = 0; // ring only
    std::atomic<std::uint64_t> unobserved{0};
    std::array<side, 2> sides;
    std::array<std::uint64_t, streams> stream_ends{}; // ring only
  };

  // {chunk + 1: 40 bits, instance: 24 bits}. 2^50 bytes / 16 MiB fits; so do 16 million instances.
  static std::uint64_t key_of(std::uint64_t chunk, instance_slot instance) noexcept {
    return (chunk + 1) << 24 | (instance.value & 0xffffff);
  }
  static std::uint64_t chunk_of(std::uint64_t key) noexcept { return (key >> 24) - 1; }
  static instance_slot instance_of(std::uint64_t key) noexcept {
    return instance_slot{static_cast<std::uint32_t>(key & 0xffffff)};
  }

  side* writable_side(per_ring& mine) noexcept {
    if (!mine.ready.load(std::memory_order_relaxed)) [[unlikely]] {
      for (auto& s : mine.sides) {
        if (s.cells == nullptr)
          s.cells.reset(new (std::nothrow) cell[cells_min]);
        if (s.cells == nullptr)
          return nullptr;
        s.mask = cells_min - 1;
      }
      mine.ready.store(true, std::memory_order_release);
    }
    // seq_cst: the Dekker of quiescence::online(); a plain load on x86.
    side& s = mine.sides[mine.active.load(std::memory_order_seq_cst)];
    if (s.touched.load(std::memory_order_relaxed) == 0)
      s.touched.store(1, std::memory_order_relaxed);
    return &s;
  }

  // None: no room for another key near its place.
  static chunk_activity* cell_of(side& s, std::uint64_t key) noexcept {
    std::uint32_t at = static_cast<std::uint32_t>((key * 0x9e3779b97f4a7c15ull) >> 40) & s.mask;
    for (std::uint32_t probe = 0; probe < probes_max; ++probe, at = (at + 1) & s.mask) {
      cell& c = s.cells[at];
      if (c.key == key)
        return &c.activity;
      if (c.key != 0)
        continue;
      c.key = key;
      ++s.used;
      return &c.activity;
    }
    return nullptr;
  }

  // The next free record of the ring's spill; none: all of it is in use.
  observation_record* spilled(ring_index ring, side& s) noexcept {
    if (s.newest == nullptr || s.newest->used == observation_block::records_max) {
      observation_block* const more = spill_ != nullptr ? spill_->take(ring) : nullptr;
      if (more == nullptr)
        return nullptr;
      more->next = s.newest;
      s.newest = more;
    }
    return &s.newest->records[s.newest->used++];
  }

  void give_back(ring_index ring, side& s) noexcept {
    if (s.newest != nullptr)
      spill_->give_back(ring, std::exchange(s.newest, nullptr));
  }

  // What the spill holds of a period, by key.
  static std::unordered_map<std::uint64_t, chunk_activity> merged(const side& s) {
    std::unordered_map<std::uint64_t, chunk_activity> out;
    for (const observation_block* block = s.newest; block != nullptr; block = block->next)
      for (std::uint32_t i = 0; i < block->used; ++i) {
        const observation_record& r = block->records[i];
        chunk_activity& to = out[r.key];
        if (r.what == record_kind::read_answered)
          ++to.read_latency[r.latency_bucket];
        else if (r.what == record_kind::write_answered)
          ++to.write_latency[r.latency_bucket];
        else
          count(to, r.what == record_kind::read ? operation::read : operation::write, r.bytes, r.sequential);
      }
    return out;
  }

  static void count(chunk_activity& to, operation op, std::uint64_t bytes, bool sequential) noexcept {
    if (op == operation::read)
      ++to.reads, to.read_bytes += bytes;
    else
      ++to.writes, to.write_bytes += bytes;
    to.sequential += sequential ? 1 : 0;
  }

  static bool continues_a_stream(per_ring& mine, instance_slot instance, byte_offset offset,
                                 byte_count length) noexcept {
    // Position and instance in one word; 0 never matches a start at 0 since nothing ends there.
    const auto tag = [&](std::uint64_t position) { return position ^ (std::uint64_t{instance.value} << 51); };
    for (auto& end : mine.stream_ends)
      if (end == tag(offset.value) && offset.value != 0) {
        end = tag(offset.value + length.value);
        return true;
      }
    mine.stream_ends[mine.next_stream++ % streams] = tag(offset.value + length.value);
    return false;
  }

  static void empty(side& s, std::size_t spilled, bool overflowed) {
    const std::uint32_t cells = s.mask + 1;
    const auto keys = static_cast<std::uint32_t>(std::min<std::size_t>(s.used + spilled, cells_max));
    std::uint32_t wanted = cells;
    if (overflowed || keys > cells / 2) // half full at most; what overflowed is not known by key
      wanted = std::min(cells_max, std::max(std::bit_ceil(keys * 2), overflowed ? cells * 2 : cells));
    else if (keys < cells / 16 && cells > cells_min)
      wanted = cells / 2;
    std::unique_ptr<cell[]> other(wanted != cells ? new (std::nothrow) cell[wanted] : nullptr);
    if (other != nullptr) {
      s.cells = std::move(other);
      s.mask = wanted - 1;
    } else {
      std::fill_n(s.cells.get(), cells, cell{});
    }
    s.used = 0;
    s.overflow = {};
    s.touched.store(0, std::memory_order_relaxed);
  }

  std::unique_ptr<per_ring[]> rings_;
  std::uint32_t ring_count_;
  unsigned chunk_shift_;
  observation_spill* spill_;
};

} // namespace gnomon::io
