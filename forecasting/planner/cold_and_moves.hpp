// The decisions that do not compete for a node's space: what goes to the archive, what comes back from it ahead of
// its readers, and which volume should have another home. Pure function on values; any thread.
#pragma once

#include <vector>

#include "forecasting/planner/chunk_worth.hpp"
#include "forecasting/planner/plan.hpp"

namespace gnomon::forecasting {

// `rows`: one per (node, volume, chunk), events included (with_events).
void add_cold_and_moves(const planner_input& input, const planner_index& index,
                        const std::vector<planner_chunk>& rows, std::vector<decision>& to);

} // namespace gnomon::forecasting
