// Replays requests with a virtual clock through the same observation, forecasting and selection code that a node
// runs, and scores what was predicted against what came. The clock is the requests' own time; nothing here waits,
// reads a file or knows a real clock. A value: one thread at a time.
//
// For each horizon H the load is cut into slots of length H. When a slot closes, the ensemble learns from the past and
// forecasts the next slot, and the hot set names its chunks; when that one closes, both are scored. So every
// prediction is made from what was known before, and every score is out of sample.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/types.hpp"
#include "forecasting/ensemble/ensemble.hpp"
#include "forecasting/heat/hot_set.hpp"
#include "forecasting/heat/rollup.hpp"

namespace gnomon::forecasting {

inline constexpr std::size_t simulated_volumes_max = 4096;
inline constexpr std::size_t simulated_horizons_max = 8;

struct simulated_volume {
  std::string name;
  byte_count size;       // beyond it requests count as load, but in no chunk
  byte_count chunk_size; // 0: the default of a volume of that size
};

struct simulated_request {
  double time_seconds = 0;  // not before the former one, else taken as that
  std::uint32_t volume = 0; // index into the volumes
  bool write = false;
  byte_offset offset;
  byte_count length;
};

struct simulation_options {
  std::vector<double> horizons_seconds = {5 * minute, 30 * minute, 2 * hour}; // multiples of 10 s
  std::vector<std::size_t> set_sizes = {8, 32};
  load_quantity quantity = load_quantity::requests; // what is forecast
  double forecast_every_seconds = 30 * minute;      // per volume and horizon, at most; 0: at every slot
  arma::uword past_slots_min = 12;                  // before that there is no forecast
  double score_from_seconds = 0;  // slots that begin less than this after the first request: unscored
  std::vector<load_event> events; // told in advance; targets are volume names
  // Seconds of a real clock, for "time spent"; empty: not measured.
  std::function<double()> stopwatch_seconds;
};

struct load_scores {
  double forecasts = 0; // scored
  double mase = 0;      // of what is served: mean error / mean scale, log scale; mean over volumes
  std::array<double, method_count> method_mase{};
  double best_naive_mase = 0;    // the lowest of the naive methods
  double conformal_coverage = 0; // of the lowest .. highest quantile level
  double model_coverage = 0;
};

struct hot_scores {
  std::size_t set_size = 0;
  double windows = 0;   // scored
  double recall = 0;    // of what is served: share of the true hot set of that size
  double precision = 0; // share of the named set that was touched at all
  double captured = 0;  // share of the requests that fell into the named set
  std::array<double, hot_method_count> method_recall{}, method_precision{};
};

struct horizon_scores {
  double horizon_seconds = 0;
  load_scores load;
  std::vector<hot_scores> hot; // per set size
};

struct simulation_scores {
  double requests = 0;
  double first_seconds = 0, last_seconds = 0; // virtual time
  std::vector<horizon_scores> horizons;
  double observe_spent_seconds = 0, load_spent_seconds = 0, hot_spent_seconds = 0; // 0 without a stopwatch
};

class simulation {
public:
  // errc::invalid_argument: no volumes or horizons, or values out of range.
  static result<simulation> make(std::vector<simulated_volume> volumes, simulation_options options = {});
  simulation(simulation&&) noexcept;
  simulation& operator=(simulation&&) noexcept;
  ~simulation();

  // errc::out_of_range: no such volume; the request counts nowhere.
  result<void> feed(const simulated_request& request);
  // The newest request's time; requests and slots up to it have been taken in.
  double now_seconds() const;
  // Scores so far: of the slots that are closed. May be called at any time, also between requests.
  simulation_scores scores() const;

private:
  struct state;
  explicit simulation(std::unique_ptr<state> s);
  std::unique_ptr<state> state_;
};

} // namespace gnomon::forecasting
