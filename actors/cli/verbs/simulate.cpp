// `gnomon simulate`: scores what a node would have predicted during a trace. Talks to no node.
#include "actors/cli/run.hpp"
#include "actors/cli/terminal/progress_display.hpp"
#include "actors/cli/view/replay_report.hpp"
#include "actors/cli/view/simulate_report.hpp"

namespace gnomon::actors::cli {

int run(const simulate_command& wanted, context& c) {
  interruption ctrl_c;
  progress_display display(c.io);
  const auto started = std::chrono::steady_clock::now();
  const auto elapsed = [started] { return std::chrono::nanoseconds(std::chrono::steady_clock::now() - started); };
  simulation_hooks hooks;
  hooks.stopwatch_seconds = [elapsed] { return static_cast<double>(elapsed().count()) / 1e9; };
  hooks.progress = [&](double part, std::uint64_t requests, std::uint64_t bytes) {
    display.show(requests == 0 ? "looking over the trace" : progress_line(part, requests, bytes, elapsed()));
    return !interruption::requested();
  };
  const auto outcome = simulate_trace(wanted, hooks);
  display.clear();
  if (!outcome)
    return complain(c, outcome.error());
  c.io.out << (c.json ? report_json(*outcome) : report_text(*outcome));
  return outcome->interrupted ? complain(c, {errc::unavailable, "interrupted", 0}) : exit_done;
}

} // namespace gnomon::actors::cli
