// A supervisor actor: starts the children that the supervision tree lists under its name, monitors them, restarts
// what dies with backoff, and gives up after too many deaths in a window. It owns nothing: a supervisor that dies is
// replaced by one that adopts the living children.
//
// Giving up does not end the supervisor itself, as it would in Erlang. The data plane serves on without any actor,
// and siblings are independent: taking all down would only make a bad telemetry actor everybody's problem. Instead it
// escalates to the operator - the log, `gnomon actors`, /health 503 - and tries again after `revive_after`.
#pragma once

#include "actors/protocol/protocol.hpp"
#include "actors/runtime/supervision_tree.hpp"

namespace gnomon::actors {

// Name of the root in the tree; its supervisor is the root guard.
inline constexpr const char* root_name = "node";
// Parent of the volume actors.
inline constexpr const char* volumes_name = "volumes";

struct supervisor_state {
  explicit supervisor_state(supervisor_actor::pointer self) : self(self) {}
  void start(supervision_tree* t, std::string own_name);
  void adopt();
  void start_child(const std::string& child);
  void on_down(const caf::down_msg& down);
  caf::result<std::string> ask(const std::string& message);

  supervisor_actor::pointer self;
  supervision_tree* tree = nullptr;
  std::string own;
  const char* name = "supervisor";
};

caf::actor spawn_supervisor(caf::actor_system& system, supervision_tree* tree, std::string own_name);
supervisor_actor::behavior_type supervisor(supervisor_actor::stateful_pointer<supervisor_state> self,
                                           supervision_tree* tree, std::string own_name);

// Restarts the root supervisor: the one place where supervision ends and a plain thread, the daemon's main loop,
// begins. Not thread-safe, except that `on_root_down` is called from wherever the root died.
class root_guard {
public:
  // `on_root_down` must not block; it makes the owner's loop call check().
  root_guard(caf::actor_system& system, supervision_tree& tree, std::function<void()> on_root_down);
  // Starts the root, or restarts it once its backoff has passed. Returns when to be called again, if a time is known.
  std::optional<std::chrono::milliseconds> check();

private:
  struct shared;
  caf::actor_system& system_;
  supervision_tree& tree_;
  std::shared_ptr<shared> shared_;
};

} // namespace gnomon::actors
