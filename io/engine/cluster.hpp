// The engine's part in a cluster: sessions with peers, coherence of the volumes homed here, volumes of peers served
// here as gateway, and their shadows. Any thread unless said otherwise; nothing here is on the path of a request.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "io/engine/engine.hpp"
#include "io/engine/volume_registry.hpp"
#include "io/redirect/home_volume.hpp"
#include "io/redirect/lease_record.hpp"
#include "io/redirect/remote_volume.hpp"
#include "io/redirect/shadow_filler.hpp"
#include "io/session/streams.hpp"
#include "io/volume/data_plane.hpp"

namespace gnomon::io {

class cluster final : public session::stream_events {
public:
  struct hooks {
    std::function<void(const volume_core&)> drop_clients;
  };
  cluster(cluster_options options, data_plane& plane, volume_registry& registry, hooks h);
  ~cluster();

  // Reads the record of leases and the secret, listens for sessions. `data_address` is told to gateways.
  result<void> open();
  result<endpoint> listen(const std::string& data_address);
  // Ends sessions and lanes, before the rings are joined. False: something of it is still under way.
  bool stop(boot_time until);

  // Before the core serves its first request.
  void adopt(volume_core& core);
  void volumes_changed(); // of those homed here: open, closed, renamed, resized

  cluster_report report() const;
  result<void> create_shadow(const volume_name& volume);
  result<void> drop_shadow(const volume_name& volume);
  result<void> widen_shadow(const volume_uuid& volume, chunk_run run);
  result<void> narrow_shadow(const volume_uuid& volume, chunk_run run);
  std::vector<remote_volume_entry> remote_volumes() const;
  result<void> announce_reads(const node_name& to, const expected_chunk& reads, std::chrono::milliseconds stands);
  void set_planner_rules(std::map<volume_name, planner_rule> rules);
  void set_copy_rate(double bytes_per_second) { budget_.set_rate(bytes_per_second); }
  void predict_reads(const volume_uuid& volume, read_prediction predicted);

private:
  struct remote {
    node_name home;
    std::shared_ptr<volume_core> core;
    std::shared_ptr<remote_volume> way;
    std::shared_ptr<session::gateway_shadow> shadow;
    std::shared_ptr<shadow_extent> extent; // of the shadow
    std::unique_ptr<shadow_filler> filler;
    bool by_hand = false;
    planner_rule planner = planner_rule::act; // of the volume, at its home
    byte_count taken() const {             // of the stage
      return !shadow ? byte_count{} : by_hand ? core->spec().size : extent->wanted_bytes();
    }
    std::string trouble; // why the shadow is none
    session::told_volume told; // as its home told it last
    bool named = false;        // served here under its name
  };

  void session_opened(const node_name& home, const session::open_session& session) override;
  void session_over(const node_name& home) override;
  void volume_told(const node_name& home, const session::told_volume& volume) override;
  void volume_gone(const node_name& home, const volume_uuid& volume) override;
  void reads_announced(const node_name& by, const session::announced_reads& reads) override;
  result<void> record_shadow(const node_name& gateway, const volume_uuid& volume) override;
  void shadow_forgotten(const node_name& gateway, const volume_uuid& volume) override;

  // What a home says it serves; a whole catalogue is taken in at once, by one thread.
  struct catalogue {
    std::vector<session::told_volume> arriving, last;
    bool incomplete = false; // a name was taken here, or something else failed
  };
  void queue_catalogue(const node_name& home);
  void take_catalogue(const node_name& home);
  void free_names(const node_name& home, const std::vector<session::told_volume>& told);
  // False: it could not be served under its name, and is tried again.
  bool open_remote(const node_name& home, const session::told_volume& volume);
  bool update_remote(volume_core& core, const session::told_volume& volume);
  std::string shadow_folder() const;
  void tell_lanes(const node_name& home, session::start_id home_start);
  // --- under mutex_
  remote* find(const volume_name& name);
  result<void> check_room(byte_count more, const volume_name& volume) const;
  byte_count taken() const;
  enum class maker { hand, planner };
  result<void> make_shadow(remote& r, maker by);
  void give_back(remote& r, session::granule_run run);
  std::shared_ptr<session::gateway_shadow> take_apart(remote& r);

  const cluster_options options_;
  data_plane& plane_;
  const std::shared_ptr<lane_pool::lane> opening_lane_ = std::make_shared<lane_pool::lane>();
  volume_registry& registry_;
  const hooks hooks_;
  std::optional<lease_record> record_; // under record_mutex_
  std::mutex record_mutex_;
  std::unique_ptr<session::session_streams> streams_;
  session::prove_function prove_;
  boot_time recovery_over_{};
  mutable std::mutex mutex_;
  std::map<volume_uuid, remote> remotes_;
  std::map<std::string, catalogue> catalogues_; // by the home's name
  std::mutex catalogue_mutex_;                  // one take_catalogue() at a time; taken before mutex_
  std::map<volume_uuid, std::weak_ptr<home_volume>> homes_;
  std::vector<std::unique_ptr<shadow_filler>> stopping_;
  static constexpr std::size_t expected_max = 65'536; // chunks; more are not taken in
  struct expectation {
    double reads_per_second = 0;
    boot_time until{};
  };
  mutable std::map<std::pair<volume_uuid, std::uint64_t>, expectation> expected_; // by volume and chunk
  std::map<volume_name, planner_rule> planner_rules_;
  copy_budget budget_; // of shadows that the planner made
  bool stopped_ = false;
  std::atomic<bool> ready_{false}; // streams_ is there
};

} // namespace gnomon::io
