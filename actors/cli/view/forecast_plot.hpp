// `gnomon forecast` as a chart: past and forecast with its interval over time, and below it on the same scale of
// time the events, quiet windows and busy stretches. Pure functions of what the node answered; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "actors/cli/terminal/plot_canvas.hpp"
#include "actors/protocol/learning_messages.hpp"

namespace gnomon::actors::cli {

inline constexpr std::size_t plot_width_min = 40; // a narrower terminal gets longer lines than it has
inline constexpr std::size_t plot_width_max = 200;

// The span of time that is drawn: the whole forecast, unless the past is much shorter than it; and twice as much of
// the past, as far as there is some. Microseconds since 1970; begin <= now <= end.
struct plot_span {
  std::int64_t begin_us = 0, now_us = 0, end_us = 0;
};
plot_span span_of(const forecast_view& view);

// The chart, ending in a newline; empty when there is neither past nor forecast to draw.
std::string forecast_plot(const forecast_view& view, const plot_look& look);

// "12.3k/s", "1.5GiB/s"
std::string load_text(double per_second, load_kind load);
// The least round number that is not below `value` (> 0): 1, 1.2, 1.5, 2 ... times a power of ten, or of 1,024 for
// bytes. Its half is round enough to stand at an axis.
double round_up(double value, load_kind load);
// "14:05", "14:05:10" or "Mar 01", whichever a tick `step_us` apart from the next needs; UTC.
std::string tick_text(std::int64_t time_us, std::int64_t step_us);
bool counts_bytes(load_kind load) noexcept;

} // namespace gnomon::actors::cli
