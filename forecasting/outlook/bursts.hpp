// Whether a burst is due: the chance that a load goes above a threshold at least once in the time ahead, learned from
// the load's own past. Pure functions on values: any thread, no clock, no I/O.
//
// A forecast of the mean is a poor judge of bursts (it is right on average by being wrong at each of them). So this
// asks directly: a ridge regression of "was there one in the time ahead" on what could be seen before it - a burst
// just now, in the same hours yesterday and on the days before, some hours ago, and how close the load was to the
// threshold. Every row of it lies in the past; nothing is shared between volumes.
#pragma once

#include <optional>

#include "config/error.hpp"
#include "forecasting/series/grid.hpp"

namespace gnomon::forecasting {

struct burst_options {
  double ahead_seconds = 2 * hour;
  double above_mean = 1.5;         // a burst is a load above this many times the mean of the past
  std::optional<double> threshold; // per slot of ahead_seconds / 4; replaces above_mean
  // Announce from this chance on. Below one half, since F1 rewards a found burst as much as it punishes two false
  // alarms (Lipton, Elkan & Naryanaswamy 2014: half of the best F1 that can be had).
  double announce_from = 0.38;
  double ridge = 5;
};

struct burst_outlook {
  double threshold = 0;    // load per slot of `slot_seconds`
  double slot_seconds = 0; // ahead_seconds / 4, or the step of the past where that is longer
  double chance = 0;       // 0..1
  bool announced = false;
  arma::uword rows = 0; // past situations it was learned from; 0: only the frequency in the past is known
};

// `past`: loads >= 0 in any unit; NaN: missing, taken as 0. Always finite; an empty past gives chance 0.
// errc::invalid_argument: options out of range.
result<burst_outlook> burst_ahead(const grid& past, const burst_options& options = {});

} // namespace gnomon::forecasting
