#include "forecasting/planner/event_demand.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace gnomon::forecasting {
namespace {

using row_key = std::tuple<std::uint32_t, std::uint32_t, std::uint64_t>;
constexpr auto event_at = static_cast<std::size_t>(prediction_kind::event);

// The volumes an event is about, with the nodes their readers are attached to now and how many read there.
struct concerned {
  std::uint32_t volume = 0;
  std::set<std::uint32_t> nodes;
  double readers = 0;
};

std::map<std::uint32_t, concerned> concerned_by(const planner_input& input, const planner_event& e) {
  std::map<std::uint32_t, concerned> out;
  for (const auto& r : input.readers) {
    if ((e.kind == planner_event_kind::move ? r.instance : r.application) != e.target)
      continue;
    auto& c = out[r.volume];
    c.volume = r.volume;
    c.nodes.insert(r.node);
    c.readers += 1;
  }
  return out;
}

} // namespace

std::vector<planner_chunk> with_events(const planner_input& input) {
  std::map<row_key, planner_chunk> rows;
  for (const auto& c : input.chunks) {
    auto [at, is_new] = rows.try_emplace({c.node, c.volume, c.chunk}, c);
    if (is_new)
      continue;
    at->second.reads_per_second += c.reads_per_second;
    at->second.writes_per_second += c.writes_per_second;
  }
  for (const auto& e : input.events) {
    const double ahead = e.at_seconds - input.now_seconds;
    if (e.kind == planner_event_kind::quiet || ahead > input.options.event_lead_seconds ||
        -ahead > input.options.horizon_seconds)
      continue;
    for (const auto& [volume, about] : concerned_by(input, e))
      for (const auto& c : input.chunks) {
        if (c.volume != volume || !about.nodes.contains(c.node))
          continue;
        // New instances read what one of their siblings reads; one that moves takes its reads along.
        const double reads =
            c.reads_per_second * (e.kind == planner_event_kind::scale_out ? e.instances / std::max(1.0, about.readers)
                                                                          : 1 / std::max(1.0, about.readers));
        auto [at, is_new] = rows.try_emplace({e.node, c.volume, c.chunk}, c);
        auto& row = at->second;
        if (is_new) {
          row.node = e.node;
          row.reads_per_second = row.writes_per_second = 0;
          row.expected_reads = {};
        }
        row.expected_reads[event_at] = std::max(row.expected_reads[event_at], reads);
      }
  }
  std::vector<planner_chunk> out;
  out.reserve(rows.size());
  for (auto& [key, row] : rows)
    out.push_back(row);
  return out;
}

} // namespace gnomon::forecasting
