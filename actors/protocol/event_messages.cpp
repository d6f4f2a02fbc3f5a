#include "actors/protocol/event_messages.hpp"

#include <algorithm>

namespace gnomon::actors {

load_event::load_event(const event_notice& notice)
    : type(notice.type), scope(notice.target.scope), target(notice.target.name),
      start_us(to_microseconds(notice.start)), duration_us(notice.duration.count()), note(notice.note) {}

event_notice load_event::to_notice() const {
  return {type, {scope, target}, wall_time(microseconds(start_us)), microseconds(duration_us), note};
}

event_info::event_info(const calendar_event& event)
    : id(event.id), notice(event.notice), source(event.source), added_us(to_microseconds(event.added)) {}

calendar_event event_info::to_event() const {
  return {id, notice.to_notice(), source, wall_time(microseconds(added_us))};
}

bool matches(const event_query& query, const calendar_event& event, wall_time now) {
  const auto start = to_microseconds(event.notice.start), end = to_microseconds(event.end());
  if (query.when != event_when::all && event.is_past(now) != (query.when == event_when::past))
    return false;
  // An instant touches a span that holds it.
  if (start >= query.to_us || (start < query.from_us && end <= query.from_us))
    return false;
  return query.any_target || (event.notice.target.scope == query.scope && event.notice.target.name == query.target);
}

std::vector<const calendar_event*> select_events(const std::vector<calendar_event>& events, const event_query& query,
                                                 wall_time now, std::size_t count_max, bool& more) {
  std::vector<const calendar_event*> out;
  more = false;
  const auto after = std::pair(query.after_start_us, query.after_id);
  auto at = std::partition_point(events.begin(), events.end(), [&](const calendar_event& event) {
    return std::pair(to_microseconds(event.notice.start), event.id) <= after;
  });
  for (; at != events.end(); ++at) {
    if (!matches(query, *at, now))
      continue;
    if (out.size() == count_max) {
      more = true;
      break;
    }
    out.push_back(&*at);
  }
  return out;
}

} // namespace gnomon::actors
