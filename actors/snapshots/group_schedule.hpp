// When a group takes its next snapshot: puts together what forecasting/outlook/snapshot_schedule.hpp decides by, from
// the prediction board, the events and the catalogue of snapshots. No state of its own: after a restart the answer is
// the same. Any thread; blocks on short locks only.
#pragma once

#include "actors/runtime/node_context.hpp"
#include "actors/snapshots/snapshot_works.hpp"
#include "forecasting/outlook/snapshot_schedule.hpp"

namespace gnomon::actors {

inline constexpr std::chrono::hours group_plan_ahead{24};
inline constexpr std::chrono::minutes group_event_margin{5}; // kept clear before and after an event

struct group_schedule {
  std::vector<forecasting::planned_snapshot> snapshots; // in order of time
  std::string fallback; // why the plain schedule is kept although prediction is on; empty: it is not
};

// As of now; `snapshots_max`: 1 for the next one only.
group_schedule schedule_of(const node_context& node, const store::group_record& group, const group_past& past,
                           std::size_t snapshots_max);
// Within which a good snapshot must follow the last: the group's bound, or a shorter RPO of an instance that uses one of
// its volumes. 0: nothing is promised.
std::chrono::seconds bound_of(const node_context& node, const store::group_record& group);
planned_layer planned_layer_of(const forecasting::planned_snapshot& planned);
group_plan plan_of(const node_context& node, const store::group_record& group);

} // namespace gnomon::actors
