#include "forecasting/planner/planner_checks.hpp"

#include <cmath>
#include <initializer_list>

#include <fmt/format.h>

namespace gnomon::forecasting {
namespace {

constexpr double number_max = 1e18;
constexpr std::uint64_t chunks_of_shadow_max = 1u << 20;

bool fine(std::initializer_list<double> numbers) {
  for (const double n : numbers)
    if (!(n >= 0 && n <= number_max)) // false for NaN
      return false;
  return true;
}

result<void> bad(std::string_view what, std::size_t row) {
  return fail(errc::invalid_argument, fmt::format("planner input: {} {} is out of range", what, row));
}

} // namespace

result<void> check(const planner_input& in) {
  if (in.nodes.empty())
    return fail(errc::invalid_argument, "planner input: no node");
  if (in.nodes.size() > planner_nodes_max || in.volumes.size() > planner_volumes_max ||
      in.chunks.size() > planner_rows_max || in.shadows.size() > planner_rows_max ||
      in.memory.size() > planner_rows_max || in.trust.size() > planner_rows_max)
    return fail(errc::limit_reached, "planner input: more rows than a plan holds");
  const auto& o = in.options;
  if (!fine({in.now_seconds, o.horizon_seconds, o.pay_factor, o.copy_cost, o.stay_seconds_min, o.trust_min,
             o.trust_after, o.event_lead_seconds, o.event_claim_max}) ||
      !(o.keep_bonus >= 1 && o.return_factor >= 1 && o.memory_half_life_seconds > 0) ||
      !fine({o.keep_bonus, o.return_factor, o.memory_half_life_seconds}))
    return fail(errc::invalid_argument, "planner input: an option is out of range");
  const auto node = [&](std::uint32_t n) { return n < in.nodes.size(); };
  const auto volume = [&](std::uint32_t v) { return v < in.volumes.size(); };
  for (std::size_t i = 0; i < in.nodes.size(); ++i)
    if (!fine({in.nodes[i].space_bytes, in.nodes[i].copy_bytes_per_second, in.nodes[i].stage_read_seconds}))
      return bad("node", i);
  for (std::size_t i = 0; i < in.paths.size(); ++i)
    if (!node(in.paths[i].a) || !node(in.paths[i].b) || !fine({in.paths[i].round_trip_seconds}))
      return bad("path", i);
  for (std::size_t i = 0; i < in.volumes.size(); ++i) {
    const auto& v = in.volumes[i];
    if (!node(v.home) || !(v.chunk_bytes >= 65536) ||
        !fine({v.chunk_bytes, v.home_read_seconds, v.archive_read_seconds, v.quota_bytes, v.archive_after_seconds}))
      return bad("volume", i);
  }
  for (std::size_t i = 0; i < in.readers.size(); ++i)
    if (!volume(in.readers[i].volume) || !node(in.readers[i].node) || !fine({in.readers[i].weight}))
      return bad("reader", i);
  for (std::size_t i = 0; i < in.chunks.size(); ++i) {
    const auto& c = in.chunks[i];
    if (!node(c.node) || !volume(c.volume) ||
        !fine({c.reads_per_second, c.writes_per_second, c.useful_share, c.last_access_seconds}))
      return bad("chunk", i);
    for (const double e : c.expected_reads)
      if (!fine({e}))
        return bad("chunk", i);
  }
  for (std::size_t i = 0; i < in.trust.size(); ++i)
    if (!volume(in.trust[i].volume) || !fine({in.trust[i].copied, in.trust[i].used}))
      return bad("trust", i);
  for (std::size_t i = 0; i < in.shadows.size(); ++i) {
    const auto& s = in.shadows[i];
    if (!node(s.node) || !volume(s.volume) || s.chunks == 0 || s.chunks > chunks_of_shadow_max ||
        !fine({s.since_seconds, s.filled_bytes}))
      return bad("shadow", i);
  }
  for (std::size_t i = 0; i < in.events.size(); ++i)
    if (!node(in.events[i].node) || !fine({in.events[i].at_seconds, in.events[i].instances}))
      return bad("event", i);
  for (std::size_t i = 0; i < in.memory.size(); ++i)
    if (!node(in.memory[i].node) || !volume(in.memory[i].volume) ||
        !fine({in.memory[i].dropped_seconds, in.memory[i].times}))
      return bad("memory", i);
  return {};
}

} // namespace gnomon::forecasting
