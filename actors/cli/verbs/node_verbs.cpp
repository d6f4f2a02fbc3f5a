// `gnomon status`, `actors`, `ask` and `top`: what the node says about itself.
#include <algorithm>
#include <chrono>
#include <map>

#include <fmt/format.h>
#include <poll.h>

#include "actors/cli/run.hpp"
#include "actors/cli/view/json_output.hpp"
#include "actors/cli/view/node_views.hpp"

namespace gnomon::actors::cli {
int run(const status_command&, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto status = (*node)->status();
  if (!status)
    return complain(c, status.error());
  c.io.out << (c.json ? json_of(*status) : status_text(*status, now_us(), c.io.out_is_terminal));
  return status->problems.empty() && status->state == node_state::serving ? exit_done : exit_failed;
}

int run(const reload_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto report = (*node)->reload(wanted.mode);
  if (!report)
    return complain(c, report.error());
  c.io.out << (c.json ? json_of(*report) : reload_text(*report, wanted.mode));
  const bool done = report->file_problems.empty() && report->refused.empty() && report->in_force >= report->generation;
  return done ? exit_done : exit_failed;
}

int run(const actors_command&, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto actors = (*node)->actors();
  if (!actors)
    return complain(c, actors.error());
  c.io.out << (c.json ? json_of(*actors) : actors_text(*actors, now_us(), c.io.out_is_terminal));
  return exit_done;
}

int run(const ask_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto reply = (*node)->ask(wanted.actor, wanted.message);
  if (!reply)
    return complain(c, reply.error());
  if (c.json)
    c.io.out << json_of_answer(wanted.actor, *reply);
  else
    c.io.out << *reply << (reply->ends_with('\n') ? "" : "\n");
  return exit_done;
}

// Live only on a terminal: one chart after the other over the last one, until Ctrl-C. A node that goes away
// meanwhile is waited for.
int run(const top_command& wanted, context& c) {
  const bool live = !wanted.once && !c.json && c.io.out_is_terminal;
  if (!live) {
    const auto node = c.node.get();
    if (!node)
      return complain(c, node.error());
    const auto snapshot = (*node)->top();
    if (!snapshot)
      return complain(c, snapshot.error());
    c.io.out << (c.json ? json_of(*snapshot) : top_text(*snapshot, c.io.out_is_terminal));
    return exit_done;
  }
  interruption ctrl_c;
  bool first = true;
  while (!interruption::requested()) {
    const auto node = c.node.get();
    if (!node && first)
      return complain(c, node.error());
    std::string chart;
    if (!node) {
      chart = node.error().to_string() + "\nwaiting for it …\n";
    } else if (const auto snapshot = (*node)->top(); snapshot) {
      chart = top_text(*snapshot, true);
    } else {
      chart = snapshot.error().to_string() + "\n";
    }
    c.io.out << (first ? "\033[2J" : "") << "\033[H";
    for (const char letter : chart + "\nCtrl-C ends this\n") // what was longer before goes, line by line
      c.io.out << (letter == '\n' ? "\033[K\n" : std::string(1, letter));
    c.io.out << "\033[J" << std::flush;
    first = false;
    ::poll(nullptr, 0, static_cast<int>(std::min<std::int64_t>(wanted.interval.count() / 1000, 3'600'000)));
  }
  c.io.out << "\n";
  return exit_done;
}

} // namespace gnomon::actors::cli
