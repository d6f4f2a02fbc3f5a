// One recording of one volume (`gnomon record`): each ring puts its requests into a bounded queue of its own, one
// thread hands them to the sink in batches.
//
// push(): only the ring named, wait-free, no allocation; a full queue drops the record and counts it, so that clients
// never wait for a slow sink. stop() and the destructor: one control thread, after the recording was unpublished and
// the rings have passed a quiescent point (no push() any more). The sink is called from the drain thread only and
// must not throw.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cassert>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "io/ring/wake.hpp"
#include "io/types.hpp"

namespace gnomon::io {

class recorder {
public:
  static constexpr std::uint32_t queue_records_default =
      65536; // per ring, 1.5 MiB: 0.3 s at 200,000 requests a second
  static constexpr std::size_t batch_records_max = 8192;
  static constexpr std::chrono::milliseconds drain_interval{5}; // how long records rest when the rings are slow

  // `queue_records` is rounded up to a power of two. Starts the drain thread.
  recorder(std::uint32_t ring_count, record_sink sink, std::uint32_t queue_records = queue_records_default)
      : queues_(std::make_unique<queue[]>(ring_count)), ring_count_(ring_count),
        mask_(std::bit_ceil(queue_records) - 1), sink_(std::move(sink)) {
    assert(ring_count > 0 && ring_count <= rings_max && queue_records > 0);
    for (std::uint32_t r = 0; r < ring_count; ++r)
      queues_[r].records = std::make_unique_for_overwrite<request_record[]>(mask_ + std::size_t{1});
    thread_ = std::thread([this] { drain_until_stopped(); });
  }
  ~recorder() { stop(); }
  recorder(const recorder&) = delete;
  recorder& operator=(const recorder&) = delete;

  // The ring itself.
  void push(ring_index ring, const request_record& record) noexcept {
    assert(ring.value < ring_count_);
    queue& q = queues_[ring.value];
    const std::uint64_t tail = q.tail.load(std::memory_order_relaxed);
    if (tail - q.head_seen > mask_) {
      q.head_seen = q.head.load(std::memory_order_acquire); // the drain thread is done with the cells before it
      if (tail - q.head_seen > mask_)
        return single_writer_add(q.dropped, std::uint64_t{1});
    }
    q.records[tail & mask_] = record;
    q.tail.store(tail + 1, std::memory_order_release); // the record before its index
  }

  // Returns after the sink has got the last batch. Idempotent.
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable())
      thread_.join();
  }

  // Records lost so far because the sink was slow; any thread.
  std::uint64_t dropped() const noexcept {
    std::uint64_t total = 0;
    for (std::uint32_t r = 0; r < ring_count_; ++r)
      total += queues_[r].dropped.load(std::memory_order_relaxed);
    return total;
  }

private:
  struct queue {
    alignas(cache_line_bytes) std::atomic<std::uint64_t> tail{0}; // written by the ring
    std::uint64_t head_seen = 0;                                  // ring only
    std::atomic<std::uint64_t> dropped{0};                        // written by the ring
    std::unique_ptr<request_record[]> records;
    alignas(cache_line_bytes) std::atomic<std::uint64_t> head{0}; // written by the drain thread
  };

  void drain_until_stopped() {
    std::vector<request_record> batch;
    batch.reserve(batch_records_max);
    std::uint64_t reported = 0;
    for (;;) {
      bool stopping;
      {
        std::unique_lock lock(mutex_);
        wake_.wait_for(lock, drain_interval, [this] { return stopping_; });
        stopping = stopping_;
      }
      // Read before the queues: what was pushed before stop() is in this last round.
      while (drain_once(batch)) {
      }
      if (dropped() != reported) {
        reported = dropped();
        sink_({}, reported); // a loss is told even when no record follows it
      }
      if (stopping)
        return;
    }
  }

  // One batch, in order per ring. False when the queues were empty.
  bool drain_once(std::vector<request_record>& batch) {
    batch.clear();
    for (std::uint32_t r = 0; r < ring_count_; ++r) {
      queue& q = queues_[r];
      const std::uint64_t tail = q.tail.load(std::memory_order_acquire);
      std::uint64_t head = q.head.load(std::memory_order_relaxed);
      // A fair share each, so that one busy ring does not fill every batch.
      const std::uint64_t end = std::min<std::uint64_t>(tail, head + batch_records_max / ring_count_);
      for (; head != end; ++head)
        batch.push_back(q.records[head & mask_]);
      q.head.store(head, std::memory_order_release);
    }
    if (batch.empty())
      return false;
    sink_(batch, dropped());
    return true;
  }

  std::unique_ptr<queue[]> queues_;
  std::uint32_t ring_count_;
  std::uint64_t mask_;
  record_sink sink_;
  std::mutex mutex_; // stopping_; rings never take it
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

} // namespace gnomon::io
