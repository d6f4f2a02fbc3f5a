// Sends planned requests over a link at their times and measures: open loop at original or scaled speed (latency also
// counts from the intended time, so that a server that stalls cannot hide it), closed loop at maximum speed. With a
// model it stamps what it writes and checks what it reads, and lets no request start that overlaps one in flight if
// either changes data. The calling thread does everything.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "actors/cli/replay/nbd_link.hpp"
#include "actors/cli/replay/replay_model.hpp"
#include "io/measure/latency_histogram.hpp"

namespace gnomon::actors::cli {

inline constexpr std::uint64_t replay_bytes_in_flight_max = 256u << 20;
inline constexpr std::size_t mismatches_listed_max = 10;
inline constexpr std::chrono::seconds replay_stall_max{60}; // no answer at all for this long: the server hangs
inline constexpr std::chrono::milliseconds late_from{1};    // a request issued later than this counts as late

struct latency_summary {
  io::latency_histogram histogram;
  std::uint64_t max_ns = 0;
  void record(std::chrono::nanoseconds t);
  double quantile_us(double fraction) const; // never above the maximum
};

struct operation_result {
  std::uint64_t requests = 0, bytes = 0, errors = 0;
  latency_summary service;  // from sending to the answer
  latency_summary response; // from the intended time to the answer; empty at maximum speed
};

enum class replay_end { finished, duration, interrupted };

struct replay_result {
  std::array<operation_result, 7> by_operation; // in the order of replay_operations
  std::chrono::nanoseconds elapsed{0};
  replay_end end = replay_end::finished;
  latency_summary lateness;    // sending after the intended time; empty at maximum speed
  std::uint64_t late = 0;      // by late_from or more
  std::uint64_t held_back = 0; // waited for a request they overlap (verify only)
  std::uint64_t checked_bytes = 0, mismatched_requests = 0;
  std::vector<std::string> mismatches; // the first ones, in words
  std::string first_error;             // of a request the server refused
  std::optional<error> failed;         // what ended it early
  std::uint64_t unanswered = 0;        // in flight when it failed
  std::uint64_t requests() const;
  std::uint64_t errors() const;
};

inline constexpr std::array replay_operations{store::trace_operation::read,        store::trace_operation::write,
                                              store::trace_operation::flush,       store::trace_operation::trim,
                                              store::trace_operation::zero,        store::trace_operation::cache,
                                              store::trace_operation::block_status};
std::string_view operation_name(store::trace_operation op) noexcept;

struct replay_options {
  bool paced = true; // false: as fast as the depth allows
  std::uint32_t depth = 1;
  std::uint64_t write_bytes_max = 0; // longest write, so that one buffer serves all when there is no model
  std::optional<std::chrono::nanoseconds> duration;
  write_model* model = nullptr; // borrowed; nullptr: do not verify
  std::function<bool()> interrupted;
  // Now and then: requests answered, bytes, time of the trace reached.
  std::function<void(std::uint64_t requests, std::uint64_t bytes, std::chrono::nanoseconds reached)> progress;
};

using request_pull = std::function<result<std::optional<planned_request>>()>;

// Ends when `pull` does and every answer is there, or early: see replay_result::end and ::failed.
replay_result run_replay(nbd_link& link, const request_pull& pull, const replay_options& options);

// Whether the second must not start while the first is in flight.
bool must_wait(const planned_request& in_flight, const planned_request& next) noexcept;

} // namespace gnomon::actors::cli
