// What clients of this node read and wrote lately: a rate per volume, chunk and instance that halves with time. The
// observer adds each second what the rings counted, the planner takes a copy. Bounded; when it is full the rows with the
// least demand go. Pure but for its lock; any thread.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <map>
#include <mutex>
#include <tuple>
#include <vector>

#include "config/types.hpp"

namespace gnomon::actors {

class demand_table {
public:
  static constexpr std::size_t rows_max = 65'536;
  static constexpr double forgotten_below = 0.05; // requests, after decay

  struct row {
    volume_uuid volume;
    chunk_index chunk;
    instance_id instance;
    double reads_per_second = 0, writes_per_second = 0;
    double last_seconds = 0;
  };

  void set_half_life(double seconds) {
    std::lock_guard lock(mutex_);
    half_life_ = std::max(seconds, 0.001);
  }
  void add(const volume_uuid& volume, chunk_index chunk, const instance_id& instance, double reads, double writes,
           double now_seconds) {
    std::lock_guard lock(mutex_);
    const key where{volume, chunk, instance};
    auto found = rows_.find(where);
    if (found == rows_.end()) {
      if (rows_.size() >= rows_max)
        make_room(now_seconds);
      found = rows_.try_emplace(where).first;
      found->second.as_of = now_seconds;
    }
    auto& e = found->second;
    decay(e, now_seconds);
    e.reads += reads;
    e.writes += writes;
    e.last = now_seconds;
  }
  // By volume, chunk and instance. Forgets what has become too little.
  std::vector<row> at(double now_seconds) {
    std::lock_guard lock(mutex_);
    std::vector<row> out;
    const double per_second = std::log(2.0) / half_life_;
    for (auto at = rows_.begin(); at != rows_.end();) {
      decay(at->second, now_seconds);
      at = at->second.reads + at->second.writes < forgotten_below ? rows_.erase(at) : std::next(at);
    }
    for (const auto& [where, e] : rows_)
      out.push_back({std::get<0>(where), std::get<1>(where), std::get<2>(where), e.reads * per_second,
                     e.writes * per_second, e.last});
    return out;
  }

private:
  using key = std::tuple<volume_uuid, chunk_index, instance_id>;
  struct entry {
    double reads = 0, writes = 0, as_of = 0, last = 0;
  };
  void decay(entry& e, double now) const {
    if (now <= e.as_of)
      return;
    const double left = std::exp2(-(now - e.as_of) / half_life_);
    e.reads *= left;
    e.writes *= left;
    e.as_of = now;
  }
  // The quarter with the least demand goes.
  void make_room(double now) {
    std::vector<double> sums;
    for (auto& [where, e] : rows_) {
      decay(e, now);
      sums.push_back(e.reads + e.writes);
    }
    const auto quarter = sums.begin() + static_cast<std::ptrdiff_t>(sums.size() / 4);
    std::nth_element(sums.begin(), quarter, sums.end());
    const double least = *quarter;
    std::size_t to_go = rows_.size() / 4;
    std::erase_if(rows_, [&](const auto& one) {
      if (to_go == 0 || one.second.reads + one.second.writes > least)
        return false;
      --to_go;
      return true;
    });
  }

  std::mutex mutex_;
  std::map<key, entry> rows_;
  double half_life_ = 600;
};

} // namespace gnomon::actors
