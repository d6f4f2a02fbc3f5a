// How far a restore is. The work writes it, anybody reads it.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>

#include "actors/snapshots/layer_source.hpp"
#include "actors/snapshots/snapshot_works.hpp"
#include "config/work_control.hpp"

namespace gnomon::actors {

struct snapshot_works::restore_progress {
  volume_uuid volume;
  volume_name name;
  snapshot_uuid snapshot;
  std::uint64_t granules = 0;
  std::atomic<bool> done{false}, running{false};
  std::atomic<bool> queued{false}; // the work that begins it, or goes on with it, waits for a thread: it needs no other

  // The hydration begins, or begins again.
  void begin(std::shared_ptr<work_control> control) {
    std::lock_guard lock(mutex_);
    control_ = std::move(control);
    begun_ = std::chrono::steady_clock::now();
    problem_.clear();
  }
  void cancel() {
    std::shared_ptr<work_control> control;
    {
      std::lock_guard lock(mutex_);
      control = control_;
    }
    if (control)
      control->cancel();
  }
  void set_problem(std::string text) {
    std::lock_guard lock(mutex_);
    problem_ = std::move(text);
  }
  restore_info info(std::uint64_t present) const {
    restore_info out;
    out.volume = volume;
    out.name = name;
    out.snapshot = snapshot.to_string();
    out.done = done;
    out.granules = granules;
    out.present = done ? granules : std::min(present, granules);
    std::lock_guard lock(mutex_);
    out.problem = problem_;
    if (done || !control_)
      return out;
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begun_;
    if (passed.count() > 0)
      out.bytes_per_second = static_cast<std::uint64_t>(static_cast<double>(control_->done()) / passed.count());
    const auto left = control_->total() - std::min(control_->total(), control_->done());
    if (out.bytes_per_second > 0)
      out.left_s = static_cast<std::int64_t>(left / out.bytes_per_second);
    return out;
  }

private:
  mutable std::mutex mutex_;
  std::string problem_;
  std::shared_ptr<work_control> control_;
  std::chrono::steady_clock::time_point begun_{};
};

} // namespace gnomon::actors
