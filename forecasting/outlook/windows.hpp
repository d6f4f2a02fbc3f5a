// Windows of predicted quiet and stretches of predicted high demand, of a volume or (sum_of_loads in ensemble.hpp) of a
// node. Pure functions on values: any thread, no clock, no I/O.
#pragma once

#include <optional>
#include <vector>

#include "forecasting/ensemble/ensemble.hpp"
#include "forecasting/series/grid.hpp"

namespace gnomon::forecasting {

// A time in which nothing may be scheduled, whatever the load: [start, end).
struct veto {
  double start_seconds = 0;
  double end_seconds = 0;
};

// Vetoes for events that are to be kept clear, with `margin_seconds` before and after each.
std::vector<veto> vetoes_of(const std::vector<event>& events, double margin_seconds);

// A stretch of predicted load.
struct load_window {
  double start_seconds = 0;
  double end_seconds = 0;
  double expected_load = 0;    // sum over its slots, in the load's own units (bytes, if the load is in bytes)
  double fraction_of_mean = 0; // its mean slot over the mean slot it is compared with
  double length_seconds() const { return end_seconds - start_seconds; }
};

struct quiet_options {
  double quiet_below = 0.3; // of the mean load per slot, 0..1
  double length_seconds_min = 0;
};

// Maximal stretches in which every slot's load stays at or below quiet_below * mean_load, cut by vetoes, in order of
// time. `mean_load`: per slot; usually of the past. Missing (NaN) slots are not quiet. Where mean_load is 0 or less
// all of it is quiet.
std::vector<load_window> quiet_windows(const grid& load, double mean_load, const quiet_options& options = {},
                                       const std::vector<veto>& vetoes = {});

// The longest; the earliest of equals; nothing without windows.
std::optional<load_window> widest(const std::vector<load_window>& windows);

// The stretch of `length_seconds` (rounded up to slots) with the least load that no veto touches; the earliest of
// equals. Nothing where none fits. Use it where quiet_windows finds nothing: there is always a least bad time.
std::optional<load_window> quietest(const grid& load, double length_seconds, double mean_load,
                                    const std::vector<veto>& vetoes = {});

// Maximal stretches above `threshold` per slot, in order of time.
std::vector<load_window> high_stretches(const grid& load, double threshold, double mean_load);

// The load expected over the forecast's horizon as one plans by it: half (on log scale) what is served, which is
// best slot by slot, and half what yesterday was, which keeps the sharp edges of a day that a median of methods
// rounds.
grid plan_load(const forecast_model& model);

} // namespace gnomon::forecasting
