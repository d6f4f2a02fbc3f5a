// How many bytes per second the planner's shadows of this node may copy, together: a bucket that holds half a second of
// the rate. Shadows made by an operator are not bound by it. Any thread; the lock is held for a few instructions.
#pragma once

#include <algorithm>
#include <chrono>
#include <mutex>

#include "config/clock.hpp"

namespace gnomon::io {

class copy_budget {
public:
  static constexpr double burst_seconds = 0.5;

  void set_rate(double bytes_per_second) { // 0: no limit
    const std::lock_guard lock(mutex_);
    rate_ = bytes_per_second;
    left_ = std::min(left_, burst());
  }
  bool take(double bytes, boot_time now) {
    const std::lock_guard lock(mutex_);
    if (rate_ <= 0)
      return true;
    if (now > filled_)
      left_ = std::min(burst(), left_ + rate_ * std::chrono::duration<double>(now - filled_).count());
    filled_ = std::max(filled_, now);
    if (left_ < 0)
      return false;
    left_ -= bytes; // the last one of a burst may go below
    return true;
  }

private:
  double burst() const { return rate_ * burst_seconds; }
  std::mutex mutex_;
  double rate_ = 0, left_ = 0;
  boot_time filled_{};
};

} // namespace gnomon::io
