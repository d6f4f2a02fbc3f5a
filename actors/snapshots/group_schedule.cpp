#include "actors/snapshots/group_schedule.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "actors/runtime/instance_summary.hpp"
#include "forecasting/board/snapshot_demand.hpp"

namespace gnomon::actors {
namespace {

std::int64_t schedule_us(double seconds) { return static_cast<std::int64_t>(seconds * 1e6); }

bool names_a_member(const event_target& target, const std::vector<std::string>& volumes,
                    const std::vector<std::string>& instances, const std::vector<std::string>& applications) {
  const auto has = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), target.name) != names.end();
  };
  switch (target.scope) {
  case event_scope::volume:
    return has(volumes);
  case event_scope::instance:
    return has(instances);
  case event_scope::application:
    return has(applications);
  case event_scope::everything:
    return true;
  }
  return false;
}

// Times of the events that concern the members, with a margin.
std::vector<forecasting::veto> vetoes_of(const node_context& node, const store::group_record& group,
                                         const forecasting::prediction_board& board, wall_time now) {
  std::vector<forecasting::veto> out;
  const auto events = node.events();
  if (events->empty())
    return out;
  std::vector<std::string> volumes, instances, applications;
  for (const auto& uuid : group.volumes) {
    if (const auto record = node.catalogue->find(uuid))
      volumes.push_back(record->name.value);
    const auto [first, last] = board.instances_of(uuid);
    for (auto i = first; i < last; ++i) {
      instances.push_back(board.instances()[i]->instance.value);
      applications.push_back(board.instances()[i]->application);
    }
  }
  for (const auto& event : *events)
    if (event.end() + group_event_margin > now && event.notice.start < now + group_plan_ahead &&
        names_a_member(event.notice.target, volumes, instances, applications))
      out.push_back({seconds_of(event.notice.start - group_event_margin),
                     seconds_of(event.end() + group_event_margin)});
  return out;
}

forecasting::snapshot_rule rule_of(const node_context& node, const store::group_record& group) {
  forecasting::snapshot_rule out;
  out.prediction = group.prediction;
  out.every_seconds = static_cast<double>(group.every.value_or(std::chrono::seconds(0)).count());
  out.latest_by_seconds = static_cast<double>(bound_of(node, group).count());
  out.baseline_every_seconds = static_cast<double>(group.baseline_every.count());
  out.quiet_below = static_cast<double>(group.quiet_below_permille) / 1000;
  return out;
}

} // namespace

std::chrono::seconds bound_of(const node_context& node, const store::group_record& group) {
  auto bound = group.bound();
  const auto settings = node.current_settings();
  for (const auto& instance : settings->instances) {
    const bool uses_one = std::any_of(instance.volumes.begin(), instance.volumes.end(), [&](const volume_name& name) {
      const auto record = node.catalogue->find(name);
      return record && std::find(group.volumes.begin(), group.volumes.end(), record->uuid) != group.volumes.end();
    });
    if (!uses_one)
      continue;
    const std::chrono::seconds rpo(summary_of(node, instance.id).metadata.rpo_us / 1'000'000);
    if (rpo.count() > 0 && (bound.count() == 0 || rpo < bound))
      bound = rpo;
  }
  return bound;
}

group_schedule schedule_of(const node_context& node, const store::group_record& group, const group_past& past,
                           std::size_t snapshots_max) {
  group_schedule out;
  if (!group.every)
    return out;
  const auto now = node.clock->wall_now();
  const auto board = node.predictions.board();
  forecasting::expected_demand demand;
  demand.unusable = "prediction is off";
  if (group.prediction) {
    demand = forecasting::demand_of(*board, group.volumes, seconds_of(now));
    if (demand.unusable.empty() && demand.load.step_seconds * 2 > static_cast<double>(group.every->count()))
      demand.unusable = fmt::format("the forecast's slots of {:.0f} s are too long to choose within {} s",
                                    demand.load.step_seconds, group.every->count());
    out.fallback = demand.unusable;
  }
  forecasting::snapshot_past known;
  known.created = seconds_of(group.created);
  if (past.newest)
    known.newest = seconds_of(*past.newest);
  if (past.newest_baseline)
    known.newest_baseline = seconds_of(*past.newest_baseline);
  out.snapshots = forecasting::plan_snapshots(rule_of(node, group), known, demand, vetoes_of(node, group, *board, now),
                                              seconds_of(now), seconds_of(now + group_plan_ahead),
                                              snapshots_max);
  return out;
}

planned_layer planned_layer_of(const forecasting::planned_snapshot& planned) {
  planned_layer out;
  out.start_us = schedule_us(planned.chosen.start);
  out.latest_us = schedule_us(planned.latest);
  out.baseline = planned.kind == forecasting::snapshot_kind::baseline;
  out.reason = forecasting::to_string(planned.chosen.reason);
  out.load_fraction = planned.chosen.load_fraction.value_or(-1);
  return out;
}

group_plan plan_of(const node_context& node, const store::group_record& group) {
  const auto now = node.clock->wall_now();
  const auto schedule = schedule_of(node, group, node.snapshots->past_of(group), group_plan_rows_max);
  group_plan out;
  out.name = group.name;
  out.prediction = group.prediction;
  out.fallback = schedule.fallback;
  out.from_us = now.time_since_epoch().count();
  out.until_us = (now + group_plan_ahead).time_since_epoch().count();
  for (const auto& planned : schedule.snapshots)
    out.layers.push_back(planned_layer_of(planned));
  return out;
}

} // namespace gnomon::actors
