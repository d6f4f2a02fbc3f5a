#include "actors/cli/view/forecast_text.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "actors/cli/terminal/terminal.hpp"
#include "actors/cli/view/forecast_plot.hpp"
#include "config/text.hpp"

namespace gnomon::actors::cli {
namespace {

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
std::int64_t length_us(std::int64_t start_us, std::int64_t end_us) {
  return start_us < 0 || end_us < start_us ? 0 : end_us - start_us;
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

// Columns that text of ours takes: colours take none.
std::size_t visible_width(std::string_view text) {
  std::size_t out = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\033')
      i = std::min(text.find('m', i), text.size() - 1);
    else
      out += (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80 ? 1 : 0;
  }
  return out;
}

class page {
public:
  page(const forecast_view& view, const plot_look& look) : v_(view), look_(look) {}

  std::string text() {
    out_ = fmt::format("{}, {}\n", styled(what_of(v_), style::bold, look_.colour), human_date(v_.start_us));
    if (v_.observed_slots == 0 || v_.past.empty()) {
      warn("Nothing has been observed yet, so there is nothing to forecast: it takes some load first.");
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
    std::vector<std::string> parts{fmt::format("now {}", load(std::max(now, 0.0)))};
    for (const auto& h : v_.horizons) {
      if (v_.step_us <= 0 || h.ahead_us <= 0 || v_.ahead.empty())
        continue;
      const auto slots = static_cast<std::size_t>(std::max<std::int64_t>(h.ahead_us / v_.step_us, 1));
      const auto slot = std::min(slots, v_.ahead.size()) - 1;
      parts.push_back(
          fmt::format("in {} {}", short_span(h.ahead_us), styled(load(v_.ahead[slot]), style::bold, look_.colour)));
      if (slot < v_.low.size() && slot < v_.high.size())
        parts.back() += fmt::format(" ({} to {})", load(v_.low[slot]), load(v_.high[slot]));
    }
    out_ += wrapped("", parts);
  }

  void too_little() {
    warn(fmt::format("Too little past to tell how good this is: {} of {}.\n"
                     "Until there is more, what is drawn is little more than \"as now\".",
                     counted(v_.observed_slots, "slot"), short_span(v_.step_us)));
  }

  void accuracy() {
    const auto& horizons = v_.horizons;
    if (horizons.empty() ||
        std::all_of(horizons.begin(), horizons.end(), [](const auto& h) { return h.origins == 0; }))
      return;
    out_ += "\n" + styled("How good it was on this load's own past", style::bold, look_.colour) + "\n";
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
    for (std::size_t i = 0; i < horizons.front().methods.size(); ++i) {
      const auto& first = horizons.front().methods[i];
      row(
          "  " + printable(first.name, 40),
          [&](const horizon_score& h) {
            if (i >= h.methods.size())
              return std::string("?");
            return fmt::format("{:.3f} {:>4}", double(h.methods[i].mase), percent(h.methods[i].weight));
          },
          first.naive ? "naive" : "");
    }
    const auto text = t.to_string();
    // The forecast's own row stands out.
    const auto second = text.find('\n') + 1, third = text.find('\n', second);
    out_ += text.substr(0, second) + styled(text.substr(second, third - second), style::green, look_.colour) +
            text.substr(third);
    std::vector<std::string> parts;
    for (const auto& h : horizons)
      if (h.origins > 0)
        parts.push_back(fmt::format("in {} {} ({})", short_span(h.ahead_us), gain(h), printable(h.best_naive, 40)));
    out_ += wrapped("against the best naive method: ", parts);
    for (const char* line : {"numbers: error over that of \"as one slot ago\" (MASE, log scale); less is better",
                             "%: weight of the method in the forecast"})
      out_ += styled(line, style::dim, look_.colour) + "\n";
  }
  // `lead` and the parts, "; " between them, in lines that fit.
  std::string wrapped(std::string_view lead, const std::vector<std::string>& parts) const {
    std::string out(lead);
    std::size_t used = visible_width(lead);
    bool first = true;
    for (const auto& part : parts) {
      const auto width = visible_width(part);
      if (!first)
        out += ";", ++used;
      if (used > 0 && used + 1 + width > std::max(look_.width, plot_width_min))
        out += "\n", used = 0;
      else if (!first)
        out += " ", ++used;
      out += part;
      used += width;
      first = false;
    }
    return out + "\n";
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
    if (v_.enough_past) {
      const auto window = [&](const predicted_window& w) {
        return fmt::format("{} ({}), {} of the mean load", stretch(w.start_us, w.end_us, v_.start_us, exact()),
                           short_span(length_us(w.start_us, w.end_us)), percent(w.fraction_of_mean));
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
    auto line =
        fmt::format("learned {} in {} from {} of {}", human_date(v_.fitted_us), human_time_us(v_.fit_seconds * 1e6),
                    counted(v_.past_slots, "slot"), short_span(v_.step_us));
    if (v_.observed_slots != v_.past_slots)
      line += fmt::format(", {} observed", v_.observed_slots);
    out_ += styled(line, style::dim, look_.colour) + "\n";
  }

  const forecast_view& v_;
  const plot_look look_;
  std::string out_;
};

} // namespace

std::string forecast_text(const forecast_view& view, const plot_look& look) { return page(view, look).text(); }

} // namespace gnomon::actors::cli
