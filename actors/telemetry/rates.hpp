// From counters to rates: keeps what the last look saw of each volume that was ever busy, and turns the difference
// into requests and bytes per second and latency quantiles. No CAF, no clock of its own. One thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>

#include "actors/protocol/volume_messages.hpp"
#include "io/engine/engine.hpp"

namespace gnomon::actors {

class rate_meter {
public:
  // Looks at the engine at `now`; the first look gives no rates. When no ring has seen a request since the last look,
  // volumes are not looked at: an idle node with thousands of them costs nothing.
  std::optional<telemetry_snapshot> look(const io::engine& engine, wall_time wall, boot_time now);

private:
  struct seen_volume {
    io::volume_counters counters;
  };
  volume_rates rates_of(const io::volume_status& volume, io::volume_counters now, double seconds);
  void add_rings(const std::vector<io::ring_status>& rings, double seconds, telemetry_snapshot& out);

  std::unordered_map<volume_uuid, std::unique_ptr<seen_volume>> seen_; // only volumes that had requests: 17 KiB each
  std::vector<io::ring_status> last_rings_;
  std::vector<volume_rates> last_idle_; // all volumes at rate 0, reused while nothing moves
  std::optional<boot_time> last_look_;
  std::uint64_t last_requests_ = 0, last_connections_ = 0;
  bool last_was_idle_ = false;
};

} // namespace gnomon::actors
