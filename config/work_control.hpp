// How a long piece of work in the background (a hydration, an archiving, a restore, a fill, a merge) is watched and
// steered: its progress in bytes, its budget, and whether it shall pause or end. Shared by the work and whoever watches
// it; knows neither. Any thread; go_on() alone may block, until a paused work is resumed or cancelled.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>

namespace gnomon {

class work_control {
public:
  enum class wish : std::uint8_t { run, pause, cancel };

  explicit work_control(std::uint64_t bytes_per_second = 0) : bytes_per_second_(bytes_per_second) {}
  work_control(const work_control&) = delete;
  work_control& operator=(const work_control&) = delete;

  // --- who steers. A cancelled work stays cancelled.
  void pause() { ask(wish::pause); }
  void resume() { ask(wish::run); }
  void cancel() { ask(wish::cancel); }
  wish wished() const noexcept { return wish_.load(std::memory_order_acquire); }
  bool cancelled() const noexcept { return wished() == wish::cancel; }
  bool paused() const noexcept { return wished() == wish::pause; }
  // 0: as fast as it goes.
  void set_bytes_per_second(std::uint64_t budget) noexcept { bytes_per_second_.store(budget, std::memory_order_relaxed); }
  std::uint64_t bytes_per_second() const noexcept { return bytes_per_second_.load(std::memory_order_relaxed); }

  // --- the work
  void set_total(std::uint64_t bytes) noexcept { total_.store(bytes, std::memory_order_relaxed); }
  void set_done(std::uint64_t bytes) noexcept { done_.store(bytes, std::memory_order_relaxed); }
  void add_done(std::uint64_t bytes) noexcept { done_.fetch_add(bytes, std::memory_order_relaxed); }
  // False: end at once. Waits while it is paused; for works with a thread of their own.
  bool go_on() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !paused(); });
    return !cancelled();
  }
  // Called after every change of wished(), on the thread that changed it; short. For works without a thread.
  void on_change(std::function<void()> listener) {
    std::lock_guard lock(mutex_);
    listener_ = std::move(listener);
  }

  std::uint64_t total() const noexcept { return total_.load(std::memory_order_relaxed); } // 0: not known
  std::uint64_t done() const noexcept { return done_.load(std::memory_order_relaxed); }

private:
  void ask(wish what) {
    std::function<void()> listener;
    {
      std::lock_guard lock(mutex_);
      if (!cancelled())
        wish_.store(what, std::memory_order_release);
      listener = listener_;
    }
    changed_.notify_all();
    if (listener)
      listener();
  }

  std::atomic<wish> wish_{wish::run};
  std::atomic<std::uint64_t> bytes_per_second_, total_{0}, done_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> listener_;
};

} // namespace gnomon
