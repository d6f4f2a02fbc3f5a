// How much memory the patterns of all volumes hold, and whose is to be given back. Pattern actors report what they
// hold; the observer asks the ones that were used least lately to unload, and where everything is in use the largest
// to shrink. Pure but for its lock; any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "config/clock.hpp"
#include "config/types.hpp"

namespace gnomon::actors {

class learned_memory {
public:
  static constexpr double give_back_to = 0.9; // of the bound, once it is passed
  static constexpr std::chrono::seconds in_use_for{60};
  static constexpr std::size_t pattern_bytes_min = 16u << 10; // below this nothing shrinks

  struct release {
    volume_uuid volume;
    byte_count most; // to keep; 0: none of it
  };

  void report(volume_uuid volume, std::size_t bytes, boot_time used) {
    std::lock_guard lock(mutex_);
    auto& entry = held_[volume];
    total_ += bytes - entry.bytes;
    entry = {bytes, std::max(used, entry.used)};
  }
  void erase(volume_uuid volume) {
    std::lock_guard lock(mutex_);
    if (const auto found = held_.find(volume); found != held_.end()) {
      total_ -= found->second.bytes;
      held_.erase(found);
    }
  }
  std::size_t total() const {
    std::lock_guard lock(mutex_);
    return total_;
  }
  std::size_t loaded() const {
    std::lock_guard lock(mutex_);
    return held_.size();
  }

  // What to give back so that all of it fits into `bound` again; empty while it does.
  std::vector<release> over(std::size_t bound, boot_time now) const {
    std::lock_guard lock(mutex_);
    std::vector<release> out;
    if (total_ <= bound)
      return out;
    const auto target = static_cast<std::size_t>(static_cast<double>(bound) * give_back_to);
    std::vector<std::pair<volume_uuid, entry>> oldest(held_.begin(), held_.end());
    std::sort(oldest.begin(), oldest.end(),
              [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
    std::size_t left = total_;
    auto next = oldest.begin();
    for (; next != oldest.end() && left > target && now - next->second.used >= in_use_for; ++next) {
      out.push_back({next->first, byte_count{0}});
      left -= next->second.bytes;
    }
    // The others are in use: the same most for all, so that small ones stay as they are.
    const std::vector<std::pair<volume_uuid, entry>> used(next, oldest.end());
    if (left <= target || used.empty())
      return out;
    const std::size_t most = std::max(level(used, target), pattern_bytes_min);
    for (const auto& [volume, held] : used)
      if (held.bytes > most)
        out.push_back({volume, byte_count{most}});
    return out;
  }

private:
  struct entry {
    std::size_t bytes = 0;
    boot_time used{};
  };
  // The most bytes for each with which all together hold at most `target`.
  static std::size_t level(const std::vector<std::pair<volume_uuid, entry>>& all, std::size_t target) {
    std::vector<std::size_t> sizes;
    for (const auto& [volume, held] : all)
      sizes.push_back(held.bytes);
    std::sort(sizes.begin(), sizes.end());
    std::size_t below = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const std::size_t rest = sizes.size() - i;
      if (target <= below || below + sizes[i] * rest > target)
        return target > below ? (target - below) / rest : 0;
      below += sizes[i];
    }
    return target;
  }

  mutable std::mutex mutex_;
  std::unordered_map<volume_uuid, entry> held_;
  std::size_t total_ = 0;
};

} // namespace gnomon::actors
