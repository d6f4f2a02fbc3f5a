// Finds the periods of a series: how long its cycles are, how much of it they explain, how sure that is.
// Pure functions on values: any thread, no clock, no I/O.
//
// A period must pass three tests, because each alone is easily fooled: a local maximum of the autocorrelation at its
// lag (or a calendar length near one); a line in the periodogram at one of its harmonics that stands out of the
// smoothed background (exponential null, Bonferroni over all frequencies); and a fold that predicts: each cycle told
// from the mean of the others, by a t-test over the cycles. The last is honest on bursty, autocorrelated load.
#pragma once

#include <vector>

#include <armadillo>

#include "forecasting/series/series.hpp"

namespace gnomon::forecasting {

struct detected_period {
  arma::uword slots = 0;      // length of a cycle on the grid
  double strength = 0;        // share of the (remaining) variance the cycle explains out of sample, 0..1
  double autocorrelation = 0; // at that lag
  double p_value = 1;         // of the strongest spectral line among its harmonics, Bonferroni-corrected
  bool assumed = false;       // a day taken on trust (period_options::assume_day_above): not significant
};

struct period_options {
  arma::uword slots_min = 2;
  double cycles_min = 3; // cycles the history must hold
  // Loose, since corrected for all frequencies and joined by two further tests: together they find a period in at
  // most one of fifty series of white, autocorrelated (0.9), bursty or random-walk noise.
  double p_value_max = 0.2;
  double strength_min = 0.05;
  unsigned periods_max = 3;
  // Most load follows human hours: with two days of history a day is assumed when its autocorrelation is above this,
  // significant or not (the methods then have a season, and the ensemble weighs what it is worth). 1: never.
  double assume_day_above = 0.1;
};

// Shorter periods first; a longer one is kept only for what the shorter ones leave unexplained. `log_value`: on the
// scale of the methods, finite (fill_gaps). Empty for constant, short and aperiodic series.
std::vector<detected_period> detect_periods(const arma::vec& log_value, double step_seconds,
                                            const period_options& options = {});

// Autocorrelation at lags 0..lags (biased estimate; all 0 but lag 0 for a constant).
arma::vec autocorrelation(const arma::vec& value, arma::uword lags);

} // namespace gnomon::forecasting
