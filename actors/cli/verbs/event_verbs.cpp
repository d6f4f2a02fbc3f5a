// `gnomon event …`: what is told to the node about its load. One request each, and its answer as a table or JSON.
#include <fmt/format.h>

#include "actors/cli/run.hpp"
#include "actors/cli/view/json_output.hpp"
#include "config/text.hpp"
#include "config/times.hpp"
#include "config/units.hpp"

namespace gnomon::actors::cli {
namespace {
using align = table::align;

std::string state_of(const calendar_event& event, wall_time now) {
  return event.is_past(now) ? "past" : event.notice.start <= now ? "running" : "planned";
}

std::string shown(const std::string& text) { return printable(text, event_note_length_max); }

} // namespace

int run(const event_add_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto added = (*node)->add_events({{wanted.event}});
  if (!added)
    return complain(c, added.error());
  const auto now = system_clock_source().wall_now();
  for (const auto& info : added->events) {
    const auto event = info.to_event();
    if (c.json)
      c.io.out << json_of(info, now);
    else
      c.io.out << fmt::format("event {}: {} at {} for {}, {}\n", event.id.value, shown(event.notice.type),
                              format_time(event.notice.start), format_duration(event.notice.duration),
                              event.notice.target.to_string());
  }
  if (added->forgotten > 0 && !c.json)
    c.io.out << fmt::format("the calendar was full: {} forgotten\n", counted(added->forgotten, "oldest past event"));
  return exit_done;
}

int run(const event_ls_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  event_query query;
  query.when = wanted.when;
  const auto events = (*node)->list_events(query);
  if (!events)
    return complain(c, events.error());
  const auto now = system_clock_source().wall_now();
  if (c.json) {
    c.io.out << json_of(*events, now);
    return exit_done;
  }
  if (events->empty()) {
    c.io.out << "no events\n";
    return exit_done;
  }
  table t({{"ID", align::right},
           {"STATE"},
           {"START (UTC)", align::right},
           {"DURATION", align::right},
           {"TYPE"},
           {"TARGET"},
           {"FROM"},
           {""}}); // the note
  for (const auto& info : *events) {
    const auto event = info.to_event();
    t.row({fmt::format("{}", event.id.value), state_of(event, now),
           human_minute(to_microseconds(event.notice.start)), format_duration(event.notice.duration),
           shown(event.notice.type), shown(event.notice.target.to_string()), std::string(to_string(event.source)),
           shown(event.notice.note)});
  }
  c.io.out << t.to_string();
  return exit_done;
}

int run(const event_rm_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto removed = (*node)->remove_event(wanted.id);
  if (!removed)
    return complain(c, removed.error());
  if (c.json)
    c.io.out << json_of(*removed, system_clock_source().wall_now());
  else
    c.io.out << fmt::format("event {} is forgotten{}\n", removed->id.value,
                            removed->notice.type.empty() ? "" : ": " + shown(removed->notice.type));
  return exit_done;
}

} // namespace gnomon::actors::cli
