// The recorder actor: `gnomon record` pulls a volume's requests through it. The recordings themselves belong to the
// node (actors/runtime/recordings.hpp); the actor owns only the requests that wait for a first record.
#pragma once

#include <unordered_map>

#include "actors/protocol/protocol.hpp"
#include "actors/runtime/node_context.hpp"

namespace gnomon::actors {

inline constexpr std::chrono::milliseconds recorder_tick{200}; // only while somebody records

struct recorder_state {
  explicit recorder_state(recorder_actor::pointer self) : self(self) {}
  ~recorder_state();
  void start(node_context* n);
  caf::result<recording_started> record(const volume_ref& ref);
  caf::result<record_batch> next(recording_number number);
  caf::result<record_batch> stop(recording_number number);
  // Answers who waits and can be answered; stops what nobody asks for any more.
  void tick();

  struct waiting_client {
    caf::response_promise promise;
    boot_time until;
  };
  recorder_actor::pointer self;
  node_context* node = nullptr;
  std::unordered_map<std::uint64_t, waiting_client> waiting; // at most one per recording
  bool ticking = false;
  const char* name = "recorder";

private:
  void tick_later();
};

caf::actor spawn_recorder(caf::actor_system& system, node_context* node);
recorder_actor::behavior_type recorder(recorder_actor::stateful_pointer<recorder_state> self, node_context* node);

} // namespace gnomon::actors
