// The event actor: drains the inbox into which the data plane reports and logs each event. An event leaves the inbox
// only when it is dealt with, so that the actor's death loses none.
#pragma once

#include "actors/protocol/protocol.hpp"
#include "actors/runtime/node_context.hpp"

namespace gnomon::actors {

struct alerts_state {
  explicit alerts_state(alert_actor::pointer self) : self(self) {}
  void start(node_context* n);
  void drain();

  alert_actor::pointer self;
  node_context* node = nullptr;
  const char* name = "alerts";
};

// How an event reads in the log.
std::string to_text(const io::alert& event, const node_context& node);

caf::actor spawn_alerts(caf::actor_system& system, node_context* node);
alert_actor::behavior_type events(alert_actor::stateful_pointer<alerts_state> self, node_context* node);

} // namespace gnomon::actors
