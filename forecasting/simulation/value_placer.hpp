// Keeps near what is worth most: the granules with the highest expected rate of reads, read or not read before. The
// rate of a chunk is a mean of its recent rates over several half-lives, or what is expected of it at this time of
// day, where that is more and was right so far; it is shared among the chunk's granules by how often each was read,
// and what is left for those never read is the share of the chunk's reads that met a new granule (Good & Turing).
// So a chunk that is read all over is brought in whole, one that is scanned once makes room at once, and one of which
// few granules are read again and again costs only those. What is brought in for the time of day is decided by the
// planner (forecasting/planner), which keeps the book of how that did. A value without clock or I/O: one thread.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "forecasting/simulation/placement_policy.hpp"

namespace gnomon::forecasting {

struct value_options {
  std::array<double, 4> half_life_seconds = {300, 1800, 7200, 86400};
  std::array<double, 4> weight = {0.6, 0.2, 0.15, 0.05}; // of the rate over each, sum 1
  double granule_half_life_seconds = 4 * 86400.0;        // of how often a granule was read
  double gain_min = 1.1;            // a granule is copied ahead when it is worth this many times what gives way
  double recency_per_second = 0.02; // what a granule that was just read is worth besides
  double long_reads = 0.5;          // a granule of a read of n counts n^-this
  std::uint32_t looked_at = 48;     // candidates to give way, drawn by a fixed seed
  double recurring_weight = 1;      // 0: the time of day is not looked at
  double recurring_learns = 0.4;    // share of the newest day in what is expected
  double tick_seconds = 300;
  double trust_memory_granules = 512; // copies for the time of day, after which the oldest count for half
  double learned_from = 30;           // samples of a situation after which what followed it counts for half; 0: never
};

class value_placer final : public placement_policy {
public:
  value_placer(std::size_t capacity, const link_model& link, const value_options& options);
  void advance(double now) override;
  void read(const placed_read& r, granule_numbers& numbers) override;

private:
  static constexpr std::size_t slots_of_day = 48;
  static constexpr double slot_seconds = 1800;
  struct chunk_state {
    std::array<double, 4> heat{}; // reads, decayed with each half-life, as of `last`
    double last = 0;
    double fresh = 1, counted = 1;                     // accesses that met a new granule, and all, decayed by access
    double read_sum = 0;                               // of the granules' counts, as of `last`
    std::uint32_t seen = 0;                            // granules ever read
    double rate = 0, read_decay = 1, rated_at = -1e18; // what was computed at `rated_at`
    double recent = 0;                                 // the rate without what is expected
    std::vector<float> usual, today;                   // reads per slot of the day
    float expected = 0;                                // reads per second, by `usual`
    double since_tick = 0;                             // reads
    std::array<std::uint16_t, 2> situation{};          // at the last tick
    double right = 1, announced = 2;                   // reads that were expected and came, and all expected
    double copied = 0, used = 0;                       // granules brought in for the time of day, and of them read
  };
  void grow(cache_item i);
  void count(cache_item i, double now, bool counts_for_chunk, double part);
  void rate(chunk_state& c, double now) const;
  double worth(cache_item i, double now);
  bool make_room(double now, double worth_more_than);
  void keep(cache_item i);
  void copy_chunk(std::uint32_t chunk, std::uint32_t from, double now, prediction_kind kind);
  void tick(double now);
  void plan_ahead(double now, const std::vector<std::uint32_t>& chunks);
  std::uint32_t worth_copying(std::uint32_t chunk, double now); // granules that are missing and worth it
  void end_slot(chunk_state& c) const;
  std::array<std::size_t, 2> situation(const chunk_state& c, double now) const;
  void learn(chunk_state& c, double now);

  value_options options_;
  link_model link_;
  std::uint32_t per_chunk_ = 0;
  const granule_numbers* numbers_ = nullptr; // of the node; lives longer than its policy
  std::vector<chunk_state> chunks_;
  std::vector<float> reads_; // per granule, decayed, as of last_read_
  std::vector<double> last_read_;
  std::vector<cache_item> held_; // in no order
  std::vector<std::uint32_t> position_;
  // What followed a situation of a chunk: {recent, day, expected} and {recent, hours, day, expected}, in classes.
  struct outcome {
    double reads = 0, ticks = 0;
  };
  static constexpr std::size_t heat_classes = 12, expected_classes = 7;
  std::vector<outcome> coarse_, fine_;
  std::uint64_t random_ = 0x9e3779b97f4a7c15ull;
  double price_ = 0; // what gave way lately was worth, reads per second
  double next_tick_ = 0;
  std::int64_t slot_ = -1;
};

} // namespace gnomon::forecasting
