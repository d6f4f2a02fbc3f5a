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

private:
  struct remote {
    node_name home;
    std::shared_ptr<volume_core> core;
    std::shared_ptr<remote_volume> way;
    std::shared_ptr<session::gateway_shadow> shadow;
    std::unique_ptr<shadow_filler> filler;
    std::string trouble; // why the shadow is none
  };

  void session_opened(const node_name& home, const session::open_session& session) override;
  void session_over(const node_name& home) override;
  void volume_told(const node_name& home, const session::told_volume& volume) override;
  void volume_gone(const node_name& home, const volume_uuid& volume) override;
  result<void> record_shadow(const node_name& gateway, const volume_uuid& volume) override;
  void shadow_forgotten(const node_name& gateway, const volume_uuid& volume) override;

  void open_remote(const node_name& home, const session::told_volume& volume);
  std::string shadow_folder() const;
  void tell_lanes(const node_name& home, session::start_id home_start);
  remote* find(const volume_name& name); // under mutex_

  const cluster_options options_;
  data_plane& plane_;
  volume_registry& registry_;
  const hooks hooks_;
  std::optional<lease_record> record_; // under record_mutex_
  std::mutex record_mutex_;
  std::unique_ptr<session::session_streams> streams_;
  session::prove_function prove_;
  boot_time recovery_over_{};
  mutable std::mutex mutex_;
  std::map<volume_uuid, remote> remotes_;
  std::map<volume_uuid, std::weak_ptr<home_volume>> homes_;
  std::vector<std::unique_ptr<shadow_filler>> stopping_;
  bool stopped_ = false;
  std::atomic<bool> ready_{false}; // streams_ is there
};

} // namespace gnomon::io
