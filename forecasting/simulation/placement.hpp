// Places granules near their readers during a trace, by a virtual clock, on as many nodes as a topology has, and says
// what it was worth: the share of reads of which every 64 KiB granule was near, latencies by a stated model in which
// fetches take time, bytes moved and bytes moved in vain. The same for Gnomon and for what it is measured against.
// No real clock, no I/O, no randomness but a fixed seed: equal input gives equal output. One thread at a time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/error.hpp"
#include "forecasting/simulation/gateway_model.hpp"
#include "forecasting/simulation/placement_policy.hpp"

namespace gnomon::forecasting {

inline constexpr std::size_t simulated_nodes_max = 4096;

// A node with readers. Times and rates: its link to the homes of the volumes that are read through it.
struct placed_node {
  std::string name;
  double space_share = 1; // of the whole space, in proportion to the other nodes' shares
  link_model link;
};

struct placement_volume {
  std::string name;
  std::uint32_t node = 0; // the gateway its readers are attached to
  double far_seconds = 0; // round trip to its home plus the home's device; 0: the node's own figure
};

struct placement_request {
  double seconds = 0; // not before the former one
  std::uint32_t volume = 0;
  std::uint64_t first_granule = 0;
  std::uint32_t granules = 1; // >= 1
  std::uint64_t bytes = 0;
};

struct placement_setup {
  std::vector<placed_node> nodes;
  std::vector<placement_volume> volumes;
  std::vector<placement_request> reads;
  std::uint32_t granules_per_chunk = 256; // 16 MiB
};

// The granules that the reads touch, each counted once per node.
std::uint64_t touched_granules(const placement_setup& setup);

enum class placement_method {
  nothing,
  lru,
  arc,
  s3_fifo,
  lru_ahead_1,
  lru_ahead_4,
  one_block_lookahead,
  pinned,
  belady,
  chunk_lru,
  chunk_arc,
  chunk_s3_fifo,
  chunk_pinned,
  chunk_belady,
  gnomon,
  oracle
};
std::string_view to_string(placement_method m) noexcept;
// May the method be called the best baseline? Not those that know the future, and not Gnomon.
bool is_baseline(placement_method m) noexcept;

struct placement_outcome {
  placement_method method = placement_method::nothing;
  std::uint64_t reads = 0, near = 0;
  double mean_seconds = 0, p99_seconds = 0; // p99: within 2 %
  std::uint64_t bytes_moved = 0;            // fetched by reads and ahead
  std::uint64_t bytes_in_vain = 0;          // ahead, and never read before they left
  std::array<near_store::by_kind, prediction_kind_count> kinds{};
  // Reads that were near only because of a granule of that kind.
  std::array<std::uint64_t, prediction_kind_count> near_by_kind{};
  gateway_report gateway; // of Gnomon alone: what was followed
  double near_share() const { return reads == 0 ? 0 : static_cast<double>(near) / static_cast<double>(reads); }
};

struct placement_limits {
  std::uint64_t space_granules = 0;                // of all nodes together
  std::optional<std::uint64_t> granules_moved_max; // the oracle's bytes
  gateway_options gateway;
};

// errc::invalid_argument: no nodes or volumes, or an index or value out of range.
result<placement_outcome> simulate_placement(const placement_setup& setup, placement_method method,
                                             const placement_limits& limits);

} // namespace gnomon::forecasting
