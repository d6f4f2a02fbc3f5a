// The profile actor of one compute instance: what it is, what it does on which chunks, and what it will do. Reads the
// history through the fit threads and asks the node's forecaster; keeps nothing between two questions, so that an
// instance nobody asks about costs nothing. Requests that come while one is being answered share its answer.
#pragma once

#include <memory>
#include <vector>

#include "actors/protocol/instance_messages.hpp"
#include "actors/protocol/protocol.hpp"
#include "actors/runtime/node_context.hpp"

namespace gnomon::actors {

inline constexpr std::size_t profile_requests_max = 64; // that wait for one answer

struct instance_state {
  explicit instance_state(instance_actor::pointer self) : self(self) {}
  ~instance_state(); // answers who waits
  void start(node_context* n, instance_id of);
  caf::result<instance_details> profile();
  // The history has been read.
  void fitted(const fit_completion& done);
  caf::result<std::string> ask(const std::string& message);

  // Filled by a fit thread before it says that it is done.
  struct job {
    instance_details details;
  };
  instance_actor::pointer self;
  node_context* node = nullptr;
  instance_id id;
  std::vector<caf::response_promise> waiting;
  std::shared_ptr<job> reading;
  std::uint64_t number = 0;
  const char* name = "instance";

private:
  bool read();
  void predict(instance_details details);
  void answer(const instance_details& details);
  std::vector<std::chrono::seconds> horizons() const;
};

caf::actor spawn_instance(caf::actor_system& system, node_context* node, instance_id id);
instance_actor::behavior_type instance(instance_actor::stateful_pointer<instance_state> self, node_context* node,
                                       instance_id id);

} // namespace gnomon::actors
