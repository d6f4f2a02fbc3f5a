// A volume's actor: the in-process interface (typed read, write, flush, trim, zero, status). It owns the requests it has
// submitted and nothing else: the core belongs to the data plane, so a volume actor can die at any time. Its
// unanswered requests get `unavailable` then (their outcome is unknown); the next incarnation starts with a clean
// slate.
#pragma once

#include <unordered_map>

#include "actors/protocol/protocol.hpp"
#include "actors/runtime/node_context.hpp"
#include "io/engine/engine.hpp"

namespace gnomon::actors {

// What a request must fulfil before it is submitted. invalid_argument, limit_reached.
result<void> check_io(const io::local_request& request, std::size_t in_flight);

struct volume_actor_state {
  explicit volume_actor_state(volume_actor::pointer self) : self(self) {}
  ~volume_actor_state(); // answers what is unanswered

  // Submits and remembers whom to answer.
  template <class Reply>
  caf::result<Reply> submit(io::local_request request);
  void complete(io_completion done);
  caf::result<volume_details> status() const;
  caf::result<std::string> ask(const std::string& message);

  struct pending_request {
    enum class kind { data, ok, text } reply;
    caf::response_promise promise;
  };
  volume_actor::pointer self;
  node_context* node = nullptr;
  volume_uuid uuid;
  std::uint64_t next_request = 1;
  std::unordered_map<std::uint64_t, pending_request> pending; // at most io_requests_max
  const char* name = "volume";

private:
  result<std::uint64_t> start(io::local_request request);
};

caf::actor spawn_volume(caf::actor_system& system, node_context* node, volume_uuid uuid);
volume_actor::behavior_type volume(volume_actor::stateful_pointer<volume_actor_state> self, node_context* node,
                                   volume_uuid uuid);

// The record and what the data plane says of it, as one description. not_found. Any thread.
result<volume_details> describe_volume(const node_context& node, volume_uuid uuid);

} // namespace gnomon::actors
