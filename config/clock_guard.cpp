#include "config/clock_guard.hpp"

namespace gnomon {

clock_guard::clock_guard(const clock_source& clock, std::optional<wall_time> seen)
    : clock_(clock), believed_(seen.value_or(clock.wall_now())), believed_at_(clock.boot_now()) {}

wall_time clock_guard::look() const {
  const auto boot = clock_.boot_now();
  const auto shown = clock_.wall_now();
  const auto expected = believed_ + std::chrono::duration_cast<microseconds>(boot - believed_at_);
  const bool leaps = shown - expected > clock_leap_max;
  if (leaps && !held_since_)
    held_since_ = boot;
  if (!leaps || boot - *held_since_ >= clock_confirmed_after)
    held_since_.reset();
  believed_ = held_since_ ? expected : shown;
  believed_at_ = boot;
  return believed_;
}

wall_time clock_guard::wall_now() const {
  std::lock_guard lock(mutex_);
  return look();
}

clock_guard::state clock_guard::now() const {
  std::lock_guard lock(mutex_);
  state out;
  out.believed = look();
  out.shown = clock_.wall_now();
  out.held = held_since_.has_value();
  if (out.held)
    out.confirmed_in = std::chrono::duration_cast<std::chrono::seconds>(
        clock_confirmed_after - (clock_.boot_now() - *held_since_));
  return out;
}

void clock_guard::accept() {
  std::lock_guard lock(mutex_);
  held_since_.reset();
  believed_ = clock_.wall_now();
  believed_at_ = clock_.boot_now();
}

} // namespace gnomon
