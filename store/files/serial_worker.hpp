// One thread that runs tasks in the order in which they came, with a bounded queue. submit() may be called from any
// thread; stop() runs what is queued and joins. Tasks may block; what they throw is logged and dropped.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "config/error.hpp"

namespace gnomon::store {

class serial_worker {
public:
  // `name` (at most 15 characters) is the thread's; `tasks_max` is how many may wait.
  serial_worker(std::string name, std::size_t tasks_max);
  ~serial_worker() { stop(); }
  serial_worker(const serial_worker&) = delete;

  // limit_reached: too many tasks wait; shutting_down: after stop().
  result<void> submit(std::function<void()> task);
  void stop();
  bool is_current_thread() const noexcept { return std::this_thread::get_id() == thread_.get_id(); }

private:
  void run();

  const std::string name_;
  const std::size_t tasks_max_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  bool stopping_ = false;
  std::mutex stop_mutex_;
  std::thread thread_;
};

} // namespace gnomon::store
