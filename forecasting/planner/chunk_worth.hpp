// What having a chunk near its readers is worth, and what it costs. Pure functions on values; any thread.
#pragma once

#include <map>
#include <tuple>

#include "forecasting/planner/planner_input.hpp"

namespace gnomon::forecasting {

// Looks a planner's tables up by their keys. Refers to the input, which must outlive it.
class planner_index {
public:
  explicit planner_index(const planner_input& input);
  double round_trip_seconds(std::uint32_t a, std::uint32_t b) const; // 0 for one node
  // Weight of the readers of a volume at a node: the heaviest one; doubled where a read of this latency breaks an
  // SLA.
  double weight(std::uint32_t volume, std::uint32_t node, double read_seconds) const;
  // Share of copies that were used, of this chunk or, while it is young, of its volume; 1/2 while nothing is known.
  double trust(std::uint32_t volume, std::uint64_t chunk, prediction_kind kind) const;

private:
  const planner_input& input_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, double> path_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::vector<std::uint32_t>> readers_;
  std::map<std::tuple<std::uint32_t, std::uint64_t, prediction_kind>, std::pair<double, double>> trust_;
};

struct expected_reads {
  double per_second = 0;
  prediction_kind because = prediction_kind::demand;
};
// What was observed, or the largest prediction that has earned trust, in so far as it has.
expected_reads expected_of(const planner_chunk& chunk, const planner_index& index, const planner_options& options);

struct chunk_worth {
  expected_reads reads;
  double saved_seconds_per_read = 0;
  double saved_seconds_per_second = 0; // weighted; writes, each of which costs a refill, taken off
  double bytes = 0;                    // of space, and to be copied
};
chunk_worth worth_of(const planner_chunk& chunk, const planner_input& input, const planner_index& index);

} // namespace gnomon::forecasting
