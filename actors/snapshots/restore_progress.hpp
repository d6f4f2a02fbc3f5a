// How far a restore is. The work writes it, anybody reads it.
#pragma once

#include <atomic>
#include <mutex>

#include "actors/snapshots/snapshot_works.hpp"

namespace gnomon::actors {

struct snapshot_works::restore_progress {
  volume_uuid volume;
  volume_name name;
  snapshot_uuid snapshot;
  std::atomic<std::uint64_t> granules{0}, present{0};
  std::atomic<bool> done{false}, running{false};

  restore_info info() const {
    restore_info out;
    out.volume = volume;
    out.name = name;
    out.snapshot = snapshot.to_string();
    out.done = done;
    out.granules = granules;
    out.present = present;
    std::lock_guard lock(mutex_);
    out.problem = problem_;
    return out;
  }
  void set_problem(std::string text) {
    std::lock_guard lock(mutex_);
    problem_ = std::move(text);
  }

private:
  mutable std::mutex mutex_;
  std::string problem_;
};

} // namespace gnomon::actors
