#include "actors/cli/view/simulate_report.hpp"

#include <cmath>

#include <fmt/format.h>

#include "actors/cli/terminal/terminal.hpp"
#include "config/json.hpp"

namespace gnomon::actors::cli {
namespace {
using namespace forecasting;
using align = table::align;

std::string span(double s) { return human_span(std::chrono::seconds(std::llround(s))); }

// One row per thing that is scored, one column per horizon; "-" where nothing was.
template <class Value>
void add_row(table& to, std::string name, const simulation_scores& scores, Value&& value) {
  std::vector<std::string> cells{std::move(name)};
  for (const auto& h : scores.horizons)
    cells.push_back(value(h));
  to.row(std::move(cells));
}

table columns_for(const std::string& title, const simulation_scores& scores) {
  std::vector<table::column> columns{{title}};
  for (const auto& h : scores.horizons)
    columns.push_back({span(h.horizon_seconds), align::right});
  return table(std::move(columns));
}

std::string load_table(const simulation_scores& scores) {
  auto t = columns_for("LOAD AHEAD", scores);
  const auto scored = [](auto&& text) {
    return [text](const horizon_scores& h) { return h.load.forecasts > 0 ? text(h.load) : std::string("-"); };
  };
  const auto mase = [&](std::string name, auto&& of) {
    add_row(t, std::move(name), scores, scored([of](const load_scores& l) { return fmt::format("{:.3f}", of(l)); }));
  };
  const auto share = [&](std::string name, auto&& of) {
    add_row(t, std::move(name), scores,
            scored([of](const load_scores& l) { return fmt::format("{:.1f}%", 100 * of(l)); }));
  };
  add_row(t, "forecasts scored", scores, [](const horizon_scores& h) { return fmt::format("{}", h.load.forecasts); });
  mase("error (MASE) of what is served", [](const load_scores& l) { return l.mase; });
  mase("  best naive", [](const load_scores& l) { return l.best_naive_mase; });
  for (std::size_t i = 0; i < method_count; ++i)
    mase(fmt::format("  {}{}", to_string(all_methods[i]), is_naive(all_methods[i]) ? " (naive)" : ""),
         [i](const load_scores& l) { return l.method_mase[i]; });
  share("inside the 90% interval, conformal", [](const load_scores& l) { return l.conformal_coverage; });
  share("inside the 90% interval, model", [](const load_scores& l) { return l.model_coverage; });
  return t.to_string();
}

std::string hot_table(const simulation_scores& scores, std::size_t k) {
  auto t = columns_for(fmt::format("THE {} HOTTEST CHUNKS", scores.horizons.front().hot[k].set_size), scores);
  const auto row = [&](std::string name, auto&& text) {
    add_row(t, std::move(name), scores,
            [&](const horizon_scores& h) { return h.hot[k].windows > 0 ? text(h.hot[k]) : std::string("-"); });
  };
  const auto pair = [](double recall, double precision) {
    return fmt::format("{:.1f}% / {:.1f}%", 100 * recall, 100 * precision);
  };
  row("windows scored", [](const hot_scores& s) { return fmt::format("{}", s.windows); });
  row("recall / precision of what is served", [&](const hot_scores& s) { return pair(s.recall, s.precision); });
  for (std::size_t m = 0; m < hot_method_count; ++m)
    row(fmt::format("  {}", to_string(static_cast<hot_method>(m))),
        [&](const hot_scores& s) { return pair(s.method_recall[m], s.method_precision[m]); });
  row("requests that fell into the named set",
      [](const hot_scores& s) { return fmt::format("{:.1f}%", 100 * s.captured); });
  return t.to_string();
}

std::string time_us(double s) { return human_time_us(s * 1e6); }
} // namespace

std::string report_text(const simulation_outcome& o) {
  const auto& s = o.scores;
  auto out =
      fmt::format("{}: {} of {} over {}{}\n", o.trace, counted(static_cast<std::uint64_t>(s.requests), "request"),
                  counted(o.volumes.size(), "volume"), span(s.last_seconds - s.first_seconds),
                  o.interrupted ? " (interrupted: the part before)" : "");
  if (o.skipped > 0)
    out += fmt::format("{} skipped: they move no data\n", counted(o.skipped, "record"));
  out += "\n" + load_table(s);
  for (std::size_t k = 0; k < s.horizons.front().hot.size(); ++k)
    out += "\n" + hot_table(s, k);
  double forecasts = 0;
  for (const auto& h : s.horizons)
    forecasts += h.load.forecasts;
  if (forecasts == 0)
    out += "\nNo forecast could be scored: twelve slots of a horizon must have passed before the first one.\n";
  out += fmt::format("\ntime spent: observing {}, forecasting {}, choosing chunks {}\n",
                     time_us(s.observe_spent_seconds), time_us(s.load_spent_seconds), time_us(s.hot_spent_seconds));
  out += "Every number is of predictions made before what they predict. MASE is the mean error over the mean step\n"
         "from slot to slot, both on log scale; means are over volumes.\n";
  return out;
}

std::string report_json(const simulation_outcome& o) {
  const auto& s = o.scores;
  json horizons = json::array();
  for (const auto& h : s.horizons) {
    const auto& l = h.load;
    const auto scored = [](double n, double value) { return n > 0 ? json(value) : json(nullptr); };
    json methods = json::object();
    for (std::size_t i = 0; i < method_count; ++i)
      methods[std::string(to_string(all_methods[i]))] = scored(l.forecasts, l.method_mase[i]);
    json hot = json::array();
    for (const auto& k : h.hot) {
      json methods = json::object();
      for (std::size_t m = 0; m < hot_method_count; ++m)
        methods[std::string(to_string(static_cast<hot_method>(m)))] = {
            {"recall", scored(k.windows, k.method_recall[m])},
            {"precision", scored(k.windows, k.method_precision[m])}};
      hot.push_back({{"set_size", k.set_size},
                     {"windows", k.windows},
                     {"recall", scored(k.windows, k.recall)},
                     {"precision", scored(k.windows, k.precision)},
                     {"captured", scored(k.windows, k.captured)},
                     {"methods", std::move(methods)}});
    }
    horizons.push_back({{"horizon_s", h.horizon_seconds},
                        {"load",
                         {{"forecasts", l.forecasts},
                          {"mase", scored(l.forecasts, l.mase)},
                          {"best_naive_mase", scored(l.forecasts, l.best_naive_mase)},
                          {"methods_mase", std::move(methods)},
                          {"coverage_wanted", 0.9},
                          {"conformal_coverage", scored(l.forecasts, l.conformal_coverage)},
                          {"model_coverage", scored(l.forecasts, l.model_coverage)}}},
                        {"hot_chunks", std::move(hot)}});
  }
  json volumes = json::array();
  for (const auto& v : o.volumes)
    volumes.push_back({{"name", v.name}, {"size_bytes", v.size.value}, {"chunk_bytes", v.chunk_size.value}});
  const json out = {{"trace", o.trace},
                    {"records", o.records},
                    {"requests", s.requests},
                    {"skipped", o.skipped},
                    {"span_s", s.last_seconds - s.first_seconds},
                    {"interrupted", o.interrupted},
                    {"horizons", std::move(horizons)},
                    {"spent_s",
                     {{"observing", s.observe_spent_seconds},
                      {"forecasting", s.load_spent_seconds},
                      {"choosing_chunks", s.hot_spent_seconds}}},
                    {"volumes", std::move(volumes)}};
  return dump_json(out, json_style::pretty) + "\n";
}

} // namespace gnomon::actors::cli
