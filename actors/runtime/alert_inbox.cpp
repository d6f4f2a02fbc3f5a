#include "actors/runtime/alert_inbox.hpp"

#include <algorithm>
#include <utility>

namespace gnomon::actors {

void alert_inbox::on_alert(std::function<void()> wake) {
  std::lock_guard lock(mutex_);
  wake_ = std::move(wake);
}

void alert_inbox::push(io::alert event) {
  std::function<void()> wake;
  {
    std::lock_guard lock(mutex_);
    if (events_.size() >= inbox_events_max) {
      ++dropped_;
      if (event.what != io::alert::kind::sync_failed)
        return;
      const auto victim = std::find_if(events_.begin(), events_.end(),
                                       [](const auto& e) { return e.what != io::alert::kind::sync_failed; });
      if (victim != events_.end())
        events_.erase(victim);
    }
    events_.push_back(std::move(event));
    // Woken for each event, not only the first: a wake-up that met a dead actor must not be the last one.
    wake = wake_;
  }
  if (wake)
    wake();
}

std::optional<io::alert> alert_inbox::front() const {
  std::lock_guard lock(mutex_);
  if (events_.empty())
    return std::nullopt;
  return events_.front();
}

void alert_inbox::pop() {
  std::lock_guard lock(mutex_);
  if (!events_.empty())
    events_.pop_front();
}

std::uint64_t alert_inbox::dropped() const {
  std::lock_guard lock(mutex_);
  return dropped_;
}

std::size_t alert_inbox::size() const {
  std::lock_guard lock(mutex_);
  return events_.size();
}

} // namespace gnomon::actors
