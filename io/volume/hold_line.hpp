// The requests of one ring that wait because a group cut holds their volume's new writes. Ring thread only.
// A hold ends by release (control side) or, here, by its deadline: a dead coordinator freezes nobody.
#pragma once

#include <vector>

#include "config/clock.hpp"
#include "io/ring/ring.hpp"
#include "io/ring/wake.hpp"

namespace gnomon::io {

class volume_core;

class hold_line {
public:
  void set_ring(ring& on) noexcept { ring_ = &on; }
  // After enter() said held. Resumes `node` at once if the hold has ended meanwhile.
  void park(volume_core& core, parked& node);
  // Each turn: ends holds whose deadline has passed, lets go what need not wait any more.
  void turn();
  bool empty() const noexcept { return lines_.empty(); }

private:
  struct line {
    volume_core* core;
    std::vector<parked*> waiting;
  };
  struct alarm_completion : completion {
    hold_line* line = nullptr;
  };

  void arm(boot_time deadline);

  ring* ring_ = nullptr;
  std::vector<line> lines_;
  alarm_completion alarm_;
  __kernel_timespec alarm_span_{};
  bool alarm_armed_ = false;
  boot_time alarm_deadline_{}; // while it is armed
};

} // namespace gnomon::io
