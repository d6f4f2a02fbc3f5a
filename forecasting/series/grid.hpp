// Evenly spaced series: what every method, the ensemble, the detector and the windows work on, and how to get there from
// observations at any times. Pure functions on values: any thread, no clock, no I/O, no hidden state.
#pragma once

#include <armadillo>

#include "config/error.hpp"
#include "forecasting/series/series.hpp"

namespace gnomon::forecasting {

inline constexpr arma::uword grid_length_max = 1u << 20; // slots of one grid: two years of minutes

// T slots of equal length. value(i) belongs to [start + i * step, start + (i + 1) * step); NaN: not observed.
struct grid {
  double start_seconds = 0; // of the first slot, since 1970-01-01 UTC
  double step_seconds = minute;
  arma::vec value;

  arma::uword size() const { return value.n_elem; }
  double end_seconds() const { return start_seconds + step_seconds * static_cast<double>(value.n_elem); }
  double time_of(arma::uword slot) const { return start_seconds + step_seconds * static_cast<double>(slot); }
};

// How the observations of one slot become its value; a slot without any becomes `without`.
enum class slot_rule { sum, mean };
enum class empty_slot { is_missing, is_zero };

// Puts observations on a grid that starts at a multiple of `step_seconds`. Where the span needs more than
// grid_length_max slots, the newest are kept. errc::invalid_argument: as check(), or a step that is not positive.
result<grid> to_grid(const series& input, double step_seconds, slot_rule rule = slot_rule::sum,
                     empty_slot without = empty_slot::is_missing);

// The grid with `factor` slots merged into one, aligned so that the newest slot stays complete. Missing parts are
// scaled up from the present ones; a slot of nothing but missing parts is missing. factor >= 1.
grid coarsen(const grid& input, arma::uword factor, slot_rule rule = slot_rule::sum);

// log1p of a load: values below 0 count as 0, values that are not finite as missing, values above
// value_magnitude_max as that. The scale on which all methods work.
arma::vec to_log(const arma::vec& value);
// expm1, never below 0 and always finite.
arma::vec from_log(const arma::vec& value);
double from_log(double value);

// Missing values replaced: inside by the straight line between neighbours, at the ends by the nearest one; all 0 when
// nothing is observed. Infinite values count as missing.
arma::vec fill_gaps(const arma::vec& value);

// The q-quantile (0..1) of what is finite in `values`, by linear interpolation between order statistics; `otherwise`
// when nothing is.
double quantile_of(const arma::vec& values, double q, double otherwise = 0);

// Mean of |y(t) - y(t-1)| over the finite pairs; 0 without any. The scale of MASE (Hyndman & Koehler 2006).
double naive_scale(const arma::vec& value);

} // namespace gnomon::forecasting
