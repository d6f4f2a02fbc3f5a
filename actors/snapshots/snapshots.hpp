// The snapshot service: takes, lists, checks, deletes and restores snapshots, and keeps the groups, each with an actor of
// its own. It owns nothing but requests that wait: the work belongs to snapshot_works, the records to the catalogue of
// snapshots, so that its death ends no capture and no restore.
#pragma once

#include <set>
#include <string>

#include "actors/protocol/protocol.hpp"
#include "actors/runtime/node_context.hpp"
#include "actors/snapshots/snapshot_works.hpp"
#include "actors/snapshots/work_replies.hpp"

namespace gnomon::actors {

inline constexpr std::chrono::seconds snapshots_every{60}; // restores that stand still go on

struct snapshots_state {
  explicit snapshots_state(snapshots_actor::pointer self) : self(self), replies(self) {}
  void start(node_context* n);
  void tick();
  caf::result<snapshot_info> create(const snapshot_request& request);
  caf::result<group_info> create_group(const group_request& request);
  caf::result<group_info> change_group(const group_change& change);
  caf::result<group_info> erase_group(const group_ref& group);
  caf::result<std::vector<group_info>> list_groups() const;
  caf::result<std::string> ask(const std::string& message);
  // Group actors for every group, none for others.
  void sync_groups();
  result<void> works() const; // unsupported: this node keeps no snapshots

  snapshots_actor::pointer self;
  node_context* node = nullptr;
  work_replies<snapshots_actor> replies;
  std::set<std::string> children;
  const char* name = "snapshots";
};

caf::actor spawn_snapshots(caf::actor_system& system, node_context* node);
snapshots_actor::behavior_type snapshots(snapshots_actor::stateful_pointer<snapshots_state> self, node_context* node);

} // namespace gnomon::actors
