// A sheet of character cells to draw curves on: eight dots per cell (two across, four down, as braille has them), a
// shade behind them, and single characters. Knows nothing of what is drawn. A value; one thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gnomon::actors::cli {

// How a drawing may look.
struct plot_look {
  std::size_t width = 80; // columns of the terminal
  bool unicode = true;    // else plain ASCII
  bool colour = false;    // 256 colours
};

// What a stroke belongs to: decides its colour and, in ASCII, its letter. Later ones lie above earlier ones.
enum class pen : std::uint8_t { none, past, ahead };

class plot_canvas {
public:
  plot_canvas(std::size_t columns, std::size_t rows) : columns_(columns), rows_(rows), cells_(columns * rows) {}

  std::size_t columns() const noexcept { return columns_; }
  std::size_t rows() const noexcept { return rows_; }
  std::size_t dots_across() const noexcept { return 2 * columns_; }
  std::size_t dots_down() const noexcept { return 4 * rows_; }

  // Dots from `from` to `to` (in any order, both included; 0 is the lowest) in dot column x. Outside: nothing.
  void stroke(std::size_t x, long from, long to, pen with);
  // A shade behind the cells of one column, from dot row `from` up to `to`.
  void shade(std::size_t column, long from, long to);
  // One character of width 1 where nothing else is drawn.
  void put(std::size_t column, std::size_t row_from_top, std::string glyph);

  // One line of the sheet, without a line's end; trailing spaces stay.
  std::string line(std::size_t row_from_top, const plot_look& look) const;

private:
  struct cell {
    std::uint8_t dots = 0; // as U+2800 numbers them
    pen top = pen::none;
    bool shaded = false;
    std::string glyph;
  };
  static std::string face(const cell& c, const plot_look& look);

  std::size_t columns_, rows_;
  std::vector<cell> cells_; // row by row, from the top
};

// "\033[38;5;Nm" … "\033[0m" around the text if `colour`.
std::string coloured(std::string_view text, int colour_number, bool colour);

// Colours of the 256 that are told apart on dark and on light ground.
inline constexpr int past_colour = 75, ahead_colour = 208, quiet_colour = 71, busy_colour = 167, faint_colour = 244;

} // namespace gnomon::actors::cli
