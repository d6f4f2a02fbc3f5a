// When would snapshots have been taken, and how much client load would their I/O have met? Replays a volume's load:
// once a day a baseline with 24 hours to choose, once an hour a differential with that hour to choose, each planned
// from what was known before. Beside it, for the same days: a fixed time (mean over all times of day), a random time,
// yesterday's quietest time, and an oracle. Pure functions: no clock, no I/O. Any thread.
#pragma once

#include <array>
#include <string_view>

#include "config/error.hpp"
#include "forecasting/series/grid.hpp"

namespace gnomon::forecasting {

enum class snapshot_timing { planned, fixed, random, yesterday, oracle };
inline constexpr std::size_t snapshot_timing_count = 5;
std::string_view to_string(snapshot_timing t) noexcept;

struct snapshot_options {
  double baseline_seconds = 30 * minute; // how long a baseline's I/O takes
  double differential_seconds = 5 * minute;
  double plan_every_seconds = 6 * hour; // a forecast is made anew after this, for differentials
  double learn_seconds = 2 * day;       // before this nothing is judged
  std::uint64_t seed = 1;               // of the random times
};

struct timing_score {
  double snapshots = 0;
  double load_met = 0;         // mean over snapshots: the load during it over the mean load of its choice
  double quietest_quarter = 0; // share of the snapshots that lay in the quietest quarter of their choice
};

struct snapshot_scores {
  std::array<timing_score, snapshot_timing_count> baselines{}, differentials{};
  double days = 0;
  double latest_seconds = 0;      // longest time between two baselines as planned; the bound is two days
  double planned_by_schedule = 0; // choices in which the forecast said nothing, so that the schedule was kept
};

// `load`: on slots of at most the differential's length that divide an hour. errc::invalid_argument: no such grid, or
// less than learn_seconds and a day of it.
result<snapshot_scores> simulate_snapshots(const grid& load, const snapshot_options& options = {});

} // namespace gnomon::forecasting
