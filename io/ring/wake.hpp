// How something parked on one thread is handed back to the ring that owns it: ring numbers, the intrusive `parked`
// node, and a ring's inbox of nodes that may go on. Shared by the granule gate and the sync coalescer.
//
// Any thread may push; only the owning ring takes. Nothing here locks, allocates or blocks; a node belongs to whoever
// parked it, to the inbox from push() to take_all(), and to its ring again afterwards.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "config/types.hpp"

namespace gnomon::io {

using ring_index = strong_integer<struct ring_index_tag, std::uint32_t>;
inline constexpr std::uint32_t rings_max = 64;      // rings of one engine; settings allow 16
inline constexpr std::size_t cache_line_bytes = 64; // single-writer counters of different rings never share a line

// One cheap step of an integer that only its owner writes and anybody may read: a plain load and store, no lock
// prefix.
template <class Integer>
inline void single_writer_add(std::atomic<Integer>& counter, Integer by) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

// Embedded in a request that waits. `resume` is called on ring `ring`, once, after whatever it waited for came true.
struct parked {
  using function = void (*)(parked& self);
  function resume = nullptr;
  ring_index ring;
  parked* next = nullptr; // for the list that holds it now
};

// Nodes that may go on, on their way to one ring. Lock-free: many producers, the ring as the only consumer.
class alignas(cache_line_bytes) ring_inbox {
public:
  // Any thread. True when the inbox was empty: the caller then wakes the ring. When it was not, the producer before
  // has woken it or is about to, and the ring has not taken since, so one wake-up serves both.
  [[nodiscard]] bool push(parked& node) noexcept {
    parked* head = head_.load(std::memory_order_relaxed);
    do {
      node.next = head;
      // Release: what the producer did for this node (granted it, wrote its result) is seen by the ring that takes
      // it.
    } while (!head_.compare_exchange_weak(head, &node, std::memory_order_release, std::memory_order_relaxed));
    return head == nullptr;
  }

  bool empty() const noexcept { return head_.load(std::memory_order_relaxed) == nullptr; }

  // The owning ring. Everything pushed so far, oldest first, linked by `next`. Taking all at once leaves no ABA.
  [[nodiscard]] parked* take_all() noexcept {
    if (empty())
      return nullptr; // no lock prefix on the turns that have nothing to do
    parked* newest_first = head_.exchange(nullptr, std::memory_order_acquire);
    parked* oldest_first = nullptr;
    while (newest_first != nullptr) {
      parked* const rest = newest_first->next;
      newest_first->next = oldest_first;
      oldest_first = newest_first;
      newest_first = rest;
    }
    return oldest_first;
  }

  // The owning ring. take_all() and resume each; returns how many. A resumed node may be gone when resume returns.
  std::size_t resume_all() {
    std::size_t count = 0;
    for (parked* node = take_all(); node != nullptr; ++count) {
      parked* const rest = node->next;
      node->next = nullptr;
      node->resume(*node);
      node = rest;
    }
    return count;
  }

private:
  std::atomic<parked*> head_{nullptr};
};

// How a ring is woken from its sleep. Called from any thread, must not block; spurious calls are allowed.
struct ring_waker {
  void (*wake)(void* context, ring_index ring) = nullptr;
  void* context = nullptr;
  void operator()(ring_index ring) const {
    if (wake != nullptr)
      wake(context, ring);
  }
};

// Where resumed nodes go: one inbox per ring (index = ring), outliving everything that uses them, and the waker.
struct resume_target {
  ring_inbox* inboxes = nullptr;
  std::uint32_t inbox_count = 0;
  ring_waker wake;

  // Any thread. Hands the node to its ring and wakes the ring where needed.
  void resume(parked& node) const {
    const ring_index ring = node.ring; // after the push the node may be gone
    if (inboxes[ring.value].push(node))
      wake(ring);
  }
  // The same for a list linked by `next`.
  void resume_list(parked* list) const {
    while (list != nullptr) {
      parked* const rest = list->next;
      resume(*list);
      list = rest;
    }
  }
};

} // namespace gnomon::io
