// Least recently used, and copies ahead of sequential runs as far as that has paid so far: for every volume, length
// of the run and distance ahead it is known how many granules were copied and how many of them were read, and only
// what is used often enough is copied again. Now and then a refused distance is tried, so that a change is noticed.
// A value without clock or I/O: one thread at a time.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <vector>

#include "forecasting/simulation/placement_policy.hpp"

namespace gnomon::forecasting {

struct run_options {
  double used_min = 0.1;          // share of copies that must be read
  double memory_copies = 500;     // after so many copies the oldest count for half
  std::uint32_t tried_every = 64; // one of so many refused copies is made all the same
};

class run_placer final : public placement_policy {
public:
  run_placer(std::size_t capacity, const link_model& link, const run_options& options);
  void read(const placed_read& r, granule_numbers& numbers) override;

private:
  static constexpr std::size_t distances = 16, lengths = 5, streams_max = 64;
  struct tally {
    double copied = 2, used = 1; // as if half of what nobody has tried were used
  };
  using volume_tallies = std::array<tally, distances * lengths>;
  struct stream {
    std::uint32_t volume = 0;
    std::uint64_t end = 0;   // the granule it touched last
    std::uint32_t reads = 0; // 0: free
    std::uint64_t used = 0;
  };
  std::size_t follow(const placed_read& r); // class of the run's length
  void judge(cache_item i, bool used);
  bool worth_copying(tally& t);

  run_options options_;
  std::unique_ptr<cache> cache_;
  std::array<stream, streams_max> streams_{};
  std::vector<volume_tallies> volumes_;
  std::vector<std::uint32_t> label_; // per granule: volume * (distances * lengths) + tally
  std::uint64_t reads_ = 0, refused_ = 0;
};

} // namespace gnomon::forecasting
