#include "actors/planning/plan_view.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "config/json.hpp"
#include "config/text.hpp"
#include "config/units.hpp"
#include "forecasting/planner/planner_text.hpp"

namespace gnomon::actors {
namespace {

constexpr std::size_t why_entries_max = 50;

std::string_view to_string(planner_rule rule) {
  return rule == planner_rule::act ? "act" : rule == planner_rule::advise ? "advise" : "off";
}
std::string mib(double bytes) { return fmt::format("{:.1f} MiB", bytes / (1 << 20)); }

// What the planner has on the stage of one volume, with its chunks.
struct placed_run {
  volume_uuid volume;
  std::string name;
  std::uint64_t first = 0, chunks = 0;
  double chunk_bytes = 0;
  placed_chunk what;
  double copied = 0, used = 0; // granules
};

std::vector<placed_run> placed_runs(const plan_view& view) {
  std::vector<placed_run> out;
  for (const auto& [where, placed] : view.book->memory().placed) {
    if (!out.empty() && out.back().volume == where.first && out.back().first + out.back().chunks == where.second &&
        out.back().what.since_seconds == placed.since_seconds && out.back().what.reason == placed.reason) {
      ++out.back().chunks;
      out.back().copied += placed.copied;
      out.back().used += placed.used;
      continue;
    }
    placed_run run;
    run.volume = where.first;
    run.name = where.first.to_string();
    if (view.last && view.last->input)
      for (std::size_t v = 0; v < view.last->input->volumes.size(); ++v)
        if (view.last->input->volumes[v] == where.first) {
          run.name = view.last->input->input.volumes[v].name;
          run.chunk_bytes = view.last->input->input.volumes[v].chunk_bytes;
        }
    run.first = where.second;
    run.chunks = 1;
    run.what = placed;
    run.copied = placed.copied, run.used = placed.used;
    out.push_back(std::move(run));
  }
  return out;
}

std::string text_of(const placed_run& run, double now) {
  const double bytes = run.copied * static_cast<double>(granule_bytes);
  return fmt::format("{} chunks {}-{}: there for {:.0f} s, {} copied, {:.0f} % of that read since; {}\n", run.name,
                     run.first, run.first + run.chunks - 1, now - run.what.since_seconds, mib(bytes),
                     run.copied > 0 ? 100 * run.used / run.copied : 0,
                     run.what.reason.empty() ? "placed before the planner was restarted" : run.what.reason);
}
json json_of(const placed_run& run, double now) {
  return {{"volume", run.name},
          {"first_chunk", run.first},
          {"chunks", run.chunks},
          {"seconds", now - run.what.since_seconds},
          {"because", std::string(forecasting::to_string(run.what.because))},
          {"copied_bytes", run.copied * static_cast<double>(granule_bytes)},
          {"used_bytes", run.used * static_cast<double>(granule_bytes)},
          {"reason", run.what.reason}};
}
std::string text_of(const plan_entry& e, double now) {
  return fmt::format("{:.0f} s ago{}: {} -> {}\n", now - e.last_seconds,
                     e.times > 1 ? fmt::format(" ({} times in a row)", e.times) : "", e.text, e.outcome);
}
json json_of(const plan_entry& e, double now) {
  return {{"seconds_ago", now - e.last_seconds},
          {"first_seconds_ago", now - e.first_seconds},
          {"times", e.times},
          {"kind", std::string(forecasting::to_string(e.kind))},
          {"volume", e.volume},
          {"node", e.node},
          {"first_chunk", e.first_chunk},
          {"chunks", e.chunks},
          {"bytes", e.bytes},
          {"text", e.text},
          {"outcome", e.outcome}};
}

struct found_object {
  std::vector<placed_run> placed;
  std::vector<plan_entry> entries; // newest first
};

result<found_object> find(const plan_view& view, const std::string& object) {
  found_object out;
  std::string name = object;
  bool known = object == view.node;
  if (view.last && view.last->input) {
    const auto& in = view.last->input->input;
    for (std::size_t v = 0; v < in.volumes.size(); ++v)
      if (in.volumes[v].name == object || view.last->input->volumes[v].to_string() == object) {
        name = in.volumes[v].name;
        known = true;
      }
    for (const auto& n : in.nodes)
      known |= n.name == object;
  }
  for (auto& run : placed_runs(view))
    if (run.name == name || object == view.node)
      out.placed.push_back(std::move(run));
  const auto& log = view.book->log();
  for (auto at = log.rbegin(); at != log.rend() && out.entries.size() < why_entries_max; ++at)
    if (at->volume == name || at->node == name)
      out.entries.push_back(*at);
  if (!known && out.placed.empty() && out.entries.empty())
    return fail(errc::not_found, fmt::format("the planner knows of no volume and no node {}{}", quote(object),
                                             view.last ? "" : ": no plan has been made yet"));
  return out;
}

} // namespace

std::string plan_text(const plan_view& view) {
  std::string out = fmt::format("node {}: mode {}, ", view.node, to_string(view.mode));
  if (!view.last)
    return out + fmt::format("no plan yet; the next one in {:.0f} s\n", view.next_in_seconds);
  out += fmt::format("planned {:.0f} s ago in {:.0f} ms, the next one in {:.0f} s; {} executions, {} failed\n",
                     view.now_seconds - view.last->made_seconds, view.last->took_seconds * 1e3, view.next_in_seconds,
                     view.book->executed(), view.book->failed());
  if (!view.last->problem.empty())
    out += "no plan could be made: " + view.last->problem + "\n";
  for (const auto& run : placed_runs(view))
    out += "  holds " + text_of(run, view.now_seconds);
  for (const auto& e : view.last->entries)
    out += "  " + e.text + " -> " + e.outcome + "\n";
  if (view.last->left_out > 0)
    out += fmt::format("  {} more decisions\n", view.last->left_out);
  if (view.last->entries.empty())
    out += "  nothing to change\n";
  return out;
}

std::string plan_json(const plan_view& view) {
  json out = {{"node", view.node},
              {"mode", std::string(to_string(view.mode))},
              {"next_in_seconds", view.next_in_seconds},
              {"planned_seconds_ago", view.last ? json(view.now_seconds - view.last->made_seconds) : json(nullptr)},
              {"executed", view.book->executed()},
              {"failed", view.book->failed()},
              {"problem", view.last ? view.last->problem : std::string()}};
  out["placed"] = json::array();
  for (const auto& run : placed_runs(view))
    out["placed"].push_back(json_of(run, view.now_seconds));
  out["decisions"] = json::array();
  if (view.last)
    for (const auto& e : view.last->entries)
      out["decisions"].push_back(json_of(e, view.now_seconds));
  return dump_json(out, json_style::pretty) + "\n";
}

result<std::string> why_text(const plan_view& view, const std::string& object) {
  const auto found = find(view, object);
  if (!found)
    return tl::unexpected(found.error());
  std::string out;
  for (const auto& run : found->placed)
    out += "holds " + text_of(run, view.now_seconds);
  for (const auto& e : found->entries)
    out += text_of(e, view.now_seconds);
  if (out.empty())
    out = fmt::format("nothing was decided about {}: no copy would pay\n", object);
  return out;
}

result<std::string> why_json(const plan_view& view, const std::string& object) {
  const auto found = find(view, object);
  if (!found)
    return tl::unexpected(found.error());
  json out = {{"object", object}, {"placed", json::array()}, {"decisions", json::array()}};
  for (const auto& run : found->placed)
    out["placed"].push_back(json_of(run, view.now_seconds));
  for (const auto& e : found->entries)
    out["decisions"].push_back(json_of(e, view.now_seconds));
  return dump_json(out, json_style::pretty) + "\n";
}

result<std::string> dump_of(const plan_view& view) {
  if (!view.last || !view.last->input)
    return fail(errc::not_found, "no plan has been made yet");
  json out = {{"input", to_text(view.last->input->input)}, {"decisions", view.last->lines}, {"more", view.last->left_out}};
  auto text = dump_json(out);
  if (text.size() > plan_dump_bytes_max)
    return fail(errc::limit_reached, fmt::format("the input is larger than {}", format_size(byte_count{plan_dump_bytes_max})));
  return text;
}

} // namespace gnomon::actors
