#include "actors/telemetry/alerts.hpp"

#include <cstring>

#include <caf/actor_cast.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/protocol/error_message.hpp"
#include "actors/runtime/ask.hpp"
#include "config/log.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::actors {
namespace {

constexpr ask_verb events_verbs[] = {{"pending", "how many events wait, how many were dropped"}};

std::string_view to_string(io::alert::kind what) {
  using kind = io::alert::kind;
  switch (what) {
  case kind::sync_failed:
    return "fsync failed, its writes fail from now on";
  case kind::failure_unrecorded:
    return "the failed fsync cannot be recorded, every request is refused from now on";
  case kind::write_failed:
    return "a write failed";
  case kind::attached:
    return "attached";
  case kind::detached:
    return "detached";
  case kind::attach_refused:
    return "attach refused";
  case kind::connections_limit:
    return "connection refused: too many";
  case kind::listener_failed:
    return "a listener failed";
  }
  return "unknown event";
}

log::level level_of(io::alert::kind what) {
  using kind = io::alert::kind;
  switch (what) {
  case kind::sync_failed:
  case kind::failure_unrecorded:
  case kind::listener_failed:
    return log::level::error;
  case kind::attached:
  case kind::detached:
    return log::level::debug;
  default:
    return log::level::warning;
  }
}

} // namespace

std::string to_text(const io::alert& event, const node_context& node) {
  std::string out;
  if (!event.volume.is_nil()) {
    const auto record = node.catalogue ? node.catalogue->find(event.volume) : std::nullopt;
    out = "volume " + (record ? record->name.value : event.volume.to_string()) + ": ";
  }
  out += to_string(event.what);
  if (!event.instance.value.empty())
    out += ", instance " + event.instance.value;
  if (!event.text.empty())
    out += ": " + event.text;
  if (event.os_errno != 0)
    out += fmt::format(" ({})", std::strerror(event.os_errno));
  return out;
}

void alerts_state::start(node_context* n) {
  node = n;
  drain();
}

void alerts_state::drain() {
  while (const auto event = node->inbox.front()) {
    log::at(level_of(event->what), "{}", to_text(*event, *node));
    node->inbox.pop();
  }
}

caf::actor spawn_alerts(caf::actor_system& system, node_context* node) {
  return caf::actor_cast<caf::actor>(system.spawn(events, node));
}

alert_actor::behavior_type events(alert_actor::stateful_pointer<alerts_state> self, node_context* node) {
  self->state.start(node);
  return {
      [self](atom::report) {
        return actor_report{self->mailbox().size(), fmt::format("{} events wait", self->state.node->inbox.size())};
      },
      [self](atom::ask, const std::string& message) -> caf::result<std::string> {
        const auto parsed = parse_asked(message);
        if (!parsed)
          return to_caf(parsed.error());
        if (parsed->verb == "help")
          return help_text(events_verbs);
        if (parsed->verb != "pending")
          return to_caf(unknown_verb(*parsed, events_verbs).value());
        const auto& inbox = self->state.node->inbox;
        return fmt::format("{} wait, {} dropped", inbox.size(), inbox.dropped());
      },
      [self](atom::drain) { self->state.drain(); },
  };
}

} // namespace gnomon::actors
