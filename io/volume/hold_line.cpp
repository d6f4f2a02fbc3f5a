#include "io/volume/hold_line.hpp"

#include <algorithm>

#include "io/volume/core.hpp"

namespace gnomon::io {

void hold_line::park(volume_core& core, parked& node) {
  const ring_index here{ring_->index()};
  if (!core.generations().park(here))
    return node.resume(node);
  auto found = std::find_if(lines_.begin(), lines_.end(), [&](const line& l) { return l.core == &core; });
  if (found == lines_.end())
    found = lines_.insert(lines_.end(), line{&core, {}});
  found->waiting.push_back(&node);
  if (const auto deadline = core.generations().hold_deadline())
    arm(*deadline);
}

void hold_line::arm(boot_time deadline) {
  if (alarm_armed_) { // it looks at every line when it goes off
    if (deadline < alarm_deadline_) {
      alarm_deadline_ = deadline; // at most one cancellation for each nearer deadline
      ring_->submit_cancel(alarm_); // turn() follows and arms the nearest
    }
    return;
  }
  alarm_deadline_ = deadline;
  const auto left = std::max<nanoseconds>(deadline - boot_clock::now(), nanoseconds{1});
  alarm_span_ = {left.count() / 1'000'000'000, left.count() % 1'000'000'000};
  alarm_.line = this;
  alarm_.on_complete = [](completion& self, ring&, int, unsigned) {
    static_cast<alarm_completion&>(self).line->alarm_armed_ = false; // turn() follows
  };
  alarm_armed_ = true;
  ring_->submit_timeout(alarm_, &alarm_span_);
}

void hold_line::turn() {
  if (lines_.empty()) [[likely]]
    return;
  const boot_time now = boot_clock::now();
  const ring_index here{ring_->index()};
  std::vector<line> free_to_go;
  boot_time nearest = boot_time::max();
  for (auto& l : lines_) {
    auto& generations = l.core->generations();
    if (const auto deadline = generations.hold_deadline()) {
      if (*deadline > now) {
        nearest = std::min(nearest, *deadline);
        continue;
      }
      generations.expire(generations.current());
    }
    free_to_go.push_back({l.core, std::move(l.waiting)});
    l.core = nullptr;
  }
  std::erase_if(lines_, [](const line& l) { return l.core == nullptr; });
  if (nearest != boot_time::max())
    arm(nearest);
  for (auto& l : free_to_go) {
    const auto core = l.core->shared_from_this(); // the last request to leave may be what held it
    for (parked* node : l.waiting)
      node->resume(*node);
    core->generations().unpark(here);
  }
}

} // namespace gnomon::io
