// The interactive shell: reads lines, runs every verb of the command line on them, outlives its node's restarts.
// Main thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "actors/cli/run.hpp"
#include "actors/cli/shell/completion.hpp"

namespace gnomon::actors::cli {

inline constexpr int history_lines_max = 1000;

// Where lines come from.
class line_source {
public:
  virtual ~line_source() = default;
  // Without the line end; nullopt: the end. An empty line after Ctrl-C.
  virtual std::optional<std::string> next() = 0;
  virtual bool interactive() const = 0;
};

// Standard input as it is, for pipes.
std::unique_ptr<line_source> plain_lines(std::istream& in);
// A terminal with editing, completion by `names`, and a history in `history_path` (mode 0600; empty: none).
std::unique_ptr<line_source> edited_lines(name_lookup names, std::string history_path);

// $XDG_STATE_HOME/gnomon/shell_history, else ~/.local/state/…; its folder is made (0700). Empty if there is no home.
std::string history_path();

// Until `quit` or the end. The result: exit_done for a person; in a script exit_failed if any command failed.
int run_shell(line_source& lines, context& c);

} // namespace gnomon::actors::cli
