// `gnomon forecast` as a page for operators: what is expected, the chart, how good the forecast has been beside the
// simple alternatives, and what it means: repeating periods, quiet windows, bursts, events. Pure functions of what
// the node answered; any thread. Nothing from outside is printed unescaped.
#pragma once

#include <string>

#include "actors/cli/terminal/plot_canvas.hpp"
#include "actors/protocol/learning_messages.hpp"

namespace gnomon::actors::cli {

inline constexpr std::size_t stretches_shown_max = 5; // windows, busy stretches and events named, of each

// Ends in a newline.
std::string forecast_text(const forecast_view& view, const plot_look& look);

} // namespace gnomon::actors::cli
