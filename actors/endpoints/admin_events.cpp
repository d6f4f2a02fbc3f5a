#include "actors/endpoints/admin_events.hpp"

#include <caf/actor_cast.hpp>
#include <caf/scoped_actor.hpp>

#include <fmt/format.h>

#include "actors/protocol/error_message.hpp"
#include "actors/protocol/protocol.hpp"
#include "actors/runtime/ask.hpp"
#include "config/event_json.hpp"
#include "config/text.hpp"
#include "config/times.hpp"

namespace gnomon::actors {
namespace {

constexpr std::string_view parameter_names[] = {"from", "to", "target"};

std::string printed(const json& value) { return dump_json(value) + "\n"; }

http_answer problem(std::string pointer, std::string expected, std::string found, std::string suggestion) {
  return {400, printed(event_errors_to_json(
                   {{std::move(pointer), std::move(expected), std::move(found), std::move(suggestion)}}))};
}

} // namespace

template <class Reply, class... Ts>
result<Reply> admin_events::ask_calendar(const Ts&... message) {
  const auto calendar = node_.tree.find_as<calendar_actor>(calendar_name);
  if (!calendar)
    return fail(errc::unavailable, "the calendar is being restarted; try again");
  caf::scoped_actor self{system_};
  result<Reply> outcome = fail(errc::internal, "no reply");
  self->request(calendar, timeout::catalogue, message...)
      .receive([&](Reply& reply) { outcome = std::move(reply); },
               [&](const caf::error& why) { outcome = tl::unexpected(from_caf(why)); });
  return outcome;
}

http_answer admin_events::add(std::string_view body) {
  const auto now = node_.clock->wall_now();
  const auto parsed = parse_events(body, now);
  if (!parsed.ok())
    return {parsed.too_large ? 413 : 400, printed(event_errors_to_json(parsed.problems, parsed.problems_unlisted))};
  event_batch batch;
  for (const auto& notice : parsed.events)
    batch.events.emplace_back(notice);
  const auto added = ask_calendar<events_added>(atom::add_v, batch, event_source::http);
  if (!added)
    return http_error(added.error());
  auto events = json::array();
  for (const auto& event : added->events)
    events.push_back(event_to_json(event.to_event(), now));
  return {201, printed({{"events", events}, {"forgotten", added->forgotten}})};
}

http_answer admin_events::list(const query_parameters& parameters) const {
  const auto now = node_.clock->wall_now();
  event_query query;
  std::string seen;
  for (const auto& [name, value] : parameters) {
    const auto pointer = "?" + printable(name);
    if (seen.find("?" + name + "?") != seen.npos)
      return problem(pointer, "it only once", quote(value), "");
    seen += "?" + name + "?";
    if (name == "from" || name == "to") {
      const auto time = parse_time(value, now);
      if (!time)
        return problem(pointer, "a time with its zone like \"2026-11-30T22:00:00Z\" (a + is written %2B)",
                       quote(value), suggest_time(value));
      (name == "from" ? query.from_us : query.to_us) = to_microseconds(*time);
    } else if (name == "target") {
      const auto target = parse_event_target(value);
      if (!target)
        return problem(pointer, "a target like \"volume:db\"", quote(value), suggest_event_target(value));
      query.any_target = false;
      query.scope = target->scope;
      query.target = target->name;
    } else {
      return problem(pointer, "from, to or target", quote(name), std::string(nearest(name, parameter_names)));
    }
  }
  if (query.from_us > query.to_us)
    return problem("?to", "a time that is not before ?from", "an earlier one", "");
  const auto events = node_.events();
  bool more = false;
  // Event by event: one document of all of them would take many times its text's room.
  std::string body = "{\"events\":[";
  for (const auto* event : select_events(*events, query, now, calendar_events_max, more)) {
    if (!body.ends_with('['))
      body += ',';
    body += dump_json(event_to_json(*event, now));
  }
  return {200, body + "]}\n", 0, {}};
}

http_answer admin_events::remove(std::string_view id) {
  const auto number = parse_number(id, "the event's id");
  if (!number)
    return http_error(number.error());
  const auto removed = ask_calendar<event_info>(atom::remove_v, event_id{*number});
  if (!removed)
    return http_error(removed.error());
  return {200, printed(event_to_json(removed->to_event(), node_.clock->wall_now()))};
}

} // namespace gnomon::actors
