#include "actors/cli/terminal/terminal.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <ctime>
#include <utility>

#include <fmt/format.h>

#include "config/text.hpp"

namespace gnomon::actors::cli {
namespace {
volatile std::sig_atomic_t interrupted = 0;

// `value` with three significant digits at most, never more than `decimals`.
std::string short_number(double value, int decimals) {
  const int whole = value < 9.995 ? 1 : value < 99.95 ? 2 : 3;
  return fmt::format("{:.{}f}", value, std::clamp(3 - whole, 0, decimals));
}
std::string without_zero_decimals(std::string text) {
  if (text.find('.') == std::string::npos)
    return text;
  while (text.back() == '0')
    text.pop_back();
  if (text.back() == '.')
    text.pop_back();
  return text;
}
} // namespace

std::string human_bytes(double bytes) {
  constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  while (bytes >= 1023.95 && unit + 1 < units.size())
    bytes /= 1024, ++unit;
  return without_zero_decimals(fmt::format("{:.{}f}", bytes, unit == 0 ? 0 : 1)) + units[unit];
}

std::string human_count(double count) {
  constexpr std::array units{"", "k", "M", "G", "T"};
  std::size_t unit = 0;
  while (count >= 999.5 && unit + 1 < units.size())
    count /= 1000, ++unit;
  const auto digits = short_number(count, unit == 0 ? 1 : 2);
  return (unit == 0 ? without_zero_decimals(digits) : digits) + units[unit];
}

std::string human_rate(double per_second) {
  if (per_second <= 0)
    return "-";
  return per_second < 0.005   ? "<.01"
         : per_second < 0.995 ? fmt::format("{:.2f}", per_second)
                              : human_count(per_second);
}

std::string human_time_us(double us) {
  if (us <= 0)
    return "0";
  if (us < 1)
    return fmt::format("{:.0f}ns", us * 1000);
  if (us < 999.5)
    return short_number(us, us < 10 ? 1 : 0) + "us";
  if (us < 999'500)
    return short_number(us / 1e3, 2) + "ms";
  return us < 99.95e6 ? short_number(us / 1e6, 2) + "s" : human_span(std::chrono::seconds(std::llround(us / 1e6)));
}

std::string human_span(std::chrono::seconds span) {
  const auto s = std::max<std::int64_t>(span.count(), 0);
  if (s < 60)
    return fmt::format("{}s", s);
  if (s < 3600)
    return fmt::format("{}m{:02}s", s / 60, s % 60);
  if (s < 86'400)
    return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
  return fmt::format("{}d{:02}h", s / 86'400, s / 3600 % 24);
}

namespace {

std::string utc(std::int64_t wall_us, const char* format) {
  const std::time_t seconds = wall_us / 1'000'000;
  std::tm parts{};
  std::array<char, 40> text{};
  if (gmtime_r(&seconds, &parts) == nullptr)
    return "?";
  std::strftime(text.data(), text.size(), format, &parts);
  return text.data();
}

} // namespace

std::string human_date(std::int64_t wall_us) { return wall_us == 0 ? "never" : utc(wall_us, "%Y-%m-%d %H:%M:%S UTC"); }

std::string human_minute(std::int64_t wall_us) { return utc(wall_us, "%Y-%m-%d %H:%M"); }

std::string counted(std::uint64_t n, std::string_view one) {
  return fmt::format("{} {}{}", n, one, n == 1 ? "" : "s");
}

std::size_t display_width(std::string_view utf8) {
  return static_cast<std::size_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

void table::row(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  for (auto& cell : cells) {
    const bool control =
        std::any_of(cell.begin(), cell.end(), [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; });
    if (control)
      cell = printable(cell, 200);
  }
  rows_.push_back(std::move(cells));
}

namespace {

constexpr std::size_t shrunk_width_min = 12; // of a column that loses its middle
constexpr std::size_t gap = 2;               // between two columns

std::size_t table_width(const std::vector<std::size_t>& widths) {
  std::size_t sum = widths.empty() ? 0 : gap * (widths.size() - 1);
  for (const auto width : widths)
    sum += width;
  return sum;
}

// The byte at which code point `n` begins.
std::size_t byte_of(std::string_view utf8, std::size_t n) {
  std::size_t at = 0;
  for (; at < utf8.size(); ++at)
    if ((static_cast<unsigned char>(utf8[at]) & 0xc0) != 0x80 && n-- == 0)
      break;
  return at;
}

std::string without_middle(const std::string& text, std::size_t width) {
  const auto length = display_width(text);
  if (length <= width)
    return text;
  const auto head = width / 2, tail = width - head - 1;
  return text.substr(0, byte_of(text, head)) + "…" + text.substr(byte_of(text, length - tail));
}

// Words on lines of at most `width`, each indented.
std::string wrapped(std::string_view text, std::size_t width) {
  std::string out, line;
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (!line.empty() && display_width(line) + 1 + display_width(word) > width - 4)
      out += "    " + std::exchange(line, {}) + "\n";
    line += (line.empty() ? "" : " ") + std::string(word);
  }
  return line.empty() ? out : out + "    " + line + "\n";
}

} // namespace

std::vector<std::size_t> table::widths(std::size_t columns) const {
  std::vector<std::size_t> out;
  for (std::size_t c = 0; c < columns; ++c) {
    out.push_back(display_width(columns_[c].title));
    for (const auto& cells : rows_)
      out[c] = std::max(out[c], display_width(cells[c]));
  }
  return out;
}

std::string table::to_string(std::size_t width_max) const {
  auto columns = columns_.size();
  auto all = widths(columns);
  const bool below = table_width(all) > width_max && columns > 1 && columns_.back().title.empty();
  if (below)
    all = widths(--columns);
  while (table_width(all) > width_max) {
    std::size_t widest = columns;
    for (std::size_t c = 0; c < columns; ++c)
      if (columns_[c].side == align::left && all[c] > shrunk_width_min && (widest == columns || all[c] > all[widest]))
        widest = c;
    if (widest == columns)
      break; // numbers are never cut
    --all[widest];
  }
  std::string out;
  const auto line = [&](auto&& cell) {
    std::string text;
    for (std::size_t c = 0; c < columns; ++c) {
      const std::string content = without_middle(cell(c), all[c]);
      const std::string padding(all[c] - display_width(content), ' ');
      text += c == 0 ? "" : "  ";
      text += columns_[c].side == align::right ? padding : "";
      text += content;
      text += columns_[c].side == align::left ? padding : "";
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  };
  line([&](std::size_t c) -> const std::string& { return columns_[c].title; });
  const auto beside = table_width(all) + gap; // where an untitled last cell begins if it fits its row
  for (const auto& cells : rows_) {
    line([&](std::size_t c) -> const std::string& { return cells[c]; });
    if (!below || cells.back().empty())
      continue;
    if (beside + display_width(cells.back()) > width_max) {
      out += wrapped(cells.back(), width_max);
      continue;
    }
    out.pop_back(); // the end of the row
    const auto written = display_width(std::string_view(out).substr(out.rfind('\n') + 1));
    out += std::string(beside - written, ' ') + cells.back() + "\n";
  }
  return out;
}

std::string styled(std::string_view text, style s, bool colour) {
  if (!colour || s == style::plain)
    return std::string(text);
  constexpr std::array codes{"0", "1", "31", "33", "32", "2"};
  return fmt::format("\033[{}m{}\033[0m", codes[static_cast<std::size_t>(s)], text);
}

struct interruption::saved {
  struct sigaction on_int, on_term;
};

interruption::interruption() : saved_(new saved) {
  interrupted = 0;
  struct sigaction action {};
  action.sa_handler = [](int number) { interrupted = number; };
  sigaction(SIGINT, &action, &saved_->on_int);
  sigaction(SIGTERM, &action, &saved_->on_term);
}
interruption::~interruption() {
  sigaction(SIGINT, &saved_->on_int, nullptr);
  sigaction(SIGTERM, &saved_->on_term, nullptr);
  delete saved_;
}
bool interruption::requested() noexcept { return interrupted != 0; }
bool interruption::terminated() noexcept { return interrupted == SIGTERM; }

} // namespace gnomon::actors::cli
