// Reclamation by quiescence (QSBR): memory that rings read without counting (routes) is freed once every ring has
// been seen at a point where it holds no such pointer: between two turns of its loop, or asleep (offline).
//
// Rings call online/quiescent/offline, each with its own index, and published<T>::load() while online. Everything
// else may be called from any thread. A ring never waits, locks or allocates here; quiescent() is one load and one
// store.
//
// Why it is safe. A publisher swaps the pointer, then takes a new epoch e; the old object may go when every ring's
// `seen` is 0 (offline) or >= e.
//  - A ring stores seen = x only after it read epoch x with acquire. If x >= e, the swap happened before: it loads
//  the
//    new pointer from then on. What it did with the old one came before its store (release) of x, which reclaim()
//    reads (acquire) before it frees.
//  - Going online is the Dekker case: the ring stores seen (seq_cst), then loads pointers (seq_cst); the publisher
//  swaps
//    the pointer (seq_cst), then reads seen (seq_cst). If the publisher still reads 0, the ring's loads come later in
//    the one order of all four and find the new pointer.
#pragma once

#include <atomic>
#include <cassert>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "config/types.hpp"
#include "io/ring/wake.hpp"

namespace gnomon::io {

// A point in time that every ring must pass.
using quiescence_epoch = strong_integer<struct quiescence_epoch_tag>;

class quiescence {
public:
  // Above this many objects waiting to be freed publishers should hold off (crowded()); a ring is stuck then. Nothing
  // is ever refused or freed early because of it.
  static constexpr std::size_t retired_max = 65536;

  explicit quiescence(std::uint32_t ring_count)
      : seen_(std::make_unique<per_ring[]>(ring_count)), ring_count_(ring_count) {
    assert(ring_count > 0 && ring_count <= rings_max);
  }
  // All rings are offline (joined). Frees what is left.
  ~quiescence() {
    for (std::uint32_t r = 0; r < ring_count_; ++r)
      assert(seen_[r].epoch.load(std::memory_order_acquire) == 0);
    for (const auto& r : retired_)
      r.deleter(r.object);
  }
  quiescence(const quiescence&) = delete;
  quiescence& operator=(const quiescence&) = delete;

  // --- the ring itself

  // Before the first load of a published pointer after start or sleep.
  void online(ring_index ring) noexcept {
    seen_[ring.value].epoch.store(epoch_.load(std::memory_order_acquire), std::memory_order_seq_cst);
  }
  // Between two turns: the ring holds no published pointer.
  void quiescent(ring_index ring) noexcept {
    auto& seen = seen_[ring.value].epoch;
    assert(seen.load(std::memory_order_relaxed) != 0);
    seen.store(epoch_.load(std::memory_order_acquire), std::memory_order_release);
  }
  // Before it sleeps or ends: holds no published pointer and loads none until online().
  void offline(ring_index ring) noexcept { seen_[ring.value].epoch.store(0, std::memory_order_release); }

  // --- any thread

  // Rings that are awake, about now.
  std::uint32_t online_count() const noexcept {
    std::uint32_t count = 0;
    for (std::uint32_t r = 0; r < ring_count_; ++r)
      count += seen_[r].epoch.load(std::memory_order_relaxed) != 0 ? 1 : 0;
    return count;
  }

  // The epoch that begins now. When passed(), every ring has forgotten what it could load before this call.
  [[nodiscard]] quiescence_epoch begin_epoch() noexcept {
    return quiescence_epoch{epoch_.fetch_add(1, std::memory_order_seq_cst) + 1};
  }
  [[nodiscard]] bool passed(quiescence_epoch epoch) const noexcept { return oldest_seen() >= epoch.value; }

  // Frees `object` by `deleter` once every ring has passed. Takes ownership. Call it after the object was
  // unpublished.
  void retire(void* object, void (*deleter)(void*)) {
    const auto epoch = begin_epoch();
    const std::lock_guard lock(mutex_);
    retired_.push_back({object, deleter, epoch.value});
  }
  template <class T>
  void retire(std::unique_ptr<T> object) {
    using plain = std::remove_const_t<T>;
    if (object != nullptr)
      retire(const_cast<plain*>(object.release()), [](void* p) { delete static_cast<plain*>(p); });
  }

  // Frees what can be freed, on the calling thread; returns how many objects. Call it once a second and after bursts.
  std::size_t reclaim() {
    const std::uint64_t oldest = oldest_seen();
    std::vector<retired> free_now;
    {
      const std::lock_guard lock(mutex_);
      // Not sorted: two retire() calls may get here in the other order than their epochs.
      auto keep = retired_.begin();
      for (const auto& r : retired_) {
        if (r.epoch <= oldest)
          free_now.push_back(r);
        else
          *keep++ = r;
      }
      retired_.erase(keep, retired_.end());
    }
    for (const auto& r : free_now)
      r.deleter(r.object); // may retire() others
    return free_now.size();
  }

  std::size_t pending() const {
    const std::lock_guard lock(mutex_);
    return retired_.size();
  }
  bool crowded() const { return pending() >= retired_max; }

private:
  struct alignas(cache_line_bytes) per_ring {
    std::atomic<std::uint64_t> epoch{0};
  }; // 0: offline
  struct retired {
    void* object;
    void (*deleter)(void*);
    std::uint64_t epoch;
  };

  // Never above the epoch at the time of the call, also when all rings sleep: what is retired a moment later may have
  // been loaded by a ring that woke a moment later.
  std::uint64_t oldest_seen() const noexcept {
    std::uint64_t oldest = epoch_.load(std::memory_order_seq_cst);
    for (std::uint32_t r = 0; r < ring_count_; ++r) {
      const auto seen = seen_[r].epoch.load(std::memory_order_seq_cst);
      if (seen != 0 && seen < oldest)
        oldest = seen;
    }
    return oldest;
  }

  alignas(cache_line_bytes) std::atomic<std::uint64_t> epoch_{1};
  std::unique_ptr<per_ring[]> seen_;
  std::uint32_t ring_count_;
  mutable std::mutex mutex_; // retired_; rings never take it
  std::vector<retired> retired_;
};

// A pointer to an immutable T that rings load and the control side replaces. The object lives until every ring that
// could have loaded it has passed a quiescent point; no loaded pointer survives an await.
template <class T>
class published {
public:
  explicit published(quiescence& domain, std::unique_ptr<const T> first = nullptr)
      : domain_(domain), current_(first.release()) {}
  ~published() { swap(nullptr); }
  published(const published&) = delete;
  published& operator=(const published&) = delete;

  // A ring that is online. Null when nothing is published. seq_cst for the Dekker in online(); a plain load on x86.
  const T* load() const noexcept { return current_.load(std::memory_order_seq_cst); }

  // Any thread. Publishes `next` and retires the former.
  void swap(std::unique_ptr<const T> next) {
    domain_.retire(std::unique_ptr<const T>(current_.exchange(next.release(), std::memory_order_seq_cst)));
  }

private:
  quiescence& domain_;
  std::atomic<const T*> current_;
};

} // namespace gnomon::io
