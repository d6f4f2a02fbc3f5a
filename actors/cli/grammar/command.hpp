// What a person can ask of `gnomon`, as values, and the way from words to them. Pure: reads no file, talks to no
// node, prints nothing. Any thread. Every verb of the command line and of the shell goes through parse_command.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "actors/cli/grammar/snapshot_commands.hpp"
#include "actors/protocol/board_messages.hpp"
#include "actors/protocol/event_messages.hpp"
#include "actors/protocol/instance_messages.hpp"
#include "actors/protocol/learning_messages.hpp"
#include "actors/protocol/volume_messages.hpp"

namespace gnomon::actors::cli {

inline constexpr std::uint32_t replay_depth_max = 4096;
inline constexpr std::uint32_t replay_connections_max = 64;

// Which node is meant; both empty: the environment or the default place (node_access.hpp).
struct node_location {
  std::string config_path;
  std::string data_dir;
  friend bool operator==(const node_location&, const node_location&) = default;
};

enum class check_subject { file, reference, schema };
struct check_command {
  check_subject subject = check_subject::file;
  std::string file;
};
struct status_command {};
struct reload_command {
  reload_mode mode = reload_mode::follow;
};
struct actors_command {};
struct shell_command {};
struct top_command {
  bool once = false;
  std::chrono::microseconds interval{1'000'000};
};
struct ask_command {
  std::string actor;
  std::string message; // words that hold spaces are quoted again
};

struct volume_ls_command {
  list_filter filter = list_filter::present;
};
struct volume_show_command {
  volume_ref volume;
};
struct volume_create_command {
  volume_request request;
};
struct volume_resize_command {
  volume_ref volume;
  byte_count size;
};
struct volume_delete_command {
  volume_ref volume;
  deletion how = deletion::if_unused;
};
struct volume_undelete_command {
  volume_ref volume;
  volume_name new_name; // empty: its own
};
struct volume_purge_command {
  volume_ref volume;
};
struct volume_rename_command {
  volume_ref volume;
  volume_name new_name;
};
struct volume_describe_command {
  volume_ref volume;
  std::string description;
};
struct volume_access_command {
  volume_ref volume;
  volume_access access = volume_access::read_only;
};
struct volume_who_command {
  volume_ref volume;
};
struct volume_fence_command {
  volume_ref volume;
  instance_id instance; // empty: everybody
  instance_id heir;     // empty: nobody
};
struct volume_unfence_command {
  volume_ref volume;
  instance_id instance; // empty: everybody
};
struct volume_grant_command {
  volume_ref volume;
  instance_id instance;
  bool granted = true; // false: taken back
};
struct volume_clear_command {
  volume_ref volume;
};
struct volume_accept_loss_command {
  volume_ref volume;
};

struct event_add_command {
  load_event event;
};
struct event_ls_command {
  event_when when = event_when::all;
};
struct event_rm_command {
  event_id id;
};

struct forecast_command {
  forecast_request request;
};

struct board_command {
  board_request request;
};

struct plan_command {
  std::string dump_file; // empty: the plan is shown
};
struct why_command {
  std::string object;
};

struct heat_command {
  volume_ref volume;
  std::optional<std::chrono::microseconds> since; // nullopt: as far back as there is something to see
  std::optional<std::uint32_t> rows, columns;     // of the chart; nullopt: what fits the terminal
  std::optional<std::uint32_t> hottest;           // chunks named
};

struct instance_ls_command {};
struct instance_show_command {
  instance_id instance;
};
struct instance_set_command {
  instance_id instance;
  instance_change change;
};

struct node_ls_command {};
struct shadow_ls_command {};
struct shadow_show_command {
  std::string volume;
};
struct shadow_create_command {
  std::string volume, node;
  bool wait = false;
};
struct shadow_drop_command {
  std::string volume, node;
};

struct record_command {
  volume_ref volume;
  std::string output;
  std::optional<std::chrono::microseconds> duration; // nullopt: until Ctrl-C
};

// What becomes of a request that reaches beyond the end of the export.
enum class beyond_policy {
  refuse, // say so before any I/O
  wrap,   // offset modulo the export's size; where that leaves too little room, moved back to the end
  scale,  // every offset times export size / trace extent, lengths as they are
};

struct replay_command {
  std::string trace;
  std::string uri;          // empty: a volume of the node
  std::string to;           // that volume; empty: the one named like the trace's
  std::string volume;       // only these records; empty: the trace must name one volume only, or `all_volumes`
  bool all_volumes = false; // every record, all to the one export
  std::optional<double> speed = 1.0; // 1: as recorded; nullopt: as fast as it goes
  std::uint32_t depth = 32;          // requests in flight at most, all connections together
  std::uint32_t connections = 1;
  beyond_policy beyond = beyond_policy::refuse;
  bool verify = false;
  bool reads_only = false; // requests that change data are left out
  bool yes = false;        // over a volume with data or clients
  std::optional<std::uint64_t> limit;
  std::optional<std::chrono::microseconds> duration;
};

// What a node would have predicted, had it seen this trace; what placing data ahead on these nodes would have been
// worth; when its snapshots would have been taken; or what a planner decides.
enum class simulate_subject { forecasts, placement, snapshots, plan };
struct simulate_command {
  simulate_subject subject = simulate_subject::forecasts;
  std::string trace;                    // plan: a planner's input
  std::string topology;                 // placement: the nodes
  std::vector<double> space{0.05, 0.1}; // placement: shares of what the reads touch
  std::string volume;                   // only these records; empty: every volume, each by itself
  std::vector<std::chrono::microseconds> horizons{std::chrono::minutes(5), std::chrono::minutes(30),
                                                  std::chrono::hours(2)};
  std::vector<std::size_t> set_sizes{8, 32};
  std::chrono::microseconds forecast_every{std::chrono::minutes(30)}; // 0: at every slot
  std::chrono::microseconds score_after{0};                           // nothing is scored before
  byte_count size;       // of every volume; 0: the farthest request's end
  byte_count chunk_size; // 0: the default of a volume of that size
};

// How the file of an import is written; `by_header`: a series if its first line says so, else a trace.
enum class import_format { by_header, trace, series };

struct history_import_command {
  std::string file;
  volume_ref volume;  // whose history it becomes
  std::string source; // the file's volume; empty: the one of that name, or the only one
  import_format format = import_format::by_header;
  bool end_now = false; // moved in time so that it ends now, instead of as it says
  bool again = false;   // although it was imported before
};

using command =
    std::variant<check_command, status_command, reload_command, actors_command, shell_command, top_command, ask_command,
                 volume_ls_command, volume_show_command, volume_create_command, volume_resize_command,
                 volume_delete_command, volume_undelete_command, volume_purge_command, volume_rename_command,
                 volume_describe_command, volume_access_command, volume_who_command, volume_fence_command,
                 volume_unfence_command, volume_grant_command, volume_clear_command, volume_accept_loss_command,
                 event_add_command, event_ls_command, event_rm_command, forecast_command, board_command, plan_command, why_command,
                 heat_command,
                 instance_ls_command, instance_show_command, instance_set_command, node_ls_command, shadow_ls_command, shadow_show_command,
                 shadow_create_command, shadow_drop_command, record_command, replay_command, simulate_command,
                 history_import_command, snapshot_create_command, snapshot_ls_command, snapshot_show_command,
                 snapshot_rm_command, snapshot_verify_command, snapshot_restore_command, snapshot_rebuild_command,
                 snapshot_restores_command, snapshot_merge_command, snapshot_diff_command, group_create_command, group_ls_command,
                 group_status_command, group_plan_command, group_set_command, group_snapshot_command,
                 group_rm_command>;

struct invocation {
  node_location location;
  bool json = false;
  command what;
};

// Nothing to run: help or version was asked for (exit_done), or the words make no sense (exit_usage).
struct parse_stop {
  int exit_code = 0;
  std::string text; // ends in a newline
};

enum class parse_place { command_line, shell }; // the shell's words come without `gnomon`, and have no `shell`

// `words`: without the program's name.
std::variant<invocation, parse_stop> parse_command(std::span<const std::string> words,
                                                   parse_place place = parse_place::command_line);

// "1", "0.5", "10", "max" (nullopt). invalid_argument: not a number in (0, 1e6].
result<std::optional<double>> parse_speed(std::string_view text);

// A line of the shell as words: spaces separate, '…' and "…" keep them, a backslash takes the next character as it
// is, a word that begins with # ends the line. invalid_argument: an unfinished quotation.
result<std::vector<std::string>> split_words(std::string_view line);

// The verbs, and what follows one: for completion and help. "volume" -> {"ls", "show", …}; most: empty.
std::span<const std::string_view> verb_words();
std::span<const std::string_view> words_after(std::string_view verb);

} // namespace gnomon::actors::cli
