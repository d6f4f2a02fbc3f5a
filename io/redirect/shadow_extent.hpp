// Which chunks of a volume a shadow is for, and what became of the copies: how many granules of each chunk were copied
// in, and how many of those a client has read since. A shadow made by an operator is for all chunks, one made by the
// planner for those that it chose. Lock-free; any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "config/types.hpp"
#include "io/session/frame.hpp"
#include "io/types.hpp"

namespace gnomon::io {

class shadow_extent {
public:
  shadow_extent(byte_count size, byte_count chunk)
      : granules_((size.value + granule_bytes - 1) / granule_bytes), per_chunk_(chunk.value / granule_bytes),
        chunks_((granules_ + per_chunk_ - 1) / per_chunk_), state_(std::make_unique<chunk_state[]>(chunks_)),
        used_(std::make_unique<std::atomic<std::uint64_t>[]>((granules_ + 63) / 64)) {}

  std::uint64_t chunks() const noexcept { return chunks_; }
  std::uint64_t wanted_chunks() const noexcept { return wanted_.load(std::memory_order_relaxed); }
  byte_count wanted_bytes() const noexcept { return byte_count{wanted_chunks() * per_chunk_ * granule_bytes}; }
  bool wants(granule_index g) const noexcept { return wants(chunk_index{g.value / per_chunk_}); }
  bool wants(chunk_index c) const noexcept {
    return c.value < chunks_ && state_[c.value].wanted.load(std::memory_order_relaxed);
  }
  // The first granule of the chunk after this one's.
  std::uint64_t next_chunk_after(std::uint64_t granule) const noexcept { return (granule / per_chunk_ + 1) * per_chunk_; }
  session::granule_run granules_of(chunk_run run) const noexcept {
    const std::uint64_t first = std::min(run.first.value, chunks_) * per_chunk_;
    const std::uint64_t end = std::min(std::min(run.count > chunks_ ? chunks_ : run.first.value + run.count, chunks_) * per_chunk_, granules_);
    return {granule_index{first}, end > first ? end - first : 0};
  }

  // How many chunks of the run were not wanted before.
  std::uint64_t missing(chunk_run run) const noexcept {
    std::uint64_t count = 0;
    each(run, [&](chunk_state& s) { count += s.wanted.load(std::memory_order_relaxed) ? 0 : 1; });
    return count;
  }
  // Counts begin anew for what comes in.
  void add(chunk_run run) noexcept {
    each(run, [&](chunk_state& s) {
      if (!s.wanted.exchange(true, std::memory_order_relaxed))
        wanted_.fetch_add(1, std::memory_order_relaxed);
    });
  }
  void remove(chunk_run run) noexcept {
    each(run, [&](chunk_state& s) {
      if (s.wanted.exchange(false, std::memory_order_relaxed))
        wanted_.fetch_sub(1, std::memory_order_relaxed);
      s.copied.store(0, std::memory_order_relaxed);
      s.used.store(0, std::memory_order_relaxed);
    });
    const auto granules = granules_of(run);
    for (std::uint64_t g = granules.first.value; g < granules.end(); ++g)
      used_[g / 64].fetch_and(~(std::uint64_t{1} << (g % 64)), std::memory_order_relaxed);
  }

  void copied(granule_index g) noexcept { state_[g.value / per_chunk_].copied.fetch_add(1, std::memory_order_relaxed); }
  // A client has read these from the shadow.
  void read(session::granule_run run) noexcept {
    for (std::uint64_t g = run.first.value; g < std::min(run.end(), granules_); ++g) {
      auto& word = used_[g / 64];
      const std::uint64_t bit = std::uint64_t{1} << (g % 64);
      if ((word.load(std::memory_order_relaxed) & bit) == 0 && (word.fetch_or(bit, std::memory_order_relaxed) & bit) == 0)
        state_[g / per_chunk_].used.fetch_add(1, std::memory_order_relaxed);
    }
  }

  // What it is for, in order.
  std::vector<shadowed_chunk> report() const {
    std::vector<shadowed_chunk> out;
    for (std::uint64_t c = 0; c < chunks_; ++c)
      if (wants(chunk_index{c}))
        out.push_back({chunk_index{c}, state_[c].copied.load(std::memory_order_relaxed),
                       state_[c].used.load(std::memory_order_relaxed)});
    return out;
  }

private:
  struct chunk_state {
    std::atomic<bool> wanted{false};
    std::atomic<std::uint32_t> copied{0}, used{0}; // granules
  };
  void each(chunk_run run, auto&& with) const noexcept {
    for (std::uint64_t c = run.first.value; c < chunks_ && c - run.first.value < run.count; ++c)
      with(state_[c]);
  }

  const std::uint64_t granules_, per_chunk_, chunks_;
  const std::unique_ptr<chunk_state[]> state_;
  const std::unique_ptr<std::atomic<std::uint64_t>[]> used_; // a bit per granule
  std::atomic<std::uint64_t> wanted_{0};
};

} // namespace gnomon::io
