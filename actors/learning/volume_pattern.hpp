// What is known of one volume's accesses: the heat of its chunks and, per horizon, which chunks will be hot next. Fed
// with what the rings counted or with what the history kept; the same code learns from both. A value without clock or
// I/O: one thread at a time. Owned by the volume's pattern actor.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "actors/protocol/learning_messages.hpp"
#include "config/error.hpp"
#include "forecasting/heat/access_mix.hpp"
#include "forecasting/heat/heat.hpp"
#include "forecasting/heat/hot_set.hpp"
#include "store/history/history.hpp"

namespace gnomon::actors {

inline constexpr double slot_seconds = 10; // the finest slot of the history

// One slot of a volume being filled: rows per chunk and instance, until the slot is over.
class open_slot {
public:
  // A row of the history before its instance has a number.
  struct row {
    chunk_index chunk;
    instance_id instance;
    store::access_counters counters;
  };
  struct closed {
    double start_seconds = 0;
    std::vector<row> rows;
    store::access_counters total;
  };

  // Adds a second. If it lies in another slot than what is open, that one is handed out first.
  std::optional<closed> add(const observed& second);
  // The open slot, if it is over at this time.
  std::optional<closed> close_before(double now_seconds);
  std::optional<closed> close();
  bool empty() const { return !open_; }

private:
  struct key {
    std::uint64_t chunk;
    std::string instance;
    friend bool operator==(const key&, const key&) = default;
  };
  struct key_hash {
    std::size_t operator()(const key& k) const noexcept {
      return std::hash<std::string>{}(k.instance) ^ (k.chunk * 0x9e3779b97f4a7c15u);
    }
  };
  bool open_ = false;
  double start_seconds_ = 0;
  std::unordered_map<key, store::access_counters, key_hash> rows_;
  store::access_counters total_;
};

class volume_pattern {
public:
  struct shape {
    byte_count chunk_size;
    std::uint64_t chunk_count = 0;
    std::vector<double> horizons_seconds; // of the hot sets, ascending
    friend bool operator==(const shape&, const shape&) = default;
  };
  // What one chunk saw around a time.
  struct access {
    double time_seconds = 0;
    chunk_index chunk;
    double reads = 0, writes = 0, bytes = 0, sequential_bytes = 0;
    std::uint32_t instance = 0; // its number in the history
  };
  struct hot_window {
    double horizon_seconds = 0;
    forecasting::hot_prediction prediction;
  };

  // invalid_argument: a horizon or a chunk count out of range.
  static result<volume_pattern> make(const shape& wanted);
  // A saved state. corrupt, unsupported; invalid_argument if it was of another shape (the volume has grown).
  static result<volume_pattern> from_numbers(const arma::vec& numbers, const shape& wanted);
  // Everything but the windows that are open: their rows are in the history from replay_from_seconds() on.
  arma::vec to_numbers() const;

  // In order of time; what is older than what is known goes nowhere.
  void add(const access& what);
  // Time goes on: windows that are over are closed.
  void advance_to(double now_seconds);
  // Whether a window is over at this time: add() and advance_to() would learn from it, which takes milliseconds.
  bool is_due(double now_seconds) const;

  // After from_numbers(): rows of the history from here on bring the state up to date.
  double replay_from_seconds() const;
  std::vector<forecasting::chunk_heat> heat(double now_seconds) const { return heat_.at(now_seconds); }
  // The predicted hot set of each horizon, at most `count` chunks each. Before the first window of a horizon is over,
  // what was seen in it so far stands for it.
  std::vector<hot_window> hot_sets(std::size_t count) const;
  const shape& of() const { return shape_; }
  const forecasting::access_mix& mix() const { return mix_; }
  // Memory held, roughly. shrink_to() forgets the chunks that matter least until it is at most `most_bytes`, or no
  // chunk is left.
  std::size_t bytes() const;
  void shrink_to(std::size_t most_bytes);
  std::size_t known_chunks() const { return heat_.chunks(); }

private:
  struct window {
    forecasting::hot_set set;
    double start_seconds = 0; // of what is open
    std::unordered_map<std::uint64_t, forecasting::chunk_window> open;
    std::vector<forecasting::chunk_window> activity() const; // of what is open, by chunk
  };
  explicit volume_pattern(shape wanted) : shape_(std::move(wanted)) {}
  void close(window& w, double now_seconds);

  shape shape_;
  forecasting::heat_map heat_;
  forecasting::access_mix mix_;
  double heat_until_seconds_ = 0; // rows before it are in the heat map already
  double newest_seconds_ = 0;
  std::vector<window> windows_; // per horizon
};

// Learns a volume from what the history holds: the saved state and what came after it, else the rows of the last
// `back`. Reads for a while: fit threads only. Never fails on data: what cannot be read is left out.
result<volume_pattern> load_pattern(const store::history& from, volume_uuid volume,
                                    const volume_pattern::shape& shape, wall_time now, bool use_saved);

// The saved form.
inline constexpr const char* pattern_model_name = "pattern";
inline constexpr std::uint32_t pattern_model_version = 2;
store::bytes to_bytes(const arma::vec& numbers);
result<arma::vec> numbers_from(store::bytes_view bytes); // corrupt: not a whole number of doubles

} // namespace gnomon::actors
