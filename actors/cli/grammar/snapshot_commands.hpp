// What a person can ask of snapshots and groups of them, as values; a part of actors/cli/grammar/command.hpp. Any thread.
#pragma once

#include <string>

#include "actors/protocol/snapshot_messages.hpp"

namespace gnomon::actors::cli {

enum class patience : std::uint8_t { begun, done }; // when a verb ends: when the work has begun, or when it is over

struct snapshot_create_command {
  snapshot_request request;
  patience until = patience::begun;
};
struct snapshot_ls_command {
  snapshot_query query;
};
struct snapshot_show_command {
  snapshot_ref snapshot;
};
struct snapshot_rm_command {
  snapshot_ref snapshot;
};
struct snapshot_verify_command {
  snapshot_ref snapshot;
};
struct snapshot_restore_command {
  restore_request request;
  patience until = patience::begun;
};
struct snapshot_restores_command {};
struct snapshot_rebuild_command {};
struct snapshot_merge_command {
  snapshot_ref snapshot;
};
struct snapshot_diff_command {
  snapshot_diff_request request;
  std::uint64_t extents_max = 0; // 0: all
};

struct group_create_command {
  group_request request;
};
struct group_ls_command {};
struct group_status_command {
  group_ref group;
};
struct group_snapshot_command {
  group_ref group;
  patience until = patience::begun;
};
struct group_plan_command {
  group_ref group;
};
struct group_set_command {
  group_change change;
};
struct group_rm_command {
  group_ref group;
};

} // namespace gnomon::actors::cli
