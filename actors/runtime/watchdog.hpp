// Makes sure that a stop ends: names what hangs, and ends the process at the hard limit. A thread of its own, which
// only waits, logs and, as the last resort, calls _exit. Owned by whoever stops the node; any thread may say stage().
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace gnomon::actors {

struct watchdog_limits {
  std::chrono::milliseconds complain_every{5'000}; // a stage that takes longer is named in the log, again and again
  std::chrono::milliseconds total{60'000};         // then the process ends
};

class watchdog {
public:
  // `at_the_limit` is called with the stage that hangs; the default logs it and ends the process with exit code 1.
  explicit watchdog(watchdog_limits limits, std::function<void(const std::string&)> at_the_limit = {});
  ~watchdog(); // the stop has ended
  watchdog(const watchdog&) = delete;

  // What is being waited for from now on, in words.
  void stage(std::string what);

private:
  void watch();

  const watchdog_limits limits_;
  const std::function<void(const std::string&)> at_the_limit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string stage_ = "beginning";
  std::chrono::steady_clock::time_point stage_since_;
  bool done_ = false;
  std::thread thread_;
};

} // namespace gnomon::actors
