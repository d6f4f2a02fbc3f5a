// What messages about the prediction board carry: plain values, each with its `inspect`, as in learning_messages.hpp.
// Times are microseconds since 1970 UTC (0: never), loads are per second. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "actors/protocol/inspect.hpp"
#include "actors/protocol/learning_messages.hpp"
#include "config/types.hpp"

namespace gnomon::actors {

inline constexpr std::size_t board_rows_max = 1024;   // volumes listed at once; the busiest
inline constexpr std::size_t board_chunks_max = 4096; // chunks of one volume; the warmest
inline constexpr std::size_t board_users_max = 256;   // instances of one volume; the busiest

struct board_request {
  std::string volume; // its name or uuid; empty: all of them, in short
  friend bool operator==(const board_request&, const board_request&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, board_request& x) {
  return f(caf::meta::type_name("board_request"), x.volume);
}

struct board_load_row {
  load_kind load = load_kind::requests;
  finite per_second, low, high;
  friend bool operator==(const board_load_row&, const board_load_row&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, board_load_row& x) {
  return f(caf::meta::type_name("board_load_row"), x.load, x.per_second, x.low, x.high);
}

struct board_horizon {
  std::int64_t ahead_us = 0;
  std::vector<board_load_row> loads;
  std::uint64_t origins = 0; // that the errors rest on; 0: too little past to tell
  finite served_mase, naive_mase;
  finite burst_threshold, burst_chance;
  bool burst_announced = false;
  friend bool operator==(const board_horizon&, const board_horizon&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, board_horizon& x) {
  return f(caf::meta::type_name("board_horizon"), x.ahead_us, x.loads, x.origins, x.served_mase, x.naive_mase,
           x.burst_threshold, x.burst_chance, x.burst_announced);
}

struct board_hot_chunk {
  chunk_index chunk;
  finite requests, read_bytes, trust;
  friend bool operator==(const board_hot_chunk&, const board_hot_chunk&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, board_hot_chunk& x) {
  return f(caf::meta::type_name("board_hot_chunk"), x.chunk, x.requests, x.read_bytes, x.trust);
}

struct board_hot_set {
  std::int64_t ahead_us = 0;
  finite recall, windows_scored;
  std::vector<board_hot_chunk> chunks; // hottest first
  friend bool operator==(const board_hot_set&, const board_hot_set&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, board_hot_set& x) {
  return f(caf::meta::type_name("board_hot_set"), x.ahead_us, x.recall, x.windows_scored, x.chunks);
}

struct board_chunk {
  chunk_index chunk;
  finite reads, requests;
  std::string trend;
  finite trend_factor, read_share;
  std::int64_t last_us = 0;
  friend bool operator==(const board_chunk&, const board_chunk&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, board_chunk& x) {
  return f(caf::meta::type_name("board_chunk"), x.chunk, x.reads, x.requests, x.trend, x.trend_factor, x.read_share,
           x.last_us);
}

struct board_user {
  instance_id instance; // empty: the anonymous one
  std::string application;
  finite share;
  std::vector<board_horizon> horizons;
  std::vector<board_hot_set> hot_sets;
  friend bool operator==(const board_user&, const board_user&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, board_user& x) {
  return f(caf::meta::type_name("board_user"), x.instance, x.application, x.share, x.horizons, x.hot_sets);
}

// In a list: without windows, hot sets, chunks and users.
struct board_volume {
  volume_name name;
  volume_uuid uuid;
  byte_count size, chunk_size;
  std::int64_t fitted_us = 0, heat_us = 0;
  bool enough_past = false;
  std::vector<board_horizon> horizons;
  std::vector<predicted_window> quiet, busy;
  std::vector<board_hot_set> hot_sets;
  std::vector<finite> read_share_by_hour; // UTC; -1: none seen
  std::uint64_t chunks_known = 0, users_known = 0;
  std::vector<board_chunk> chunks; // warmest first
  std::vector<board_user> users;   // busiest first
  friend bool operator==(const board_volume&, const board_volume&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, board_volume& x) {
  return f(caf::meta::type_name("board_volume"), x.name, x.uuid, x.size, x.chunk_size, x.fitted_us, x.heat_us,
           x.enough_past, x.horizons, x.quiet, x.busy, x.hot_sets, x.read_share_by_hour, x.chunks_known,
           x.users_known, x.chunks, x.users);
}

struct board_sum {
  std::string name;
  std::uint64_t subjects = 0;
  std::int64_t oldest_us = 0;
  std::vector<board_horizon> horizons;
  friend bool operator==(const board_sum&, const board_sum&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, board_sum& x) {
  return f(caf::meta::type_name("board_sum"), x.name, x.subjects, x.oldest_us, x.horizons);
}

struct board_view {
  std::int64_t made_us = 0, now_us = 0;
  std::uint64_t bytes = 0, volumes_known = 0, users_known = 0, refused = 0;
  board_sum node;
  std::vector<board_sum> applications;
  std::vector<board_volume> volumes; // busiest first
  friend bool operator==(const board_view&, const board_view&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, board_view& x) {
  return f(caf::meta::type_name("board_view"), x.made_us, x.now_us, x.bytes, x.volumes_known, x.users_known,
           x.refused, x.node, x.applications, x.volumes);
}

} // namespace gnomon::actors
