// What events add to the demand: the hot chunks of an application's or an instance's volumes, expected at the node
// where it is going to run. Pure function on values; any thread.
#pragma once

#include <vector>

#include "forecasting/planner/planner_input.hpp"

namespace gnomon::forecasting {

// The input's chunks with what its events let expect, one row per (node, volume, chunk), in that order.
std::vector<planner_chunk> with_events(const planner_input& input);

} // namespace gnomon::forecasting
