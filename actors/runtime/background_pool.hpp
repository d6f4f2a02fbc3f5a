// The threads on which everything runs that takes long and nobody's I/O waits for: fits, reads of the history, what a
// person asks of them. Fits run at idle priority and within a budget of CPU, most urgent first, oldest first within
// an urgency. One more thread, at a low priority, serves requests that a client waits for and nothing else, so that nobody waits behind a long
// or hung fit, or for ever on a busy machine.
//
// Any thread may call every member. A job runs on a fit thread and ends by an anon_send to a weak handle: it must not
// keep an actor alive, wait for one, or touch what the stop takes down before the pool (node.cpp has the order).
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "config/clock.hpp"
#include "config/error.hpp"

namespace gnomon::actors {

// A leaky bucket of CPU seconds: what was spent runs off at `budget` seconds of CPU per second of time, and work may
// begin when nothing is left in it. A value; guarded by its owner.
class cpu_allowance {
public:
  explicit cpu_allowance(double budget) : budget_(budget) {}
  void set_budget(double budget, boot_time now) { settle(now), budget_ = budget; }
  void spend(double cpu_seconds, boot_time now) { settle(now), owed_ += cpu_seconds; }
  // When work may begin: `now` or later.
  boot_time free_at(boot_time now);

private:
  void settle(boot_time now);
  double budget_; // > 0
  double owed_ = 0;
  boot_time settled_{};
};

class background_pool {
public:
  // person_waits is outside the CPU budget. Within one urgency the oldest goes first.
  enum class urgency : std::uint8_t { person_waits, critical, normal, low };

  static constexpr unsigned threads_max = 16;
  static constexpr double cpu_budget_min = 0.001;
  struct options {
    unsigned threads = 1;     // 1 .. threads_max, and one for waiting clients
    double cpu_budget = 0.25; // of one core, all threads together; at least cpu_budget_min
    std::size_t queued_max = 16'384;
  };

  struct job {
    std::string name; // "fit db": shown by now(); two jobs of one name never run at the same time
    urgency level = urgency::normal;
    std::function<void()> run; // what it throws is caught, counted and logged
  };

  struct status {
    std::size_t queued = 0;
    std::string running; // names; empty: none
    std::uint64_t done = 0;
    std::uint64_t failed = 0;   // threw
    double cpu_seconds = 0;     // of all jobs
    double longest_seconds = 0; // of one job, by the wall clock; a running one counts so far
    double cpu_budget = 0;
  };

  explicit background_pool(options wanted);
  ~background_pool() { stop(); }
  background_pool(const background_pool&) = delete;
  background_pool& operator=(const background_pool&) = delete;

  // A job of the same name that still waits is replaced: it keeps its place, or takes the more urgent one. The job of
  // that name that runs already is left alone. limit_reached: queued_max wait; shutting_down: after stop().
  result<void> submit(job wanted);
  // Takes effect at once, also for what waits.
  void set_cpu_budget(double budget);
  status now() const;
  // Finishes what runs, drops the rest, joins. Blocks as long as a job does. Idempotent.
  void stop();

private:
  enum class serves { fits, clients };
  using place = std::pair<urgency, std::uint64_t>; // lowest first
  struct running_job {
    std::string name;
    boot_time since;
  };

  void run(serves whom);
  // The job to run next, or end() and when to look again (boot_time::max(): when woken). Holds mutex_.
  std::map<place, job>::iterator pick(serves whom, boot_time now, boot_time& look_again);
  bool runs(const std::string& name) const;
  void execute(job picked, std::unique_lock<std::mutex>& lock);

  const std::size_t queued_max_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::map<place, job> waiting_;
  std::unordered_map<std::string, place> places_; // of the waiting ones, by name
  std::vector<running_job> running_;
  std::uint64_t next_place_ = 0;
  cpu_allowance allowance_;
  status totals_;
  bool stopping_ = false;
  std::mutex stop_mutex_;
  std::vector<std::thread> threads_; // last: they use all of the above
};

} // namespace gnomon::actors
