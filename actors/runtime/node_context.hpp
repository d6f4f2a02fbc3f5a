// What the actors of one node share: the data plane, the catalogue, the supervision tree, the settings in force and
// the node's own facts. Owned by the daemon and outlives every actor. Pointers are set before the first actor is
// spawned and never change; the rest is guarded inside. Any thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "actors/protocol/learning_messages.hpp"
#include "actors/protocol/volume_messages.hpp"
#include "actors/runtime/alert_inbox.hpp"
#include "actors/runtime/configuration.hpp"
#include "actors/runtime/demand_table.hpp"
#include "actors/runtime/group_ages.hpp"
#include "actors/runtime/learned_memory.hpp"
#include "actors/runtime/prediction_publisher.hpp"
#include "actors/runtime/recordings.hpp"
#include "actors/runtime/supervision_tree.hpp"
#include "actors/runtime/volume_children.hpp"
#include "config/clock_guard.hpp"
#include "config/event.hpp"
#include "config/settings/settings.hpp"

namespace gnomon::io {
class engine;
class granule_source;
}
namespace gnomon::store {
struct volume_record;
class access_book;
class catalogue;
class event_book;
class history;
class instance_book;
} // namespace gnomon::store

namespace gnomon::actors {

class background_pool;
class control_socket;
class snapshot_works;

// Names in the supervision tree.
inline constexpr const char* registry_name = "registry";
inline constexpr const char* liveness_name = "liveness";
inline constexpr const char* telemetry_name = "telemetry";
inline constexpr const char* alerts_name = "alerts";
inline constexpr const char* recorder_name = "recorder";
inline constexpr const char* control_name = "control";
inline constexpr const char* calendar_name = "calendar";
inline constexpr const char* observer_name = "observer";
inline constexpr const char* importer_name = "importer";
inline constexpr const char* patterns_name = "patterns";
inline constexpr const char* forecasters_name = "forecasters";
inline constexpr const char* node_forecaster_name = "forecaster/@node"; // no volume's name has an @
inline constexpr const char* instance_registry_name = "instance_registry";
inline constexpr const char* instances_name = "instances";
inline constexpr const char* snapshots_name = "snapshots";
inline constexpr const char* groups_name = "groups";
inline std::string group_actor_name(const group_name& name) { return "group/" + name.value; }
inline std::string instance_actor_name(const instance_id& id) { return "instance/" + id.value; }
inline constexpr const char* volume_kind = "volume";
inline constexpr const char* pattern_kind = "pattern";
inline constexpr const char* forecaster_kind = "forecaster";
inline std::string pattern_actor_name(const volume_name& volume) { return volume_child_name(pattern_kind, volume); }
inline std::string forecaster_actor_name(const volume_name& volume) {
  return volume_child_name(forecaster_kind, volume);
}
inline std::string volume_actor_name(const volume_name& volume) { return volume_child_name(volume_kind, volume); }

// Facts for `status`, /health and /metrics that are not anybody's state.
struct node_facts {
  node_name node;
  std::string data_dir;
  std::string previous_stop;
  std::int64_t started_us = 0;
  std::vector<std::string> nbd, cluster, admin;
  std::vector<std::string> problems; // found at start, for the operator: shown by status and /health until restart
};

// What the observer has done since the node started, over all its incarnations; for /metrics.
struct observation_totals {
  std::atomic<std::uint64_t> collections{0}, rows{0};
  std::atomic<std::uint64_t> lost{0};     // rows of volumes without a pattern actor, or beyond a second's limit
  std::atomic<std::uint64_t> unplaced{0}; // requests counted without their chunk and instance
};

// Why volumes are not served, and what keeps changes from being recorded; for status, lists and /health. The registry
// writes it. Any thread.
class problem_board {
public:
  void set(volume_uuid volume, error why) {
    std::lock_guard lock(mutex_);
    volumes_.insert_or_assign(volume, std::move(why));
  }
  void erase(volume_uuid volume) {
    std::lock_guard lock(mutex_);
    volumes_.erase(volume);
  }
  std::optional<error> of(volume_uuid volume) const {
    std::lock_guard lock(mutex_);
    const auto found = volumes_.find(volume);
    return found == volumes_.end() ? std::nullopt : std::optional(found->second);
  }
  bool any() const {
    std::lock_guard lock(mutex_);
    return !volumes_.empty();
  }
  void set_store(std::vector<std::string> problems) {
    std::lock_guard lock(mutex_);
    store_ = std::move(problems);
  }
  std::vector<std::string> store() const {
    std::lock_guard lock(mutex_);
    return store_;
  }

private:
  mutable std::mutex mutex_;
  std::unordered_map<volume_uuid, error> volumes_;
  std::vector<std::string> store_;
};

class node_context {
public:
  explicit node_context(const clock_source& clock = system_clock_source())
      : clock(&clock), tree(clock), recordings(clock) {}

  io::engine* engine = nullptr;
  store::catalogue* catalogue = nullptr;
  store::access_book* access = nullptr; // none: it could not be opened, and no fence can be made
  store::event_book* event_book = nullptr;
  store::history* history = nullptr; // none: it could not be opened; nothing is learned, everything else works
  store::instance_book* instances = nullptr; // none: it could not be opened
  background_pool* fits = nullptr;
  snapshot_works* snapshots = nullptr; // none: its catalogue could not be opened
  // Where the content comes from that a restored volume's file does not hold yet; may block. None: as `snapshots`.
  std::function<result<std::shared_ptr<io::granule_source>>(const store::volume_record&)> open_source;
  control_socket* control = nullptr; // none: no control socket (--nbd-stdio, tests)
  const clock_source* clock;
  clock_guard* ages = nullptr; // tells what is old; none: `clock` does (tests)
  supervision_tree tree;
  volume_child_table volume_children;
  alert_inbox inbox;
  recording_table recordings;
  reload_desk reloads;
  observation_totals observed;
  problem_board problems;
  group_age_table group_ages;
  prediction_publisher predictions;
  learned_memory learned;
  demand_table demand;
  std::atomic<node_state> state{node_state::starting};

  std::shared_ptr<const settings> current_settings() const { return locked(settings_); }
  // A new generation of the settings; the registry has to follow. Returns its number.
  std::uint64_t set_settings(settings s) {
    auto names = std::make_shared<std::unordered_set<volume_name>>();
    for (const auto& volume : s.volumes)
      names->insert(volume.name);
    assign(configured_, std::shared_ptr<const std::unordered_set<volume_name>>(std::move(names)));
    assign(settings_, std::make_shared<const settings>(std::move(s)));
    std::lock_guard lock(mutex_);
    configuration_.wanted_since = clock->boot_now();
    return ++configuration_.wanted;
  }
  configuration_state configuration() const {
    std::lock_guard lock(mutex_);
    return configuration_;
  }
  // What the registry has carried out.
  void set_in_force(std::uint64_t generation) {
    std::lock_guard lock(mutex_);
    configuration_.in_force = std::max(configuration_.in_force, generation);
  }
  // What was said of the file when it was read last.
  void note_configuration(std::vector<std::string> waiting, std::vector<std::string> warnings, std::string file_refused) {
    std::lock_guard lock(mutex_);
    configuration_.waiting = std::move(waiting);
    configuration_.warnings = std::move(warnings);
    configuration_.file_refused = std::move(file_refused);
  }
  // Names of the volumes that stand in the config.
  std::shared_ptr<const std::unordered_set<volume_name>> configured() const { return locked(configured_); }
  // The latest rates; null before the first interval has passed.
  std::shared_ptr<const telemetry_snapshot> rates() const { return locked(rates_); }
  void set_rates(telemetry_snapshot s) { assign(rates_, std::make_shared<const telemetry_snapshot>(std::move(s))); }
  std::shared_ptr<const node_facts> facts() const { return locked(facts_); }
  void set_facts(node_facts f) { assign(facts_, std::make_shared<const node_facts>(std::move(f))); }
  // The events, past and planned, by start and id; never null. The book sets it, after each change.
  std::shared_ptr<const std::vector<calendar_event>> events() const { return locked(events_); }
  void set_events(std::shared_ptr<const std::vector<calendar_event>> e) { assign(events_, std::move(e)); }
  // How long the requests of each instance took lately; never null. The observer sets it.
  using latency_by_instance = std::unordered_map<instance_id, recent_latency>;
  std::shared_ptr<const latency_by_instance> latencies() const { return locked(latencies_); }
  void set_latencies(latency_by_instance l) {
    assign(latencies_, std::make_shared<const latency_by_instance>(std::move(l)));
  }
  // Volumes of other nodes that this one is a gateway of; never null. The observer sets it.
  using remote_list = std::shared_ptr<const std::vector<io::remote_volume_entry>>;
  remote_list remote_volumes() const { return locked(remote_volumes_); }
  void set_remote_volumes(std::vector<io::remote_volume_entry> all) {
    assign(remote_volumes_, std::make_shared<const std::vector<io::remote_volume_entry>>(std::move(all)));
  }
  // Why volumes of the config are not as the config says; replaced by each apply.
  std::shared_ptr<const std::vector<std::string>> refused() const { return locked(refused_); }
  void set_refused(std::vector<std::string> r) {
    assign(refused_, std::make_shared<const std::vector<std::string>>(std::move(r)));
  }

private:
  template <class T>
  std::shared_ptr<const T> locked(const std::shared_ptr<const T>& slot) const {
    std::lock_guard lock(mutex_);
    return slot;
  }
  template <class T>
  void assign(std::shared_ptr<const T>& slot, std::shared_ptr<const T> value) {
    std::lock_guard lock(mutex_);
    slot.swap(value);
  }

  mutable std::mutex mutex_;
  std::shared_ptr<const settings> settings_ = std::make_shared<const settings>();
  std::shared_ptr<const std::unordered_set<volume_name>> configured_ =
      std::make_shared<const std::unordered_set<volume_name>>();
  configuration_state configuration_;
  std::shared_ptr<const telemetry_snapshot> rates_;
  std::shared_ptr<const node_facts> facts_ = std::make_shared<const node_facts>();
  std::shared_ptr<const std::vector<calendar_event>> events_ = std::make_shared<const std::vector<calendar_event>>();
  std::shared_ptr<const latency_by_instance> latencies_ = std::make_shared<const latency_by_instance>();
  remote_list remote_volumes_ = std::make_shared<const std::vector<io::remote_volume_entry>>();
  std::shared_ptr<const std::vector<std::string>> refused_ = std::make_shared<const std::vector<std::string>>();
};

} // namespace gnomon::actors
