// `gnomon simulate`: scores what a node would have predicted during a trace, what placing data ahead would have been
// worth, and when snapshots would have been taken; prints what a planner decides. Talks to no node.
#include "actors/cli/run.hpp"
#include "actors/cli/terminal/progress_display.hpp"
#include "actors/cli/view/placement_report.hpp"
#include "actors/cli/view/replay_report.hpp"
#include "actors/cli/view/simulate_report.hpp"

namespace gnomon::actors::cli {
namespace {

template <class Simulate>
int show(const simulate_command& wanted, context& c, Simulate&& simulate) {
  interruption ctrl_c;
  progress_display display(c.io);
  const auto outcome = simulate(wanted, [&](const std::string& what) {
    display.show(what);
    return !interruption::requested();
  });
  display.clear();
  if (!outcome)
    return complain(c, outcome.error());
  c.io.out << (c.json ? report_json(*outcome) : report_text(*outcome));
  return interruption::requested() ? complain(c, {errc::unavailable, "interrupted", 0}) : exit_done;
}

int show_plan(const simulate_command& wanted, context& c) {
  const auto decisions = plan_file(wanted.trace);
  if (!decisions)
    return complain(c, decisions.error());
  c.io.out << *decisions;
  return exit_done;
}

int show_forecasts(const simulate_command& wanted, context& c) {
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

} // namespace

int run(const simulate_command& wanted, context& c) {
  switch (wanted.subject) {
  case simulate_subject::placement:
    return show(wanted, c, simulate_placements);
  case simulate_subject::snapshots:
    return show(wanted, c, simulate_snapshot_times);
  case simulate_subject::plan:
    return show_plan(wanted, c);
  case simulate_subject::forecasts:
    break;
  }
  return show_forecasts(wanted, c);
}

} // namespace gnomon::actors::cli
