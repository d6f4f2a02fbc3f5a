// Threads for work that takes milliseconds and may wait: fitting forecasts, reading history, drawing pictures. Actors
// stand in front of it: they submit a job and get a message when it is done. Owned by the node; stopped after the
// actors, before the history it reads.
//
// Order: what a person waits for, then critical, normal and low; within one the oldest first. All but the first obey
// a CPU budget: after a job that took t of CPU the pool rests for t * (1 / budget - 1). Threads run at idle priority,
// so that a fit never takes a processor that serves I/O wants.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "config/clock.hpp"
#include "config/error.hpp"

namespace gnomon::actors {

class fit_pool {
public:
  enum class urgency : std::uint8_t { person_waits, critical, normal, low };
  static constexpr std::size_t urgency_count = 4;
  struct options {
    unsigned threads = 1;
    double cpu_budget = 0.25; // of one core, (0, 1]; what a person waits for is outside it
    std::size_t queued_max = 16'384;
  };
  // `run`: on one of the pool's threads; ends by a message to a weak handle. What it throws is caught and counted.
  struct job {
    std::string name; // "forecast db": replaces a job of that name that still waits, in its place
    urgency level = urgency::normal;
    std::function<void()> run;
  };
  struct status {
    std::size_t queued = 0;
    std::string running; // empty: none
    std::uint64_t done = 0, failed = 0;
    double cpu_seconds = 0, longest_seconds = 0; // CPU of all jobs; wall time of the longest
  };

  explicit fit_pool(options wanted);
  ~fit_pool() { stop(); }
  fit_pool(const fit_pool&) = delete;
  fit_pool& operator=(const fit_pool&) = delete;

  // Any thread, returns at once. limit_reached, shutting_down.
  result<void> submit(job wanted);
  void set_cpu_budget(double budget);
  status now() const;
  // Finishes the jobs that run, drops the rest, joins. Idempotent; blocks.
  void stop();

private:
  void work();
  bool take(job& next, std::unique_lock<std::mutex>& lock);

  const options options_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<job> queues_[urgency_count];
  double budget_;
  std::chrono::steady_clock::time_point rest_until_{};
  status status_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

} // namespace gnomon::actors
