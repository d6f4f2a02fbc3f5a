// Which points in time are in use by work under way: what a capture lies on, what a restore or a check reads. A layer is
// chosen and named here in one step, and given up only by a thread that holds the same lock, so that nothing is deleted
// between the choice and the use. Any thread; the lock is held for a commit at most.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_set>
#include <utility>

#include "config/tagged_uuid.hpp"

namespace gnomon::actors {

class layer_uses {
  struct state {
    std::mutex mutex;
    std::multiset<snapshot_uuid> points;
    void give_back(snapshot_uuid point) {
      std::lock_guard lock(mutex);
      points.erase(points.find(point));
    }
  };

public:
  // Keeps one point in use for as long as it lives.
  class use {
  public:
    use() = default;
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
    friend class layer_uses;
    use(std::shared_ptr<state> owner, snapshot_uuid point) : owner_(std::move(owner)), point_(point) {}
    std::shared_ptr<state> owner_; // a source of a volume may outlive the works that opened it
    snapshot_uuid point_;
  };

  // `choose()` returns an optional point; it runs under the lock.
  template <class Choose>
  use take(Choose choose) {
    std::lock_guard lock(state_->mutex);
    const std::optional<snapshot_uuid> point = choose();
    if (!point)
      return {};
    state_->points.insert(*point);
    return use(state_, *point);
  }

  // `work(points in use)` runs under the lock: nothing new comes into use meanwhile.
  template <class Work>
  auto while_nothing_is_taken(Work work) {
    std::lock_guard lock(state_->mutex);
    return work(std::unordered_set<snapshot_uuid>(state_->points.begin(), state_->points.end()));
  }

private:
  const std::shared_ptr<state> state_ = std::make_shared<state>();
};

} // namespace gnomon::actors
