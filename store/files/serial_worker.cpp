#include "store/files/serial_worker.hpp"

#include <pthread.h>

#include "config/log.hpp"

namespace gnomon::store {

serial_worker::serial_worker(std::string name, std::size_t tasks_max)
    : name_(std::move(name)), tasks_max_(tasks_max), thread_([this] { run(); }) {}

result<void> serial_worker::submit(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_)
      return fail(errc::shutting_down, name_ + ": stopping");
    if (tasks_.size() >= tasks_max_)
      return fail(errc::limit_reached, fmt::format("{}: {} tasks are waiting", name_, tasks_.size()));
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
  return {};
}

void serial_worker::stop() {
  std::lock_guard once(stop_mutex_);
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable())
    thread_.join();
}

void serial_worker::run() {
  pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
  for (std::unique_lock lock(mutex_);;) {
    wake_.wait(lock, [&] { return stopping_ || !tasks_.empty(); });
    if (tasks_.empty())
      return;
    auto task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    try {
      task();
    } catch (const std::exception& e) {
      log::error("{}: a task threw: {}", name_, e.what());
    }
    task = nullptr;
    lock.lock();
  }
}

} // namespace gnomon::store
