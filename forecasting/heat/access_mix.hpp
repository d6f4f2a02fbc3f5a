// Who makes a volume's requests, chunk by chunk, and how much of them reads by the hour of the day. From this and the
// volume's hot sets follow those of each instance (actors/learning/pattern_outlook.hpp), at a few bytes per chunk
// instead of a model per instance. No clock, no I/O. A value: one thread at a time.
//
// Counts fade with a half-life of a day. Per chunk the busiest few instances are told apart and the rest is one sum;
// as long as one instance makes nearly all requests of the volume, no chunk is kept at all.
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include <armadillo>

#include "config/error.hpp"
#include "config/types.hpp"
#include "forecasting/series/series.hpp"

namespace gnomon::forecasting {

class access_mix {
public:
  static constexpr std::size_t instances_per_chunk = 4;
  static constexpr std::size_t instances_max = 1024;  // told apart on one volume; the least active go
  static constexpr std::size_t chunks_max = 1u << 16; // with counts of their own
  static constexpr double half_life_seconds = day;
  static constexpr double alone_share = 0.99; // from this share on one instance is taken for the only one
  static constexpr std::size_t hours = 24;

  struct instance_share {
    std::uint32_t instance = 0; // a number of the caller's
    double share = 0;           // of the volume's requests, 0..1
  };

  // Older times than the newest count as the newest; what is not finite, or below 0, is ignored.
  void add(double time_seconds, chunk_index chunk, std::uint32_t instance, double reads, double writes);
  std::vector<instance_share> instances() const; // busiest first; below a thousandth: left out
  // The instance's share of the chunk's requests, 0..1; the volume's where the chunk has no counts of its own.
  double share(chunk_index chunk, std::uint32_t instance) const;
  std::array<float, hours> read_share_by_hour() const; // UTC; -1: no requests seen in that hour
  std::size_t bytes() const;
  void forget_chunks() { chunks_.clear(); } // to save memory: they are counted anew

  // Plain numbers [magic, version, ...]. from_numbers: errc::corrupt, unsupported.
  static constexpr double magic = 0x6d697861; // "mixa"
  static constexpr double version = 1;
  arma::vec to_numbers() const;
  static result<access_mix> from_numbers(const arma::vec& numbers);

private:
  struct counted {
    std::uint32_t instance = 0;
    float requests = 0;
  };
  struct chunk_counts {
    float all = 0;
    std::array<counted, instances_per_chunk> busiest{};
  };
  struct hour_counts {
    double reads = 0, all = 0;
  };
  // Counts are multiplied by a weight that grows with time instead of being decayed one by one.
  double weight_at(double time_seconds);
  void rescale(double by);
  bool alone() const;

  double origin_seconds_ = 0, newest_seconds_ = 0; // weight 1 at the origin; 0: nothing added yet
  double all_ = 0;
  std::unordered_map<std::uint32_t, double> instances_;
  std::unordered_map<std::uint64_t, chunk_counts> chunks_;
  std::array<hour_counts, hours> by_hour_{};
};

} // namespace gnomon::forecasting
