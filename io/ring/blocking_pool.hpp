// A few threads for calls that may block and are not worth a ring: opening and growing files, seeking for holes,
// waiting for a drain. Bounded queue. submit() from any thread; jobs run in order of arrival, several at once.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace gnomon::io {

class blocking_pool {
public:
  static constexpr std::size_t queue_max = 16384;

  explicit blocking_pool(unsigned threads);
  ~blocking_pool() { stop(); }
  // False when the queue is full or the pool has stopped; the job is not kept.
  bool submit(std::function<void()> job);
  // Finishes what is queued, then joins. Idempotent.
  void stop();

private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

} // namespace gnomon::io
