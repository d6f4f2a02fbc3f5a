// A trace through the simulation: reads the file twice (once for the volumes and their sizes), feeds every request,
// and hands back the scores. No node, no clock but the stopwatch given. Blocks on the disk and computes; one thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "actors/cli/grammar/command.hpp"
#include "forecasting/simulation/simulate.hpp"

namespace gnomon::actors::cli {

// Chunks of all volumes times horizons: what the simulation keeps numbers for. 1 GiB at worst.
inline constexpr std::uint64_t simulated_chunks_max = 1ull << 26;

struct simulation_outcome {
  std::string trace;
  std::uint64_t records = 0; // of the trace, after the filter
  std::uint64_t skipped = 0; // neither reads nor changes data (flush, cache, block status), or of length 0
  std::vector<forecasting::simulated_volume> volumes;
  forecasting::simulation_scores scores;
  bool interrupted = false; // the scores are of the part before
};

struct simulation_hooks {
  // Fraction 0..1 of the reading, and requests and bytes so far (0 during the first pass). False: stop here.
  std::function<bool(double fraction, std::uint64_t requests, std::uint64_t bytes)> progress;
  std::function<double()> stopwatch_seconds; // empty: time is not measured
};

// corrupt, not_found …: the trace; invalid_argument: nothing in it to simulate, or options out of range;
// limit_reached: more volumes or chunks than a simulation holds; unavailable: stopped before there was anything.
result<simulation_outcome> simulate_trace(const simulate_command& wanted, const simulation_hooks& hooks = {});

} // namespace gnomon::actors::cli
