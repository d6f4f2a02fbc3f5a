// `gnomon heat` as text: the chart of chunk over time, the warmest chunks, who touches which and what will be hot
// next. Pure functions of what the node answered; any thread. Asks nothing, knows no terminal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "actors/protocol/learning_messages.hpp"

namespace gnomon::actors::cli {

// How a chart may be drawn.
enum class ink {
  ascii,  // one character per cell, darker letters for more
  shades, // Unicode shades, one line per row
  colour, // 256 colours, two rows per line
};

struct heat_look {
  std::size_t width = 80; // columns of the terminal; the text never needs more unless the width is below 40
  ink with = ink::shades;
};

// Columns of the chart beside its labels, 1 .. chart_columns_max.
std::uint32_t heat_columns(std::size_t width);

// Ends in a newline. Quantities are rounded; nothing in it is taken from a client unescaped.
std::string heat_text(const heat_view& view, const heat_look& look);

// 0 for nothing, else 1 .. levels: logarithmic, so that a quiet chunk beside a busy one can be seen.
std::size_t heat_level(double requests, double most, std::size_t levels);

} // namespace gnomon::actors::cli
