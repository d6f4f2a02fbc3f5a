#include "actors/telemetry/recorder.hpp"

#include <caf/actor_cast.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <fmt/format.h>

#include "actors/protocol/error_message.hpp"
#include "actors/runtime/ask.hpp"
#include "actors/volumes/views.hpp"

namespace gnomon::actors {
namespace {
constexpr ask_verb recorder_verbs[] = {{"count", "how many recordings run"}};
} // namespace

recorder_state::~recorder_state() {
  for (auto& [number, client] : waiting)
    client.promise.deliver(to_caf({errc::unavailable, "the recorder was restarted; ask again", 0}));
}

void recorder_state::start(node_context* n) {
  node = n;
  if (node->recordings.size() > 0)
    tick_later();
}

void recorder_state::tick_later() {
  if (ticking)
    return;
  ticking = true;
  self->delayed_send(self, recorder_tick, atom::tick_v);
}

caf::result<recording_started> recorder_state::record(const volume_ref& ref) {
  const auto record = resolve(*node->catalogue, ref);
  if (!record)
    return to_caf(record.error());
  // Records are fetched by the tick: a wake-up per batch of the data plane would be one message per few requests.
  const auto number = node->recordings.start(*node->engine, record->uuid);
  if (!number)
    return to_caf(number.error());
  tick_later();
  return recording_started{*number, summary_of(*node, *record)};
}

caf::result<record_batch> recorder_state::next(recording_number number) {
  auto batch = node->recordings.take(number);
  if (!batch)
    return to_caf(batch.error());
  if (!batch->records.empty() || batch->finished)
    return std::move(*batch);
  if (waiting.contains(number.value))
    return to_caf({errc::busy, "somebody waits for this recording already", 0});
  auto promise = self->make_response_promise<caf::response_promise>();
  waiting.emplace(number.value, waiting_client{promise, node->clock->boot_now() + record_wait});
  tick_later();
  return caf::delegated<record_batch>{};
}

caf::result<record_batch> recorder_state::stop(recording_number number) {
  if (const auto stopped = node->recordings.stop(number); !stopped)
    return to_caf(stopped.error());
  return next(number);
}

void recorder_state::tick() {
  ticking = false;
  for (auto at = waiting.begin(); at != waiting.end();) {
    auto batch = node->recordings.take(recording_number{at->first});
    const bool late = node->clock->boot_now() >= at->second.until;
    if (batch && batch->records.empty() && !batch->finished && !late) {
      ++at;
      continue;
    }
    if (batch)
      at->second.promise.deliver(std::move(*batch));
    else
      at->second.promise.deliver(to_caf(batch.error()));
    at = waiting.erase(at);
  }
  node->recordings.expire();
  if (node->recordings.size() > 0)
    tick_later();
}

caf::actor spawn_recorder(caf::actor_system& system, node_context* node) {
  return caf::actor_cast<caf::actor>(system.spawn(recorder, node));
}

recorder_actor::behavior_type recorder(recorder_actor::stateful_pointer<recorder_state> self, node_context* node) {
  self->state.start(node);
  return {
      [self](atom::report) {
        return actor_report{self->mailbox().size(),
                            fmt::format("{} recordings", self->state.node->recordings.size())};
      },
      [self](atom::ask, const std::string& message) -> caf::result<std::string> {
        const auto parsed = parse_asked(message);
        if (!parsed)
          return to_caf(parsed.error());
        if (parsed->verb == "help")
          return help_text(recorder_verbs);
        if (parsed->verb != "count")
          return to_caf(unknown_verb(*parsed, recorder_verbs).value());
        return std::to_string(self->state.node->recordings.size());
      },
      [self](atom::record, const volume_ref& ref) { return self->state.record(ref); },
      [self](atom::next, recording_number number) { return self->state.next(number); },
      [self](atom::stop, recording_number number) { return self->state.stop(number); },
      [self](atom::tick) { self->state.tick(); },
  };
}

} // namespace gnomon::actors
