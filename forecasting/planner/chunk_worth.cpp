#include "forecasting/planner/chunk_worth.hpp"

#include <algorithm>

namespace gnomon::forecasting {
namespace {
constexpr double unknown_trust = 0.5, prior_granules = 16;
constexpr double granule_bytes = 65536;
} // namespace

planner_index::planner_index(const planner_input& input) : input_(input) {
  for (const auto& p : input.paths)
    path_[std::minmax(p.a, p.b)] = p.round_trip_seconds;
  for (std::uint32_t r = 0; r < input.readers.size(); ++r)
    readers_[{input.readers[r].volume, input.readers[r].node}].push_back(r);
  for (const auto& t : input.trust) {
    auto& sum = trust_[{t.volume, t.chunk, t.kind}];
    sum.first += t.copied;
    sum.second += t.used;
  }
}

double planner_index::round_trip_seconds(std::uint32_t a, std::uint32_t b) const {
  if (a == b)
    return 0;
  const auto found = path_.find(std::minmax(a, b));
  return found == path_.end() ? input_.options.default_round_trip_seconds : found->second;
}

double planner_index::weight(std::uint32_t volume, std::uint32_t node, double read_seconds) const {
  const auto found = readers_.find({volume, node});
  if (found == readers_.end())
    return 1;
  double weight = 0;
  for (const std::uint32_t r : found->second) {
    const auto& reader = input_.readers[r];
    const bool breaks = reader.sla_read_p99_seconds > 0 && read_seconds > reader.sla_read_p99_seconds;
    weight = std::max(weight, reader.weight * (breaks ? 2 : 1));
  }
  return weight;
}

double planner_index::trust(std::uint32_t volume, std::uint64_t chunk, prediction_kind kind) const {
  const auto share = [&](std::uint64_t of, double prior) {
    const auto found = trust_.find({volume, of, kind});
    const auto [copied, used] = found == trust_.end() ? std::pair{0.0, 0.0} : found->second;
    return std::pair{(used + prior * prior_granules) / (copied + prior_granules), copied};
  };
  const double whole = share(planner_trust::all_chunks, unknown_trust).first;
  const auto [own, copied] = share(chunk, whole);
  // Between the two by how much is known of the chunk itself.
  const double known = std::min(1.0, copied / std::max(1.0, input_.options.trust_after));
  return known * own + (1 - known) * whole;
}

expected_reads expected_of(const planner_chunk& chunk, const planner_index& index, const planner_options& options) {
  expected_reads best{chunk.reads_per_second, prediction_kind::demand};
  for (std::size_t k = 0; k < prediction_kind_count; ++k) {
    const auto kind = static_cast<prediction_kind>(k);
    if (chunk.expected_reads[k] <= best.per_second)
      continue;
    const double trust = index.trust(chunk.volume, chunk.chunk, kind);
    if (trust < options.trust_min)
      continue;
    if (const double believed = chunk.expected_reads[k] * std::min(1.0, 2 * trust); believed > best.per_second)
      best = {believed, kind};
  }
  return best;
}

chunk_worth worth_of(const planner_chunk& chunk, const planner_input& input, const planner_index& index) {
  const auto& volume = input.volumes[chunk.volume];
  const auto& node = input.nodes[chunk.node];
  chunk_worth out;
  out.reads = expected_of(chunk, index, input.options);
  const double far = index.round_trip_seconds(chunk.node, volume.home) +
                     (chunk.archived ? volume.archive_read_seconds : volume.home_read_seconds);
  out.saved_seconds_per_read = std::max(0.0, far - node.stage_read_seconds);
  const double granule_copy = node.copy_bytes_per_second > 0 ? granule_bytes / node.copy_bytes_per_second : 1;
  const double saved =
      out.reads.per_second * out.saved_seconds_per_read * index.weight(chunk.volume, chunk.node, far) -
      chunk.writes_per_second * granule_copy * input.options.copy_cost;
  out.saved_seconds_per_second = std::max(0.0, saved);
  out.bytes = volume.chunk_bytes * std::clamp(chunk.useful_share, granule_bytes / volume.chunk_bytes, 1.0);
  return out;
}

} // namespace gnomon::forecasting
