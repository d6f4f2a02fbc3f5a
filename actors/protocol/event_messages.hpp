// What messages about events carry: plain values, each with its `inspect`; as actors/protocol/volume_messages.hpp, of which this
// is the third part. Times are microseconds since 1970 UTC. Any thread. What an event means: config/event.hpp.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "actors/protocol/inspect.hpp"
#include "actors/protocol/volume_messages.hpp"
#include "config/event.hpp"

namespace gnomon::actors {

inline constexpr std::size_t event_page_max = 1'000; // events in one reply

// An event as somebody tells it. Whoever gets it checks it (check_event).
struct load_event {
  std::string type;
  event_scope scope = event_scope::everything;
  std::string target; // empty for everything
  std::int64_t start_us = 0, duration_us = 0;
  std::string note;

  load_event() = default;
  explicit load_event(const event_notice& notice);
  event_notice to_notice() const;
  friend bool operator==(const load_event&, const load_event&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, load_event& x) {
  return f(caf::meta::type_name("load_event"), x.type, x.scope, x.target, x.start_us, x.duration_us, x.note);
}

// Told together: all are kept or none. At most event_batch_max.
struct event_batch {
  std::vector<load_event> events;
  friend bool operator==(const event_batch&, const event_batch&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, event_batch& x) {
  return f(caf::meta::type_name("event_batch"), x.events);
}

// An event as it is kept. Without a type: a record that cannot be read.
struct event_info {
  event_id id;
  load_event notice;
  event_source source = event_source::cli;
  std::int64_t added_us = 0;

  event_info() = default;
  explicit event_info(const calendar_event& event);
  calendar_event to_event() const;
  friend bool operator==(const event_info&, const event_info&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, event_info& x) {
  return f(caf::meta::type_name("event_info"), x.id, x.notice, x.source, x.added_us);
}

struct events_added {
  std::vector<event_info> events; // in the order in which they were told
  std::uint64_t forgotten = 0;    // past ones that went to make room
  friend bool operator==(const events_added&, const events_added&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, events_added& x) {
  return f(caf::meta::type_name("events_added"), x.events, x.forgotten);
}

enum class event_when : std::uint8_t { all, past, planned }; // planned: those that run, too

// Which events: those that touch [from, to) and follow (after_start_us, after_id) in the order of start and id.
struct event_query {
  event_when when = event_when::all;
  std::int64_t from_us = 0, to_us = std::numeric_limits<std::int64_t>::max();
  bool any_target = true;
  event_scope scope = event_scope::everything; // of exactly this target, unless any
  std::string target;
  std::int64_t after_start_us = -1;
  event_id after_id;
  friend bool operator==(const event_query&, const event_query&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, event_query& x) {
  return f(caf::meta::type_name("event_query"), x.when, x.from_us, x.to_us, x.any_target, x.scope, x.target,
           x.after_start_us, x.after_id);
}

struct event_page {
  std::vector<event_info> events; // at most event_page_max, by start and id
  bool more = false;              // ask again after the last of them
  friend bool operator==(const event_page&, const event_page&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, event_page& x) {
  return f(caf::meta::type_name("event_page"), x.events, x.more);
}

// The outcome of a change, from the writer thread of the book.
struct event_completion {
  std::uint64_t operation = 0;
  error_info outcome;
  events_added changed; // of a removal: the one event that is gone
  friend bool operator==(const event_completion&, const event_completion&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, event_completion& x) {
  return f(caf::meta::type_name("event_completion"), x.operation, x.outcome, x.changed);
}

bool matches(const event_query& query, const calendar_event& event, wall_time now);
// The matching ones, in order, at most `count_max`; `more` if there would be others.
std::vector<const calendar_event*> select_events(const std::vector<calendar_event>& events, const event_query& query,
                                                 wall_time now, std::size_t count_max, bool& more);

} // namespace gnomon::actors
