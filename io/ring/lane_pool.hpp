// Threads for calls that may wait for a disk for as long as it likes (seeking for holes), shared by lanes. A lane is
// one volume's line: at most `lane_threads_max` threads work for it at a time, so that a disk that hangs holds those
// and no others. Threads are made when there is work and end after a while without.
//
// submit() from any thread. Jobs of a lane begin in order.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

namespace gnomon::io {

class lane_pool {
public:
  static constexpr unsigned threads_max = 64;     // of all lanes together
  static constexpr unsigned lane_threads_max = 2; // of one lane
  static constexpr std::size_t lane_queue_max = 32768; // above what a volume admits, so that it is never reached
  static constexpr std::chrono::seconds idle_max{10};

  class lane {
    friend class lane_pool;
    std::deque<std::function<void()>> queue_;
    unsigned running_ = 0;
    bool listed_ = false; // in ready_
  };

  lane_pool() = default;
  ~lane_pool();
  lane_pool(const lane_pool&) = delete;
  lane_pool& operator=(const lane_pool&) = delete;

  // False when the lane is full, the pool has stopped, or no thread could be made and none is there. The job is not
  // kept then.
  bool submit(const std::shared_ptr<lane>& to, std::function<void()> job);
  // Takes no more jobs and waits until those queued are done. False: some were not by `until` (a disk does not
  // answer); the pool must not be destroyed then.
  bool stop(std::chrono::steady_clock::time_point until);

private:
  void list(const std::shared_ptr<lane>& l); // with mutex_ held
  bool add_thread(); // with mutex_ held
  void run();

  std::mutex mutex_;
  std::condition_variable work_, ended_;
  std::deque<std::shared_ptr<lane>> ready_; // lanes with jobs and fewer than lane_threads_max threads, first come, first served
  unsigned threads_ = 0, idle_ = 0;
  bool stopping_ = false;
};

} // namespace gnomon::io
