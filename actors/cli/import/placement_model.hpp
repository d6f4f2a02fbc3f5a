// A trace through a placement simulation, and its loads through a simulation of snapshot times: reads the file,
// spreads its volumes over the topology's nodes, and runs every method at every size. No node, no clock. Blocks on
// the disk and computes; one thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "actors/cli/grammar/command.hpp"
#include "forecasting/simulation/placement.hpp"
#include "forecasting/simulation/snapshot_windows.hpp"

namespace gnomon::actors::cli {

inline constexpr std::size_t placement_reads_max = 1u << 26; // of a trace: 2.5 GiB

struct placement_size {
  double share = 0; // of the granules that the reads touch
  std::uint64_t granules = 0;
  std::vector<forecasting::placement_outcome> outcomes; // by method
  const forecasting::placement_outcome* best_baseline() const;
  const forecasting::placement_outcome* of(forecasting::placement_method m) const;
  // Share of the gap between the best baseline and the oracle that Gnomon closes; 0 where there is none.
  double gap_closed() const;
};

struct placement_report {
  std::string trace;
  std::size_t nodes = 0, volumes = 0, reads = 0;
  std::vector<placement_size> sizes;
  bool interrupted = false; // the last size is incomplete
};

struct snapshot_report {
  struct row {
    std::string volume;
    forecasting::snapshot_scores scores;
  };
  std::string trace;
  std::vector<row> volumes;
  std::vector<std::string> too_short; // volumes of which there is not enough
};

// `progress`: what is being done; false: stop here.
using placement_progress = std::function<bool(const std::string& what)>;

// corrupt, not_found …: the trace or the topology; invalid_argument: no reads; limit_reached: too many.
result<placement_report> simulate_placements(const simulate_command& wanted, const placement_progress& progress);
result<snapshot_report> simulate_snapshot_times(const simulate_command& wanted, const placement_progress& progress);
// The decisions of a planner's input in a file, one a line.
result<std::string> plan_file(const std::string& path);

} // namespace gnomon::actors::cli
