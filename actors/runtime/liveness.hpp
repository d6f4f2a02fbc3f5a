// Finds actors that are stuck: asks each for its report in turn, and notes in the supervision tree who has not answered
// for stuck_after; /health and `gnomon status` show it. Few messages at a time, however many actors there are. It ends
// nobody: a handler that hangs cannot be ended, and one that is merely busy should not be.
#pragma once

#include "actors/protocol/protocol.hpp"
#include "actors/runtime/supervision_tree.hpp"

namespace gnomon::actors {

inline constexpr std::chrono::seconds liveness_every{2};
inline constexpr std::chrono::seconds stuck_after{10};
inline constexpr std::size_t liveness_batch_max = 64; // actors asked per round, those near the root in each

using liveness_actor = supervised_actor::extend<caf::reacts_to<atom::tick>>;

caf::actor spawn_liveness(caf::actor_system& system, supervision_tree* tree, const clock_source* clock);

} // namespace gnomon::actors
