// The telemetry actor: once a second it turns the engine's counters into rates (actors/telemetry/rates.hpp) and leaves them in
// the node's context, where `top` and the HTTP endpoint find them. It owns only what the last look saw.
#pragma once

#include "actors/protocol/protocol.hpp"
#include "actors/runtime/node_context.hpp"
#include "actors/telemetry/rates.hpp"

namespace gnomon::actors {

inline constexpr std::chrono::seconds telemetry_every{1};

struct telemetry_state {
  explicit telemetry_state(telemetry_actor::pointer self) : self(self) {}
  void start(node_context* n);
  void tick();
  caf::result<std::string> ask(const std::string& message) const;

  telemetry_actor::pointer self;
  node_context* node = nullptr;
  rate_meter meter;
  const char* name = "telemetry";
};

// Requests and bytes per second of the busiest volumes, one line each.
std::string to_text(const telemetry_snapshot& snapshot, std::size_t volumes_shown = 20);

caf::actor spawn_telemetry(caf::actor_system& system, node_context* node);
telemetry_actor::behavior_type telemetry(telemetry_actor::stateful_pointer<telemetry_state> self, node_context* node);

} // namespace gnomon::actors
