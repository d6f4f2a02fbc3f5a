// Ordered shutdown of the actors: group after group, first asked to end, then, after a grace, killed. Blocks: for the
// main thread only. After it nothing of the tree runs and nothing is restarted.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <caf/actor_system.hpp>

#include "actors/runtime/supervision_tree.hpp"

namespace gnomon::actors {

struct termination_limits {
  std::chrono::milliseconds grace{3'000}; // per group, before the kill
  std::chrono::milliseconds kill{2'000};  // per group, after it
};

struct termination_report {
  std::vector<std::string> killed; // had to be killed
  std::vector<std::string> left;   // did not even die of that
};

// Ends all actors of the tree: children before their supervisors, the root last. Within a group all at once.
termination_report terminate_actors(caf::actor_system& system, supervision_tree& tree,
                                    termination_limits limits = {});

} // namespace gnomon::actors
