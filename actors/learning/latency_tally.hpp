// How long somebody's requests took lately: counts per bucket that fade with a half-life of five minutes. A value
// without a clock; one thread at a time.
#pragma once

#include <array>

#include "actors/protocol/learning_messages.hpp"
#include "io/measure/coarse_latency.hpp"

namespace gnomon::actors {

class latency_tally {
public:
  static constexpr double half_life_seconds = 300;
  static constexpr double forgotten_below = 0.5; // requests, after fading

  void add(double now_seconds, const io::coarse_latency::counts& counts);
  bool forgotten(double now_seconds) const { return total() * faded(now_seconds) < forgotten_below; }
  // Interpolated inside a bucket; beyond the last bucket's beginning nothing is known, so never more than 134 ms. 0
  // and 0 where all is forgotten.
  latency_quantiles at(double now_seconds) const;

private:
  double total() const;
  double faded(double now_seconds) const; // the share that is left
  double quantile_us(double fraction) const;

  std::array<float, io::coarse_latency::bucket_count> counts_{};
  double as_of_seconds_ = 0;
};

struct read_write_tally {
  latency_tally reads, writes;
  void add(double now_seconds, const observed_chunk& row) {
    reads.add(now_seconds, row.read_latency);
    writes.add(now_seconds, row.write_latency);
  }
  bool forgotten(double now_seconds) const { return reads.forgotten(now_seconds) && writes.forgotten(now_seconds); }
  recent_latency at(double now_seconds) const { return {reads.at(now_seconds), writes.at(now_seconds)}; }
};

} // namespace gnomon::actors
