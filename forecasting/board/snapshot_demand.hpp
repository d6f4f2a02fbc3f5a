// What the I/O of a group's snapshots would meet, from the prediction board: the load expected of the members and of the
// node that they share, each over its own mean, in equal parts. Pure: any thread, no clock, no I/O.
#pragma once

#include <vector>

#include "forecasting/board/board.hpp"
#include "forecasting/outlook/snapshot_schedule.hpp"

namespace gnomon::forecasting {

inline constexpr double snapshot_outlook_age_max = 3 * hour; // an older forecast is not planned by
// A forecast that does this much worse than the best naive one on its own past is not planned by.
inline constexpr double snapshot_error_ratio_max = 1.1;

// Slots from `now` on, as far as every forecast reaches; `unusable` says what is missing.
expected_demand demand_of(const prediction_board& board, const std::vector<volume_uuid>& members, double now);

} // namespace gnomon::forecasting
