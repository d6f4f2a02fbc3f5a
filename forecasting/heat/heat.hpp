// The heat map: how warm each chunk of a volume is, and whether it warms or cools; and the chart of chunks over
// time as operators read it. No clock, no I/O. A value: one thread at a time.
//
// Heat is the access rate with exponential decay, kept for several half-lives at once, so that "now", "today" and
// "usually" can be compared: a chunk that is much warmer now than usually is rising.
#pragma once

#include <array>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <armadillo>

#include "config/error.hpp"
#include "config/types.hpp"
#include "forecasting/series/series.hpp"

namespace gnomon::forecasting {

// 5 min, 30 min, 2 h, 1 day: the horizons, and the daily mean they are compared with.
inline constexpr std::array<double, 4> heat_half_lives_seconds = {5 * minute, 30 * minute, 2 * hour, day};
inline constexpr std::size_t heat_half_life_count = heat_half_lives_seconds.size();
inline constexpr double count_max = 1e15;                // of requests or bytes in one window
inline constexpr std::size_t heat_chunks_max = 1u << 20; // of one map; the coldest are dropped beyond

enum class heat_class {
  cold,     // hardly any heat
  rare,     // below the volume's usual chunk
  frequent, // among the chunks that together carry most of the volume's requests
  rising,   // warmer over the last half hour than over the day, by far
  falling,  // the other way round
};
std::string_view to_string(heat_class c) noexcept;

struct heat_options {
  double frequent_share = 0.8; // the hottest chunks that carry this share of the daily heat are frequent
  double trend_factor = 3;     // rising: 30-minute rate above this many times the daily rate; falling: below 1 / this
  double cold_below = 0.01;    // requests per hour
};

// One chunk at one moment. Rates are requests (and bytes) per second, decayed with each half-life.
struct chunk_heat {
  chunk_index chunk;
  std::array<double, heat_half_life_count> request_rate{};
  double byte_rate = 0;   // over half an hour
  double write_share = 0; // of the requests of the last day, 0..1
  double last_seconds = 0;
  heat_class kind = heat_class::cold;
};

class heat_map {
public:
  explicit heat_map(const heat_options& options = {}) : options_(options) {}

  // Counts accesses at a time. An older time than the newest is taken as the newest; what is not finite is ignored.
  void add(double time_seconds, chunk_index chunk, double reads, double writes, double bytes);
  // All chunks known, in order of chunk, as of `now_seconds` (the newest time added, if that is later).
  std::vector<chunk_heat> at(double now_seconds) const;
  std::size_t chunks() const { return cells_.size(); }
  std::size_t bytes() const;             // of memory, roughly
  void keep_warmest(std::size_t chunks); // over the day; forgets the others

  // Plain numbers [magic, version, ...], to be stored anywhere. from_numbers: errc::corrupt, unsupported.
  static constexpr double magic = 0x68656174; // "heat"
  static constexpr double version = 1;
  arma::vec to_numbers() const;
  static result<heat_map> from_numbers(const arma::vec& numbers, const heat_options& options = {});

private:
  struct cell {
    double last_seconds = 0; // to which the sums have decayed
    std::array<double, heat_half_life_count> requests{};
    double bytes = 0;  // with the second half-life
    double writes = 0; // with the last one
  };
  static void decay(cell& c, double to_seconds);

  heat_options options_;
  std::unordered_map<std::uint64_t, cell> cells_;
  double newest_seconds_ = -time_seconds_max;
};

// What was counted in one chunk in one slot: the raw material of a chart.
struct heat_sample {
  double time_seconds = 0;
  chunk_index chunk;
  double requests = 0;
};

// rows x columns: requests per cell, chunks 0 .. chunk_count - 1 spread over the rows, [from, to) over the columns.
// Samples outside are left out. rows, columns >= 1, at most 4096 each; to > from, else the matrix is 0 x 0.
arma::mat heat_chart(const std::vector<heat_sample>& samples, std::uint64_t chunk_count, double from_seconds,
                       double to_seconds, arma::uword rows, arma::uword columns);

} // namespace gnomon::forecasting
