// What decides which granules one node holds near during a placement simulation, and the policies that Gnomon is
// measured against. A policy sees the reads in order, after the store was asked; what it learns of the future comes
// from the past alone (but for Belady and the oracle, which are given it). Values: one thread at a time.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "forecasting/simulation/near_store.hpp"

namespace gnomon::forecasting {

// One read as a policy sees it: granules[k] is granule `first + k` of the volume.
struct placed_read {
  double now = 0;
  std::uint32_t volume = 0;
  std::uint64_t first = 0;
  std::span<const cache_item> granules;
  double there_at = 0;    // when what was missing has arrived
  std::size_t access = 0; // number of granules[0] among the node's accesses
};

class placement_policy {
public:
  placement_policy(std::size_t capacity, const link_model& link) : store(capacity, link) {}
  virtual ~placement_policy() = default;
  // Before the read is served: time goes on, background work may run.
  virtual void advance(double now) { static_cast<void>(now); }
  // After it was served: keep what it fetched or do not, copy ahead, make room.
  virtual void read(const placed_read& r, granule_numbers& numbers) = 0;

  near_store store;
};

// Each granule access of a node in order, with the number of the next access to the same granule (and chunk).
struct future_accesses {
  std::vector<cache_item> item;
  std::vector<double> seconds;
  std::vector<std::uint64_t> next_of_granule, next_of_chunk; // cache::never: none
};

// Nothing is kept.
std::unique_ptr<placement_policy> make_nothing(const link_model& link);
// Misses are kept by `policy`. `ahead` granules after a read are fetched too when the read spans granules or its
// first granule or the one before it is among the last 256 touched; `always_ahead`: after every read (one-block
// lookahead).
struct cached_options {
  cache_policy policy = cache_policy::lru;
  std::uint32_t ahead = 0;
  bool always_ahead = false;
};
std::unique_ptr<placement_policy> make_cached(std::size_t capacity, const link_model& link, const cached_options& o,
                                              std::shared_ptr<const future_accesses> future = nullptr);
// The same with whole chunks: a miss brings its chunk, the granules that were asked for first.
std::unique_ptr<placement_policy> make_chunk_cached(std::size_t capacity, std::uint32_t granules_per_chunk,
                                                    const link_model& link, cache_policy policy,
                                                    std::shared_ptr<const future_accesses> future = nullptr);
// Keeps what was read most often so far: granules, or (granules_per_chunk > 1) whole chunks.
std::unique_ptr<placement_policy> make_pinned(std::size_t capacity, std::uint32_t granules_per_chunk,
                                              const link_model& link);
// Knows the future: copies the next missing granule as soon as the link is free and the granule that gives way is
// wanted later (Cao, Felten, Karlin & Li, SIGMETRICS 1995, "aggressive"); moves at most `granules_moved_max`.
std::unique_ptr<placement_policy> make_oracle(std::size_t capacity, const link_model& link,
                                              std::shared_ptr<const future_accesses> future,
                                              std::uint64_t granules_moved_max);

} // namespace gnomon::forecasting
