// The actor system's configuration, the same in the daemon, the command line and every test. Nothing is read from the
// environment: CAF would take `caf-application.ini` from the current directory if it were let.
#pragma once

#include <caf/actor_system_config.hpp>

namespace gnomon::actors {

enum class networking { none, control_socket }; // control_socket: loads the middleman, opens nothing by itself

class system_config : public caf::actor_system_config {
public:
  explicit system_config(networking network);
};

} // namespace gnomon::actors
