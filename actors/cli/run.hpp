// Carries out commands: one place that the command line and the shell share. Every verb prints its answer to
// `streams.out` and, if it fails, one line to `streams.err`; the result is the exit code. Main thread.
#pragma once

#include "actors/cli/grammar/command.hpp"
#include "actors/cli/node_access.hpp"
#include "actors/cli/terminal/terminal.hpp"
#include "config/clock.hpp"

namespace gnomon::actors::cli {

inline constexpr int exit_done = 0, exit_failed = 1, exit_usage = 2;

// What a verb works with.
struct context {
  streams io;
  node_access& node;
  bool json = false;
};

// "gnomon: not_found: there is no volume x" on standard error; exit_failed.
int complain(context& c, const error& why);

// The whole program: `words` without the program's name.
int run_program(std::span<const std::string> words, streams io);

// Any verb but `shell`.
int run_command(const command& what, context& c);

// The wall clock, for ages in what is printed.
inline std::int64_t now_us() { return to_microseconds(system_clock_source().wall_now()); }

int run(const check_command&, context&);
int run(const status_command&, context&);
int run(const reload_command&, context&);
int run(const actors_command&, context&);
int run(const top_command&, context&);
int run(const ask_command&, context&);
int run(const volume_ls_command&, context&);
int run(const volume_show_command&, context&);
int run(const volume_create_command&, context&);
int run(const volume_resize_command&, context&);
int run(const volume_delete_command&, context&);
int run(const volume_undelete_command&, context&);
int run(const volume_purge_command&, context&);
int run(const volume_rename_command&, context&);
int run(const volume_describe_command&, context&);
int run(const volume_access_command&, context&);
int run(const volume_who_command&, context&);
int run(const volume_fence_command&, context&);
int run(const volume_unfence_command&, context&);
int run(const volume_grant_command&, context&);
int run(const volume_clear_command&, context&);
int run(const volume_accept_loss_command&, context&);
int run(const event_add_command&, context&);
int run(const event_ls_command&, context&);
int run(const event_rm_command&, context&);
int run(const forecast_command&, context&);
int run(const board_command&, context&);
int run(const plan_command&, context&);
int run(const why_command&, context&);
int run(const heat_command&, context&);
int run(const instance_ls_command&, context&);
int run(const instance_show_command&, context&);
int run(const instance_set_command&, context&);
int run(const node_ls_command&, context&);
int run(const shadow_ls_command&, context&);
int run(const shadow_show_command&, context&);
int run(const shadow_create_command&, context&);
int run(const shadow_drop_command&, context&);
int run(const record_command&, context&);
int run(const replay_command&, context&);
int run(const simulate_command&, context&);
int run(const history_import_command&, context&);
int run(const snapshot_create_command&, context&);
int run(const snapshot_ls_command&, context&);
int run(const snapshot_show_command&, context&);
int run(const snapshot_rm_command&, context&);
int run(const snapshot_verify_command&, context&);
int run(const snapshot_restore_command&, context&);
int run(const snapshot_rebuild_command&, context&);
int run(const snapshot_restores_command&, context&);
int run(const snapshot_merge_command&, context&);
int run(const snapshot_diff_command&, context&);
int run(const group_create_command&, context&);
int run(const group_plan_command&, context&);
int run(const group_set_command&, context&);
int run(const group_ls_command&, context&);
int run(const group_status_command&, context&);
int run(const group_snapshot_command&, context&);
int run(const group_rm_command&, context&);
int run(const shell_command&, context&);

} // namespace gnomon::actors::cli
