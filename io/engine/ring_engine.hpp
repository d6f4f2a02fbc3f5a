// The engine's only implementation on rings: what it owns and shares between its parts. Control calls come from any
// thread and turn into work on maintenance threads and rings; nothing here is on the path of a request.
// The parts: engine.cpp (rings, start, stop), ring_engine_volumes.cpp, ring_engine_granules.cpp,
// ring_engine_connections.cpp, ring_engine_observers.cpp.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "io/engine/cluster.hpp"
#include "io/engine/engine.hpp"
#include "io/engine/hydrator.hpp"
#include "io/engine/last_syncs.hpp"
#include "io/engine/volume_registry.hpp"
#include "io/nbd/listener.hpp"
#include "io/nbd/service.hpp"
#include "io/nbd/stdio_bridge.hpp"
#include "io/ring/ring_watch.hpp"
#include "io/volume/core.hpp"
#include "io/volume/data_plane.hpp"

namespace gnomon::io {

// How long a close or fence waits for requests under way.
inline constexpr std::chrono::seconds drain_patience{60};
// How long a stop waits, after its grace, for the last sync of every volume and for changes under way.
inline constexpr std::chrono::seconds last_sync_patience{25};

class node_engine final : public engine {
public:
  explicit node_engine(engine_options options, std::uint32_t ring_count)
      : options_(std::move(options)), plane_(ring_count) {
    plane_.on_alert = options_.on_alert;
    plane_.record_failure = options_.record_failure;
    registry_.on_alert = [this](alert e) { plane_.report(std::move(e)); };
  }
  ~node_engine() override { (void)stop(std::chrono::seconds{10}); }

  result<void> start_rings(std::uint32_t ring_count);

  void open_volume(volume_spec spec, done_callback done) override;
  void close_volume(volume_uuid volume, done_callback done) override;
  void resize_volume(volume_uuid volume, byte_count new_size, done_callback done) override;
  void rename_volume(volume_uuid volume, volume_name name, done_callback done) override;
  void set_read_only(volume_uuid volume, bool read_only, done_callback done) override;
  void set_description(volume_uuid volume, std::string description, done_callback done) override;
  void clear_write_failure(volume_uuid volume, done_callback done) override;
  void failure_recorded(volume_uuid volume, done_callback done) override;
  std::optional<volume_status> status(volume_uuid volume) const override;
  std::vector<volume_status> volumes() const override;
  std::optional<volume_counters> counters(volume_uuid volume) const override;

  void hold(volume_uuid volume, hold_id id, boot_time deadline,
            std::function<void(result<held_report>)> done) override;
  void release(volume_uuid volume, hold_id id, std::function<void(result<hold_outcome>)> done) override;
  void abandon(volume_uuid volume, hold_id id) override;
  void begin_capture(volume_uuid volume, capture_order order, std::optional<hold_id> held,
                     std::function<void(result<capture_begun>)> done) override;
  void read_capture(volume_uuid volume, std::uint64_t id, granule_index from, std::uint32_t granules_max,
                    std::function<void(result<capture_piece>)> done) override;
  void end_capture(volume_uuid volume, std::uint64_t id, capture_end how, done_callback done) override;
  void bring_in(volume_uuid volume, granule_index first, std::uint32_t granules, done_callback done) override;
  std::optional<presence_report> presence(volume_uuid volume) const override;
  void drop_source(volume_uuid volume, done_callback done) override;
  void hydrate(volume_uuid volume, granule_plan plan, std::shared_ptr<work_control> control,
               done_callback done) override;
  void set_source(volume_uuid volume, std::shared_ptr<granule_source> source, done_callback done) override;
  void begin_archive(volume_uuid volume, granule_run run, done_callback done) override;
  void read_archive(volume_uuid volume, granule_index from, std::uint32_t granules_max,
                    std::function<void(result<capture_piece>)> done) override;
  void finish_archive(volume_uuid volume, std::function<void(result<punch_report>)> done) override;
  void abandon_archive(volume_uuid volume) override;

  void set_access(access_policy policy) override;
  std::vector<connection_status> connections(std::optional<volume_uuid> volume) const override;
  void set_fences(volume_uuid volume, fence_set fences, done_callback done) override;
  void submit(volume_uuid volume, local_request request, std::function<void(local_reply)> done) override;

  result<endpoint> listen(const endpoint& where, std::optional<instance_id> instance) override;
  result<void> listen_fd(int fd) override;
  result<void> serve_fd(int in_fd, int out_fd, volume_name volume, std::function<void()> closed) override;

  result<cluster_endpoints> listen_cluster() override;
  cluster_report nodes() const override { return cluster_ ? cluster_->report() : cluster_report{}; }
  result<void> create_shadow(const volume_name& volume) override;
  result<void> drop_shadow(const volume_name& volume) override;
  std::vector<remote_volume_entry> remote_volumes() const override;
  result<void> widen_shadow(volume_uuid volume, chunk_run run) override;
  result<void> narrow_shadow(volume_uuid volume, chunk_run run) override;
  result<void> announce_reads(const node_name& to, const expected_chunk& reads, std::chrono::milliseconds stands) override;
  void set_planner_rules(std::map<volume_name, planner_rule> rules) override;
  void set_copy_rate(double bytes_per_second) override;
  void predict_reads(volume_uuid volume, read_prediction predicted) override;

  result<void> start_recording(volume_uuid volume, record_sink sink) override;
  result<void> stop_recording(volume_uuid volume) override;
  void collect_observations(std::function<void(std::vector<observation>)> done) override;
  std::vector<ring_status> rings() const override;
  result<void> stop(std::chrono::milliseconds grace) override;

private:
  using job = std::function<result<void>(volume_core&)>;
  // Runs `what` on a maintenance thread with the volume's `control` held.
  void on_maintenance(volume_uuid volume, done_callback done, job what);
  // Ends connections on every ring; drained() tells when they are gone and their requests answered.
  void end_connections(const volume_core* core, const std::optional<instance_id>& instance, nbd_service::manner how);
  // Which connections of a volume are meant, by the instance that holds them.
  using holder_test = std::function<bool(const instance_id&)>;
  // Drops the connections whose volume and instance are not permitted. A client that was let in before the rules changed
  // is found too: it logs in within one turn of its ring, and this looks between two turns.
  void drop_unless(nbd_service::permitted_function permitted);
  bool connected(const volume_core& core, const holder_test& whom) const;
  result<void> wait_until_gone(const volume_core& core, const holder_test& whom);
  result<void> close_core(const std::shared_ptr<volume_core>& core);
  result<void> drain(const std::shared_ptr<volume_core>& core, boot_time until);
  result<void> wait_unless_stopping(const std::shared_ptr<volume_core>& core, generation_scheduler::step what,
                                    boot_time until);
  void wait_for_quiescence();
  void watch_rings();
  void reclaim();
  void accepted(new_client client);
  nbd_service& least_busy();

  engine_options options_;
  data_plane plane_;
  volume_registry registry_;
  std::vector<std::unique_ptr<nbd_service>> services_; // [ring index]
  std::unique_ptr<ring_watch> watch_;
  std::unique_ptr<cluster> cluster_;
  std::unique_ptr<hydrator> hydrator_;
  std::mutex listeners_mutex_;
  std::vector<std::unique_ptr<listener>> listeners_;
  std::atomic<std::uint64_t> next_connection_{1};
  std::atomic<std::size_t> next_ring_{0};
  std::mutex recorders_mutex_;
  std::unordered_map<volume_uuid, std::unique_ptr<recorder>> recorders_;
  std::mutex bridges_mutex_;
  std::vector<std::unique_ptr<stdio_bridge>> bridges_;
  const std::shared_ptr<lane_pool::lane> observing_lane_ = std::make_shared<lane_pool::lane>();
  const std::shared_ptr<lane_pool::lane> reclaiming_lane_ = std::make_shared<lane_pool::lane>();
  std::atomic<bool> reclaiming_{false};
  std::mutex stop_mutex_;
  bool stopped_ = false;
  result<void> stop_result_{};
  std::unique_ptr<last_syncs> last_syncs_; // from a stop on
};

// not_found: the volume is not open here.
tl::unexpected<error> no_volume(volume_uuid volume);

} // namespace gnomon::io
