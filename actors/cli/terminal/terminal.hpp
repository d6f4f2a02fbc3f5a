// How things look in a terminal: aligned tables, quantities for operators, colour where there is a terminal, Ctrl-C as
// a flag. Pure functions, any thread, except interruption: main thread, one at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace gnomon::actors::cli {

std::string human_bytes(double bytes);          // "0B", "512B", "1.5GiB": at most one decimal, 1,024 per step
std::string human_count(double count);          // "0", "7.5", "999", "12.3k", "4.56M": 1,000 per step
std::string human_rate(double per_second);      // "-" for none, "<.01", "0.25", then as human_count()
std::string human_time_us(double microseconds); // "0", "13us", "1.25ms", "3.20s"
std::string human_span(std::chrono::seconds s); // "42s", "3m05s", "2h10m", "3d04h"
std::string human_date(std::int64_t wall_us);   // "2026-03-01 14:05:09 UTC"; 0: "never"
std::string human_minute(std::int64_t wall_us); // "2026-03-01 14:05", UTC
std::string counted(std::uint64_t n, std::string_view one); // "1 volume", "2 volumes"

// Columns as wide as their widest cell, two spaces apart; numbers to the right. Cells hold UTF-8 of width 1; control
// characters in them print as escapes.
class table {
public:
  enum class align { left, right };
  struct column {
    std::string title;
    align side = align::left;
  };
  explicit table(std::vector<column> columns) : columns_(std::move(columns)) {}
  void row(std::vector<std::string> cells); // missing cells are empty
  std::size_t rows() const noexcept { return rows_.size(); }
  // Lines without trailing spaces, at most `width_max` wide where the columns allow it: a cell of an
  // untitled last column that does not fit its row then stands below it, and the widest texts lose their middle.
  std::string to_string(std::size_t width_max = 80) const;

private:
  std::vector<std::size_t> widths(std::size_t columns) const;

  std::vector<column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

std::size_t display_width(std::string_view utf8); // code points

enum class style { plain, bold, red, yellow, green, dim };
// `text` in that style if `colour`.
std::string styled(std::string_view text, style s, bool colour);

// While one lives, SIGINT and SIGTERM only set a flag (system calls return EINTR). Restores what was there.
class interruption {
public:
  interruption();
  ~interruption();
  interruption(const interruption&) = delete;
  static bool requested() noexcept;
  static bool terminated() noexcept; // by SIGTERM

private:
  struct saved;
  saved* saved_;
};

// Standard input, output and error as the verbs see them; tests use strings.
struct streams {
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
};

} // namespace gnomon::actors::cli
