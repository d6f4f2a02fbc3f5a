// Plans, and what became of them: carries decisions out, a bounded number at a time, remembers what was placed, dropped and used,
// and keeps the last decisions with their reasons for operators. A failed execution is tried again with growing pauses.
// A value without clock, lock or CAF: one thread at a time. The planner actor owns it, and lends it to its job.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "actors/planning/planning_input.hpp"
#include "forecasting/planner/plan.hpp"

namespace gnomon::actors {

inline constexpr std::size_t executions_per_plan_max = 64;
inline constexpr std::size_t plan_log_max = 1'000;
inline constexpr double retry_seconds_min = 1, retry_seconds_max = 600;
inline constexpr std::size_t plan_memory_rows_max = 65'536; // of each kind; those changed longest ago go

// How decisions are carried out: io::engine, or a test's.
struct plan_actions {
  std::function<result<void>(volume_uuid, io::chunk_run)> widen, narrow;
};

// One decision, seen in one plan or in several after each other.
struct plan_entry {
  double first_seconds = 0, last_seconds = 0; // of the plans that made it
  std::uint64_t times = 1;
  forecasting::decision_kind kind = forecasting::decision_kind::create;
  std::string volume, node;
  std::uint64_t first_chunk = 0, chunks = 1;
  double bytes = 0;
  std::string text;    // as `gnomon simulate` prints it
  std::string outcome; // "done", "advice", "waits: …", "failed: …"
};

struct finished_plan {
  std::shared_ptr<const planning_input> input; // what it was made from
  forecasting::plan_result result;
  std::vector<std::string> lines;  // its decisions, as `gnomon simulate` prints them
  std::vector<plan_entry> entries; // what became of them; empty until they are carried out
  std::vector<std::pair<volume_uuid, io::read_prediction>> predictions; // for the rings
  std::vector<announcement> announced; // to be sent to other nodes
  std::size_t left_out = 0;
  double made_seconds = 0, took_seconds = 0;
  std::string problem; // why there is none
};

class plan_book {
public:
  // Chunks that the node holds now; some came and went without the planner's doing.
  void look(const io::cluster_report& cluster, double now_seconds);
  // Takes milliseconds, and seconds for thousands of volumes.
  finished_plan plan(const planning_facts& facts);
  // Once for each plan. Returns at once where the actions do.
  void carry_out(finished_plan& plan, const plan_actions& actions);

  const planning_memory& memory() const { return memory_; }
  const std::deque<plan_entry>& log() const { return log_; } // oldest first
  std::uint64_t executed() const { return executed_; }
  std::uint64_t failed() const { return failed_; }

private:
  struct pause {
    double until_seconds = 0, length_seconds = 0;
  };
  std::string execute(const planning_input& from, const forecasting::decision& d, const plan_actions& actions,
                      double now_seconds, std::size_t& left);
  void predict(const planning_facts& facts, finished_plan& plan) const;
  void note(const planning_input& from, const forecasting::decision& d, double now_seconds);
  void gone(const volume_chunk& where); // its copies count for or against what brought them
  void remember(const planning_input& from, const forecasting::plan_result& made,
                const std::vector<bool>& done);
  void write_down(plan_entry entry);
  void bound();

  planning_memory memory_;
  std::map<volume_uuid, pause> pauses_;
  std::deque<plan_entry> log_;
  double planned_seconds_ = 0;
  std::uint64_t executed_ = 0, failed_ = 0;
};

} // namespace gnomon::actors
