#include "actors/telemetry/telemetry.hpp"

#include <caf/actor_cast.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <fmt/format.h>

#include "actors/protocol/error_message.hpp"
#include "actors/runtime/ask.hpp"

namespace gnomon::actors {
namespace {

constexpr ask_verb telemetry_verbs[] = {{"rates", "requests and bytes per second of the busiest volumes"}};

caf::error no_rates_yet() { return to_caf({errc::busy, "the first interval has not passed yet", 0}); }

std::string line(std::string_view label, const operation_rates& r) {
  return fmt::format(" {} {:.0f}/s {:.0f} B/s p50 {:.0f} us p99 {:.0f} us", label,
                     static_cast<double>(r.requests_per_second), static_cast<double>(r.bytes_per_second),
                     static_cast<double>(r.p50_us), static_cast<double>(r.p99_us));
}

} // namespace

std::string to_text(const telemetry_snapshot& snapshot, std::size_t volumes_shown) {
  std::string out;
  for (std::size_t i = 0; i < snapshot.volumes.size() && i < volumes_shown; ++i) {
    const auto& volume = snapshot.volumes[i];
    out += volume.name.value + line("read", volume.read) + line("write", volume.write) + "\n";
  }
  if (snapshot.volumes.size() > volumes_shown)
    out += fmt::format("and {} more\n", snapshot.volumes.size() - volumes_shown);
  return out;
}

void telemetry_state::start(node_context* n) {
  node = n;
  tick();
}

void telemetry_state::tick() {
  self->delayed_send(self, telemetry_every, atom::tick_v);
  if (auto rates = meter.look(*node->engine, node->clock->wall_now(), node->clock->boot_now()))
    node->set_rates(std::move(*rates));
}

caf::result<std::string> telemetry_state::ask(const std::string& message) const {
  const auto parsed = parse_asked(message);
  if (!parsed)
    return to_caf(parsed.error());
  if (parsed->verb == "help")
    return help_text(telemetry_verbs);
  if (parsed->verb != "rates")
    return to_caf(unknown_verb(*parsed, telemetry_verbs).value());
  const auto rates = node->rates();
  if (!rates)
    return no_rates_yet();
  return to_text(*rates);
}

caf::actor spawn_telemetry(caf::actor_system& system, node_context* node) {
  return caf::actor_cast<caf::actor>(system.spawn(telemetry, node));
}

telemetry_actor::behavior_type telemetry(telemetry_actor::stateful_pointer<telemetry_state> self,
                                         node_context* node) {
  self->state.start(node);
  return {
      [self](atom::report) {
        return actor_report{self->mailbox().size(), {}};
      },
      [self](atom::ask, const std::string& message) { return self->state.ask(message); },
      [self](atom::top) -> caf::result<telemetry_snapshot> {
        const auto rates = self->state.node->rates();
        if (!rates)
          return no_rates_yet();
        return *rates;
      },
      [self](atom::tick) { self->state.tick(); },
  };
}

} // namespace gnomon::actors
