// What a replay will send and when: trace records in, requests that fit the export out. The planner is a pure state
// machine (no clock, no network); the survey reads the whole trace once, so that a damaged or oversized one is
// refused before the first request. One thread.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "actors/cli/grammar/command.hpp"
#include "store/files/trace_file.hpp"

namespace gnomon::actors::cli {

inline constexpr std::uint64_t replay_extent_bytes_max = 1ull << 30; // per trim, zeroing, cache, block status request

// What the export told about itself.
struct export_facts {
  std::uint64_t size_bytes = 0;
  std::uint64_t alignment_bytes = 512;       // the export's minimum block, at least a sector
  std::uint64_t payload_bytes_max = 1 << 25; // of one read or write
  bool read_only = false, multi_conn = false;
  bool can_flush = false, can_trim = false, can_zero = false, can_cache = false, can_block_status = false;
};

// What is in the trace, after the filters of the command.
struct trace_survey {
  std::uint64_t records = 0;
  std::uint64_t span_us = 0;      // from the first to the latest
  std::uint64_t extent_bytes = 0; // end of the request that reaches farthest
  std::uint64_t write_bytes_max = 0;
  bool changes_data = false;
  std::vector<std::string> volumes; // in the whole trace, whatever the filters
};

// `progress`, called now and then, gets 0..1 and says whether to go on. corrupt, not_found …; invalid_argument: a
// filter that leaves nothing, or several volumes and no choice among them; unavailable: not gone on.
result<trace_survey> survey_trace(const replay_command& wanted, const std::function<bool(double)>& progress);

struct planned_request {
  std::chrono::nanoseconds intended{0}; // from the start of the replay; 0 at maximum speed
  store::trace_operation op = store::trace_operation::read;
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0; // 0: flush
  friend bool operator==(const planned_request&, const planned_request&) = default;
};

// What became of records that could not be sent as they are.
struct plan_counters {
  std::uint64_t records = 0;     // planned so far, left-out ones included
  std::uint64_t moved = 0;       // by --wrap or --scale
  std::uint64_t aligned = 0;     // grown to the alignment of the export
  std::uint64_t shortened = 0;   // longer than the whole export
  std::uint64_t split = 0;       // longer than one request may be
  std::uint64_t unsupported = 0; // left out: the export cannot do that
  std::uint64_t left_out = 0;    // left out: --reads-only, or of length 0
};

class replay_planner {
public:
  // out_of_range: the trace reaches beyond the export and the policy is to refuse; permission_denied: it changes data
  // and the export is read-only; invalid_argument: the export holds nothing.
  static result<replay_planner> make(const replay_command& wanted, const trace_survey& survey,
                                     const export_facts& facts);

  // Appends the requests this record becomes: none, one, or the parts of a large one. Times never go back.
  void plan(const store::trace_record& record, std::vector<planned_request>& out);
  const plan_counters& counters() const noexcept { return counters_; }

private:
  bool possible(store::trace_operation op) const noexcept;
  std::uint64_t place(std::uint64_t offset, std::uint64_t length);

  export_facts facts_;
  beyond_policy beyond_ = beyond_policy::refuse;
  bool reads_only_ = false;
  std::optional<double> speed_;
  std::uint64_t usable_bytes_ = 0; // of the export, a multiple of the alignment
  double scale_ = 1;
  std::optional<std::uint64_t> first_us_;
  std::chrono::nanoseconds last_{0};
  plan_counters counters_;
};

// The records of the command's trace as requests, read as they are needed.
class replay_source {
public:
  static result<replay_source> open(const replay_command& wanted, replay_planner planner);
  // nullopt: the end.
  result<std::optional<planned_request>> next();
  const plan_counters& counters() const noexcept { return planner_.counters(); }

private:
  replay_source(store::trace_reader reader, replay_planner planner, const replay_command& wanted)
      : reader_(std::move(reader)), planner_(std::move(planner)), only_(wanted.volume),
        left_(wanted.limit.value_or(UINT64_MAX)) {}

  store::trace_reader reader_;
  replay_planner planner_;
  std::string only_;
  std::uint64_t left_;
  std::vector<store::trace_record> batch_;
  std::size_t at_ = 0;
  std::vector<planned_request> ready_;
  std::size_t ready_at_ = 0;
};

} // namespace gnomon::actors::cli
