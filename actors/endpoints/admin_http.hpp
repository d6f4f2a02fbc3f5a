// The admin HTTP endpoint: GET /metrics (Prometheus), GET /health (200 or 503, JSON with the reasons) and the events
// under /v1/events (actors/endpoints/admin_events.hpp), on the bounded server of actors/endpoints/http_server.hpp. What it
// reads comes from the node's context and asks no actor, so that it answers while actors are dead. There is no
// authentication, so it belongs on a loopback or management address; what a browser sends from another site's page is
// refused.
//
// /health is answered on the server's own thread and waits for nothing; /metrics and lists are made by one thread, shared
// by those who ask at the same time; changes wait for commits on admin_changes_max threads.
#pragma once

#include <memory>

#include <caf/fwd.hpp>

#include "actors/runtime/node_context.hpp"
#include "config/settings/settings.hpp"

namespace gnomon::actors {

inline constexpr std::size_t admin_jobs_waiting_max = 64; // lists, and changes, that wait for a thread; more get 503
inline constexpr std::chrono::milliseconds admin_answer_shared_for{100}; // /health and /metrics may be as old as this

class admin_http {
public:
  // Binds and serves. `system`: of the actors that changes ask; outlives the endpoint. unsupported: a Unix socket; busy: the
  // address is taken.
  static result<std::unique_ptr<admin_http>> open(const node_context& node, caf::actor_system& system,
                                                  const admin_settings& wanted);
  ~admin_http(); // closes every connection and joins: waits for no client
  const endpoint& bound() const noexcept;

private:
  struct impl;
  explicit admin_http(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

} // namespace gnomon::actors
