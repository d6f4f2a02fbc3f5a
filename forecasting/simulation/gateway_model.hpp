// What a node of Gnomon keeps near during a placement simulation. Three ways of placing run side by side in numbers
// alone: one follows observed demand (least recently used, and a few granules ahead where reads are neighbours), one
// copies ahead of sequential runs as far as that has paid, one places by what is predicted. Each is judged by the
// reads that it would have had near; the node follows the one that did better lately, so that prediction moves data
// only where it has earned it. One thread at a time.
#pragma once

#include <memory>

#include "forecasting/simulation/placement_policy.hpp"
#include "forecasting/simulation/run_placer.hpp"
#include "forecasting/simulation/value_placer.hpp"

namespace gnomon::forecasting {

struct gateway_options {
  value_options value;
  run_options runs;
  std::uint32_t ahead = 4; // granules ahead of a run, when demand is followed
  double judged_half_life_reads = 4000;
  double better_by = 0.01;     // the other way's share of reads must be higher by this
  double granule_cost = 0.005; // what a granule moved per read takes off a way's share
  bool predict = true;         // false: demand alone
};

enum class gateway_way { demand, runs, prediction };
inline constexpr std::size_t gateway_way_count = 3;

struct gateway_report {
  std::array<std::uint64_t, gateway_way_count> reads_by_way{}; // that were served while it was followed
  std::uint64_t changes = 0;
  gateway_report& operator+=(const gateway_report& o);
};

std::unique_ptr<placement_policy> make_gateway(std::size_t capacity, const link_model& link,
                                               const gateway_options& options);
// Of a policy that make_gateway made; else null.
const gateway_report* gateway_report_of(const placement_policy& policy);

} // namespace gnomon::forecasting
