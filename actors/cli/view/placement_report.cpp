#include "actors/cli/view/placement_report.hpp"

#include <fmt/format.h>

#include "actors/cli/terminal/terminal.hpp"
#include "config/json.hpp"

namespace gnomon::actors::cli {
namespace {
using namespace forecasting;

std::string placement_percent(double share) { return fmt::format("{:.2f} %", 100 * share); }
std::string ms(double seconds) { return fmt::format("{:.3f} ms", seconds * 1e3); }

std::string of_size(const placement_size& size) {
  table t({{"METHOD"},
           {"NEAR", table::align::right},
           {"MEAN", table::align::right},
           {"P99", table::align::right},
           {"MOVED", table::align::right},
           {"IN VAIN", table::align::right}});
  for (const auto& o : size.outcomes)
    t.row({std::string(to_string(o.method)), placement_percent(o.near_share()), ms(o.mean_seconds), ms(o.p99_seconds),
           human_bytes(static_cast<double>(o.bytes_moved)), human_bytes(static_cast<double>(o.bytes_in_vain))});
  std::string out =
      fmt::format("\n{:.1f} % of space, {} near the readers\n{}", 100 * size.share,
                  human_bytes(static_cast<double>(size.granules) * simulated_granule_bytes), t.to_string());
  const auto* base = size.best_baseline();
  const auto* ours = size.of(placement_method::gnomon);
  const auto* oracle = size.of(placement_method::oracle);
  if (base == nullptr || ours == nullptr || oracle == nullptr)
    return out;
  out += fmt::format(
      "Best baseline: {} with {}. Gnomon closes {:.0f} % of its gap to the oracle and moves {:.2f} "
      "times its bytes.\n",
      to_string(base->method), placement_percent(base->near_share()), 100 * size.gap_closed(),
      base->bytes_moved == 0 ? 0.0 : static_cast<double>(ours->bytes_moved) / static_cast<double>(base->bytes_moved));
  out += "Reads that a copy ahead made near:";
  for (std::size_t k = 0; k < prediction_kind_count; ++k)
    out += fmt::format(" {} {}", to_string(static_cast<prediction_kind>(k)),
                       placement_percent(static_cast<double>(ours->near_by_kind[k]) / static_cast<double>(ours->reads)));
  return out + "\n";
}

json of_outcome(const placement_outcome& o) {
  json kinds = json::object();
  for (std::size_t k = 0; k < prediction_kind_count; ++k)
    kinds[std::string(to_string(static_cast<prediction_kind>(k)))] = {
        {"copied", o.kinds[k].fetched}, {"used", o.kinds[k].used}, {"near_reads", o.near_by_kind[k]}};
  return {{"method", to_string(o.method)}, {"reads", o.reads},
          {"near_reads", o.near},          {"near_share", o.near_share()},
          {"mean_s", o.mean_seconds},      {"p99_s", o.p99_seconds},
          {"moved_bytes", o.bytes_moved},  {"in_vain_bytes", o.bytes_in_vain},
          {"kinds", std::move(kinds)}};
}

void timing_row(std::string_view name, const std::array<timing_score, snapshot_timing_count>& scores, table& to) {
  std::vector<std::string> cells{std::string(name)};
  for (const auto& s : scores)
    cells.push_back(s.snapshots > 0 ? fmt::format("{:.2f}", s.load_met) : "-");
  const auto& planned = scores[static_cast<std::size_t>(snapshot_timing::planned)];
  cells.push_back(planned.snapshots > 0 ? fmt::format("{:.0f} %", 100 * planned.quietest_quarter) : "-");
  to.row(std::move(cells));
}

std::string timing_table(const snapshot_report& report, const char* title,
                         std::array<timing_score, snapshot_timing_count> snapshot_scores::*which) {
  std::vector<table::column> columns{{title}};
  for (std::size_t t = 0; t < snapshot_timing_count; ++t)
    columns.push_back({std::string(to_string(static_cast<snapshot_timing>(t))), table::align::right});
  columns.push_back({"in the quietest quarter", table::align::right});
  table out(std::move(columns));
  std::array<timing_score, snapshot_timing_count> mean{};
  for (const auto& v : report.volumes) {
    timing_row(v.volume, v.scores.*which, out);
    for (std::size_t t = 0; t < snapshot_timing_count; ++t) {
      const auto& s = (v.scores.*which)[t];
      mean[t].load_met += s.load_met * (s.snapshots > 0 ? 1 : 0);
      mean[t].quietest_quarter += s.quietest_quarter * (s.snapshots > 0 ? 1 : 0);
      mean[t].snapshots += s.snapshots > 0 ? 1 : 0;
    }
  }
  for (auto& m : mean)
    if (m.snapshots > 0) {
      m.load_met /= m.snapshots;
      m.quietest_quarter /= m.snapshots;
    }
  timing_row("mean", mean, out);
  return out.to_string();
}

json of_timings(const std::array<timing_score, snapshot_timing_count>& scores) {
  json out = json::object();
  for (std::size_t t = 0; t < snapshot_timing_count; ++t)
    out[std::string(to_string(static_cast<snapshot_timing>(t)))] = {{"snapshots", scores[t].snapshots},
                                                                    {"load_met", scores[t].load_met},
                                                                    {"quietest_quarter", scores[t].quietest_quarter}};
  return out;
}
} // namespace

std::string report_text(const placement_report& r) {
  std::string out = fmt::format("{}: {} reads of {} on {}\n", r.trace, r.reads, counted(r.volumes, "volume"),
                                counted(r.nodes, "node"));
  for (const auto& size : r.sizes)
    out += of_size(size);
  return out + "\nNEAR: reads of which every 64 KiB was near when they came. MOVED: by reads and ahead of them. IN "
               "VAIN: copied ahead and never read.\nWrites are left out; fetches take time (ARCHITECTURE.md).\n";
}

std::string report_json(const placement_report& r) {
  json sizes = json::array();
  for (const auto& size : r.sizes) {
    json outcomes = json::array();
    for (const auto& o : size.outcomes)
      outcomes.push_back(of_outcome(o));
    const auto* base = size.best_baseline();
    sizes.push_back({{"space_share", size.share},
                     {"space_bytes", size.granules * simulated_granule_bytes},
                     {"best_baseline", base == nullptr ? json() : json(to_string(base->method))},
                     {"gap_closed", size.gap_closed()},
                     {"outcomes", std::move(outcomes)}});
  }
  const json out = {{"trace", r.trace}, {"nodes", r.nodes},          {"volumes", r.volumes},
                    {"reads", r.reads}, {"sizes", std::move(sizes)}, {"interrupted", r.interrupted}};
  return dump_json(out, json_style::pretty) + "\n";
}

std::string report_text(const snapshot_report& r) {
  std::string out =
      fmt::format("{}: client load during snapshots over the mean load of the time they could choose from "
                  "(1.00: what a fixed time meets)\n\n",
                  r.trace);
  out += timing_table(r, "BASELINES, daily", &snapshot_scores::baselines) + "\n";
  out += timing_table(r, "DIFFERENTIALS, hourly", &snapshot_scores::differentials);
  double latest = 0, by_schedule = 0, days = 0;
  for (const auto& v : r.volumes) {
    latest = std::max(latest, v.scores.latest_seconds);
    by_schedule += v.scores.planned_by_schedule;
    days += v.scores.days;
  }
  out += fmt::format("\nLongest time between two baselines: {:.1f} h (bound 48 h). Days on which the forecast said "
                     "nothing and the schedule was kept: {:.0f} of {:.0f}.\n",
                     latest / hour, by_schedule, days);
  for (const auto& name : r.too_short)
    out += fmt::format("{}: less than three days, left out\n", name);
  return out;
}

std::string report_json(const snapshot_report& r) {
  json volumes = json::array();
  for (const auto& v : r.volumes)
    volumes.push_back({{"volume", v.volume},
                       {"days", v.scores.days},
                       {"baselines", of_timings(v.scores.baselines)},
                       {"differentials", of_timings(v.scores.differentials)},
                       {"latest_s", v.scores.latest_seconds},
                       {"planned_by_schedule", v.scores.planned_by_schedule}});
  const json out = {{"trace", r.trace}, {"volumes", std::move(volumes)}, {"too_short", r.too_short}};
  return dump_json(out, json_style::pretty) + "\n";
}

} // namespace gnomon::actors::cli
