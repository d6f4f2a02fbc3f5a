// Durations in 16 buckets, each twice as wide as the one before: small enough to be counted for every chunk and
// instance, exact enough to hold a percentile against a promise. The exact ones are per volume (latency_histogram).
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace gnomon::io {

struct coarse_latency {
  static constexpr std::size_t bucket_count = 16;
  static constexpr unsigned first_bits = 13; // the first bucket ends at 8.2 us, the last one begins at 134 ms
  using counts = std::array<std::uint32_t, bucket_count>;

  static constexpr std::size_t bucket_of(std::uint64_t nanoseconds) noexcept {
    return std::min<std::size_t>(std::bit_width(nanoseconds >> first_bits), bucket_count - 1);
  }
  // Smallest value of the bucket; lower_bound(b + 1) is its exclusive end, but for the last one, which has none.
  static constexpr std::uint64_t lower_bound(std::size_t bucket) noexcept {
    return bucket == 0 ? 0 : std::uint64_t{1} << (bucket + first_bits - 1);
  }
};

} // namespace gnomon::io
