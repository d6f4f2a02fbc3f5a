// Which chunks will be hot next: a value that watches one subject (a volume, or one instance on a volume) window by
// window, and predicts the set of chunks of the next window with the bytes expected of each.
// No clock, no I/O. A value: one thread at a time.
//
// Six methods are kept up side by side: hot in the last window, least recently used, most frequently used, EWMA,
// "recent" (much in the last window and just now), and a ridge regression of the next window's requests that is
// learned as windows close - from heat of five half-lives, recency, the same time on former days, neighbours, and the
// flow of sequential streams into the next chunk, which no frequency can see. At each close all six are scored by how
// much of the true hot set they had named; the one with the best recent score serves. So the prediction is never far
// below the best of them, and where learning does not pay, it is not used. Scores are visible.
#pragma once

#include <array>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <armadillo>

#include "config/error.hpp"
#include "config/types.hpp"
#include "forecasting/series/series.hpp"

namespace gnomon::forecasting {

inline constexpr std::size_t hot_chunks_max = 1u << 20; // chunks of one subject

// The order is part of the persisted form: append only.
enum class hot_method { last_window, recency, frequency, ewma, recent, learned };
inline constexpr std::size_t hot_method_count = 6;
std::string_view to_string(hot_method m) noexcept;

// Sizes of the set at which the methods are scored; others use the nearest.
inline constexpr std::array<std::size_t, 3> scored_set_sizes = {8, 32, 128};

struct hot_set_options {
  double window_seconds = 5 * minute; // also the horizon: the next window is what is predicted
  byte_count chunk_size{chunk_bytes_min};
  std::uint64_t chunk_count = 0;        // of the volume, 1 .. hot_chunks_max
  double learn_half_life_windows = 288; // of what the regression remembers
  double score_half_life_windows = 12;  // of what the choice of the method remembers
};

// What one chunk saw in one window.
struct chunk_window {
  chunk_index chunk;
  double requests = 0;
  double bytes = 0;
  double sequential_bytes = 0; // of them, by requests that went on where an earlier one ended
  double last_seconds = 0;     // time of the last one; as exact as is known
};

struct hot_chunk {
  chunk_index chunk;
  double expected_bytes = 0; // in the next window
  double expected_requests = 0;
  bool ahead_of_stream = false; // named because a sequential stream is about to reach it
};

struct hot_prediction {
  std::vector<hot_chunk> chunks; // hottest first; fewer than asked for where fewer are known
  hot_method method = hot_method::recent;
  std::array<double, hot_method_count> score{}; // recent share of the true hot set that each method named, 0..1
  double windows_scored = 0;                    // after decay; small: the scores mean little yet
};

class hot_set {
public:
  // errc::invalid_argument: options out of range.
  static result<hot_set> make(const hot_set_options& options);

  // Closes the window that begins at start_seconds (a multiple of the window; windows without activity may be left
  // out). Chunks beyond the volume and values that are not finite are ignored. Windows older than the newest closed
  // one are ignored.
  void close_window(double start_seconds, const std::vector<chunk_window>& activity);

  // The `k` chunks expected to be hottest in the window after the last closed one.
  hot_prediction predict(std::size_t k) const;
  // The same by one method, whatever its score.
  hot_prediction predict_by(hot_method method, std::size_t k) const;

  std::size_t known_chunks() const { return chunks_.size(); }
  std::size_t bytes() const; // of memory, roughly
  // Forgets all but the `chunks` that were used most over the longest half-life.
  void keep_hottest(std::size_t chunks);
  const hot_set_options& options() const { return options_; }

  // The state as plain numbers [magic, version, ...], to be stored anywhere. from_numbers: errc::corrupt,
  // unsupported.
  static constexpr double magic = 0x686f7473; // "hots"
  static constexpr double version = 1;
  arma::vec to_numbers() const;
  static result<hot_set> from_numbers(const arma::vec& numbers);

private:
  static constexpr std::size_t heats = 5;
  static constexpr std::size_t features = heats + 10;
  static constexpr std::size_t profile_slots = 48; // of a day
  using feature_row = std::array<double, features>;

  struct chunk_state {
    std::uint64_t chunk = 0;
    std::array<double, heats> heat{}; // requests per window, decayed
    double total = 0;                 // requests ever
    double last_window = 0, window_before = 0;
    double sequential_share = 0; // of last_window's bytes
    double last_seconds = 0;
    double bytes_per_request = 4096; // decayed
    double flow = 0;                 // share of a chunk that streams are about to read or write in it
    bool visited = false;            // false: only ever ahead of a stream
    std::vector<float> profile;      // requests per window by time of day; empty until there was a day
  };

  explicit hot_set(const hot_set_options& options);
  chunk_state& state_of(std::uint64_t chunk);
  const chunk_state* find(std::uint64_t chunk) const;
  static std::size_t scored_size(std::size_t k);
  std::size_t profile_slot(double seconds) const;
  feature_row look(const chunk_state& s) const;
  double score_of(hot_method method, const chunk_state& s, std::size_t k) const;
  std::vector<std::uint32_t> top(hot_method method, std::size_t k) const; // indices into chunks_
  void grade(const std::vector<std::uint64_t>& truth);
  void learn(const std::vector<double>& requests);
  void age_empty_windows(double start_seconds);
  void take(double start_seconds, const std::vector<chunk_window>& activity);
  void follow_streams(const std::vector<chunk_window>& activity);
  void solve();

  hot_set_options options_;
  std::vector<chunk_state> chunks_;                        // in order of first appearance
  std::unordered_map<std::uint64_t, std::uint32_t> index_; // chunk -> index into chunks_
  double next_start_ = 0;                                  // where the next window begins
  bool any_ = false;
  arma::mat gram_;
  arma::vec moment_, weight_;
  arma::mat score_; // hot_method_count x scored_set_sizes, decayed sums
  double score_weight_ = 0;
};

} // namespace gnomon::forecasting
