// What a node knows, as the planner's input. Each node plans for its own stage: its clients' demand, the predictions on
// its board, the shadows that it holds, the latencies that it has measured, and what other nodes have announced to it.
// Pure functions on values; any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "actors/runtime/demand_table.hpp"
#include "config/event.hpp"
#include "config/settings/settings.hpp"
#include "forecasting/board/board.hpp"
#include "forecasting/planner/planner_input.hpp"
#include "io/engine/engine.hpp"

namespace gnomon::actors {

// A chunk of a volume.
using volume_chunk = std::pair<volume_uuid, std::uint64_t>;

// A chunk that the planner has put on this node's stage.
struct placed_chunk {
  double since_seconds = 0;
  forecasting::prediction_kind because = forecasting::prediction_kind::demand;
  std::string reason;             // of the decision; empty: the planner has been restarted since
  std::uint32_t copied = 0, used = 0; // granules, by the last report
};

// What was learned from decisions of the past, on this node.
struct planning_memory {
  struct drops {
    double last_seconds = 0, times = 0;
  };
  struct trust {
    double copied = 0, used = 0;
  };
  std::map<volume_chunk, placed_chunk> placed;
  std::map<volume_chunk, drops> dropped;
  std::map<std::pair<volume_chunk, forecasting::prediction_kind>, trust> trusted;
};

// An instance on a volume.
struct planning_reader {
  volume_uuid volume;
  instance_id instance;
  std::string application;
  criticality level = criticality::normal;
  double read_p99_seconds = 0;
};

// A volume that has its home here.
struct own_volume {
  volume_uuid uuid;
  volume_name name;
  byte_count size;
};

struct planning_facts {
  double now_seconds = 0;
  std::shared_ptr<const settings> wanted;
  std::vector<own_volume> own;
  std::vector<io::remote_volume_entry> remote;
  io::cluster_report cluster;
  std::vector<demand_table::row> demand;
  std::shared_ptr<const forecasting::prediction_board> board; // null: none
  std::shared_ptr<const std::vector<calendar_event>> events;  // null: none
  std::vector<planning_reader> readers;
};

struct planning_input {
  forecasting::planner_input input;
  std::uint32_t self = 0;              // index into input.nodes
  std::vector<volume_uuid> volumes;    // of input.volumes
};

// Nodes and volumes in order of name, rows in order of their keys: equal facts give equal input.
planning_input planning_input_of(const planning_facts& facts, const planning_memory& memory);

// Reads that events will bring to other nodes: the most of them first, at most 2,048.
struct announcement {
  node_name to;
  io::expected_chunk reads;
};
std::vector<announcement> announcements_of(const planning_input& from);

// What the rings are to take as predicted hot: the instances' hot sets, and what the planner has placed.
io::read_prediction read_prediction_of(const forecasting::prediction_board* board, const io::remote_volume_entry& volume,
                                       const planning_memory& memory);

} // namespace gnomon::actors
