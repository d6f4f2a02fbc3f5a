#include "io/ring/gather_pace.hpp"

#include <algorithm>

namespace gnomon::io {

void gather_pace::turned(unsigned requests, boot_time now) noexcept {
  if (requests == 0)
    return;
  ++turns_;
  requests_ += requests;
  const bool trial = gathering_ && windows_kept_ == 0;
  if (trial && turns_ >= trial_turns && requests_ < turns_ * pair)
    return give_up(now);
  if (requests_ < (trial ? trial_requests : window_requests))
    return;
  const std::chrono::nanoseconds each = (now - since_) / requests_;
  if (gathering_)
    end_gathering_window(each, now);
  else
    end_plain_window(each, now);
}

void gather_pace::end_plain_window(std::chrono::nanoseconds each, boot_time now) noexcept {
  const bool worth_a_trial = each <= dense && requests_ < turns_ * crowd;
  if (windows_to_wait_ > 0)
    --windows_to_wait_;
  plain_each_ = each;
  begin(worth_a_trial && windows_to_wait_ == 0, now);
}

void gather_pace::end_gathering_window(std::chrono::nanoseconds each, boot_time now) noexcept {
  if (each > plain_each_ + plain_each_ * slower_percent_max / 100 || requests_ < turns_ * pair)
    return give_up(now);
  between_trials_ = windows_between_trials_min;
  if (++windows_kept_ < windows_kept_max)
    return begin(true, now);
  windows_kept_ = 0;
  begin(false, now);
}

void gather_pace::give_up(boot_time now) noexcept {
  windows_to_wait_ = between_trials_;
  between_trials_ = std::min(between_trials_ * 2, windows_between_trials_max);
  windows_kept_ = 0;
  begin(false, now);
}

void gather_pace::begin(bool gathering, boot_time now) noexcept {
  gathering_ = gathering;
  requests_ = turns_ = 0;
  since_ = now;
}

} // namespace gnomon::io
