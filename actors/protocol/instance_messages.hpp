// What messages about compute instances carry: plain values, each with its `inspect`; as actors/protocol/volume_messages.hpp, of
// which this is another part. Times are microseconds since 1970 UTC (0: never), sizes are bytes. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "actors/protocol/inspect.hpp"
#include "actors/protocol/learning_messages.hpp"
#include "config/settings/settings.hpp"
#include "config/types.hpp"

namespace gnomon::actors {

inline constexpr std::size_t instances_max = 4096;      // that have a profile actor; busiest of the history first
inline constexpr std::size_t profile_volumes_max = 64;  // shown of one instance, busiest first
inline constexpr std::size_t profile_chunks_max = 16;   // shown of one instance and volume, busiest first
inline constexpr std::size_t profile_slots = 96;        // of the past day
inline constexpr std::size_t predicted_volumes_max = 4; // whose hot sets are predicted per instance

// What is known of an instance from outside: the configuration, and what `gnomon instance set` put over it.
struct instance_metadata {
  std::string application; // empty: not known
  criticality level = criticality::normal;
  std::int64_t read_p99_us = 0, rpo_us = 0; // the SLA; 0: none
  std::string host;                         // free text; empty: not known
  friend bool operator==(const instance_metadata&, const instance_metadata&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, instance_metadata& x) {
  return f(caf::meta::type_name("instance_metadata"), x.application, x.level, x.read_p99_us, x.rpo_us, x.host);
}

// A value that a change may leave as it is.
template <class T>
struct perhaps {
  bool given = false;
  T value{};
  friend bool operator==(const perhaps&, const perhaps&) = default;
};
template <class Inspector, class T>
auto inspect(Inspector& f, perhaps<T>& x) {
  return f(x.given, x.value);
}

// `gnomon instance set`: what is given replaces what was set before; `reset` forgets that first.
struct instance_change {
  bool reset = false;
  perhaps<std::string> application, host;
  perhaps<criticality> level;
  perhaps<std::int64_t> read_p99_us, rpo_us;
  friend bool operator==(const instance_change&, const instance_change&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, instance_change& x) {
  return f(caf::meta::type_name("instance_change"), x.reset, x.application, x.host, x.level, x.read_p99_us, x.rpo_us);
}

struct instance_summary {
  instance_id id;
  bool in_config = false, set_by_hand = false; // where its metadata comes from
  instance_metadata metadata;
  std::uint64_t connections = 0;                // now
  finite requests_per_second, bytes_per_second; // over about the last minute
  finite requests_last_hour, bytes_last_hour;
  std::uint64_t volumes = 0; // touched in the last hour
  std::int64_t last_us = 0;  // of its last request, as far as the last day is concerned
  recent_latency latency;    // on all volumes
  friend bool operator==(const instance_summary&, const instance_summary&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, instance_summary& x) {
  return f(caf::meta::type_name("instance_summary"), x.id, x.in_config, x.set_by_hand, x.metadata, x.connections,
           x.requests_per_second, x.bytes_per_second, x.requests_last_hour, x.bytes_last_hour, x.volumes, x.last_us,
           x.latency);
}

struct touched_chunk {
  chunk_index chunk;
  finite requests; // of the instance in the last day
  finite share;    // of all requests to that chunk, 0..1
  friend bool operator==(const touched_chunk&, const touched_chunk&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, touched_chunk& x) {
  return f(caf::meta::type_name("touched_chunk"), x.chunk, x.requests, x.share);
}

// What the instance did on one volume in the last day, and is expected to do.
struct touched_volume {
  volume_name name;
  volume_uuid uuid;
  finite requests, bytes, write_share;
  finite share;                            // of all requests to the volume, 0..1
  std::uint64_t chunk_count = 0;           // touched
  std::vector<touched_chunk> chunks;       // busiest first
  std::vector<predicted_hot_set> hot_sets; // none for all but the busiest volumes
  friend bool operator==(const touched_volume&, const touched_volume&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, touched_volume& x) {
  return f(caf::meta::type_name("touched_volume"), x.name, x.uuid, x.requests, x.bytes, x.write_share, x.share,
           x.chunk_count, x.chunks, x.hot_sets);
}

struct predicted_load {
  std::int64_t ahead_us = 0;
  finite expected, low, high; // mean requests per second from now until then; the interval's bounds
  friend bool operator==(const predicted_load&, const predicted_load&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, predicted_load& x) {
  return f(caf::meta::type_name("predicted_load"), x.ahead_us, x.expected, x.low, x.high);
}

struct instance_details {
  instance_summary summary;
  std::vector<volume_name> allowed;    // by the configuration
  std::vector<touched_volume> volumes; // busiest first
  std::int64_t from_us = 0, to_us = 0; // of `past`
  std::vector<finite> past;            // profile_slots slots of equal length, requests per second
  std::vector<predicted_load> predicted;
  std::string why_not_predicted; // empty if `predicted` is there
  friend bool operator==(const instance_details&, const instance_details&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, instance_details& x) {
  return f(caf::meta::type_name("instance_details"), x.summary, x.allowed, x.volumes, x.from_us, x.to_us, x.past,
           x.predicted, x.why_not_predicted);
}

} // namespace gnomon::actors
