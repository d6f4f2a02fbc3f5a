// Holds the members of a group together for the instant of their cut, and says how it went. Blocks its thread; the
// release goes out from whatever thread brings the last `held`, so that no hold waits for a scheduler.
#pragma once

#include <chrono>
#include <vector>

#include "config/clock.hpp"
#include "io/engine/engine.hpp"

namespace gnomon::actors {

struct group_hold_report {
  bool released = false; // every member held until the release: the point in time exists
  std::chrono::microseconds span{0}; // from the last `held` to the last answer of a release
  struct member {
    std::chrono::microseconds held{0};
    std::string failure; // of its hold, or why its hold did not last
  };
  std::vector<member> members; // in the order of the volumes
  std::string failure;         // the first member's that failed, with its number; empty: none
};

// `id`: never used before. `longest`: how long any hold may last, from now.
group_hold_report hold_group(io::engine& engine, const std::vector<volume_uuid>& volumes, io::hold_id id,
                             std::chrono::milliseconds longest, const clock_source& clock);

} // namespace gnomon::actors
