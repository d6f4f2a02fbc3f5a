// The admin HTTP door: GET /metrics (Prometheus), GET /health (200 or 503, JSON with the reasons) and the told events
// under /v1/events (actors/endpoints/admin_events.hpp), on a few threads of its own with cpp-httplib. What it reads comes from
// the node's context and asks no actor, so that it answers while actors are dead. There is no authentication, so it
// belongs on a loopback or management address; what a browser sends from another site's page is refused.
#pragma once

#include <memory>

#include <caf/fwd.hpp>

#include "actors/runtime/node_context.hpp"
#include "config/settings/settings.hpp"

namespace gnomon::actors {

inline constexpr std::size_t admin_threads = 4;
inline constexpr std::size_t admin_payload_max = 16u << 20;       // of a body that is read, and mostly thrown away
inline constexpr std::size_t admin_keep_alive_requests_max = 100; // per connection
inline constexpr std::chrono::seconds admin_io_timeout{5}; // per read and write; also between kept-alive requests

class admin_door {
public:
  // Binds and serves. `system`: of the actors that changes ask; outlives the door. unsupported: a Unix socket (the
  // library has none); busy: the address is taken.
  static result<std::unique_ptr<admin_door>> open(const node_context& node, caf::actor_system& system,
                                                  const endpoint& where);
  ~admin_door(); // stops and joins
  const endpoint& bound() const noexcept { return bound_; }

private:
  struct impl;
  admin_door(std::unique_ptr<impl> i, endpoint bound);
  std::unique_ptr<impl> impl_;
  endpoint bound_;
};

} // namespace gnomon::actors
