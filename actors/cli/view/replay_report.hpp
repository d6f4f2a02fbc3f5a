// How the outcome of a replay reads: for operators and as JSON. Pure; any thread.
#pragma once

#include <string>

#include "actors/cli/replay/replay_engine.hpp"

namespace gnomon::actors::cli {

struct replay_outcome {
  std::string trace, target;
  std::optional<double> speed;
  replay_result main;
  plan_counters plan;
  std::optional<replay_result> read_back; // the last look at everything written (verify)
  std::uint64_t run = 0;                  // number of the run, in its stamps
  // Nothing failed: every request answered without error and every check passed.
  bool good() const;
};

std::string report_text(const replay_outcome& outcome);
std::string report_json(const replay_outcome& outcome);

// "[=====>    ] 42%  12.3k requests/s  310 MB/s  ETA 1m05s": `fraction` 0..1 of the work, since `elapsed`.
std::string progress_line(double fraction, std::uint64_t requests, std::uint64_t bytes,
                          std::chrono::nanoseconds elapsed);

} // namespace gnomon::actors::cli
