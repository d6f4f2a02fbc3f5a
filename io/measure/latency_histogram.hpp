// Log-linear histogram of durations: 8 sub-buckets per power of two, so a percentile is at most 12.5 % off.
// The plain form is a value; rings keep theirs in single-writer atomics (io/measure/counters.hpp) and add into this.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace gnomon::io {

class latency_histogram {
public:
  static constexpr unsigned sub_bits = 3;
  static constexpr std::size_t bucket_count = 8 + (40 - sub_bits) * 8; // up to 2^40 ns (18 minutes); longer: last bucket

  static constexpr std::size_t bucket_of(std::uint64_t nanoseconds) noexcept {
    if (nanoseconds < 8) return static_cast<std::size_t>(nanoseconds);
    const unsigned exponent = 63u - static_cast<unsigned>(std::countl_zero(nanoseconds));
    const std::size_t index = (exponent - sub_bits + 1) * 8 + ((nanoseconds >> (exponent - sub_bits)) & 7);
    return index < bucket_count ? index : bucket_count - 1;
  }
  // Smallest value of the bucket, in nanoseconds; lower_bound(b + 1) is its exclusive end.
  static constexpr std::uint64_t lower_bound(std::size_t bucket) noexcept {
    if (bucket < 8) return bucket;
    return (8 + bucket % 8) << (bucket / 8 - 1);
  }

  void record(std::uint64_t nanoseconds, std::uint64_t times = 1) noexcept { counts_[bucket_of(nanoseconds)] += times; }
  void add_bucket(std::size_t bucket, std::uint64_t times) noexcept { counts_[bucket] += times; }
  void merge(const latency_histogram& other) noexcept;
  std::uint64_t count() const noexcept;
  std::uint64_t count_in(std::size_t bucket) const noexcept { return counts_[bucket]; }
  // The value below which `fraction` (0..1) of the samples lie, interpolated inside its bucket; 0 when empty.
  double quantile_nanoseconds(double fraction) const noexcept;
  double mean_nanoseconds() const noexcept; // from bucket midpoints

private:
  std::array<std::uint64_t, bucket_count> counts_{};
};

} // namespace gnomon::io
