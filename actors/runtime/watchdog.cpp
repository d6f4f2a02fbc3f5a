#include "actors/runtime/watchdog.hpp"

#include <unistd.h>

#include "config/log.hpp"

namespace gnomon::actors {

watchdog::watchdog(watchdog_limits limits, std::function<void(const std::string&)> at_the_limit)
    : limits_(limits), at_the_limit_(std::move(at_the_limit)), stage_since_(std::chrono::steady_clock::now()),
      thread_([this] { watch(); }) {}

watchdog::~watchdog() {
  {
    std::lock_guard lock(mutex_);
    done_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void watchdog::stage(std::string what) {
  log::info("stopping: {}", what);
  std::lock_guard lock(mutex_);
  stage_ = std::move(what);
  stage_since_ = std::chrono::steady_clock::now();
}

void watchdog::watch() {
  std::unique_lock lock(mutex_);
  const auto end = std::chrono::steady_clock::now() + limits_.total;
  while (!done_) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= end) {
      const auto stage = stage_;
      lock.unlock();
      if (at_the_limit_)
        return at_the_limit_(stage);
      log::error("stopping: \"{}\" hangs for ever; ending the process. What was answered as flushed is safe", stage);
      ::_exit(1);
    }
    changed_.wait_until(lock, std::min(now + limits_.complain_every, end));
    const auto waited = std::chrono::steady_clock::now() - stage_since_;
    if (!done_ && waited >= limits_.complain_every)
      log::warning("stopping: \"{}\" has taken {} s so far", stage_,
                   std::chrono::duration_cast<std::chrono::seconds>(waited).count());
  }
}

} // namespace gnomon::actors
