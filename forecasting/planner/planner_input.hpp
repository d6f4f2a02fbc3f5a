// Everything the planner looks at, as plain values: what is known of chunks, nodes, volumes, readers and present
// shadows at one moment, and what the planner remembers of its own former decisions. Rates are per second, times are
// seconds since 1970-01-01 UTC, sizes are bytes. No clock, no I/O; values only.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "forecasting/planner/prediction_kind.hpp"

namespace gnomon::forecasting {

inline constexpr std::size_t planner_nodes_max = 4096;
inline constexpr std::size_t planner_volumes_max = 1u << 20;
inline constexpr std::size_t planner_rows_max = 1u << 24; // chunks, shadows and memories, each

enum class planner_mode : std::uint8_t { act, advise, off }; // advise: decisions are shown and not carried out

struct planner_node {
  std::string name;
  std::string zone;
  double space_bytes = 0;             // of the stage: for shadows of all volumes
  double copy_bytes_per_second = 0;   // budget of background copies into the node
  double stage_read_seconds = 0.0001; // one read from the stage
  planner_mode mode = planner_mode::act;
};

// Measured between two nodes, in both directions; pairs that are not listed have the options' default.
struct planner_path {
  std::uint32_t a = 0, b = 0; // indices into nodes
  double round_trip_seconds = 0;
};

struct planner_volume {
  std::string name;
  std::uint32_t home = 0; // index into nodes
  double chunk_bytes = 16 << 20;
  double home_read_seconds = 0.0002;    // one read from the home's own device
  double archive_read_seconds = 0.05;   // one read from the archive
  double quota_bytes = 0;               // of its shadows on all nodes together; 0: none
  double archive_after_seconds = 0;     // without any access; 0: never
  double archive_expected_below = 1e-6; // requests per second; what is expected to be read more stays
  planner_mode mode = planner_mode::act;
};

// An instance that reads a volume through a node.
struct planner_reader {
  std::string instance, application;
  std::uint32_t volume = 0, node = 0;
  double weight = 1;               // of its criticality: 1 normal, more for critical ones
  double sla_read_p99_seconds = 0; // 0: none agreed
};

// What readers at one node do to one chunk.
struct planner_chunk {
  std::uint32_t node = 0, volume = 0;
  std::uint64_t chunk = 0;
  double reads_per_second = 0, writes_per_second = 0;         // observed lately
  std::array<double, prediction_kind_count> expected_reads{}; // per second, by kind of prediction
  double useful_share = 1;                                    // of the chunk's bytes that will be read, 0..1
  double last_access_seconds = 0;
  bool archived = false;
};

// How a kind of prediction did: of the granules copied ahead for it, those read before they left.
struct planner_trust {
  std::uint32_t volume = 0;
  std::uint64_t chunk = all_chunks; // all_chunks: the volume's chunks together
  prediction_kind kind = prediction_kind::demand;
  double copied = 0, used = 0; // decayed
  static constexpr std::uint64_t all_chunks = ~0ull;
};

struct planner_shadow {
  std::uint32_t node = 0, volume = 0;
  std::uint64_t first_chunk = 0, chunks = 1;
  double since_seconds = 0;                                 // made or last grown
  double filled_bytes = 0;                                  // that are there
  double hits_per_second = 0, saved_seconds_per_second = 0; // measured, both sides probed
  prediction_kind kind = prediction_kind::demand;
};

enum class planner_event_kind : std::uint8_t { scale_out, move, quiet };
struct planner_event {
  planner_event_kind kind = planner_event_kind::scale_out;
  std::string target; // scale_out, quiet: application; move: instance
  std::uint32_t node = 0;
  double at_seconds = 0;
  double instances = 1; // scale_out: how many more
};

// What was decided lately, so that nothing flaps. Part of the input, and handed back by plan().
struct planner_memory {
  std::uint32_t node = 0, volume = 0;
  std::uint64_t chunk = 0;
  double dropped_seconds = 0; // when
  double times = 1;           // how often within the memory's half-life
};

struct planner_options {
  double horizon_seconds = 1800; // over which a copy must pay
  double default_round_trip_seconds = 0.0005;
  double pay_factor = 1.2;       // saved waiting over the time the copy takes
  double copy_cost = 0.05;       // seconds of waiting that a second of copying is worth
  double keep_bonus = 1.5;       // what is there keeps its place unless it is worth this much less
  double stay_seconds_min = 600; // a shadow is not dropped sooner
  double return_factor = 2;      // a dropped chunk must be worth this many times more, per drop, to come back
  double memory_half_life_seconds = 3600;
  double trust_min = 0.1;          // share of copies used, below which a kind is not acted upon
  double trust_after = 256;        // granules copied before trust is judged by the chunk itself
  double event_lead_seconds = 900; // before an event its data is brought in
  double event_claim_max = 0.25;   // of a node's space that events alone may hold
  double move_read_share = 0.75;   // of a volume's requests from one node, for a move of its home
  double move_requests_min = 1;    // per second
  std::uint32_t decisions_max = 4096;
};

struct planner_input {
  double now_seconds = 0;
  planner_options options;
  std::vector<planner_node> nodes;
  std::vector<planner_path> paths;
  std::vector<planner_volume> volumes;
  std::vector<planner_reader> readers;
  std::vector<planner_chunk> chunks;
  std::vector<planner_trust> trust;
  std::vector<planner_shadow> shadows;
  std::vector<planner_event> events;
  std::vector<planner_memory> memory;
};

} // namespace gnomon::forecasting
