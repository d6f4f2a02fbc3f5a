#include "actors/cli/terminal/plot_canvas.hpp"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

namespace gnomon::actors::cli {
namespace {
constexpr int shade_ground = 236;

// Bits of U+2800 by row from the top and column.
constexpr std::uint8_t dot_bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};

std::string braille(std::uint8_t dots) { // U+2800 + dots in UTF-8
  return {static_cast<char>(0xE2), static_cast<char>(0xA0 | dots >> 6), static_cast<char>(0x80 | (dots & 0x3F))};
}
} // namespace

std::string coloured(std::string_view text, int colour_number, bool colour) {
  return colour ? fmt::format("\033[38;5;{}m{}\033[0m", colour_number, text) : std::string(text);
}

void plot_canvas::stroke(std::size_t x, long from, long to, pen with) {
  if (x >= dots_across())
    return;
  const long low = std::max(std::min(from, to), 0L);
  const long high = std::min(std::max(from, to), static_cast<long>(dots_down()) - 1);
  for (long y = low; y <= high; ++y) {
    const auto from_top = dots_down() - 1 - static_cast<std::size_t>(y);
    auto& c = cells_[from_top / 4 * columns_ + x / 2];
    c.dots = static_cast<std::uint8_t>(c.dots | dot_bits[from_top % 4][x % 2]);
    c.top = std::max(c.top, with);
  }
}

void plot_canvas::shade(std::size_t column, long from, long to) {
  if (column >= columns_)
    return;
  const long low = std::max(std::min(from, to), 0L);
  const long high = std::min(std::max(from, to), static_cast<long>(dots_down()) - 1);
  for (long y = low; y <= high; ++y)
    cells_[(dots_down() - 1 - static_cast<std::size_t>(y)) / 4 * columns_ + column].shaded = true;
}

void plot_canvas::put(std::size_t column, std::size_t row_from_top, std::string glyph) {
  if (column < columns_ && row_from_top < rows_)
    cells_[row_from_top * columns_ + column].glyph = std::move(glyph);
}

std::string plot_canvas::face(const cell& c, const plot_look& look) {
  if (c.dots != 0) {
    if (look.unicode)
      return braille(c.dots);
    if (c.top == pen::ahead)
      return "o";
    return std::popcount(c.dots) <= 2 ? "." : std::popcount(c.dots) <= 5 ? ":" : "#";
  }
  if (!c.glyph.empty())
    return c.glyph;
  if (!c.shaded || look.colour)
    return " ";
  return look.unicode ? "░" : "-";
}

std::string plot_canvas::line(std::size_t row_from_top, const plot_look& look) const {
  std::string out, style;
  for (std::size_t column = 0; column < columns_; ++column) {
    const auto& c = cells_[row_from_top * columns_ + column];
    if (look.colour) {
      std::string wanted;
      if (c.shaded)
        wanted += fmt::format("\033[48;5;{}m", shade_ground);
      if (c.dots != 0)
        wanted += fmt::format("\033[38;5;{}m", c.top == pen::ahead ? ahead_colour : past_colour);
      else if (!c.glyph.empty())
        wanted += fmt::format("\033[38;5;{}m", faint_colour);
      if (wanted != style)
        out += (style.empty() ? "" : "\033[0m") + wanted;
      style = wanted;
    }
    out += face(c, look);
  }
  return out + (style.empty() ? "" : "\033[0m");
}

} // namespace gnomon::actors::cli
