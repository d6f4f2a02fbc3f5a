// What messages about heat and forecasts carry: plain values, each with its `inspect`; as actors/protocol/volume_messages.hpp, of
// which this is the second part. Times are microseconds since 1970 UTC (0: never), sizes are bytes. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "actors/protocol/inspect.hpp"
#include "config/types.hpp"
#include "io/measure/coarse_latency.hpp"

namespace gnomon::actors {

inline constexpr std::size_t observed_rows_max = 65'536;   // chunks and instances of one volume in one second
inline constexpr std::uint32_t chart_rows_max = 512;     // of a heat map
inline constexpr std::uint32_t chart_columns_max = 1024; // of a heat map
inline constexpr std::uint32_t hottest_chunks_max = 1024;  // named in one heat map
inline constexpr std::size_t forecast_points_max = 20'160; // past slots sent along with a forecast
inline constexpr std::size_t localities_max = 64;          // instances named in one heat map

// --- observation

// What one instance did in one chunk during about a second (io::observation).
struct observed_chunk {
  chunk_index chunk;
  bool whole_volume = false; // counted without its chunk and instance
  instance_id instance;
  std::uint32_t reads = 0, writes = 0, sequential = 0;
  std::uint64_t read_bytes = 0, write_bytes = 0;
  io::coarse_latency::counts read_latency{}, write_latency{};
  friend bool operator==(const observed_chunk&, const observed_chunk&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, observed_chunk& x) {
  return f(caf::meta::type_name("observed_chunk"), x.chunk, x.whole_volume, x.instance, x.reads, x.writes,
           x.sequential, x.read_bytes, x.write_bytes, x.read_latency, x.write_latency);
}

// One volume's second. At most observed_rows_max rows.
struct observed {
  std::int64_t time_us = 0;
  std::vector<observed_chunk> rows;
  friend bool operator==(const observed&, const observed&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, observed& x) {
  return f(caf::meta::type_name("observed"), x.time_us, x.rows);
}

// --- latency

struct latency_quantiles {
  finite p50_us, p99_us; // 0: nothing was answered lately
  friend bool operator==(const latency_quantiles&, const latency_quantiles&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, latency_quantiles& x) {
  return f(caf::meta::type_name("latency_quantiles"), x.p50_us, x.p99_us);
}

// End to end on this node, over about the last ten minutes; writes: trims and zeroings too.
struct recent_latency {
  latency_quantiles reads, writes;
  friend bool operator==(const recent_latency&, const recent_latency&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, recent_latency& x) {
  return f(caf::meta::type_name("recent_latency"), x.reads, x.writes);
}

// --- heat

struct heat_request {
  std::int64_t span_us =
      0; // how far back the chart goes; 0: as far as there is something to see, at most two weeks
  std::uint32_t rows = 16, columns = 64; // of the chart, 1 .. the limits above
  std::uint32_t hottest = 8;             // chunks named, 0 .. hottest_chunks_max
  friend bool operator==(const heat_request&, const heat_request&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, heat_request& x) {
  return f(caf::meta::type_name("heat_request"), x.span_us, x.rows, x.columns, x.hottest);
}

struct chunk_warmth {
  chunk_index chunk;
  std::string kind;                          // "frequent", "rare", "rising", "falling", "cold"
  finite rate_now, rate_half_hour, rate_day; // requests per second, decayed with half-lives of 5 min, 30 min, 1 day
  finite bytes_per_second;                   // over half an hour
  finite write_share;                        // 0..1
  std::int64_t last_us = 0;
  recent_latency latency;
  friend bool operator==(const chunk_warmth&, const chunk_warmth&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, chunk_warmth& x) {
  return f(caf::meta::type_name("chunk_warmth"), x.chunk, x.kind, x.rate_now, x.rate_half_hour, x.rate_day,
           x.bytes_per_second, x.write_share, x.last_us, x.latency);
}

struct kind_count {
  std::string kind;
  std::uint64_t chunks = 0;
  friend bool operator==(const kind_count&, const kind_count&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, kind_count& x) {
  return f(caf::meta::type_name("kind_count"), x.kind, x.chunks);
}

// Which chunks an instance touches most.
struct locality {
  instance_id instance;            // empty: the anonymous one
  finite requests;                 // in the chart's span
  finite share;                    // of the volume's, 0..1
  std::vector<chunk_index> chunks; // its busiest ones, busiest first
  recent_latency latency;
  friend bool operator==(const locality&, const locality&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, locality& x) {
  return f(caf::meta::type_name("locality"), x.instance, x.requests, x.share, x.chunks, x.latency);
}

struct expected_chunk {
  chunk_index chunk;
  finite bytes, requests;       // expected in the next window
  bool ahead_of_stream = false; // named because a sequential stream is about to reach it
  friend bool operator==(const expected_chunk&, const expected_chunk&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, expected_chunk& x) {
  return f(caf::meta::type_name("expected_chunk"), x.chunk, x.bytes, x.requests, x.ahead_of_stream);
}

struct predicted_hot_set {
  std::int64_t horizon_us = 0;
  std::string method;    // the one that serves: "learned", "EWMA", ...
  finite recall;         // recent share of the true hot set that it named, 0..1
  finite windows_scored; // what the share rests on, after decay
  std::vector<expected_chunk> chunks;
  friend bool operator==(const predicted_hot_set&, const predicted_hot_set&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, predicted_hot_set& x) {
  return f(caf::meta::type_name("predicted_hot_set"), x.horizon_us, x.method, x.recall, x.windows_scored, x.chunks);
}

struct heat_view {
  volume_name name;
  volume_uuid uuid;
  byte_count size, chunk_size;
  std::uint64_t chunk_count = 0, known_chunks = 0;
  std::int64_t from_us = 0, to_us = 0;
  std::uint32_t rows = 0, columns = 0;
  std::vector<finite> chart; // rows x columns, row by row: requests
  finite requests, bytes;      // in the span
  std::vector<kind_count> kinds;
  std::vector<chunk_warmth> hottest; // warmest of the last half hour first
  std::vector<locality> localities;  // busiest first
  std::vector<predicted_hot_set> hot_sets;
  friend bool operator==(const heat_view&, const heat_view&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, heat_view& x) {
  return f(caf::meta::type_name("heat_view"), x.name, x.uuid, x.size, x.chunk_size, x.chunk_count, x.known_chunks,
           x.from_us, x.to_us, x.rows, x.columns, x.chart, x.requests, x.bytes, x.kinds, x.hottest, x.localities,
           x.hot_sets);
}

// --- forecasts

enum class load_kind : std::uint8_t { requests, bytes, reads, writes, read_bytes, write_bytes };
std::string_view to_string(load_kind kind) noexcept;

enum class subject_kind : std::uint8_t { volume, instance, node };

struct forecast_request {
  subject_kind kind = subject_kind::volume;
  std::string subject; // a volume's name or uuid, an instance's id; empty: the node
  load_kind load = load_kind::requests;
  friend bool operator==(const forecast_request&, const forecast_request&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, forecast_request& x) {
  return f(caf::meta::type_name("forecast_request"), x.kind, x.subject, x.load);
}

struct method_score {
  std::string name;
  bool naive = false;
  finite mase;   // mean absolute error on log scale over the naive one-step error; below 1 is good
  finite weight; // in the blend, 0..1
  friend bool operator==(const method_score&, const method_score&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, method_score& x) {
  return f(caf::meta::type_name("method_score"), x.name, x.naive, x.mase, x.weight);
}

// What the rolling backtest said for one horizon.
struct horizon_score {
  std::int64_t ahead_us = 0;
  std::uint64_t origins = 0; // that the scores rest on; 0: too little past to tell
  finite served_mase, best_naive_mase;
  std::string best_naive;
  finite naive_share; // 0: the blend alone, 1: the best naive method alone
  std::vector<method_score> methods;
  friend bool operator==(const horizon_score&, const horizon_score&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, horizon_score& x) {
  return f(caf::meta::type_name("horizon_score"), x.ahead_us, x.origins, x.served_mase, x.best_naive_mase,
           x.best_naive, x.naive_share, x.methods);
}

struct predicted_window {
  std::int64_t start_us = 0, end_us = 0;
  finite expected_load;    // sum, in the load's own unit
  finite fraction_of_mean; // its mean over the past's mean
  friend bool operator==(const predicted_window&, const predicted_window&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, predicted_window& x) {
  return f(caf::meta::type_name("predicted_window"), x.start_us, x.end_us, x.expected_load, x.fraction_of_mean);
}

struct burst_chance {
  std::int64_t ahead_us = 0;
  finite threshold; // load per second that makes it a burst
  finite chance;    // 0..1
  bool announced = false;
  friend bool operator==(const burst_chance&, const burst_chance&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, burst_chance& x) {
  return f(caf::meta::type_name("burst_chance"), x.ahead_us, x.threshold, x.chance, x.announced);
}

// An event that concerns the subject, and what was learned of its kind.
struct event_mark {
  std::string type;
  std::int64_t start_us = 0, end_us = 0;
  finite factor; // by which the load is multiplied while it lasts; 1: nothing known
  friend bool operator==(const event_mark&, const event_mark&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, event_mark& x) {
  return f(caf::meta::type_name("event_mark"), x.type, x.start_us, x.end_us, x.factor);
}

struct forecast_view {
  std::string subject;
  subject_kind kind = subject_kind::volume;
  load_kind load = load_kind::requests;
  std::int64_t start_us = 0, step_us = 0; // the first slot ahead; the length of all slots
  std::vector<finite> past;               // newest last, ends at start_us; per second; -1: not observed
  std::vector<finite> ahead, low, high;   // per second; the interval's bounds
  std::vector<finite> planned;            // per second, as snapshots are planned by it
  finite mean;                            // per second, of the past
  finite interval;                        // share of the future that the bounds should hold, 0..1
  std::vector<horizon_score> horizons;
  std::vector<std::int64_t> periods_us;
  std::vector<predicted_window> quiet, busy;
  std::vector<burst_chance> bursts;
  std::vector<event_mark> events;
  std::uint64_t past_slots = 0, observed_slots = 0;
  std::int64_t fitted_us = 0;
  finite fit_seconds;
  bool enough_past = true; // false: the forecast is little more than "as now"
  friend bool operator==(const forecast_view&, const forecast_view&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, forecast_view& x) {
  return f(caf::meta::type_name("forecast_view"), x.subject, x.kind, x.load, x.start_us, x.step_us, x.past, x.ahead,
           x.low, x.high, x.planned, x.mean, x.interval, x.horizons, x.periods_us, x.quiet, x.busy, x.bursts, x.events, x.past_slots,
           x.observed_slots, x.fitted_us, x.fit_seconds, x.enough_past);
}

// The outcome of a job on the fit threads; what it made lies with the actor that asked for it.
struct fit_completion {
  std::uint64_t job = 0;
  friend bool operator==(const fit_completion&, const fit_completion&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, fit_completion& x) {
  return f(caf::meta::type_name("fit_completion"), x.job);
}

} // namespace gnomon::actors
