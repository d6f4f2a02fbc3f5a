// A node's settings as parsed from its one JSON file: plain values with their defaults. The table that parses,
// documents and validates every key is config/settings/table.cpp; nothing else knows the JSON names. Values only.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/endpoint.hpp"
#include "config/types.hpp"

namespace gnomon {

enum class cache_mode { buffered, direct }; // page cache or O_DIRECT, one mode for all users of a volume

struct io_settings {
  std::uint32_t rings = 0;                            // ring threads; 0 = one per core, at most 16
  std::uint32_t ring_entries = 1024;                  // submission queue entries per ring
  std::chrono::microseconds busy_poll{100};            // how long a ring spins before it sleeps, where that pays; 0: never
  std::chrono::microseconds disk_poll{1000};           // the same while O_DIRECT transfers are under way
  byte_count buffer_memory_max{512ull << 20};         // request and reply buffers of all rings together
  friend bool operator==(const io_settings&, const io_settings&) = default;
};

struct nbd_settings {
  std::vector<endpoint> listen;
  std::uint32_t connections_max = 4096;
  std::uint32_t handshake_options_max = 64;           // options one client may send before it is dropped
  std::chrono::milliseconds handshake_timeout{10'000};
  byte_count in_flight_max{64ull << 20};              // request and reply bytes in flight, per connection
  std::uint32_t requests_in_flight_max = 1024;        // per connection
  std::uint32_t socket_mode = 0660;                   // of Unix sockets
  friend bool operator==(const nbd_settings&, const nbd_settings&) = default;
};

struct admin_settings {
  std::optional<endpoint> listen;
  std::vector<std::string> hosts;                     // further names of this node in requests
  friend bool operator==(const admin_settings&, const admin_settings&) = default;
};

struct cluster_peer {
  node_name node;
  endpoint address;
  std::optional<endpoint> data_address;               // none: where the peer says
  friend bool operator==(const cluster_peer&, const cluster_peer&) = default;
};
enum class redirect_rule { predicted, nearest, off }; // which reads a shadow may serve
enum class cluster_tls { required, none };
struct cluster_settings {
  std::optional<endpoint> listen, data_listen;
  std::string secret_file;                            // empty: this node is in no cluster
  std::chrono::milliseconds lease{5'000};
  std::chrono::milliseconds patience{30'000};         // how long requests wait for a home that is gone
  redirect_rule redirect = redirect_rule::predicted;
  cluster_tls tls = cluster_tls::required;          // of listeners beyond loopback; there is no TLS yet
  std::vector<cluster_peer> peers;
  friend bool operator==(const cluster_settings&, const cluster_settings&) = default;
};

struct stage_settings {
  std::string path;
  byte_count capacity;
  friend bool operator==(const stage_settings&, const stage_settings&) = default;
};
enum class planner_rule { act, advise, off }; // advise: what would be done is shown, and not done
struct planner_settings {
  planner_rule mode = planner_rule::advise;
  std::chrono::milliseconds every{30'000};
  byte_count copy_rate{64ull << 20};                  // bytes per second, of all copies into this node
  std::chrono::milliseconds horizon{1'800'000};       // over which a copy must pay
  std::chrono::milliseconds stay_min{600'000};        // a shadow is not dropped sooner
  std::chrono::milliseconds demand_half_life{600'000}; // of what was read lately
  friend bool operator==(const planner_settings&, const planner_settings&) = default;
};
struct archive_settings {
  std::string path;
  friend bool operator==(const archive_settings&, const archive_settings&) = default;
};

struct volume_settings {
  volume_name name;
  std::string description;                            // shown to NBD clients
  byte_count size;                                    // multiple of 4 KiB; 0: as large as what `path` names
  std::optional<std::string> path;                    // block device or file to use instead of data_dir
  cache_mode cache = cache_mode::buffered;
  bool read_only = false;
  bool shared = false;                                // several instances may write
  byte_count shadow_granularity;                      // 0: the chunk size
  planner_rule planner = planner_rule::act;           // the stricter of this and the node's mode counts
  std::vector<std::chrono::seconds> forecast_horizons{std::chrono::minutes{5}, std::chrono::minutes{30}, std::chrono::hours{2}};
  std::optional<std::chrono::seconds> archive_after;
  friend bool operator==(const volume_settings&, const volume_settings&) = default;
};

enum class criticality { low, normal, high };
struct sla_settings {
  std::optional<std::chrono::microseconds> read_p99;
  std::optional<std::chrono::seconds> rpo;
  friend bool operator==(const sla_settings&, const sla_settings&) = default;
};
struct instance_settings {
  instance_id id;
  std::vector<volume_name> volumes;
  std::vector<endpoint> listen;                       // every client of these is this instance
  std::string application;
  criticality level = criticality::normal;
  bool snapshots = false;                             // may open VOLUME@snapshot:ID
  sla_settings sla;
  friend bool operator==(const instance_settings&, const instance_settings&) = default;
};

struct snapshot_group_settings {
  group_name name;
  std::vector<volume_name> volumes;
  bool prediction = true;
  std::chrono::seconds every{3600};
  double quiet_below = 0.3;                           // fraction of mean load, 0..1
  std::chrono::seconds latest_by{86400};
  std::uint32_t retain = 30;
  friend bool operator==(const snapshot_group_settings&, const snapshot_group_settings&) = default;
};

struct forecast_settings {
  double cpu_budget = 0.25;                           // of one core, 0..1
  std::chrono::seconds refit_every{300};
  byte_count memory_max{256ull << 20};
  friend bool operator==(const forecast_settings&, const forecast_settings&) = default;
};
struct history_settings {
  std::chrono::seconds retention{14 * 86400};
  byte_count disk_max{512ull << 20};
  friend bool operator==(const history_settings&, const history_settings&) = default;
};

struct settings {
  node_name node;
  std::string data_dir;
  std::string log_level = "info";                     // debug | info | warning | error
  io_settings io;
  nbd_settings nbd;
  admin_settings admin;
  cluster_settings cluster;
  std::optional<stage_settings> stage;
  planner_settings planner;
  std::optional<archive_settings> archive;
  forecast_settings forecast;
  history_settings history;
  std::chrono::seconds undelete_for{7 * 86400};       // how long a deleted volume can be brought back
  std::vector<volume_settings> volumes;
  std::vector<instance_settings> instances;
  bool instances_section = false;                     // the document has "instances", perhaps empty: access is restricted
  std::vector<snapshot_group_settings> snapshot_groups;
  friend bool operator==(const settings&, const settings&) = default;
};

} // namespace gnomon
