// When a dead child is started again, and when its supervisor gives up: exponential backoff with jitter, a maximum of
// restarts within a window. Plain values, no CAF, no clock of its own: the caller brings time and randomness.
// One thread at a time (the supervision tree guards it).
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

#include "config/clock.hpp"

namespace gnomon::actors {

struct restart_policy {
  std::chrono::milliseconds backoff_first{100}; // before the first restart of a row
  std::chrono::milliseconds backoff_max{10'000};
  double backoff_factor = 2.0;
  double jitter = 0.2;            // each wait is changed by up to +-20 %, so that many do not march in step
  std::uint32_t restarts_max = 5; // within the window; one death more and the supervisor gives up
  std::chrono::seconds window{60};
  std::chrono::seconds revive_after{300}; // a given-up child gets another chance after this
  bool for_ever = false;                  // never given up: tried again at backoff_max, since nothing can do without it
};
// Of the actors whose absence costs everybody something.
inline restart_policy retried_for_ever() {
  restart_policy policy;
  policy.for_ever = true;
  return policy;
}

class restart_tracker {
public:
  explicit restart_tracker(restart_policy policy = {}) : policy_(policy) {}

  // The child died at `now`. `random` in [0, 1) decides the jitter. Returns how long to wait, or nothing: give up.
  std::optional<std::chrono::milliseconds> on_death(boot_time now, double random);
  // It died restarts_max times within the window, and more: somebody should look.
  bool failing(boot_time now) const noexcept;
  // A given-up child gets another chance: its past is forgotten.
  void forget() { deaths_.clear(), failing_since_.reset(); }
  std::uint32_t restarts() const noexcept { return restarts_; }
  const restart_policy& policy() const noexcept { return policy_; }

private:
  restart_policy policy_;
  std::deque<boot_time> deaths_; // within the window, at most restarts_max + 1
  std::uint32_t restarts_ = 0;   // since the node started
  std::optional<boot_time> failing_since_; // the last death beyond restarts_max
};

} // namespace gnomon::actors
