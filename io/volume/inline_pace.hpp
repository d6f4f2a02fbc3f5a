// Whether rings may write to the page cache of one disk themselves. While the disk keeps up such a write is a copy;
// when it does not, the write waits for it, and with it every client of the ring. So after one that stalled, the
// volumes of that disk leave writes to kernel workers, for a pause that doubles each time the disk stalls again. How
// the disk does is then seen from a write of a worker, never by trying: only a quick one brings ring writes back.
//
// Shared by the volumes on a disk. Any ring; relaxed atomics, races between rings cost at most one more stall.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>

#include "config/clock.hpp"

namespace gnomon::io {

class inline_pace {
public:
  static constexpr nanoseconds stall = std::chrono::milliseconds{5};
  static constexpr nanoseconds pause_min = std::chrono::milliseconds{100};
  static constexpr nanoseconds pause_max = std::chrono::minutes{5};
  static constexpr nanoseconds queued_write = std::chrono::microseconds{200}; // allowed for each write ahead in line

  bool allowed() const noexcept { return !suspended_.load(std::memory_order_relaxed); }

  // A ring wrote itself: it `took` so long, until `now`.
  void wrote_inline(boot_time now, nanoseconds took) noexcept {
    if (took >= stall) [[unlikely]]
      suspend(now);
  }

  // A worker wrote while rings may not, behind at most `ahead` others.
  void wrote_by_worker(boot_time now, nanoseconds took, std::uint64_t ahead) noexcept {
    if (allowed() || ns(now) < look_at_.load(std::memory_order_relaxed))
      return;
    if (took >= stall + queued_write * static_cast<std::int64_t>(ahead))
      return suspend(now);
    recovered_at_.store(ns(now), std::memory_order_relaxed);
    suspended_.store(false, std::memory_order_relaxed);
  }

  // The disk does not keep up. A stall soon after the last pause doubles it.
  void suspend(boot_time now) noexcept {
    const std::int64_t last = pause_.load(std::memory_order_relaxed);
    const bool again = !allowed() || ns(now) - recovered_at_.load(std::memory_order_relaxed) < 4 * last;
    const std::int64_t pause = again ? std::min(2 * last, pause_max.count()) : 0;
    pause_.store(std::max(pause, pause_min.count()), std::memory_order_relaxed);
    look_at_.store(ns(now) + pause_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    suspended_.store(true, std::memory_order_relaxed);
  }

  nanoseconds pause() const noexcept { return nanoseconds{pause_.load(std::memory_order_relaxed)}; }

private:
  static std::int64_t ns(boot_time at) noexcept { return at.time_since_epoch().count(); }

  std::atomic<bool> suspended_{false};
  std::atomic<std::int64_t> pause_{0}, look_at_{0}, recovered_at_{0}; // ns; times of CLOCK_BOOTTIME
};

// The paces of a node's disks, by device number. Any thread; an entry lives as long as this.
class disk_paces {
public:
  inline_pace& of(std::uint64_t device_number) {
    const std::lock_guard lock{mutex_};
    return paces_[device_number];
  }

private:
  std::mutex mutex_;
  std::map<std::uint64_t, inline_pace> paces_;
};

} // namespace gnomon::io
