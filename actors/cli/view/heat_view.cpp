#include "actors/cli/view/heat_view.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "actors/cli/terminal/terminal.hpp"
#include "config/text.hpp"

namespace gnomon::actors::cli {
namespace {
using align = table::align;
constexpr std::size_t heat_label_width = 9; // "1023.5GiB"
constexpr std::size_t frame_width = heat_label_width + 2;

// From embers to white, as the 256-colour palette has them; the first stands for the least that is not nothing.
constexpr std::array heat_colours{53, 54, 90, 126, 162, 197, 202, 208, 214, 220, 227, 230};
constexpr int nothing_colour = 234;
constexpr std::string_view ascii_ramp = ".:-=+*#%@";
constexpr std::array<std::string_view, 4> shade_ramp{"░", "▒", "▓", "█"};

std::string clock_text(std::int64_t wall_us, std::int64_t span_us) {
  const auto date = human_date(wall_us); // "2026-03-01 14:05:09 UTC"
  if (date.size() < 19)
    return date;
  if (span_us >= 2 * 86'400'000'000)
    return date.substr(5, 5);
  return date.substr(11, span_us < 10 * 60'000'000 ? 8 : 5);
}

class chart {
public:
  chart(const heat_view& v, const heat_look& look) : v_(v), look_(look) {
    for (const auto cell : v.chart)
      most_ = std::max<double>(most_, cell);
  }

  std::string draw() const {
    const bool framed = look_.with != ink::ascii;
    const std::size_t rows_per_line = look_.with == ink::colour ? 2 : 1;
    std::string out;
    for (std::size_t row = 0; row < v_.rows; row += rows_per_line) {
      // Every other label keeps the eye on the chart.
      const bool labelled = row / rows_per_line % 2 == 0;
      std::string line =
          fmt::format("{:>{}} {}", labelled ? place_of(row) : "", heat_label_width, framed ? (labelled ? "┤" : "│") : "|");
      line += look_.with == ink::colour ? coloured(row) : plain(row);
      if (look_.with != ink::colour)
        line.erase(line.find_last_not_of(' ') + 1);
      out += line + "\n";
    }
    return out + axis(framed) + legend();
  }

private:
  double at(std::size_t row, std::size_t column) const {
    const auto index = row * v_.columns + column;
    return row < v_.rows && index < v_.chart.size() ? double(v_.chart[index]) : 0.0;
  }
  // Where in the volume a row begins.
  std::string place_of(std::size_t row) const {
    const double chunk = std::floor(static_cast<double>(row) * static_cast<double>(v_.chunk_count) / v_.rows);
    return human_bytes(chunk * static_cast<double>(v_.chunk_size.value));
  }
  std::string plain(std::size_t row) const {
    std::string line;
    for (std::size_t column = 0; column < v_.columns; ++column) {
      const auto levels = look_.with == ink::ascii ? ascii_ramp.size() : shade_ramp.size();
      const auto level = heat_level(at(row, column), most_, levels);
      if (level == 0)
        line += ' ';
      else if (look_.with == ink::ascii)
        line += ascii_ramp[level - 1];
      else
        line += shade_ramp[level - 1];
    }
    return line;
  }
  int colour_of(std::size_t row, std::size_t column) const {
    const auto level = heat_level(at(row, column), most_, heat_colours.size());
    return level == 0 ? nothing_colour : heat_colours[level - 1];
  }
  // Two rows in one line: the upper one is the letter's colour, the lower one its background's. Codes are sent only
  // where a colour changes.
  std::string coloured(std::size_t row) const {
    std::string line;
    int upper = -1, lower = -1;
    for (std::size_t column = 0; column < v_.columns; ++column) {
      const int above = colour_of(row, column);
      const int below = row + 1 < v_.rows ? colour_of(row + 1, column) : -2;
      if (above != upper)
        line += fmt::format("\033[38;5;{}m", above);
      if (below != lower)
        line += below == -2 ? std::string("\033[49m") : fmt::format("\033[48;5;{}m", below);
      upper = above, lower = below;
      line += "▀";
    }
    return line + "\033[0m";
  }
  std::string axis(bool framed) const {
    constexpr std::size_t tick_every = 16;
    const auto span = v_.to_us - v_.from_us;
    std::string line, times;
    for (std::size_t column = 0; column < v_.columns; ++column) {
      const bool tick = column % tick_every == 0;
      line += framed ? (tick ? "┬" : "─") : (tick ? "+" : "-");
      if (!tick)
        continue;
      const auto time = clock_text(v_.from_us + static_cast<std::int64_t>(static_cast<double>(span) *
                                                                          static_cast<double>(column) / v_.columns),
                                   span);
      if (column + time.size() <= v_.columns || column == 0)
        times += std::string(column - std::min(column, times.size()), ' ') + time;
    }
    return fmt::format("{:>{}} {}{}\n{:>{}}{}\n", "", heat_label_width, framed ? "└" : "+", line, "", frame_width, times);
  }
  std::string legend() const {
    std::string ramp;
    switch (look_.with) {
    case ink::ascii:
      ramp = ascii_ramp;
      break;
    case ink::shades:
      for (const auto shade : shade_ramp)
        ramp += shade;
      break;
    case ink::colour:
      for (const auto colour : heat_colours)
        ramp += fmt::format("\033[38;5;{}m█", colour);
      ramp += "\033[0m";
    }
    const auto column_us = (v_.to_us - v_.from_us) / std::max<std::int64_t>(v_.columns, 1);
    const auto row_bytes =
        static_cast<double>(v_.chunk_size.value) * static_cast<double>(v_.chunk_count) / std::max<double>(v_.rows, 1);
    return fmt::format("{:>{}}few {} {} requests in {} of {}\n", "", frame_width, ramp, human_count(most_),
                       column_us < 1'000'000 ? human_time_us(static_cast<double>(column_us))
                                             : human_span(std::chrono::seconds(column_us / 1'000'000)),
                       human_bytes(row_bytes));
  }

  const heat_view& v_;
  const heat_look& look_;
  double most_ = 0;
};

std::string chunk_list(const std::vector<chunk_index>& chunks, std::size_t width) {
  std::string out;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const auto word = fmt::format("{}{}", i == 0 ? "" : " ", chunks[i].value);
    const auto rest = fmt::format(" +{}", chunks.size() - i);
    if (i > 0 && out.size() + word.size() + (i + 1 < chunks.size() ? rest.size() : 0) > width)
      return out + rest;
    out += word;
  }
  return out;
}

std::string_view sign_of(const std::string& kind, bool ascii) {
  if (kind == "rising")
    return ascii ? "^ " : "▲ ";
  if (kind == "falling")
    return ascii ? "v " : "▼ ";
  return "";
}
style style_of(const std::string& kind) {
  return kind == "rising"     ? style::red
         : kind == "frequent" ? style::yellow
         : kind == "falling"  ? style::green
                              : style::dim;
}

std::string took(double us) { return us > 0 ? human_time_us(us) : "-"; }

std::string header(const heat_view& v, bool colour) {
  auto out = fmt::format("{}  {} in {} of {}, {} seen\n", styled(printable(v.name.value, 128), style::bold, colour),
                         human_bytes(static_cast<double>(v.size.value)), counted(v.chunk_count, "chunk"),
                         human_bytes(static_cast<double>(v.chunk_size.value)), v.known_chunks);
  std::string kinds;
  for (const auto& k : v.kinds)
    if (k.chunks > 0)
      kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", k.chunks,
                           styled(printable(k.kind), style_of(k.kind), colour));
  if (!kinds.empty())
    out += kinds + "\n";
  return out;
}

std::string hottest(const heat_view& v, const heat_look& look) {
  if (v.hottest.empty())
    return {};
  const bool timed = look.width >= 90; // room for one more column
  std::vector<table::column> columns{{"CHUNK", align::right},   {"AT", align::right},    {"KIND"},
                                     {"NOW/s", align::right},   {"30m/s", align::right}, {"DAY/s", align::right},
                                     {"BYTES/s", align::right}, {"WRITES", align::right}};
  if (timed)
    columns.push_back({"READ p99", align::right});
  columns.push_back({"LAST"});
  table t(std::move(columns));
  for (const auto& c : v.hottest) {
    std::vector<std::string> cells{
        fmt::format("{}", c.chunk.value),
        human_bytes(static_cast<double>(c.chunk.value) * static_cast<double>(v.chunk_size.value)),
        fmt::format("{}{}", sign_of(c.kind, look.with == ink::ascii), printable(c.kind)),
        human_rate(c.rate_now),
        human_rate(c.rate_half_hour),
        human_rate(c.rate_day),
        c.bytes_per_second > 0 ? human_bytes(std::floor(c.bytes_per_second)) : "-",
        fmt::format("{:.0f}%", 100 * c.write_share)};
    if (timed)
      cells.push_back(took(c.latency.reads.p99_us));
    cells.push_back(
        c.last_us == 0
            ? "-"
            : human_span(std::chrono::seconds(std::max<std::int64_t>(v.to_us - c.last_us, 0) / 1'000'000)) + " ago");
    t.row(std::move(cells));
  }
  return "\n" + t.to_string();
}

std::string localities(const heat_view& v, const heat_look& look) {
  if (v.localities.empty())
    return {};
  std::size_t widest = 8;
  for (const auto& l : v.localities)
    widest = std::max(widest, std::min<std::size_t>(l.instance.value.size(), 40));
  const auto room = look.width > widest + 62 ? look.width - widest - 44 : 18; // beside the other columns
  table t({{"INSTANCE"},
           {"REQUESTS", align::right},
           {"SHARE", align::right},
           {"READ p99", align::right},
           {"WRITE p99", align::right},
           {"BUSIEST CHUNKS"}});
  for (const auto& l : v.localities)
    t.row({l.instance.value.empty() ? "anonymous" : printable(l.instance.value, 40), human_count(l.requests),
           fmt::format("{:.0f}%", 100 * l.share), took(l.latency.reads.p99_us), took(l.latency.writes.p99_us),
           chunk_list(l.chunks, room)});
  return "\n" + t.to_string();
}

std::string hot_sets(const heat_view& v, const heat_look& look) {
  if (v.hot_sets.empty())
    return {};
  const auto room = look.width > 76 ? look.width - 58 : 18;
  table t(
      {{"HOT IN THE NEXT"}, {"CHUNKS"}, {"EXPECTED", align::right}, {"CHOSEN BY"}, {"RIGHT LATELY", align::right}});
  for (const auto& set : v.hot_sets) {
    std::vector<chunk_index> chunks;
    double bytes = 0;
    for (const auto& c : set.chunks)
      chunks.push_back(c.chunk), bytes += c.bytes;
    const bool scored = set.windows_scored > 0;
    t.row({human_span(std::chrono::seconds(set.horizon_us / 1'000'000)),
           chunks.empty() ? "none" : chunk_list(chunks, room), bytes > 0 ? human_bytes(bytes) : "-",
           printable(set.method, 20), scored ? fmt::format("{:.0f}%", 100 * set.recall) : "not known yet"});
  }
  return "\n" + t.to_string();
}
} // namespace

std::uint32_t heat_columns(std::size_t width) {
  const std::size_t room = width > frame_width + 1 ? width - frame_width - 1 : 1;
  return static_cast<std::uint32_t>(std::clamp<std::size_t>(room, 1, chart_columns_max));
}

std::size_t heat_level(double requests, double most, std::size_t levels) {
  if (!(requests > 0) || !(most > 0) || levels == 0)
    return 0;
  const double share = std::log1p(std::min(requests, most)) / std::log1p(most);
  return std::clamp<std::size_t>(static_cast<std::size_t>(std::ceil(share * static_cast<double>(levels))), 1, levels);
}

std::string heat_text(const heat_view& v, const heat_look& look) {
  const bool colour = look.with == ink::colour;
  auto out = header(v, colour);
  const bool drawn = v.rows > 0 && v.columns > 0 && v.requests > 0;
  if (drawn) {
    out += fmt::format("{} to {}: {} requests, {}\n\n", human_date(v.from_us), human_date(v.to_us).substr(11),
                       human_count(v.requests), human_bytes(v.bytes));
    out += chart(v, look).draw();
  } else if (v.known_chunks == 0) {
    out += "nothing was read or written yet: the chart fills while clients work\n";
  } else {
    out += fmt::format("nothing was read or written from {} to {}; --since looks further back\n",
                       human_date(v.from_us), human_date(v.to_us));
  }
  return out + hottest(v, look) + localities(v, look) + hot_sets(v, look);
}

} // namespace gnomon::actors::cli
