// The wall clock as far as it can be believed, for whatever deletes by age: a machine that starts with its clock weeks
// ahead must not lose weeks of what it keeps. When the clock leaps ahead - against what was seen before the start, or
// against the monotonic clock - ages go on being told by the time before the leap plus the time that passed since,
// until an operator accepts the new time or it has stood for clock_confirmed_after. Thread-safe.
#pragma once

#include <mutex>
#include <optional>

#include "config/clock.hpp"

namespace gnomon {

inline constexpr std::chrono::hours clock_leap_max{48};        // ahead of what was expected; more is held
inline constexpr std::chrono::hours clock_confirmed_after{24}; // a node that was off for long goes on by itself

class clock_guard final : public clock_source {
public:
  // `seen`: the time that was believed last before this start (believed()), kept by the owner.
  explicit clock_guard(const clock_source& clock, std::optional<wall_time> seen = {});

  wall_time wall_now() const override; // never a leap ahead
  boot_time boot_now() const override { return clock_.boot_now(); }

  struct state {
    bool held = false;
    wall_time believed, shown;           // what ages are told by, what the clock shows
    std::chrono::seconds confirmed_in{}; // until it goes by itself
  };
  state now() const;
  // An operator says that the clock is right.
  void accept();

private:
  wall_time look() const; // under mutex_

  const clock_source& clock_;
  mutable std::mutex mutex_;
  mutable wall_time believed_;
  mutable boot_time believed_at_;
  mutable std::optional<boot_time> held_since_;
};

} // namespace gnomon
