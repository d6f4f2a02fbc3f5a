#include "io/measure/latency_histogram.hpp"

namespace gnomon::io {

void latency_histogram::merge(const latency_histogram& other) noexcept {
  for (std::size_t i = 0; i < bucket_count; ++i) counts_[i] += other.counts_[i];
}

std::uint64_t latency_histogram::count() const noexcept {
  std::uint64_t total = 0;
  for (const auto n : counts_) total += n;
  return total;
}

double latency_histogram::quantile_nanoseconds(double fraction) const noexcept {
  const auto total = count();
  if (total == 0) return 0;
  const double wanted = fraction * static_cast<double>(total);
  double seen = 0;
  for (std::size_t i = 0; i < bucket_count; ++i) {
    if (counts_[i] == 0) continue;
    const auto here = static_cast<double>(counts_[i]);
    if (seen + here >= wanted) {
      const auto low = static_cast<double>(lower_bound(i)), high = static_cast<double>(lower_bound(i + 1));
      return low + (high - low) * ((wanted - seen) / here);
    }
    seen += here;
  }
  return static_cast<double>(lower_bound(bucket_count));
}

double latency_histogram::mean_nanoseconds() const noexcept {
  const auto total = count();
  if (total == 0) return 0;
  double sum = 0;
  for (std::size_t i = 0; i < bucket_count; ++i)
    sum += static_cast<double>(counts_[i]) * (static_cast<double>(lower_bound(i)) + static_cast<double>(lower_bound(i + 1))) / 2;
  return sum / static_cast<double>(total);
}

} // namespace gnomon::io
