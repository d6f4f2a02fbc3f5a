#include "actors/runtime/restart_policy.hpp"

#include <algorithm>
#include <cmath>

namespace gnomon::actors {

std::optional<std::chrono::milliseconds> restart_tracker::on_death(boot_time now, double random) {
  while (!deaths_.empty() && now - deaths_.front() > policy_.window)
    deaths_.pop_front();
  deaths_.push_back(now);
  const bool too_often = deaths_.size() > policy_.restarts_max;
  if (too_often)
    deaths_.pop_front();
  if (too_often && !policy_.for_ever)
    return std::nullopt;
  if (too_often) {
    ++restarts_;
    failing_since_ = now;
    return policy_.backoff_max;
  }
  ++restarts_;
  // The row is as long as the deaths in the window: a child that lived through one starts over.
  const double wait = static_cast<double>(policy_.backoff_first.count()) *
                      std::pow(policy_.backoff_factor, static_cast<double>(deaths_.size() - 1));
  const double capped = std::min(wait, static_cast<double>(policy_.backoff_max.count()));
  const double factor = 1.0 + policy_.jitter * (2.0 * random - 1.0);
  return std::chrono::milliseconds(static_cast<std::int64_t>(capped * factor));
}

bool restart_tracker::failing(boot_time now) const noexcept {
  return failing_since_ && now - *failing_since_ <= policy_.window;
}

} // namespace gnomon::actors
