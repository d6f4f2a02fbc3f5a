// The bounded inbox into which the data plane reports (io::alert): rings hold no actor handles, which would keep dead
// incarnations alive and miss restarts. push() may be called from any thread and never blocks for long; one actor,
// the event actor, peeks and pops. What a dead event actor had not popped is found by its next incarnation.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>

#include "io/engine/engine.hpp"

namespace gnomon::actors {

inline constexpr std::size_t inbox_events_max = 4096;

class alert_inbox {
public:
  // `wake` is called after every push, outside the lock; it must not block.
  void on_alert(std::function<void()> wake);
  // A full inbox drops the event and counts it, except failed syncs: those replace the oldest event of another kind,
  // because they must survive a restart. (There are at most as many failed volumes as volumes.)
  void push(io::alert event);
  std::optional<io::alert> front() const;
  void pop();
  std::uint64_t dropped() const;
  std::size_t size() const;

private:
  mutable std::mutex mutex_;
  std::deque<io::alert> events_;
  std::function<void()> wake_;
  std::uint64_t dropped_ = 0;
};

} // namespace gnomon::actors
