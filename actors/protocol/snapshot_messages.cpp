#include "actors/protocol/snapshot_messages.hpp"

#include <algorithm>
#include <limits>
#include <type_traits>

namespace gnomon::actors {

std::string_view to_string(snapshot_state state) noexcept {
  switch (state) {
  case snapshot_state::capturing:
    return "capturing";
  case snapshot_state::complete:
    return "complete";
  case snapshot_state::failed:
    return "failed";
  }
  return "unknown";
}

std::string_view to_string(member_phase phase) noexcept {
  switch (phase) {
  case member_phase::idle:
    return "idle";
  case member_phase::holding:
    return "holding";
  case member_phase::capturing:
    return "capturing";
  case member_phase::complete:
    return "complete";
  case member_phase::failed:
    return "failed";
  }
  return "unknown";
}

void apply(const group_change& change, group_rule& rule) {
  const auto set = [](auto& value, std::int64_t wanted) {
    using type = std::remove_reference_t<decltype(value)>;
    if (wanted >= 0)
      value = static_cast<type>(std::min<std::int64_t>(wanted, std::numeric_limits<std::int32_t>::max()));
  };
  set(rule.prediction, change.prediction);
  set(rule.every_s, change.every_s);
  set(rule.latest_by_s, change.latest_by_s);
  set(rule.baseline_every_s, change.baseline_every_s);
  set(rule.quiet_below_permille, change.quiet_below_permille);
  set(rule.retain, change.retain);
  set(rule.hourly, change.hourly);
  set(rule.daily, change.daily);
  set(rule.weekly, change.weekly);
}

} // namespace gnomon::actors
