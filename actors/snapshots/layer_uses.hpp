// Which points in time are in use by work under way: what a capture lies on, what a restore or a check reads. A layer is
// chosen and named here in one step, and given up only by a thread that holds the same lock, so that nothing is deleted
// between the choice and the use. Any thread; the lock is held for a commit at most.
#pragma once

#include <mutex>
#include <optional>
#include <set>
#include <unordered_set>
#include <utility>

#include "config/tagged_uuid.hpp"

namespace gnomon::actors {

class layer_uses {
public:
  // Keeps one point in use for as long as it lives.
  class use {
  public:
    use() = default;
    use(layer_uses* owner, snapshot_uuid point) : owner_(owner), point_(point) {}
    use(use&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), point_(other.point_) {}
    use& operator=(use&& other) noexcept {
      std::swap(owner_, other.owner_);
      std::swap(point_, other.point_);
      return *this;
    }
    ~use() {
      if (owner_ != nullptr)
        owner_->give_back(point_);
    }

  private:
    layer_uses* owner_ = nullptr;
    snapshot_uuid point_;
  };

  // `choose()` returns an optional point; it runs under the lock.
  template <class Choose>
  use take(Choose choose) {
    std::lock_guard lock(mutex_);
    const std::optional<snapshot_uuid> point = choose();
    if (!point)
      return {};
    points_.insert(*point);
    return use(this, *point);
  }

  // `work(points in use)` runs under the lock: nothing new comes into use meanwhile.
  template <class Work>
  auto while_nothing_is_taken(Work work) {
    std::lock_guard lock(mutex_);
    return work(std::unordered_set<snapshot_uuid>(points_.begin(), points_.end()));
  }

private:
  void give_back(snapshot_uuid point) {
    std::lock_guard lock(mutex_);
    points_.erase(points_.find(point));
  }
  std::mutex mutex_;
  std::multiset<snapshot_uuid> points_;
};

} // namespace gnomon::actors
