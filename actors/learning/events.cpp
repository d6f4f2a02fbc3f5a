#include "actors/learning/events.hpp"

#include <algorithm>

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include <fmt/format.h>

#include "actors/protocol/error_message.hpp"
#include "actors/runtime/ask.hpp"
#include "config/log.hpp"
#include "store/meta/event_book.hpp"

namespace gnomon::actors {
namespace {
constexpr ask_verb calendar_verbs[] = {{"count", "how many events are past, and how many are planned or run"}};
}

// Whether the change was made is not known here: whoever asks again should look first.
calendar_state::~calendar_state() {
  for (auto& [operation, client] : waiting)
    client.promise.deliver(to_caf(
        {errc::unavailable, "the calendar was restarted; the outcome is unknown: look whether it is there", 0}));
}

result<void> calendar_state::can_change() const {
  if (node->event_book == nullptr)
    return fail(errc::unsupported, "this node keeps no calendar");
  if (waiting.size() >= calendar_changes_max)
    return fail(errc::busy, fmt::format("{} changes of the calendar wait already", waiting.size()));
  return {};
}

std::function<void(event_completion)> calendar_state::begin(bool removes) {
  const auto operation = next_operation++;
  waiting.emplace(operation, waiting_client{self->make_response_promise<caf::response_promise>(), removes});
  // A weak reference: a commit must not keep a dead incarnation alive.
  return [to = self->address(), operation](event_completion done) {
    done.operation = operation;
    if (const auto strong = caf::actor_cast<calendar_actor>(to))
      caf::anon_send(strong, atom::completed_v, std::move(done));
  };
}

caf::result<events_added> calendar_state::add(const event_batch& batch, event_source source) {
  if (const auto can = can_change(); !can)
    return to_caf(can.error());
  if (batch.events.size() > event_batch_max || source > event_source::http)
    return to_caf({errc::invalid_argument, fmt::format("at most {} events at once", event_batch_max), 0});
  std::vector<event_notice> told;
  told.reserve(batch.events.size());
  for (const auto& event : batch.events)
    told.push_back(event.to_notice());
  node->event_book->add(std::move(told), source, [tell = begin(false)](result<store::event_addition> outcome) {
    event_completion done;
    if (outcome) {
      for (const auto& event : outcome->events)
        done.changed.events.emplace_back(event);
      done.changed.forgotten = outcome->forgotten;
    } else {
      done.outcome = error_info(outcome.error());
    }
    tell(std::move(done));
  });
  return caf::delegated<events_added>{};
}

caf::result<event_info> calendar_state::remove(event_id id) {
  if (const auto can = can_change(); !can)
    return to_caf(can.error());
  node->event_book->remove(id, [tell = begin(true)](result<calendar_event> outcome) {
    event_completion done;
    if (outcome)
      done.changed.events.emplace_back(*outcome);
    else
      done.outcome = error_info(outcome.error());
    tell(std::move(done));
  });
  return caf::delegated<event_info>{};
}

event_page calendar_state::list(const event_query& query) const {
  event_page page;
  const auto events = node->events();
  for (const auto* event : select_events(*events, query, node->clock->wall_now(), event_page_max, page.more))
    page.events.emplace_back(*event);
  return page;
}

void calendar_state::complete(const event_completion& done) {
  const auto found = waiting.find(done.operation);
  if (found == waiting.end())
    return;
  auto client = std::move(found->second);
  waiting.erase(found);
  if (done.changed.forgotten > 0)
    log::info("calendar: {} past events forgotten to make room", done.changed.forgotten);
  if (!done.outcome.ok)
    client.promise.deliver(to_caf(done.outcome.to_error()));
  else if (client.removes)
    client.promise.deliver(done.changed.events.front());
  else
    client.promise.deliver(done.changed);
}

caf::result<std::string> calendar_state::ask(const std::string& message) const {
  const auto parsed = parse_asked(message);
  if (!parsed)
    return to_caf(parsed.error());
  if (parsed->verb == "help")
    return help_text(calendar_verbs);
  if (parsed->verb != "count")
    return to_caf(unknown_verb(*parsed, calendar_verbs).value());
  const auto events = node->events();
  const auto now = node->clock->wall_now();
  const auto past =
      std::count_if(events->begin(), events->end(), [&](const auto& event) { return event.is_past(now); });
  return fmt::format("{} past, {} planned", past, static_cast<std::ptrdiff_t>(events->size()) - past);
}

caf::actor spawn_calendar(caf::actor_system& system, node_context* node) {
  return caf::actor_cast<caf::actor>(system.spawn(calendar, node));
}

calendar_actor::behavior_type calendar(calendar_actor::stateful_pointer<calendar_state> self, node_context* node) {
  auto* state = &self->state;
  state->node = node;
  return {
      [self](atom::report) {
        return actor_report{self->mailbox().size(), fmt::format("{} events", self->state.node->events()->size())};
      },
      [state](atom::ask, const std::string& message) { return state->ask(message); },
      [state](atom::add, const event_batch& batch, event_source source) { return state->add(batch, source); },
      [state](atom::list, const event_query& query) { return state->list(query); },
      [state](atom::remove, event_id id) { return state->remove(id); },
      [state](atom::completed, const event_completion& done) { state->complete(done); },
  };
}

} // namespace gnomon::actors
