#include "io/ring/lane_pool.hpp"

#include <cassert>
#include <system_error>
#include <thread>
#include <utility>

namespace gnomon::io {

lane_pool::~lane_pool() {
  [[maybe_unused]] const bool ended = stop(std::chrono::steady_clock::now() + std::chrono::hours{1});
  assert(ended);
}

bool lane_pool::submit(const std::shared_ptr<lane>& to, std::function<void()> job) {
  const std::lock_guard lock{mutex_};
  if (stopping_ || to->queue_.size() >= lane_queue_max)
    return false;
  to->queue_.push_back(std::move(job));
  list(to);
  if (ready_.size() > idle_ && !add_thread() && threads_ == 0) {
    to->queue_.pop_back(); // it is the lane's only job: somebody would have taken an earlier one
    std::erase(ready_, to);
    to->listed_ = false;
    return false;
  }
  work_.notify_one();
  return true;
}

void lane_pool::list(const std::shared_ptr<lane>& l) {
  if (l->listed_ || l->queue_.empty() || l->running_ >= lane_threads_max)
    return;
  l->listed_ = true;
  ready_.push_back(l);
}

bool lane_pool::add_thread() {
  if (threads_ >= threads_max)
    return false;
  try {
    std::thread([this] { run(); }).detach(); // stop() counts them
  } catch (const std::system_error&) {
    return false;
  }
  ++threads_;
  return true;
}

bool lane_pool::stop(std::chrono::steady_clock::time_point until) {
  std::unique_lock lock{mutex_};
  stopping_ = true;
  work_.notify_all();
  return ended_.wait_until(lock, until, [this] { return threads_ == 0; });
}

void lane_pool::run() {
  std::unique_lock lock{mutex_};
  for (;;) {
    ++idle_;
    const bool called = work_.wait_for(lock, idle_max, [this] { return stopping_ || !ready_.empty(); });
    --idle_;
    if (!called || ready_.empty())
      break;
    const std::shared_ptr<lane> mine = std::move(ready_.front());
    ready_.pop_front();
    mine->listed_ = false;
    auto job = std::move(mine->queue_.front());
    mine->queue_.pop_front();
    ++mine->running_;
    list(mine); // its next job may run beside this one
    if (ready_.size() > idle_)
      (void)add_thread(); // what waits behind it does not depend on another submit
    lock.unlock();
    job();
    job = nullptr; // what it holds is let go without the lock
    lock.lock();
    --mine->running_;
    list(mine);
  }
  --threads_;
  ended_.notify_all(); // under the lock: the pool may be gone as soon as it is released
}

} // namespace gnomon::io
