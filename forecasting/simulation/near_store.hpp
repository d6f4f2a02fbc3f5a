// What one node holds near its readers during a simulation, granule by granule, and the link that brings it there.
// Fetches take time: a demand read has the link's whole bandwidth and goes first, copies ahead have the budget for
// background copies and wait for each other. Counts what was moved, for which reason, and what was moved in vain.
// A value without clock or I/O: one thread at a time.
#pragma once

#include <array>
#include <functional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "forecasting/planner/prediction_kind.hpp"
#include "forecasting/simulation/cache.hpp"

namespace gnomon::forecasting {

inline constexpr std::uint32_t simulated_granule_bytes = 64 * 1024;

// Dense numbers for the granules of all volumes: whole chunks at a time, so that neighbours inside a chunk have
// neighbouring numbers.
class granule_numbers {
public:
  explicit granule_numbers(std::uint32_t granules_per_chunk) : per_chunk_(granules_per_chunk) {}
  cache_item of(std::uint32_t volume, std::uint64_t granule);
  std::uint32_t per_chunk() const { return per_chunk_; }
  std::size_t chunks() const { return chunks_.size(); }
  struct place {
    std::uint32_t volume = 0;
    std::uint64_t chunk = 0;
  };
  const place& chunk_at(std::uint32_t number) const { return chunks_[number]; }

private:
  std::uint32_t per_chunk_;
  std::unordered_map<std::uint64_t, std::uint32_t> number_; // volume << 40 | chunk
  std::vector<place> chunks_;
};

// The stated latency model of one node.
struct link_model {
  double far_seconds = 0.0007;  // round trip to the home plus its device
  double near_seconds = 0.0001; // the near copy's device
  double near_bytes_per_second = 2e9;
  double demand_bytes_per_second = 1.25e9; // of reads that the home serves
  double ahead_bytes_per_second = 125e6;   // budget of background copies
  double backlog_seconds_max = 2;          // more copies than this are not queued
};

class near_store {
public:
  near_store(std::size_t capacity_granules, const link_model& link) : capacity_(capacity_granules), link_(link) {}

  bool holds(cache_item i) const { return i < state_.size() && (state_[i] & held) != 0; }
  bool near_at(cache_item i, double now) const { return holds(i) && arrival_[i] <= now; }
  double arrival(cache_item i) const { return arrival_[i]; } // of a granule that is held
  bool arriving(cache_item i, double now) const { return holds(i) && arrival_[i] > now; }
  std::size_t used() const { return used_; }
  std::size_t capacity() const { return capacity_; }
  cache_item numbered() const { return static_cast<cache_item>(state_.size()); } // no larger number is held
  bool backlogged(double now) const { return copies_busy_ - now > link_.backlog_seconds_max; }
  double copies_busy_until() const { return copies_busy_; }

  // A read at `now` meets granules that are not near: `missing` are fetched with it, `arriving` are taken over from
  // the queue of copies. Returns when they are there.
  double demand(double now, std::size_t missing, std::size_t taken_over);
  // The read used a granule that is held; one that still travels arrives with the read at the latest.
  void use(cache_item i, double there_at);
  // Keeps a granule that the read has fetched. Its place must be free.
  void admit(cache_item i, double there_at);
  // Copies a granule ahead. Its place must be free.
  void fetch(cache_item i, double now, prediction_kind kind);
  void drop(cache_item i); // not held: nothing
  void finish();           // what was copied ahead and never read counts as in vain from now on
  prediction_kind kind_of(cache_item i) const { return static_cast<prediction_kind>(state_[i] >> 4); }
  bool unused(cache_item i) const { return holds(i) && (state_[i] & read_once) == 0; }

  std::uint64_t moved() const { return moved_; } // granules
  std::uint64_t in_vain() const { return in_vain_; }
  struct by_kind {
    std::uint64_t fetched = 0, used = 0; // copied ahead; of them read before they left
  };
  const std::array<by_kind, prediction_kind_count>& kinds() const { return kinds_; }
  // Called with every granule that was copied ahead and is used for the first time, or leaves unused.
  std::function<void(cache_item, bool used)> on_outcome;
  // Called after a granule left, and after one was queued to be copied ahead.
  std::function<void(cache_item)> on_drop;
  std::function<void(cache_item, prediction_kind)> on_fetch;

private:
  static constexpr std::uint8_t held = 1, read_once = 2;
  void grow(cache_item i);
  std::size_t capacity_, used_ = 0;
  link_model link_;
  std::vector<double> arrival_;
  std::vector<std::uint8_t> state_; // held | read_once | kind << 4
  double demand_busy_ = 0, copies_busy_ = 0;
  std::uint64_t moved_ = 0, in_vain_ = 0;
  std::array<by_kind, prediction_kind_count> kinds_{};
};

} // namespace gnomon::forecasting
