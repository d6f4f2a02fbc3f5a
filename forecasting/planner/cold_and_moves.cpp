#include "forecasting/planner/cold_and_moves.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace gnomon::forecasting {
namespace {

// A chunk as all nodes together see it.
struct whole_chunk {
  double requests = 0, expected = 0, last_access = 0;
  bool archived = false;
  prediction_kind because = prediction_kind::demand;
};

using chunk_key = std::pair<std::uint32_t, std::uint64_t>; // volume, chunk

std::map<chunk_key, whole_chunk> together(const planner_input& input, const planner_index& index,
                                          const std::vector<planner_chunk>& rows) {
  std::map<chunk_key, whole_chunk> out;
  for (const auto& r : rows) {
    auto& c = out[{r.volume, r.chunk}];
    const auto reads = expected_of(r, index, input.options);
    c.requests += r.reads_per_second + r.writes_per_second;
    c.expected += reads.per_second + r.writes_per_second;
    if (reads.because != prediction_kind::demand)
      c.because = reads.because;
    c.last_access = std::max(c.last_access, r.last_access_seconds);
    c.archived |= r.archived;
  }
  return out;
}

// Adjacent chunks of one volume and one kind of decision become one decision.
void append(std::vector<decision>& to, std::size_t from, decision d) {
  if (to.size() > from) {
    auto& last = to.back();
    if (last.kind == d.kind && last.volume == d.volume && last.first_chunk + last.chunks == d.first_chunk) {
      ++last.chunks;
      last.bytes += d.bytes;
      last.saved_seconds_per_second += d.saved_seconds_per_second;
      return;
    }
  }
  to.push_back(std::move(d));
}

void add_cold(const planner_input& input, const std::map<chunk_key, whole_chunk>& chunks, std::vector<decision>& to) {
  const std::size_t from = to.size();
  for (const auto& [key, c] : chunks) {
    const auto& volume = input.volumes[key.first];
    const auto& home = input.nodes[volume.home];
    if (volume.mode == planner_mode::off || home.mode == planner_mode::off)
      continue;
    decision d;
    d.node = volume.home;
    d.volume = key.first;
    d.first_chunk = key.second;
    d.bytes = volume.chunk_bytes;
    d.because = c.because;
    d.carried_out = volume.mode == planner_mode::act && home.mode == planner_mode::act;
    const double idle = input.now_seconds - c.last_access;
    if (!c.archived && volume.archive_after_seconds > 0 && idle > volume.archive_after_seconds &&
        c.expected < volume.archive_expected_below) {
      d.kind = decision_kind::archive;
      d.reason = fmt::format("no access for {:.1f} days (limit {:.1f}), {:.2g} requests/s expected", idle / 86400,
                             volume.archive_after_seconds / 86400, c.expected);
      append(to, from, std::move(d));
    } else if (c.archived && home.copy_bytes_per_second > 0) {
      const double saved = c.expected * std::max(0.0, volume.archive_read_seconds - volume.home_read_seconds);
      const double cost =
          volume.chunk_bytes / home.copy_bytes_per_second * input.options.copy_cost * input.options.pay_factor;
      if (saved * input.options.horizon_seconds < cost)
        continue;
      d.kind = decision_kind::recall;
      d.saved_seconds_per_second = saved;
      d.reason =
          fmt::format("{}: {:.4f} requests/s expected, each {:.1f} ms slower from the archive", to_string(c.because),
                      c.expected, (volume.archive_read_seconds - volume.home_read_seconds) * 1e3);
      append(to, from, std::move(d));
    }
  }
}

void add_moves(const planner_input& input, const planner_index& index, const std::vector<planner_chunk>& rows,
               std::vector<decision>& to) {
  std::map<std::uint32_t, std::map<std::uint32_t, double>> requests; // by volume and node
  for (const auto& r : rows)
    requests[r.volume][r.node] += r.reads_per_second + r.writes_per_second;
  for (const auto& [v, by_node] : requests) {
    const auto& volume = input.volumes[v];
    double sum = 0;
    for (const auto& [n, rate] : by_node)
      sum += rate;
    const auto most = std::max_element(by_node.begin(), by_node.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    if (most->first == volume.home || sum < input.options.move_requests_min ||
        most->second < input.options.move_read_share * sum || volume.mode == planner_mode::off)
      continue;
    decision d;
    d.kind = decision_kind::move;
    d.node = most->first;
    d.volume = v;
    d.carried_out = false; // an operator moves homes
    double before = 0, after = 0;
    for (const auto& [n, rate] : by_node) {
      before += rate * index.round_trip_seconds(n, volume.home);
      after += rate * index.round_trip_seconds(n, most->first);
    }
    if (after >= before)
      continue;
    d.saved_seconds_per_second = before - after;
    d.reason = fmt::format("{:.0f} % of {:.2f} requests/s come from {}: {:.4f} s of waiting per s instead of {:.4f}",
                           100 * most->second / sum, sum, input.nodes[most->first].name, after, before);
    to.push_back(std::move(d));
  }
}

} // namespace

void add_cold_and_moves(const planner_input& input, const planner_index& index,
                        const std::vector<planner_chunk>& rows, std::vector<decision>& to) {
  add_cold(input, together(input, index, rows), to);
  add_moves(input, index, rows, to);
}

} // namespace gnomon::forecasting
