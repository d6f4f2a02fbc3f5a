#include "config/clock.hpp"

#include <ctime>

namespace gnomon {

boot_clock::time_point boot_clock::now() noexcept {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return time_point{std::chrono::seconds{now.tv_sec} + nanoseconds{now.tv_nsec}};
}

namespace {
class machine_clock final : public clock_source {
public:
  wall_time wall_now() const override {
    return std::chrono::time_point_cast<microseconds>(std::chrono::system_clock::now());
  }
  boot_time boot_now() const override { return boot_clock::now(); }
};
} // namespace

const clock_source& system_clock_source() {
  static const machine_clock clock;
  return clock;
}

} // namespace gnomon
