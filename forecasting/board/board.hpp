// The prediction board: what is expected of every volume, of each instance on it, of applications and of the node, as
// one immutable value that is read without asking anybody. Made by board_builder (board_builder.hpp) from what
// forecasters and pattern actors publish; read by the planner, redirection, the snapshot scheduler, metrics and the
// command line. No clock, no I/O. A board never changes: any thread may read it, for as long as it holds the pointer.
//
// Times are seconds since 1970-01-01 UTC (0: never), loads are per second. Nothing on a board is NaN or infinite.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/types.hpp"

namespace gnomon::forecasting {

// --- what is expected

enum class board_load : std::uint8_t { requests, bytes, reads, writes };
inline constexpr std::size_t board_load_count = 4;
inline constexpr std::array<board_load, board_load_count> board_loads = {board_load::requests, board_load::bytes,
                                                                         board_load::reads, board_load::writes};
std::string_view to_string(board_load load) noexcept;

// Mean load per second over a time ahead. The bounds hold 90 % of the slots in it, by the forecast's own measure.
struct expected_load {
  double per_second = 0, low = 0, high = 0;
};

// How the forecast did on the subject's own past: error over that of "as one slot ago" (MASE, log scale).
struct forecast_accuracy {
  double served_mase = 0, naive_mase = 0; // naive: the best naive method
  std::uint64_t origins = 0;              // that the errors rest on; 0: too little past to tell
};

// The chance that the load goes above the threshold at least once in the time ahead.
struct burst_chance_ahead {
  double threshold_per_second = 0;
  double chance = 0; // 0..1
  bool announced = false;
};

struct load_horizon {
  double ahead_seconds = 0;
  std::array<expected_load, board_load_count> load{}; // by board_load
  forecast_accuracy accuracy;                         // of the requests
  burst_chance_ahead burst;
  const expected_load& of(board_load which) const { return load[static_cast<std::size_t>(which)]; }
};

struct board_window {
  double start_seconds = 0, end_seconds = 0;
  double requests = 0;         // expected in it
  double fraction_of_mean = 0; // its mean load over the past's mean
};

// The requests expected slot by slot, as one plans by them (plan_load() in outlook/windows.hpp).
struct load_ahead {
  double start_seconds = 0, step_seconds = 0;
  double mean_per_second = 0;    // of the past
  std::vector<float> per_second; // at most board_slots_max
};
inline constexpr std::size_t board_slots_max = 512;

// What a forecaster publishes about a subject.
struct load_outlook {
  double fitted_seconds = 0;             // when the requests were fitted; 0: not yet
  std::vector<load_horizon> horizons;    // ascending
  std::vector<board_window> quiet, busy; // in order of time
  bool enough_past = false;              // false: little more than "as now"
  load_ahead ahead;                      // of a volume; empty for parts of it

  // The horizon nearest to this one; none without any.
  const load_horizon* at(double ahead_seconds) const;
};

// --- where it is expected

enum class heat_trend : std::uint8_t { falling, steady, rising };
std::string_view to_string(heat_trend trend) noexcept;

struct chunk_outlook {
  chunk_index chunk;
  float reads_per_second = 0, requests_per_second = 0; // over about half an hour
  float trend_factor = 1;                              // the last half hour's rate over the day's
  heat_trend trend = heat_trend::steady;
  float read_share = 0; // of its requests of the last day, 0..1
  double last_access_seconds = 0;
};

struct hot_chunk_outlook {
  chunk_index chunk;
  double expected_requests = 0;
  double expected_read_bytes = 0;
  double trust = 0; // 0..1: recent share of the true hot set that was named by a set of about this rank's size
};

struct hot_set_outlook {
  double ahead_seconds = 0;
  double recall = 0;                     // recent share of the true hot set that was named, 0..1
  double windows_scored = 0;             // what it rests on, after decay
  std::vector<hot_chunk_outlook> chunks; // hottest first
};

inline constexpr std::size_t hours_of_day = 24;

// What a pattern actor publishes about a subject.
struct heat_outlook {
  double as_of_seconds = 0;              // 0: nothing known
  std::vector<hot_set_outlook> hot_sets; // ascending horizon
  std::vector<chunk_outlook> chunks;     // by chunk; the coldest are left out first
  std::uint64_t chunks_left_out = 0;
  std::array<float, hours_of_day> read_share_by_hour{}; // of the requests, by hour of the day (UTC); -1: none seen

  const hot_set_outlook* at(double ahead_seconds) const; // the nearest; none without any
  const chunk_outlook* find(chunk_index chunk) const;
};

// --- the subjects

// Both parts are never null on a board; they are shared between boards until they change.
struct volume_outlook {
  volume_uuid uuid;
  volume_name name;
  byte_count size, chunk_size;
  std::shared_ptr<const load_outlook> load;
  std::shared_ptr<const heat_outlook> heat;
  std::uint64_t chunk_count() const {
    return chunk_size.value == 0 ? 0 : (size.value + chunk_size.value - 1) / chunk_size.value;
  }
};

// One instance on one volume. The anonymous instance has an empty id.
struct instance_outlook {
  instance_id instance;
  std::string application; // empty: not known
  volume_uuid volume;
  double share = 0;                         // of the volume's requests lately, 0..1
  std::shared_ptr<const load_outlook> load; // that share of the volume's
  std::shared_ptr<const heat_outlook> heat; // hot sets of its own; chunks are the volume's
};

// The load of several subjects together. Bounds add up as those of independent loads do.
struct load_sum {
  std::string name; // the node's, or an application's
  std::size_t subjects = 0;
  double oldest_seconds = 0;          // when the oldest of the forecasts in it was fitted
  std::vector<load_horizon> horizons; // ascending; burst and accuracy: of the worst subject
};

// A bit per chunk of one volume.
class chunk_bitmap {
public:
  chunk_bitmap() = default;
  explicit chunk_bitmap(std::uint64_t chunks) : chunks_(chunks), words_((chunks + 63) / 64) {}
  void set(chunk_index chunk) {
    if (chunk.value < chunks_)
      words_[chunk.value / 64] |= std::uint64_t{1} << (chunk.value % 64);
  }
  bool test(chunk_index chunk) const {
    return chunk.value < chunks_ && (words_[chunk.value / 64] >> (chunk.value % 64) & 1) != 0;
  }
  std::uint64_t chunks() const { return chunks_; }
  std::uint64_t count() const;
  const std::vector<std::uint64_t>& words() const { return words_; } // chunk n: bit n % 64 of word n / 64

private:
  std::uint64_t chunks_ = 0;
  std::vector<std::uint64_t> words_;
};

// --- the board

class prediction_board {
public:
  using volume_list = std::vector<std::shared_ptr<const volume_outlook>>;
  using instance_list = std::vector<std::shared_ptr<const instance_outlook>>;

  prediction_board() = default; // empty: nothing is predicted
  // `volumes` in order of uuid, `instances` in order of (volume, instance).
  prediction_board(double made_seconds, std::size_t bytes, volume_list volumes, instance_list instances,
                   load_sum node, std::vector<load_sum> applications);

  double made_seconds() const { return made_seconds_; }
  std::size_t bytes() const { return bytes_; } // of all it refers to
  const volume_list& volumes() const { return volumes_; }
  const instance_list& instances() const { return instances_; }
  const load_sum& node() const { return node_; }
  const std::vector<load_sum>& applications() const { return applications_; } // by name

  // None: nothing is predicted for it.
  const volume_outlook* find(volume_uuid volume) const;
  const volume_outlook* find(const volume_name& volume) const; // looks at all of them
  const instance_outlook* find(const instance_id& instance, volume_uuid volume) const;
  const load_sum* application(std::string_view name) const;
  // The instances on one volume: [first, last) of instances().
  std::pair<std::size_t, std::size_t> instances_of(volume_uuid volume) const;

  // The chunks of the volume that are predicted hot for this instance within the horizon nearest to this one. Without
  // an outlook of the instance's own no bit is set; without the volume there are no chunks.
  chunk_bitmap hot_chunks(const instance_id& instance, volume_uuid volume, double ahead_seconds) const;

private:
  double made_seconds_ = 0;
  std::size_t bytes_ = 0;
  volume_list volumes_;
  instance_list instances_;
  load_sum node_;
  std::vector<load_sum> applications_;
};

} // namespace gnomon::forecasting
