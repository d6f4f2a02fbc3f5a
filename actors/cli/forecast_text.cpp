#include "actors/cli/forecast_text.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <fmt/format.h>

#include "actors/cli/forecast_plot.hpp"
#include "actors/cli/terminal.hpp"
#include "config/text.hpp"
#include "config/units.hpp"

namespace gnomon::actors::cli {
namespace {

std::chrono::seconds seconds_of(std::int64_t us) { return std::chrono::seconds(us / 1'000'000); }

// "5m", "1h30m", "2d": as short as it is exact to the minute.
std::string short_span(std::int64_t us) {
  const auto s = std::max<std::int64_t>(us / 1'000'000, 0);
  if (s >= 48 * 3600 && s % 86'400 == 0)
    return fmt::format("{}d", s / 86'400);
  if (s >= 3600)
    return s % 3600 < 60 ? fmt::format("{}h", s / 3600) : fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
  if (s >= 60)
    return s % 60 == 0 ? fmt::format("{}m", s / 60) : fmt::format("{}m{:02}s", s / 60, s % 60);
  return fmt::format("{}s", s);
}
std::string percent(double share) {
  const double value = 100 * std::clamp(share, 0.0, 1000.0);
  return value > 0 && value < 0.5 ? "<1%" : fmt::format("{:.0f}%", value);
}
// "14:05 to 15:30", with the day where it is not the day of `now`.
std::string stretch(std::int64_t start_us, std::int64_t end_us, std::int64_t now_us, bool exact) {
  constexpr std::int64_t day_us = 86'400'000'000;
  const auto moment = [&](std::int64_t t) {
    const auto day = t / day_us == now_us / day_us ? std::string() : tick_text(t / day_us * day_us, day_us) + " ";
    const auto time = human_date(t); // "2026-03-01 14:05:09 UTC"
    return t <= 0 || time.size() < 19 ? std::string("?") : day + time.substr(11, exact ? 8 : 5);
  };
  return fmt::format("{} to {}", moment(start_us), moment(end_us));
}
std::string what_of(const forecast_view& v) {
  std::string_view unit = "requests";
  switch (v.load) {
  case load_kind::requests:
    break;
  case load_kind::reads:
    unit = "reads";
    break;
  case load_kind::writes:
    unit = "writes";
    break;
  case load_kind::bytes:
    unit = "bytes";
    break;
  case load_kind::read_bytes:
    unit = "bytes read";
    break;
  case load_kind::write_bytes:
    unit = "bytes written";
    break;
  }
  const auto name = printable(v.subject, 100);
  const auto subject = v.kind == subject_kind::node       ? std::string("the node")
                       : v.kind == subject_kind::instance ? "instance " + name
                                                          : "volume " + name;
  return fmt::format("{}: {} per second", subject, unit);
}

class page {
public:
  page(const forecast_view& view, const plot_look& look) : v_(view), look_(look) {}

  std::string text() {
    out_ = fmt::format("{}, {}\n", styled(what_of(v_), style::bold, look_.colour), human_date(v_.start_us));
    if (v_.observed_slots == 0 || v_.past.empty()) {
      warn("Nothing has been observed yet, so there is nothing to forecast. It needs some load, or `gnomon history "
           "import` of past load.");
      return out_;
    }
    expectations();
    if (!v_.enough_past)
      too_little();
    out_ += "\n" + forecast_plot(v_, look_);
    out_ += fmt::format("{:>10}  {} past, {} forecast{}, {} where {} of the load should lie\n", "", mark(pen::past),
                        mark(pen::ahead), "", shade_mark(), percent(v_.interval));
    accuracy();
    meaning();
    footer();
    return out_;
  }

private:
  void warn(std::string_view text) { out_ += styled(text, style::yellow, look_.colour) + "\n"; }
  std::string mark(pen which) const {
    if (which == pen::past)
      return coloured(look_.unicode ? "⣿" : "#", past_colour, look_.colour);
    return coloured(look_.unicode ? "⠒" : "o", ahead_colour, look_.colour);
  }
  std::string shade_mark() const {
    if (look_.colour)
      return "\033[48;5;236m  \033[0m";
    return look_.unicode ? "░" : "-";
  }
  std::string load(double per_second) const { return load_text(per_second, v_.load); }
  bool exact() const { return v_.step_us < 60'000'000; }

  // "now 312/s; in 5m 340/s (120/s to 900/s); …"
  void expectations() {
    double now = -1;
    for (auto slot = v_.past.rbegin(); slot != v_.past.rend() && now < 0; ++slot)
      now = *slot;
    std::string line = fmt::format("now {}", load(std::max(now, 0.0)));
    for (const auto& h : v_.horizons) {
      if (v_.step_us <= 0 || h.ahead_us <= 0 || v_.ahead.empty())
        continue;
      const auto slot =
          std::min<std::size_t>(static_cast<std::size_t>(std::max<std::int64_t>(h.ahead_us / v_.step_us, 1)),
                                v_.ahead.size()) -
          1;
      line +=
          fmt::format("; in {} {}", short_span(h.ahead_us), styled(load(v_.ahead[slot]), style::bold, look_.colour));
      if (slot < v_.low.size() && slot < v_.high.size())
        line += fmt::format(" ({} to {})", load(v_.low[slot]), load(v_.high[slot]));
    }
    out_ += line + "\n";
  }

  void too_little() {
    warn(fmt::format(
        "Too little past to tell how good this is: {} of {}. Until there is more, what is drawn is little "
        "more than \"as now\".",
        counted(v_.observed_slots, "slot"), short_span(v_.step_us)));
  }

  void accuracy() {
    const auto& horizons = v_.horizons;
    if (horizons.empty() ||
        std::all_of(horizons.begin(), horizons.end(), [](const auto& h) { return h.origins == 0; }))
      return;
    out_ += "\n" + styled("How good it was on this load's own past", style::bold, look_.colour) +
            " (error / error of \"as a slot ago\"; less is better; % is the voice's weight)\n";
    std::vector<table::column> columns{{""}};
    for (const auto& h : horizons)
      columns.push_back({"in " + short_span(h.ahead_us), table::align::right});
    columns.push_back({""});
    table t(std::move(columns));
    const auto row = [&](std::string name, auto cell, std::string note) {
      std::vector<std::string> cells{std::move(name)};
      for (const auto& h : horizons)
        cells.push_back(h.origins == 0 ? std::string("?") : cell(h));
      cells.push_back(std::move(note));
      t.row(std::move(cells));
    };
    row(
        "this forecast", [](const horizon_score& h) { return fmt::format("{:.3f}     ", double(h.served_mase)); },
        "");
    for (std::size_t i = 0; i < horizons.front().voices.size(); ++i) {
      const auto& first = horizons.front().voices[i];
      row(
          "  " + printable(first.name, 40),
          [&](const horizon_score& h) {
            if (i >= h.voices.size())
              return std::string("?");
            return fmt::format("{:.3f} {:>4}", double(h.voices[i].mase), percent(h.voices[i].weight));
          },
          first.naive ? "naive" : "");
    }
    const auto text = t.to_string();
    // The forecast's own row stands out.
    const auto second = text.find('\n') + 1, third = text.find('\n', second);
    out_ += text.substr(0, second) + styled(text.substr(second, third - second), style::green, look_.colour) +
            text.substr(third);
    std::string line;
    for (const auto& h : horizons)
      if (h.origins > 0)
        line += fmt::format("{}{}: {} than the best naive one ({})", line.empty() ? "" : "; ", short_span(h.ahead_us),
                            gain(h), printable(h.best_naive, 40));
    out_ += line + "\n";
  }
  static std::string gain(const horizon_score& h) {
    const double naive = h.best_naive_mase, served = h.served_mase;
    if (naive <= 0 || served >= naive * 0.995)
      return "no better";
    return percent(1 - served / naive) + " better";
  }

  template <class List, class Line>
  void several(std::string_view what, const List& list, Line line) {
    std::size_t shown = 0;
    for (const auto& one : list) {
      if (shown == stretches_shown_max) {
        out_ += fmt::format("{:<9}and {} more\n", "", list.size() - shown);
        break;
      }
      out_ += fmt::format("{:<9}{}\n", shown == 0 ? what : "", line(one));
      ++shown;
    }
  }

  void meaning() {
    out_ += "\n";
    if (!v_.periods_us.empty()) {
      std::string line;
      for (const auto period : v_.periods_us)
        line += (line.empty() ? "" : ", ") + short_span(period);
      out_ += fmt::format("{:<9}every {}\n", "repeats", line);
    }
    const auto window = [&](const predicted_window& w) {
      return fmt::format("{} ({}), {} of the mean load", stretch(w.start_us, w.end_us, v_.start_us, exact()),
                         human_span(seconds_of(w.end_us - w.start_us)), percent(w.fraction_of_mean));
    };
    several("quiet", v_.quiet, window);
    if (v_.quiet.empty())
      out_ += fmt::format("{:<9}no window below 30% of the mean load\n", "quiet");
    several("busy", v_.busy, window);
    if (!v_.bursts.empty()) {
      std::string line;
      for (const auto& b : v_.bursts) {
        const auto chance = fmt::format("{} {} within {}", percent(b.chance), b.announced ? "EXPECTED" : "chance",
                                        short_span(b.ahead_us));
        line += (line.empty() ? "" : ", ") + (b.announced ? styled(chance, style::red, look_.colour) : chance);
      }
      out_ += fmt::format("{:<9}{} (of more than {})\n", "burst", line, load(v_.bursts.front().threshold));
    }
    several("event", v_.events, [&](const event_mark& e) {
      const double factor = e.factor;
      const auto effect = std::abs(factor - 1) < 0.005 ? std::string("no effect known")
                                                       : fmt::format("load x{:.2f} while it lasts", factor);
      return fmt::format("{} {}, {}", printable(e.type, 60), stretch(e.start_us, e.end_us, v_.start_us, exact()),
                         effect);
    });
  }

  void footer() {
    const auto line = fmt::format("learned {} in {} from {} of {}, {} of them observed", human_date(v_.fitted_us),
                                  human_time_us(v_.fit_seconds * 1e6), counted(v_.past_slots, "slot"),
                                  short_span(v_.step_us), v_.observed_slots);
    out_ += styled(line, style::dim, look_.colour) + "\n";
  }

  const forecast_view& v_;
  const plot_look look_;
  std::string out_;
};

} // namespace

std::string forecast_text(const forecast_view& view, const plot_look& look) { return page(view, look).text(); }

} // namespace gnomon::actors::cli
