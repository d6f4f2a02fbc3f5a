#include "actors/snapshots/group.hpp"

#include <algorithm>
#include <set>

#include <caf/stateful_actor.hpp>

#include <fmt/format.h>

#include "actors/runtime/ask.hpp"
#include "actors/snapshots/group_schedule.hpp"
#include "config/log.hpp"
#include "config/text.hpp"

namespace gnomon::actors {
namespace {

constexpr ask_verb group_verbs[] = {{"snapshot", "takes a snapshot of the group now"}};

member_phase phase_of(const capture_progress& progress) {
  switch (progress.now.load()) {
  case capture_progress::phase::capturing:
    return member_phase::capturing;
  case capture_progress::phase::complete:
    return member_phase::complete;
  case capture_progress::phase::failed:
    break;
  }
  return member_phase::failed;
}

constexpr std::int64_t every_s_min = 10, every_s_max = 365 * 86400;
constexpr std::uint32_t retain_max = 100'000;

std::int64_t group_us(wall_time t) { return t.time_since_epoch().count(); }

} // namespace

error no_such_group(const group_name& name) {
  return {errc::not_found, "there is no snapshot group " + quote(name.value) + "; `group ls` lists them", 0};
}

group_rule rule_of(const store::group_record& group) {
  group_rule out;
  out.prediction = group.prediction;
  out.every_s = group.every.value_or(std::chrono::seconds(0)).count();
  out.latest_by_s = group.latest_by.count();
  out.baseline_every_s = group.baseline_every.count();
  out.quiet_below_permille = group.quiet_below_permille;
  out.retain = group.retain, out.hourly = group.hourly, out.daily = group.daily, out.weekly = group.weekly;
  return out;
}

result<void> set_rule(store::group_record& to, const group_rule& rule) {
  const auto refused = [](std::string why) { return result<void>(fail(errc::invalid_argument, std::move(why))); };
  const auto span = [](std::int64_t seconds) { return seconds == 0 || (seconds >= every_s_min && seconds <= every_s_max); };
  if (!span(rule.every_s) || !span(rule.latest_by_s) || !span(rule.baseline_every_s))
    return refused("the time between two snapshots of a group is 10 s to 365 days");
  if (rule.every_s == 0 && (rule.latest_by_s != 0 || rule.baseline_every_s != 0 || rule.prediction))
    return refused("without --every snapshots are taken on demand only: nothing can be promised or planned");
  if (rule.latest_by_s != 0 && rule.latest_by_s < rule.every_s)
    return refused("--latest-by is the longest time between two snapshots: it is not less than --every");
  if (rule.baseline_every_s != 0 && rule.baseline_every_s < rule.every_s)
    return refused("a baseline is one of the snapshots: --baseline-every is not less than --every");
  if (rule.quiet_below_permille > 1000)
    return refused("--quiet-below is a share of the mean load, 0 to 1");
  if (rule.retain == 0 || std::max({rule.retain, rule.hourly, rule.daily, rule.weekly}) > retain_max)
    return refused(fmt::format("a group keeps 1 to {} snapshots", retain_max));
  to.prediction = rule.prediction;
  to.every = rule.every_s == 0 ? std::nullopt : std::optional(std::chrono::seconds(rule.every_s));
  to.latest_by = std::chrono::seconds(rule.latest_by_s);
  to.baseline_every = std::chrono::seconds(rule.baseline_every_s);
  to.quiet_below_permille = rule.quiet_below_permille;
  to.retain = rule.retain, to.hourly = rule.hourly, to.daily = rule.daily, to.weekly = rule.weekly;
  return {};
}

group_info info_of_group(const node_context& node, const store::group_record& group) {
  group_info out;
  out.name = group.name;
  out.rule = rule_of(group);
  out.deadline_ms = group_hold_max.count();
  const auto latest = node.snapshots->latest_cut(group.name);
  for (const auto& volume : group.volumes) {
    group_member_info member;
    member.volume = volume;
    if (const auto record = node.catalogue->find(volume))
      member.name = record->name;
    if (latest)
      for (const auto& known : latest->members)
        if (known.volume == volume) {
          member.held_us = known.held.count();
          member.failure = known.failure;
          member.phase = member_phase::failed;
          if (known.progress) {
            member.phase = phase_of(*known.progress);
            member.snapshot = known.progress->snapshot.to_string();
            const auto all = known.progress->granules.load();
            member.done_permille =
                all == 0 ? 0 : static_cast<std::uint32_t>(known.progress->granules_done.load() * 1000 / all);
            if (member.failure.empty())
              member.failure = known.progress->failure();
          }
        }
    out.members.push_back(std::move(member));
  }
  if (latest) {
    out.cut = latest->id.to_string();
    out.cut_us = group_us(latest->when);
    out.span_us = latest->span.count();
    out.failure = latest->failure;
  }
  snapshot_query query;
  query.group = group.name.value;
  std::set<std::string> complete;
  for (const auto& snapshot : node.snapshots->list(query))
    if (snapshot.group_complete) {
      complete.insert(snapshot.group_cut);
      out.bytes += snapshot.file_bytes;
      out.newest_complete_us = std::max(out.newest_complete_us, snapshot.cut_us);
    }
  out.complete = static_cast<std::uint32_t>(complete.size());
  const auto past = node.snapshots->past_of(group);
  const auto schedule = schedule_of(node, group, past, 1);
  out.fallback = schedule.fallback;
  if (!schedule.snapshots.empty()) {
    out.next = planned_layer_of(schedule.snapshots.front());
    out.next_us = out.next.start_us;
  }
  group_age age{group.created, past.newest, bound_of(node, group), {}};
  out.bound_s = age.bound.count();
  out.late = age.late(node.clock->wall_now());
  return out;
}

std::optional<store::group_record> group_state::record() const {
  return node->snapshots == nullptr ? std::nullopt : node->snapshots->options().book->find(group);
}

void group_state::start(node_context* n, group_name g) {
  node = n;
  group = std::move(g);
  self->delayed_send(self, group_tick_every, atom::tick_v);
}

void group_state::tick() {
  self->delayed_send(self, group_tick_every, atom::tick_v);
  const auto known = record();
  if (!known) {
    node->group_ages.erase(group);
    return;
  }
  const auto now = node->clock->wall_now();
  const auto patience = known->every && *known->every < 10 * group_look_every ? group_tick_every : group_look_every;
  if (now >= looked_at && now - looked_at < patience)
    return;
  looked_at = now;
  look(*known);
}

void group_state::look(const store::group_record& known) {
  const auto past = node->snapshots->past_of(known);
  const auto schedule = schedule_of(*node, known, past, 1);
  const auto now = node->clock->wall_now();
  group_age age{known.created, past.newest, bound_of(*node, known), {}};
  if (!schedule.snapshots.empty())
    age.next = wall_time(std::chrono::microseconds(planned_layer_of(schedule.snapshots.front()).start_us));
  node->group_ages.set(group, age);
  if (!age.next || *age.next > now || cutting || node->state != node_state::serving || now < not_before)
    return;
  if (const auto latest = node->snapshots->latest_cut(group))
    for (const auto& member : latest->members)
      if (member.progress && member.progress->now == capture_progress::phase::capturing)
        return;
  const auto& next = schedule.snapshots.front();
  log::info("group {}: takes a {} now: {}{}", group.value, forecasting::to_string(next.kind),
            forecasting::to_string(next.chosen.reason),
            next.chosen.load_fraction ? fmt::format(", {:.2f} of the mean load expected", *next.chosen.load_fraction) : "");
  cutting = true;
  node->snapshots->cut_group(
      known,
      [to = self->address()](const result<group_cut_id>& cut) {
        if (const auto strong = caf::actor_cast<group_actor>(to))
          caf::anon_send(strong, atom::failed_v, !cut);
      },
      next.kind == forecasting::snapshot_kind::baseline ? when_complete::merge : when_complete::keep_layers);
}

caf::result<group_info> group_state::cut() {
  const auto known = record();
  if (!known)
    return to_caf(no_such_group(group));
  return replies.run<group_info, group_cut_id>(
      [this, known](auto done) { node->snapshots->cut_group(*known, std::move(done)); },
      [node = node, known](const group_cut_id&) { return info_of_group(*node, *known); });
}

caf::actor spawn_group(caf::actor_system& system, node_context* node, const group_name& name) {
  return caf::actor_cast<caf::actor>(system.spawn(group_behaviour, node, name));
}

group_actor::behavior_type group_behaviour(group_actor::stateful_pointer<group_state> self, node_context* node,
                                           const group_name& name) {
  auto* state = &self->state;
  state->start(node, name);
  return {
      [state](atom::report) {
        return actor_report{state->self->mailbox().size(), state->cutting ? "takes a snapshot" : ""};
      },
      [state](atom::ask, const std::string& message) -> caf::result<std::string> {
        const auto parsed = parse_asked(message);
        if (!parsed)
          return to_caf(parsed.error());
        if (parsed->verb == "help")
          return help_text(group_verbs);
        if (parsed->verb != "snapshot")
          return to_caf(unknown_verb(*parsed, group_verbs).value());
        const auto known = state->record();
        if (!known)
          return to_caf(no_such_group(state->group));
        state->node->snapshots->cut_group(*known, [](const auto&) {});
        return std::string("taking a snapshot; `group status` tells how it goes");
      },
      [state](atom::status) -> caf::result<group_info> {
        const auto known = state->record();
        if (!known)
          return to_caf(no_such_group(state->group));
        return info_of_group(*state->node, *known);
      },
      [state](atom::plan) -> caf::result<group_plan> {
        const auto known = state->record();
        if (!known)
          return to_caf(no_such_group(state->group));
        return plan_of(*state->node, *known);
      },
      [state](atom::snapshot) { return state->cut(); },
      [state](atom::failed, bool failed) {
        state->cutting = false;
        if (failed)
          state->not_before = state->node->clock->wall_now() + group_retry_after;
      },
      [state](atom::completed, const snapshot_completion& done) { state->replies.complete(done); },
      [state](atom::tick) { state->tick(); },
  };
}

} // namespace gnomon::actors
