// How old the last good snapshot of every group may be and is; for metrics and /health. The groups' actors write it.
// Any thread.
#pragma once

#include <map>
#include <mutex>
#include <optional>

#include "config/clock.hpp"
#include "config/types.hpp"

namespace gnomon::actors {

struct group_age {
  wall_time created;
  std::optional<wall_time> newest;   // point in time of the newest complete snapshot
  std::chrono::seconds bound{0};     // within which one must follow the last; 0: nothing is promised
  std::optional<wall_time> next;     // planned
  std::chrono::microseconds age(wall_time now) const { return now - newest.value_or(created); }
  bool late(wall_time now) const { return bound.count() > 0 && age(now) > bound; }
};

class group_age_table {
public:
  void set(const group_name& group, const group_age& age) {
    std::lock_guard lock(mutex_);
    groups_.insert_or_assign(group, age);
  }
  void erase(const group_name& group) {
    std::lock_guard lock(mutex_);
    groups_.erase(group);
  }
  std::map<group_name, group_age> all() const {
    std::lock_guard lock(mutex_);
    return groups_;
  }

private:
  mutable std::mutex mutex_;
  std::map<group_name, group_age> groups_;
};

} // namespace gnomon::actors
