#include "actors/learning/latency_tally.hpp"

#include <algorithm>
#include <cmath>

namespace gnomon::actors {
using io::coarse_latency;

double latency_tally::total() const {
  double sum = 0;
  for (const float n : counts_)
    sum += n;
  return sum;
}

double latency_tally::faded(double now_seconds) const {
  return std::exp2(-std::max(now_seconds - as_of_seconds_, 0.0) / half_life_seconds); // a clock that went back: now
}

void latency_tally::add(double now_seconds, const coarse_latency::counts& counts) {
  const double left = faded(now_seconds);
  for (std::size_t b = 0; b < counts.size(); ++b)
    counts_[b] = static_cast<float>(counts_[b] * left + counts[b]);
  as_of_seconds_ = now_seconds;
}

double latency_tally::quantile_us(double fraction) const {
  const double wanted = fraction * total();
  double seen = 0;
  for (std::size_t b = 0; b < counts_.size(); ++b) {
    if (counts_[b] <= 0)
      continue;
    if (seen + counts_[b] < wanted) {
      seen += counts_[b];
      continue;
    }
    const auto low = static_cast<double>(coarse_latency::lower_bound(b));
    if (b + 1 == counts_.size())
      return low * 1e-3;
    const auto high = static_cast<double>(coarse_latency::lower_bound(b + 1));
    return (low + (high - low) * std::clamp((wanted - seen) / counts_[b], 0.0, 1.0)) * 1e-3;
  }
  return static_cast<double>(coarse_latency::lower_bound(counts_.size() - 1)) * 1e-3;
}

latency_quantiles latency_tally::at(double now_seconds) const {
  return forgotten(now_seconds) ? latency_quantiles{} : latency_quantiles{quantile_us(0.5), quantile_us(0.99)};
}

} // namespace gnomon::actors
