// Time, injected so that tests and simulations own it. Implementations are thread-safe.
#pragma once

#include <chrono>
#include <cstdint>

namespace gnomon {

using microseconds = std::chrono::microseconds;
using nanoseconds = std::chrono::nanoseconds;

// Wall time: microseconds since 1970-01-01 UTC. May jump.
using wall_time = std::chrono::time_point<std::chrono::system_clock, microseconds>;

// Seconds since 1970-01-01 UTC, as forecasting counts them.
inline double seconds_of(wall_time t) noexcept { return static_cast<double>(t.time_since_epoch().count()) * 1e-6; }

// Time that never jumps back and goes on during suspend (CLOCK_BOOTTIME), in nanoseconds since boot.
struct boot_clock {
  using duration = nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<boot_clock>;
  static constexpr bool is_steady = true;
  static time_point now() noexcept;
};
using boot_time = boot_clock::time_point;

class clock_source {
public:
  virtual ~clock_source() = default;
  virtual wall_time wall_now() const = 0;
  virtual boot_time boot_now() const = 0;
};

// The machine's own clocks; lives for ever.
const clock_source& system_clock_source();

// A clock that moves only when told to (tests, simulate). Not thread-safe.
class manual_clock final : public clock_source {
public:
  explicit manual_clock(wall_time start = wall_time{}) : wall_(start) {}
  wall_time wall_now() const override { return wall_; }
  boot_time boot_now() const override { return boot_; }
  void advance(microseconds by) { wall_ += by, boot_ += by; }

private:
  wall_time wall_;
  boot_time boot_{};
};

} // namespace gnomon
