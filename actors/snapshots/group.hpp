// One snapshot group: takes its cuts, on demand and when its plan says so, and tells how it is. The work itself is
// snapshot_works'; what this actor knows is found again after its death.
#pragma once

#include <caf/typed_event_based_actor.hpp>

#include "actors/protocol/protocol.hpp"
#include "actors/runtime/node_context.hpp"
#include "actors/snapshots/snapshot_works.hpp"
#include "actors/snapshots/work_replies.hpp"

namespace gnomon::actors {

inline constexpr std::chrono::seconds group_tick_every{1};
inline constexpr std::chrono::seconds group_look_every{10}; // of a group whose interval is long
inline constexpr std::chrono::seconds group_retry_after{30}; // after a cut that failed

error no_such_group(const group_name& name);
group_info info_of_group(const node_context& node, const store::group_record& group);
group_rule rule_of(const store::group_record& group);
// invalid_argument: it contradicts itself. `to` is as it was then.
result<void> set_rule(store::group_record& to, const group_rule& rule);

struct group_state {
  explicit group_state(group_actor::pointer self) : self(self), replies(self) {}
  void start(node_context* n, group_name g);
  void tick();
  caf::result<group_info> cut();
  // Takes the next snapshot if it is due, and notes for metrics and /health how old the last one is.
  void look(const store::group_record& known);
  std::optional<store::group_record> record() const;

  group_actor::pointer self;
  node_context* node = nullptr;
  group_name group;
  work_replies<group_actor> replies;
  bool cutting = false; // by the plan
  wall_time not_before{}, looked_at{};
  const char* name = "group";
};

caf::actor spawn_group(caf::actor_system& system, node_context* node, const group_name& name);
group_actor::behavior_type group_behaviour(group_actor::stateful_pointer<group_state> self, node_context* node,
                                           const group_name& name);

} // namespace gnomon::actors
