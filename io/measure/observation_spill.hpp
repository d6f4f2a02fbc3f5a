// Room for observations that find no cell in their volume's table: per ring a fixed number of blocks of records, lent
// to the volumes that burst and given back when they were collected. The tables stay small and still nothing is lost
// when an idle volume is scanned, backed up or booted from within one period.
//
// Threads: only the ring itself takes a block and appends to it. Any thread gives blocks back, once the ring no
// longer touches them (observation.hpp). Nothing here locks or allocates; memory is touched when it is first used.
#pragma once

#include <array>
#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "io/ring/wake.hpp"

namespace gnomon::io {

struct observation_record { // trivial: blocks are taken without touching their records
  enum class kind : std::uint8_t { read, write, read_answered, write_answered };
  std::uint64_t key; // chunk and instance, as the volume's table has them
  std::uint64_t bytes;
  kind what;
  bool sequential;
  std::uint8_t latency_bucket; // of the answered kinds
};

struct observation_block {
  static constexpr std::uint32_t records_max = 340; // 8 KiB
  observation_block* next = nullptr;                // in its volume's list, or in the list of free ones
  std::uint32_t used = 0;
  std::array<observation_record, records_max> records;
};

class observation_spill {
public:
  static constexpr std::uint32_t blocks_per_ring_max = 1024; // 8 MiB: 174,000 requests of a period and their answers

  explicit observation_spill(std::uint32_t ring_count, std::uint32_t blocks_per_ring = blocks_per_ring_max)
      : rings_(std::make_unique<per_ring[]>(ring_count)), ring_count_(ring_count), blocks_per_ring_(blocks_per_ring) {
    assert(ring_count > 0 && ring_count <= rings_max);
    for (std::uint32_t r = 0; r < ring_count; ++r)
      rings_[r].blocks.reset(static_cast<observation_block*>(
          ::operator new (std::size_t{blocks_per_ring} * sizeof(observation_block), std::nothrow)));
  }
  observation_spill(const observation_spill&) = delete;
  observation_spill& operator=(const observation_spill&) = delete;

  // The ring itself. An empty block; null: all are in use.
  observation_block* take(ring_index ring) noexcept {
    assert(ring.value < ring_count_);
    per_ring& mine = rings_[ring.value];
    // Only this ring takes, so that the first block cannot leave and come back meanwhile (no ABA).
    observation_block* first = mine.free.load(std::memory_order_acquire);
    while (first != nullptr)
      if (mine.free.compare_exchange_weak(first, first->next, std::memory_order_acquire)) {
        first->next = nullptr;
        first->used = 0;
        return first;
      }
    if (mine.begun == blocks_per_ring_ || mine.blocks == nullptr)
      return nullptr;
    return ::new (static_cast<void*>(mine.blocks.get() + mine.begun++)) observation_block; // records stay as they are
  }

  // Any thread. A list of blocks of that ring, linked by `next`; may be null.
  void give_back(ring_index ring, observation_block* list) noexcept {
    assert(ring.value < ring_count_);
    while (list != nullptr) {
      observation_block* const rest = list->next;
      list->next = rings_[ring.value].free.load(std::memory_order_relaxed);
      while (!rings_[ring.value].free.compare_exchange_weak(list->next, list, std::memory_order_release))
        ;
      list = rest;
    }
  }

private:
  struct raw_memory {
    void operator()(observation_block* blocks) const noexcept { ::operator delete(static_cast<void*>(blocks)); }
  };
  struct alignas(cache_line_bytes) per_ring {
    std::atomic<observation_block*> free{nullptr};
    std::unique_ptr<observation_block, raw_memory> blocks; // uninitialised from `begun` on
    std::uint32_t begun = 0;                               // ring only
  };
  std::unique_ptr<per_ring[]> rings_;
  std::uint32_t ring_count_, blocks_per_ring_;
};

static_assert(sizeof(observation_block) <= 8192);

} // namespace gnomon::io
