// The calendar actor: adds, lists and removes events. The events themselves belong to the node's book
// (store/meta/event_book.hpp), which publishes every change to node_context::events() whether or not this actor lives; it
// owns only the requests that wait for a commit. Nothing here blocks: the book answers on its writer thread, and the
// outcome comes as a message.
#pragma once

#include <unordered_map>

#include <caf/response_promise.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/protocol/protocol.hpp"
#include "actors/runtime/node_context.hpp"

namespace gnomon::actors {

inline constexpr std::size_t calendar_changes_max = 256; // that wait for their commit; more get busy

struct calendar_state {
  explicit calendar_state(calendar_actor::pointer self) : self(self) {}
  ~calendar_state();
  caf::result<events_added> add(const event_batch& batch, event_source source);
  caf::result<event_info> remove(event_id id);
  event_page list(const event_query& query) const;
  void complete(const event_completion& done);
  caf::result<std::string> ask(const std::string& message) const;

  struct waiting_client {
    caf::response_promise promise;
    bool removes = false;
  };
  calendar_actor::pointer self;
  node_context* node = nullptr;
  std::unordered_map<std::uint64_t, waiting_client> waiting;
  std::uint64_t next_operation = 1;
  const char* name = "calendar";

private:
  result<void> can_change() const;
  // The waiting client's number, and what carries the outcome to this incarnation from any thread.
  std::function<void(event_completion)> begin(bool removes);
};

caf::actor spawn_calendar(caf::actor_system& system, node_context* node);
calendar_actor::behavior_type calendar(calendar_actor::stateful_pointer<calendar_state> self, node_context* node);

} // namespace gnomon::actors
