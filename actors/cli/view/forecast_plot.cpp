#include "actors/cli/view/forecast_plot.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>
#include <optional>

#include <fmt/format.h>

#include "actors/cli/terminal/terminal.hpp"

namespace gnomon::actors::cli {
namespace {

constexpr std::size_t plot_rows = 12;
constexpr std::size_t label_width = 10; // "1023MiB/s "
constexpr std::int64_t second_us = 1'000'000;
constexpr std::int64_t latest_us = 253'402'300'799 * second_us; // the end of the year 9999
constexpr double headroom = 1.6; // how far beyond the curves an interval may stretch the scale

// A chart under construction: where a time and a load lie on the sheet.
class plot {
public:
  plot(const forecast_view& view, const plot_look& look)
      : view_(view), look_(look), span_(span_of(view)),
        sheet_(std::clamp(look.width, plot_width_min, plot_width_max) - label_width - 2, plot_rows),
        top_(find_top()) {}

  std::string draw() {
    draw_past();
    draw_ahead();
    draw_now();
    std::string out;
    for (std::size_t row = 0; row < plot_rows; ++row) {
      auto line = sheet_.line(row, look_);
      line.erase(line.find_last_not_of(' ') + 1);
      out += fmt::format("{:>{}} {}{}\n", level_at(row), label_width, faint(row_mark(row)), line);
    }
    out += axis();
    out += events_line();
    if (!view_.enough_past) // a flat line says nothing about windows
      return out;
    out += windows_line("quiet", view_.quiet, look_.unicode ? "▁" : "_", quiet_colour);
    out += windows_line("busy", view_.busy, look_.unicode ? "▆" : "#", busy_colour);
    return out;
  }

private:
  std::string faint(std::string_view text) const { return coloured(text, faint_colour, look_.colour); }
  double share_of(std::int64_t time_us) const {
    const auto length = std::max<std::int64_t>(span_.end_us - span_.begin_us, 1);
    // In doubles: the times of windows and events may be anything.
    return (static_cast<double>(time_us) - static_cast<double>(span_.begin_us)) / static_cast<double>(length);
  }
  std::size_t column_of(std::int64_t time_us) const {
    const auto column = std::floor(share_of(time_us) * static_cast<double>(sheet_.columns()));
    return static_cast<std::size_t>(std::clamp(column, 0.0, static_cast<double>(sheet_.columns() - 1)));
  }
  long height_of(double load) const {
    const double dots = static_cast<double>(sheet_.dots_down());
    return std::lround(std::clamp(load / top_, 0.0, 2.0) * dots) - 1; // -1: nothing at all
  }

  // The mean of the slots that dot column `x` covers (of the one it lies in, where slots are wider); nothing where
  // none was observed. `first_us`: when the first slot begins.
  std::optional<double> mean_at(const std::vector<finite>& loads, std::int64_t first_us, std::size_t x) const {
    const double across = static_cast<double>(sheet_.dots_across());
    const double length = static_cast<double>(span_.end_us - span_.begin_us);
    const auto slot_of = [&](double dots) {
      const double time = static_cast<double>(span_.begin_us - first_us) + length * dots / across;
      return time / static_cast<double>(view_.step_us);
    };
    const double from = std::floor(slot_of(static_cast<double>(x)) + 1e-9);
    const double to = std::max(std::ceil(slot_of(static_cast<double>(x) + 1) - 1e-9), from + 1);
    if (to <= 0 || from >= static_cast<double>(loads.size()))
      return std::nullopt;
    double sum = 0;
    std::size_t seen = 0;
    const auto end = static_cast<std::size_t>(std::min(to, static_cast<double>(loads.size())));
    for (auto slot = static_cast<std::size_t>(std::max(from, 0.0)); slot < end; ++slot)
      if (const double load = loads[slot]; load >= 0)
        sum += load, ++seen;
    return seen == 0 ? std::nullopt : std::optional(sum / static_cast<double>(seen));
  }
  std::int64_t past_starts() const {
    return view_.start_us - view_.step_us * static_cast<std::int64_t>(view_.past.size());
  }
  std::size_t first_dot_ahead() const {
    return std::min(static_cast<std::size_t>(
                        std::ceil(share_of(view_.start_us) * static_cast<double>(sheet_.dots_across()) - 1e-9)),
                    sheet_.dots_across());
  }

  double find_top() const {
    double curves = 0, bounds = 0;
    for (std::size_t x = 0; x < sheet_.dots_across(); ++x) {
      if (x < first_dot_ahead())
        curves = std::max(curves, mean_at(view_.past, past_starts(), x).value_or(0));
      else
        curves = std::max(curves, mean_at(view_.ahead, view_.start_us, x).value_or(0));
      bounds = std::max(bounds, mean_at(view_.high, view_.start_us, x).value_or(0));
    }
    // An interval may be many times higher than anything that happened: it must not flatten what did.
    const double wanted = std::max(curves, std::min(bounds, headroom * curves));
    return round_up(wanted > 0 ? wanted : 1, view_.load);
  }

  void draw_past() {
    for (std::size_t x = 0; x < first_dot_ahead(); ++x)
      if (const auto load = mean_at(view_.past, past_starts(), x))
        sheet_.stroke(x, 0, height_of(*load), pen::past);
  }

  void draw_ahead() {
    for (std::size_t x = first_dot_ahead(); x < sheet_.dots_across(); ++x) {
      const auto low = mean_at(view_.low, view_.start_us, x), high = mean_at(view_.high, view_.start_us, x);
      if (low && high)
        sheet_.shade(x / 2, std::max(height_of(*low), 0L), height_of(*high));
    }
    long before = -1; // none
    for (std::size_t x = first_dot_ahead(); x < sheet_.dots_across(); ++x) {
      const auto load = mean_at(view_.ahead, view_.start_us, x);
      if (!load) {
        before = -1;
        continue;
      }
      const long height = std::max(height_of(*load), 0L); // the lowest line of dots is zero
      // A steep step is one stroke, shared half and half by the two columns, so that the curve has no holes.
      const bool steep = before >= 0 && std::abs(before - height) > 1;
      const long from = steep ? before + (height > before ? 1 : -1) : height;
      sheet_.stroke(x, from, height, pen::ahead);
      before = height;
    }
  }

  void draw_now() {
    if (span_.now_us <= span_.begin_us || span_.now_us >= span_.end_us)
      return;
    for (std::size_t row = 0; row < plot_rows; ++row)
      sheet_.put(column_of(span_.now_us), row, look_.unicode ? "┊" : "|");
  }

  std::string level_at(std::size_t row) const {
    if (row == 0)
      return level_text(top_);
    return row == plot_rows / 2 ? level_text(top_ / 2) : "";
  }
  // As load_text, without the zeros that round numbers end in: "1k/s".
  std::string level_text(double load) const {
    auto text = load_text(load, view_.load);
    const auto point = text.find('.');
    const auto unit = text.find_first_not_of("0123456789.");
    if (point == std::string::npos || unit == std::string::npos || unit < point)
      return text;
    const auto last = text.find_last_not_of('0', unit - 1);
    return text.substr(0, last == point ? point : last + 1) + text.substr(unit);
  }
  std::string_view row_mark(std::size_t row) const {
    const bool labelled = row == 0 || row == plot_rows / 2;
    return look_.unicode ? (labelled ? "┤" : "│") : (labelled ? "+" : "|");
  }

  // The line of time with its ticks, and their labels.
  std::string axis() const {
    constexpr std::array<std::int64_t, 21> steps{1,     2,     5,     10,    15,     30,     60,
                                                 120,   300,   600,   900,   1800,   3600,   7200,
                                                 10800, 21600, 43200, 86400, 172800, 604800, 1209600};
    constexpr std::size_t apart = 10; // columns between labels at least
    const double us_per_column =
        static_cast<double>(span_.end_us - span_.begin_us) / static_cast<double>(sheet_.columns());
    std::int64_t step = steps.back() * second_us;
    for (const auto candidate : steps)
      if (static_cast<double>(candidate * second_us) >= us_per_column * apart) {
        step = candidate * second_us;
        break;
      }
    std::vector<bool> tick(sheet_.columns());
    constexpr std::size_t before = label_width / 2; // columns left of the sheet where the string begins
    std::string labels(before + sheet_.columns(), ' ');
    const auto place = [&](std::size_t column, std::string_view text) {
      const auto middle = before + column;
      const auto from = middle - std::min(middle, text.size() / 2);
      if (from + text.size() > labels.size())
        return;
      const auto left = from == 0 ? 0 : from - 1;
      if (labels.substr(left, text.size() + 2).find_first_not_of(' ') != std::string::npos)
        return;
      labels.replace(from, text.size(), text);
    };
    if (span_.now_us > span_.begin_us && span_.now_us < span_.end_us) {
      tick[column_of(span_.now_us)] = true;
      place(column_of(span_.now_us), "now");
    }
    for (auto t = (span_.begin_us + step - 1) / step * step; t < span_.end_us; t += step) {
      tick[column_of(t)] = true;
      place(column_of(t), tick_text(t, step));
    }
    std::string line = look_.unicode ? "┼" : "+";
    for (const bool here : tick)
      line += look_.unicode ? (here ? "┴" : "─") : (here ? "+" : "-");
    labels.erase(labels.find_last_not_of(' ') + 1);
    return fmt::format("{:>{}} {}\n{:>{}}{}\n", "0", label_width, faint(line), "", label_width + 2 - before, labels);
  }

  // Cells of a line below the axis; empty if nothing of it lies on the sheet.
  template <class Mark>
  std::string line_below(std::string_view what, Mark mark, int colour) const {
    std::vector<std::string> cells(sheet_.columns(), " ");
    if (!mark(cells))
      return {};
    std::string text;
    for (const auto& c : cells)
      text += c;
    text.erase(text.find_last_not_of(' ') + 1);
    return fmt::format("{:>{}}  {}\n", what, label_width, coloured(text, colour, look_.colour));
  }
  bool on_sheet(std::int64_t start_us, std::int64_t end_us) const {
    return start_us < span_.end_us && end_us >= span_.begin_us && end_us >= start_us;
  }
  std::size_t last_column_of(std::int64_t start_us, std::int64_t end_us) const {
    return column_of(std::max(end_us - 1, start_us));
  }

  std::string windows_line(std::string_view what, const std::vector<predicted_window>& windows,
                           std::string_view glyph, int colour) const {
    const auto mark = [&](std::vector<std::string>& cells) {
      bool any = false;
      for (const auto& w : windows) {
        if (!on_sheet(w.start_us, w.end_us))
          continue;
        any = true;
        for (auto c = column_of(w.start_us); c <= last_column_of(w.start_us, w.end_us); ++c)
          cells[c] = glyph;
      }
      return any;
    };
    return line_below(what, mark, colour);
  }
  std::string events_line() const {
    const auto mark = [&](std::vector<std::string>& cells) {
      bool any = false;
      for (const auto& e : view_.events) {
        if (!on_sheet(e.start_us, e.end_us))
          continue;
        any = true;
        for (auto c = column_of(e.start_us); c <= last_column_of(e.start_us, e.end_us); ++c)
          if (cells[c] == " ")
            cells[c] = look_.unicode ? "─" : "-";
        cells[column_of(e.start_us)] = look_.unicode ? "▲" : "^";
      }
      return any;
    };
    return line_below("events", mark, ahead_colour);
  }

  const forecast_view& view_;
  const plot_look look_;
  const plot_span span_;
  plot_canvas sheet_;
  const double top_;
};

} // namespace

plot_span span_of(const forecast_view& view) {
  const auto past = view.step_us * static_cast<std::int64_t>(view.past.size());
  const auto ahead = view.step_us * static_cast<std::int64_t>(view.ahead.size());
  // With a short past most of a long forecast would be a flat line across the whole chart.
  std::int64_t nearest = ahead;
  for (const auto& h : view.horizons)
    nearest = std::min(nearest, h.ahead_us);
  const auto shown = past == 0 ? ahead : std::min(ahead, std::max({past, nearest, view.step_us}));
  return {view.start_us - std::min(past, 2 * std::max(shown, view.step_us)), view.start_us, view.start_us + shown};
}

std::string forecast_plot(const forecast_view& view, const plot_look& look) {
  const bool sane = view.step_us > 0 && view.start_us >= 0 && view.start_us <= latest_us &&
                    view.step_us <= 7 * 86'400 * second_us && view.low.size() == view.ahead.size() &&
                    view.high.size() == view.ahead.size() && view.past.size() <= forecast_points_max &&
                    view.ahead.size() <= forecast_points_max;
  if (!sane || (view.past.empty() && view.ahead.empty()))
    return {};
  return plot(view, look).draw();
}

bool counts_bytes(load_kind load) noexcept {
  return load == load_kind::bytes || load == load_kind::read_bytes || load == load_kind::write_bytes;
}

std::string load_text(double per_second, load_kind load) {
  if (counts_bytes(load))
    return human_bytes(per_second) + "/s";
  if (per_second > 0 && per_second < 0.095)
    return fmt::format("{:.2g}/s", per_second);
  return human_count(per_second) + "/s";
}

double round_up(double value, load_kind load) {
  if (!(value > 0) || !std::isfinite(value))
    return 1;
  const auto least = [value](double unit, auto parts) {
    for (const double part : parts)
      if (unit * part >= value * (1 - 1e-9))
        return unit * part;
    return value;
  };
  if (counts_bytes(load))
    return least(std::exp2(std::floor(std::log2(value))), std::array{1.0, 1.5, 2.0});
  return least(std::pow(10.0, std::floor(std::log10(value))),
               std::array{1.0, 1.2, 1.6, 2.0, 2.4, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0});
}

std::string tick_text(std::int64_t time_us, std::int64_t step_us) {
  const std::time_t seconds = time_us / second_us;
  std::tm parts{};
  std::array<char, 32> text{};
  if (gmtime_r(&seconds, &parts) == nullptr)
    return "?";
  const bool midnight = seconds % 86'400 == 0;
  const char* format = step_us >= 86'400 * second_us || (midnight && step_us >= 3600 * second_us) ? "%b %d"
                       : step_us >= 60 * second_us                                                ? "%H:%M"
                                                                                                  : "%H:%M:%S";
  std::strftime(text.data(), text.size(), format, &parts);
  return text.data();
}

} // namespace gnomon::actors::cli
