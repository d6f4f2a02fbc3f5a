#include "actors/snapshots/group.hpp"

#include <algorithm>
#include <set>

#include <caf/stateful_actor.hpp>

#include <fmt/format.h>

#include "actors/runtime/ask.hpp"
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

std::int64_t group_us(wall_time t) { return t.time_since_epoch().count(); }

} // namespace

error no_such_group(const group_name& name) {
  return {errc::not_found, "there is no snapshot group " + quote(name.value) + "; `group ls` lists them", 0};
}

std::optional<wall_time> next_cut(const store::group_record& group, std::optional<wall_time> newest_complete) {
  if (!group.every)
    return std::nullopt;
  return newest_complete.value_or(group.created) + *group.every;
}

group_info info_of_group(const node_context& node, const store::group_record& group) {
  group_info out;
  out.name = group.name;
  out.prediction = group.prediction;
  out.every_s = group.every.value_or(std::chrono::seconds(0)).count();
  out.retain = group.retain;
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
      out.newest_complete_us = std::max(out.newest_complete_us, snapshot.cut_us);
    }
  out.complete = static_cast<std::uint32_t>(complete.size());
  const auto newest = out.newest_complete_us == 0
                          ? std::nullopt
                          : std::optional(wall_time(std::chrono::microseconds(out.newest_complete_us)));
  if (const auto next = next_cut(group, newest))
    out.next_us = group_us(*next);
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
  if (!known || !known->every || cutting || node->state != node_state::serving)
    return;
  const auto now = node->clock->wall_now();
  const auto info = info_of_group(*node, *known);
  const bool capturing = std::any_of(info.members.begin(), info.members.end(),
                                     [](const auto& m) { return m.phase == member_phase::capturing; });
  if (capturing || now < not_before || group_us(now) < info.next_us)
    return;
  cutting = true;
  node->snapshots->cut_group(*known, [to = self->address()](const result<group_cut_id>& cut) {
    if (const auto strong = caf::actor_cast<group_actor>(to))
      caf::anon_send(strong, atom::failed_v, !cut);
  });
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
