#include "actors/cli/view/snapshot_view.hpp"

#include <fmt/format.h>

#include "actors/cli/terminal/terminal.hpp"
#include "config/clock.hpp"
#include "config/json.hpp"
#include "config/text.hpp"
#include "config/times.hpp"
#include "config/units.hpp"

namespace gnomon::actors::cli {
namespace {
using align = table::align;

constexpr std::size_t minutes_shown = 16, minutes_begin = 11; // "2026-11-29T06:50", of which "06:50"
constexpr std::size_t id_shown = 8; // enough to name a snapshot by, most of the time

std::string time_text(std::int64_t us) {
  return us == 0 ? "-" : format_time(wall_time(std::chrono::microseconds(us)));
}
std::string megabytes(std::uint64_t bytes) { return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20)); }
std::string permille_text(std::uint32_t permille) { return fmt::format("{}.{} %", permille / 10, permille % 10); }
std::string state_text(const snapshot_info& s) {
  return s.state == snapshot_state::capturing ? "capturing " + permille_text(s.done_permille) : std::string(to_string(s.state));
}
std::string kind_text(const snapshot_info& s) {
  return s.state != snapshot_state::complete ? "-" : s.parent.empty() ? "baseline" : "differential";
}
std::string duration_text(std::int64_t us) { return human_time_us(static_cast<double>(us)); }

json snapshot_value(const snapshot_info& s) {
  return {{"id", s.id},
          {"parent", s.parent},
          {"volume", s.name.value},
          {"volume_uuid", s.volume.to_string()},
          {"size_bytes", s.size.value},
          {"cut_us", s.cut_us},
          {"state", to_string(s.state)},
          {"failure", s.failure},
          {"note", s.note},
          {"done_permille", s.done_permille},
          {"file_bytes", s.file_bytes},
          {"unique_bytes", s.unique_bytes},
          {"all_bytes", s.all_bytes},
          {"layers", s.layers},
          {"data_granules", s.data_granules},
          {"zero_granules", s.zero_granules},
          {"group", s.group},
          {"group_cut", s.group_cut},
          {"group_complete", s.group_complete}};
}

json restore_value(const restore_info& r) {
  return {{"volume", r.name.value},
          {"volume_uuid", r.volume.to_string()},
          {"snapshot", r.snapshot},
          {"done", r.done},
          {"granules", r.granules},
          {"present", r.present},
          {"bytes_per_second", r.bytes_per_second},
          {"left_s", r.left_s < 0 ? json(nullptr) : json(r.left_s)},
          {"problem", r.problem}};
}

json layer_value(const planned_layer& l) {
  return {{"start_us", l.start_us},
          {"latest_us", l.latest_us},
          {"kind", l.baseline ? "baseline" : "differential"},
          {"reason", l.reason},
          {"load_fraction", l.load_fraction < 0 ? json(nullptr) : json(static_cast<double>(l.load_fraction))}};
}

// "quiet window, 0.21 of the mean load"
std::string reason_text(const planned_layer& l) {
  return l.load_fraction < 0 ? l.reason
                             : fmt::format("{}, {:.2f} of the mean load", l.reason, static_cast<double>(l.load_fraction));
}

json group_value(const group_info& g) {
  json members = json::array();
  for (const auto& m : g.members)
    members.push_back({{"volume", m.name.value},
                       {"volume_uuid", m.volume.to_string()},
                       {"phase", to_string(m.phase)},
                       {"snapshot", m.snapshot},
                       {"done_permille", m.done_permille},
                       {"held_us", m.held_us},
                       {"failure", m.failure}});
  return {{"name", g.name.value},
          {"prediction", g.rule.prediction},
          {"every_s", g.rule.every_s},
          {"latest_by_s", g.rule.latest_by_s},
          {"baseline_every_s", g.rule.baseline_every_s},
          {"quiet_below", static_cast<double>(g.rule.quiet_below_permille) / 1000},
          {"retain", g.rule.retain},
          {"hourly", g.rule.hourly},
          {"daily", g.rule.daily},
          {"weekly", g.rule.weekly},
          {"members", members},
          {"cut", g.cut},
          {"cut_us", g.cut_us},
          {"span_us", g.span_us},
          {"hold_deadline_ms", g.deadline_ms},
          {"failure", g.failure},
          {"complete", g.complete},
          {"newest_complete_us", g.newest_complete_us},
          {"next_us", g.next_us},
          {"next", g.next_us == 0 ? json(nullptr) : layer_value(g.next)},
          {"fallback", g.fallback},
          {"bound_s", g.bound_s},
          {"late", g.late},
          {"bytes", g.bytes}};
}

std::string kept_text(const group_rule& rule) {
  auto out = counted(rule.retain, "snapshot");
  const auto add = [&](std::uint32_t count, const char* what) {
    if (count > 0)
      out += fmt::format(", {} {}", count, what);
  };
  add(rule.hourly, "hourly");
  add(rule.daily, "daily");
  add(rule.weekly, "weekly");
  return out;
}

std::string printed(const json& value) { return dump_json(value, json_style::pretty) + "\n"; }

json list_value(const std::vector<std::string>& all) {
  json out = json::array();
  for (const auto& one : all)
    out.push_back(one);
  return out;
}

} // namespace

std::string to_text(const snapshot_info& s) {
  std::string out;
  const auto line = [&](std::string_view what, const std::string& value) {
    if (!value.empty())
      out += fmt::format("{:<13}{}\n", what, value);
  };
  line("snapshot", s.id);
  line("volume", fmt::format("{} ({})", s.name.value, s.volume.to_string()));
  line("state", state_text(s));
  line("failure", printable(s.failure, 300));
  line("point in time", time_text(s.cut_us));
  line("size", format_size(s.size));
  if (s.state == snapshot_state::complete) {
    line("layer", fmt::format("{}, {}: {} with data, {} zero", kind_text(s), megabytes(s.file_bytes),
                              counted(s.data_granules, "granule"), s.zero_granules));
    line("lies on", s.parent);
    line("takes", fmt::format("{} by itself; {} in {}", megabytes(s.unique_bytes), megabytes(s.all_bytes),
                              counted(s.layers, "layer")));
  }
  if (!s.group.empty())
    line("group", fmt::format("{}, cut {}, {}", s.group, s.group_cut, s.group_complete ? "complete" : "not complete"));
  line("note", printable(s.note, 300));
  return out;
}

std::string to_text(const std::vector<snapshot_info>& all) {
  if (all.empty())
    return "no snapshots\n";
  table t({{"ID"},
           {"VOLUME"},
           {"POINT IN TIME"},
           {"STATE"},
           {"LAYER"},
           {"FILE", align::right},
           {"UNIQUE", align::right},
           {"GROUP"},
           {"NOTE"}});
  for (const auto& s : all)
    t.row({s.id.substr(0, id_shown), s.name.value, time_text(s.cut_us), state_text(s), kind_text(s),
           megabytes(s.file_bytes), megabytes(s.unique_bytes),
           s.group.empty() ? "" : s.group + (s.group_complete ? "" : " (incomplete)"),
           printable(s.failure.empty() ? s.note : s.failure, 60)});
  return t.to_string();
}

std::string to_text(const snapshot_check& check) {
  std::string out = fmt::format("{} in {}, {} read: ", counted(check.granules, "granule"),
                                counted(check.layers, "layer"), megabytes(check.bytes));
  if (check.findings == 0)
    return out + "no damage\n";
  out += counted(check.findings, "finding") + "\n";
  for (const auto& finding : check.first_findings)
    out += "  " + printable(finding, 300) + "\n";
  if (check.findings > check.first_findings.size())
    out += fmt::format("  and {} more\n", check.findings - check.first_findings.size());
  return out;
}

std::string to_text(const restore_info& r) {
  const auto percent = r.granules == 0 ? 100.0 : static_cast<double>(r.present) * 100 / static_cast<double>(r.granules);
  if (r.done)
    return fmt::format("volume {} is restored from snapshot {}\n", r.name.value, r.snapshot);
  if (!r.problem.empty())
    return fmt::format("volume {} is served, {:.1f} % filled; its restore does not go on: {}\n", r.name.value, percent,
                       printable(r.problem, 300));
  return fmt::format("volume {} is served, and filled from snapshot {}: {:.1f} % of {}{}{}\n", r.name.value, r.snapshot,
                     percent, counted(r.granules, "granule"),
                     r.bytes_per_second == 0 ? "" : fmt::format(", {}/s", megabytes(r.bytes_per_second)),
                     r.left_s < 0 ? "" : fmt::format(", {} left", human_span(std::chrono::seconds(r.left_s))));
}

std::string to_text(const std::vector<restore_info>& all) {
  if (all.empty())
    return "no volume was restored since the node started\n";
  std::string out;
  for (const auto& r : all)
    out += to_text(r);
  return out;
}

std::string to_text(const rebuild_report& r) {
  std::string out = fmt::format("{} found, {} taken in\n", counted(r.found, "layer"), r.added);
  for (const auto& problem : r.problems)
    out += "problem: " + printable(problem, 300) + "\n";
  return out;
}

std::string to_text(const group_info& g) {
  std::string out;
  const auto line = [&](std::string_view what, const std::string& value) {
    if (!value.empty())
      out += fmt::format("{:<13}{}\n", what, value);
  };
  line("group", g.name.value);
  line("plan", g.rule.every_s == 0
                   ? "on demand"
                   : fmt::format("every {}, at least one within {}{}", human_span(std::chrono::seconds(g.rule.every_s)),
                                 human_span(std::chrono::seconds(g.bound_s)),
                                 g.rule.baseline_every_s == 0
                                     ? ""
                                     : fmt::format(", a baseline every {}",
                                                   human_span(std::chrono::seconds(g.rule.baseline_every_s)))));
  if (g.next_us != 0)
    line("next", fmt::format("a {} at {}: {}", g.next.baseline ? "baseline" : "differential", time_text(g.next_us),
                             reason_text(g.next)));
  line("prediction", !g.rule.prediction    ? "off"
                     : g.fallback.empty() ? fmt::format("on, quiet below {:.2f} of the mean load",
                                                        static_cast<double>(g.rule.quiet_below_permille) / 1000)
                                          : "on, but the schedule is kept: " + g.fallback);
  if (g.late)
    line("late", "the newest good snapshot is older than it may be");
  line("keeps", kept_text(g.rule));
  line("complete", fmt::format("{}, the newest at {}; {} of layers", g.complete, time_text(g.newest_complete_us),
                               megabytes(g.bytes)));
  if (!g.cut.empty()) {
    line("latest cut", fmt::format("{} at {}", g.cut, time_text(g.cut_us)));
    line("skew", fmt::format("{} from the last hold to the last release; no hold longer than {}",
                             duration_text(g.span_us), duration_text(g.deadline_ms * 1000)));
    line("failure", printable(g.failure, 300));
  }
  table t({{"MEMBER"}, {"PHASE"}, {"HELD", align::right}, {"SNAPSHOT"}, {"FAILURE"}});
  for (const auto& m : g.members)
    t.row({m.name.value.empty() ? m.volume.to_string() + " (deleted)" : m.name.value,
           m.phase == member_phase::capturing ? "capturing " + permille_text(m.done_permille) : std::string(to_string(m.phase)),
           m.held_us == 0 ? "-" : duration_text(m.held_us), m.snapshot.substr(0, id_shown), printable(m.failure, 100)});
  return out + t.to_string();
}

std::string to_text(const group_plan& p) {
  std::string out = fmt::format("group {}, {} to {}\n", p.name.value, time_text(p.from_us), time_text(p.until_us));
  if (!p.prediction)
    out += "prediction is off: the schedule is kept\n";
  else if (!p.fallback.empty())
    out += "the schedule is kept, prediction says too little: " + printable(p.fallback, 200) + "\n";
  if (p.layers.empty())
    return out + "no snapshots are planned: it has no --every\n";
  table t({{"AT"}, {"LAYER"}, {"LATEST"}, {"WHY"}});
  for (const auto& l : p.layers)
    t.row({time_text(l.start_us).substr(0, minutes_shown), l.baseline ? "baseline" : "differential",
           time_text(l.latest_us).substr(0, minutes_shown).substr(minutes_begin), reason_text(l)});
  return out + t.to_string();
}

std::string to_text(const snapshot_diff& d) {
  std::string out;
  std::uint64_t bytes = 0;
  for (const auto& e : d.extents) {
    out += fmt::format("{} {} {}\n", e.offset, e.length, e.zero ? "zero" : "data");
    bytes += e.length;
  }
  out += fmt::format("{} of {} in {}", megabytes(bytes), megabytes(d.size.value), counted(d.extents.size(), "extent"));
  return out + (d.next_offset < d.size.value ? fmt::format("; go on with --from-offset {}\n", d.next_offset) : "\n");
}

std::string to_text(const std::vector<group_info>& groups) {
  if (groups.empty())
    return "no snapshot groups\n";
  table t({{"GROUP"}, {"MEMBERS", align::right}, {"COMPLETE", align::right}, {"NEWEST"}, {"NEXT"}, {"LATEST FAILURE"}});
  for (const auto& g : groups)
    t.row({g.name.value, fmt::format("{}", g.members.size()), fmt::format("{}", g.complete),
           time_text(g.newest_complete_us), time_text(g.next_us), printable(g.failure, 60)});
  return t.to_string();
}

std::string json_of(const snapshot_info& s) { return printed(snapshot_value(s)); }
std::string json_of(const std::vector<snapshot_info>& all) {
  json out = json::array();
  for (const auto& s : all)
    out.push_back(snapshot_value(s));
  return printed(out);
}
std::string json_of(const snapshot_check& c) {
  return printed({{"layers", c.layers},
                    {"granules", c.granules},
                    {"bytes", c.bytes},
                    {"findings", c.findings},
                    {"first_findings", list_value(c.first_findings)}});
}
std::string json_of(const restore_info& r) { return printed(restore_value(r)); }
std::string json_of(const std::vector<restore_info>& all) {
  json out = json::array();
  for (const auto& r : all)
    out.push_back(restore_value(r));
  return printed(out);
}
std::string json_of(const rebuild_report& r) {
  return printed({{"found", r.found},
                    {"added", r.added},
                    {"unsealed_removed", r.unsealed_removed},
                    {"problems", list_value(r.problems)}});
}
std::string json_of(const group_plan& p) {
  json layers = json::array();
  for (const auto& l : p.layers)
    layers.push_back(layer_value(l));
  return printed({{"name", p.name.value},
                  {"prediction", p.prediction},
                  {"fallback", p.fallback},
                  {"from_us", p.from_us},
                  {"until_us", p.until_us},
                  {"layers", layers}});
}
std::string json_of(const snapshot_diff& d) {
  json extents = json::array();
  for (const auto& e : d.extents)
    extents.push_back({{"offset", e.offset}, {"length", e.length}, {"zero", e.zero}});
  return printed({{"older", d.older},
                  {"newer", d.newer},
                  {"size_bytes", d.size.value},
                  {"extents", extents},
                  {"next_offset", d.next_offset}});
}
std::string json_of(const group_info& g) { return printed(group_value(g)); }
std::string json_of(const std::vector<group_info>& groups) {
  json out = json::array();
  for (const auto& g : groups)
    out.push_back(group_value(g));
  return printed(out);
}

} // namespace gnomon::actors::cli
