// The observer: once a second it has the engine take what the rings counted, and hands each touched volume's part to
// its pattern actor. It tells patterns and forecasters that time has passed: soon for volumes touched a moment ago,
// now and then for all others. It has the prediction board made anew and keeps what is learned within its memory. It
// owns only which volumes were touched; a second that is lost with it is lost for good.
#pragma once

#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "actors/learning/latency_tally.hpp"
#include "actors/protocol/protocol.hpp"
#include "actors/runtime/node_context.hpp"
#include "io/engine/engine.hpp"

namespace gnomon::actors {

inline constexpr std::chrono::seconds observe_every{1};
inline constexpr std::chrono::seconds slot_check_every{10}; // open slots are closed
inline constexpr std::chrono::seconds forecast_check_every{60};
inline constexpr std::chrono::seconds maintain_every{60}; // of the history
inline constexpr std::chrono::seconds touched_for{30};    // after its last request a volume is told of time
inline constexpr std::chrono::seconds round_every{60};   // that the board's volumes are looked up; idle ones are told
inline constexpr std::chrono::seconds round_again{5};    // while volumes are still being opened
inline constexpr std::size_t told_per_second_min = 64;   // volumes of a round
inline constexpr std::size_t instances_timed_max = 4096; // whose latencies are known at once

struct observer_state {
  explicit observer_state(observer_actor::pointer self) : self(self) {}
  void start(node_context* n);
  void tick();
  void drain();
  caf::result<std::string> ask(const std::string& message) const;

  // Filled by the engine's thread, which may outlive the actor.
  struct inbox {
    std::mutex mutex;
    std::vector<io::observation> seen;
    bool under_way = false; // a collection
  };
  observer_actor::pointer self;
  node_context* node = nullptr;
  std::shared_ptr<inbox> arrived = std::make_shared<inbox>();
  std::unordered_map<volume_uuid, boot_time> touched;
  std::unordered_map<instance_id, read_write_tally> latencies; // of requests on all volumes
  std::vector<volume_name> round;                              // of all volumes; told from the back
  std::size_t told_per_second = told_per_second_min;
  boot_time started{}, next_round{}, next_slot_check{}, next_forecast_check{}, next_maintenance{};
  std::uint64_t seconds_seen = 0, rows_seen = 0, rows_homeless = 0; // homeless: their volume had no pattern actor
  const char* name = "observer";

private:
  void hand_out(volume_uuid volume, observed second);
  void time_instances(double now_seconds, const observed& second);
  void publish_latencies(double now_seconds);
  bool tell(const volume_name& volume, bool pattern_too, bool forecaster_too) const; // false: it has no actors yet
  void go_round(boot_time now);
  void follow_remotes() const;
  void bound_memory(boot_time now) const;
};

caf::actor spawn_observer(caf::actor_system& system, node_context* node);
observer_actor::behavior_type observer(observer_actor::stateful_pointer<observer_state> self, node_context* node);

} // namespace gnomon::actors
