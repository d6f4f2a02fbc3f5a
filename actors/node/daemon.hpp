// gnomond's main thread: signals, the service manager, the ready line and the exit code around one node.
#pragma once

#include <optional>
#include <string>

#include "config/types.hpp"

namespace gnomon::actors {

// Exit codes of gnomond and gnomon.
inline constexpr int exit_done = 0, exit_failed = 1, exit_usage = 2; // usage: command line or config is wrong

struct daemon_options {
  std::string config_path;
  std::optional<volume_name> nbd_stdio; // serve one connection on standard input and output, and nothing else
};

// Prints every problem of the config to standard error; exit_done if there is none.
int check_config(const std::string& path);

// Writes anew what keeps the node from starting and can be had from what is left (store/meta/repair.hpp), says on
// standard output what was done. No node may run.
int repair_node(const std::string& path);

// Runs a node until SIGTERM, SIGINT, or the end of the one connection. SIGHUP rereads the config. Returns the exit
// code. Must be called before any thread is started, because it blocks signals for all of them.
int run_daemon(const daemon_options& options);

} // namespace gnomon::actors
