// The control actor: what the control socket publishes. It owns nothing but requests it has passed on for `ask` and
// `actors`; everything else is delegated to the actor that owns the answer, found by name in the supervision tree.
#pragma once

#include <map>

#include <caf/typed_response_promise.hpp>

#include "actors/protocol/protocol.hpp"
#include "actors/runtime/node_context.hpp"

namespace gnomon::actors {

struct control_state {
  explicit control_state(control_actor::pointer self) : self(self) {}

  caf::result<std::vector<actor_info>> list_actors();
  caf::result<std::string> ask(const std::string& actor, const std::string& message);
  caf::result<std::string> kill(const std::string& actor);
  caf::result<std::string> revive(const std::string& actor);
  caf::result<reload_report> reload(reload_mode mode);
  void reloaded(const reload_completion& done);
  // Hands the request to the named actor, whose reply goes straight to the requester. unavailable.
  template <class Handle, class Reply, class... Ts>
  caf::result<Reply> pass_on(const char* to, const Ts&... message);
  template <class Reply, class Atom>
  caf::result<Reply> pass_on_to_group(const group_name& group, Atom request);

  control_actor::pointer self;
  node_context* node = nullptr;
  std::map<std::uint64_t, caf::typed_response_promise<reload_report>> reloads; // at most reload_requests_max
  std::uint64_t next_reload = 1;
  const char* name = "control";
};

caf::actor spawn_control(caf::actor_system& system, node_context* node);
control_actor::behavior_type control(control_actor::stateful_pointer<control_state> self, node_context* node);

} // namespace gnomon::actors
