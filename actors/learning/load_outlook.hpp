// What the prediction board shows of a forecast: the load of each kind by horizon, windows, bursts, measured
// accuracy. Only requests are fitted for every volume; the other kinds follow by how many of them a request brought
// lately. recent_ratios() reads a day of totals: fit threads only; outlook_of() is pure.
#pragma once

#include "actors/learning/forecast_fit.hpp"
#include "forecasting/board/board.hpp"

namespace gnomon::actors {

// Per request; newer hours count more.
struct load_ratios {
  double reads = 0, writes = 0, bytes = 0;
};
inline constexpr double ratio_half_life_seconds = 6 * forecasting::hour;

// 0 where nothing happened in the last day, or where it cannot be read.
load_ratios recent_ratios(const store::history& history, const forecast_subject& subject, wall_time now);

// `view`: of requests.
forecasting::load_outlook outlook_of(const forecast_view& view, const load_ratios& per_request);

} // namespace gnomon::actors
