// The events API of the admin endpoint: POST and GET /v1/events, DELETE /v1/events/ID, without a word of HTTP itself
// (actors/endpoints/admin_http.cpp has the sockets). Reads come from the node's snapshot and work while actors are dead;
// changes ask the calendar actor and block the calling thread until they are durable, at most timeout::catalogue. So
// that /health and /metrics never wait behind them, admin_changes_max threads make them (actors/endpoints/admin_http.hpp). Bodies
// are hostile until parsed. Thread-safe; never called from an actor.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <caf/fwd.hpp>

#include "actors/endpoints/http_request.hpp"
#include "actors/runtime/node_context.hpp"
#include "config/error.hpp"

namespace gnomon::actors {

inline constexpr int admin_changes_max = 2; // changes that wait for their commit at once

class admin_events {
public:
  admin_events(const node_context& node, caf::actor_system& system) : node_(node), system_(system) {}

  // 201 {"events": [as kept], "forgotten": n}; 400, 409 (full of what is not past), 413, 503, 504 (outcome unknown),
  // 507.
  http_answer add(std::string_view body);
  // 200 {"events": [...]} by start; parameters from, to (times), target; 400.
  http_answer list(const query_parameters& parameters) const;
  // 200 and the event that is gone; 400, 404, 503, 504, 507.
  http_answer remove(std::string_view id);

private:
  template <class Reply, class... Ts>
  result<Reply> ask_calendar(const Ts&... message);

  const node_context& node_;
  caf::actor_system& system_;
};

} // namespace gnomon::actors
