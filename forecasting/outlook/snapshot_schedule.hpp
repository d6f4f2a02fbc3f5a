// When a snapshot group takes its next layers: small differentials at a steady pace, each at the quietest time of its
// interval, and now and then a baseline in the widest quiet window. The daemon's groups and `gnomon simulate --snapshots`
// use this one code. Pure functions on values: any thread, no clock, no I/O. Times are seconds since 1970-01-01 UTC.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "forecasting/outlook/windows.hpp"

namespace gnomon::forecasting {

inline constexpr std::size_t planned_snapshots_max = 512; // in one plan
inline constexpr double differential_seconds_usual = 5 * minute;
inline constexpr double baseline_seconds_usual = 30 * minute;
inline constexpr double quiet_below_usual = 0.3;

enum class snapshot_kind : std::uint8_t { differential, baseline };
std::string_view to_string(snapshot_kind kind) noexcept;

// Why a start was chosen.
enum class start_reason : std::uint8_t {
  quiet_window,  // the quietest time within the widest window below `quiet_below`
  least_load,    // no such window: the time of the least load
  schedule,      // nothing usable is predicted: the plain schedule
  after_event,   // the plain schedule's time is kept clear by an event: the first time after it
  deadline,      // any later, and the snapshot would come too late
};
std::string_view to_string(start_reason reason) noexcept;

// What is expected of those whose I/O the snapshot's would meet.
struct expected_demand {
  grid load;            // per slot; NaN: nothing is said of that slot
  double mean_load = 0; // per slot, usually of the past
  std::string unusable; // why nothing can be planned by it; empty: it can
};

// One layer's choice: it starts at `from` at the earliest and its I/O ends by `until`.
struct layer_choice {
  double from = 0, until = 0;
  double length_seconds = 0;
  double quiet_below = quiet_below_usual; // of the mean load
};

struct chosen_start {
  double start = 0;
  start_reason reason = start_reason::schedule;
  std::optional<double> load_fraction; // expected during the layer's I/O, over the mean; none: nothing is predicted
};
// Never later than `until` less the length, never before `from` unless that is too late already.
chosen_start choose_start(const layer_choice& choice, const expected_demand& demand,
                          const std::vector<veto>& vetoes = {});

struct snapshot_rule {
  bool prediction = false;
  double every_seconds = 0;          // mean time between two snapshots; 0: on demand only
  double latest_by_seconds = 0;      // the longest time between two; 0: twice `every`
  double baseline_every_seconds = 0; // 0: no baseline after the first snapshot
  double quiet_below = quiet_below_usual;
  double bound_seconds() const { return latest_by_seconds > 0 ? latest_by_seconds : 2 * every_seconds; }
};

struct snapshot_past {
  double created = 0;           // of the group: the intervals are counted from here
  std::optional<double> newest; // point in time of the newest good snapshot
  std::optional<double> newest_baseline;
};

struct planned_snapshot {
  chosen_start chosen;
  double latest = 0; // the last moment at which it keeps the rule
  snapshot_kind kind = snapshot_kind::differential;
};

// The snapshots to take from `now` until `until`, in order of time; each assumes that the ones before it were taken.
// The first one's start is not before `now`: now means at once. Empty: on demand only.
std::vector<planned_snapshot> plan_snapshots(const snapshot_rule& rule, const snapshot_past& past,
                                             const expected_demand& demand, const std::vector<veto>& vetoes, double now,
                                             double until, std::size_t snapshots_max = planned_snapshots_max);

} // namespace gnomon::forecasting
