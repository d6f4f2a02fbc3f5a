// When a ring pauses before it looks for more requests. A client with much in flight sends one request after the other;
// a ring that keeps pace with it carries each out alone and pays for every one what a turn costs. If it pauses for a
// moment instead, the requests gather in the socket and are received, carried out and answered together. That costs
// the client nothing as long as it still has replies to deal with, and a lot if it had none: so it is tried, kept only
// while as many requests come through as without, and tried again later.
//
// Ring thread only. Does not sleep itself.
#pragma once

#include <chrono>

#include "config/clock.hpp"

namespace gnomon::io {

class gather_pace {
public:
  static constexpr std::chrono::microseconds pause{25};

  // Pause before the next wait?
  bool gathering() const noexcept { return gathering_; }
  // After each turn: the client requests it carried out, and the time.
  void turned(unsigned requests, boot_time now) noexcept;

  static constexpr unsigned window_requests = 512;     // what a rate is measured over
  static constexpr unsigned trial_requests = 128;      // the same for the first window of a trial
  static constexpr unsigned trial_turns = 16;          // after which a trial must have gathered something
  static constexpr std::chrono::microseconds dense{16}; // per request; with fewer there is nothing to gather
  static constexpr unsigned crowd = 4;                 // requests per turn that gather by themselves
  static constexpr unsigned pair = 2;                  // requests per turn below which gathering is in vain
  static constexpr unsigned windows_between_trials_min = 8, windows_between_trials_max = 256;
  static constexpr unsigned windows_kept_max = 128;    // then the rate without is measured anew
  static constexpr unsigned slower_percent_max = 8;

private:
  void begin(bool gathering, boot_time now) noexcept;
  void end_plain_window(std::chrono::nanoseconds each, boot_time now) noexcept;
  void end_gathering_window(std::chrono::nanoseconds each, boot_time now) noexcept;
  void give_up(boot_time now) noexcept;

  bool gathering_ = false;
  unsigned requests_ = 0, turns_ = 0; // of the present window
  boot_time since_{};
  std::chrono::nanoseconds plain_each_{0}; // per request in the last window without pauses
  unsigned windows_to_wait_ = 0, between_trials_ = windows_between_trials_min, windows_kept_ = 0;
};

} // namespace gnomon::io
