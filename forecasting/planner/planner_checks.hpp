// Is a planner's input one that can be planned by? Pure; any thread.
#pragma once

#include "config/error.hpp"
#include "forecasting/planner/planner_input.hpp"

namespace gnomon::forecasting {

// errc::invalid_argument: an index that leads nowhere, or a number that is not finite or below 0;
// errc::limit_reached.
result<void> check(const planner_input& input);

} // namespace gnomon::forecasting
