// Stands in for a sleeping ring: a thread that sleeps until it is woken, and never otherwise, so that a lost wake-up
// shows as a test that does not end.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>

#include "io/ring/wake.hpp"

namespace gnomon::io::test {

class wakeable_rings {
public:
  explicit wakeable_rings(std::uint32_t count)
      : sleepers_(std::make_unique<sleeper[]>(count)), inboxes_(std::make_unique<ring_inbox[]>(count)),
        count_(count) {}

  ring_waker waker() {
    return {[](void* self, ring_index ring) { static_cast<wakeable_rings*>(self)->wake(ring); }, this};
  }
  resume_target target() { return {inboxes_.get(), count_, waker()}; }
  ring_inbox& inbox(ring_index ring) { return inboxes_[ring.value]; }

  void wake(ring_index ring) {
    sleeper& s = sleepers_[ring.value];
    {
      const std::lock_guard lock(s.mutex);
      s.woken = true;
    }
    s.condition.notify_one();
  }
  void sleep_until_woken(ring_index ring) {
    sleeper& s = sleepers_[ring.value];
    std::unique_lock lock(s.mutex);
    s.condition.wait(lock, [&] { return s.woken; });
    s.woken = false;
  }

private:
  struct sleeper {
    std::mutex mutex;
    std::condition_variable condition;
    bool woken = false;
  };
  std::unique_ptr<sleeper[]> sleepers_;
  std::unique_ptr<ring_inbox[]> inboxes_;
  std::uint32_t count_;
};

} // namespace gnomon::io::test
