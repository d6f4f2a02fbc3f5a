#include "actors/protocol/snapshot_messages.hpp"

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

} // namespace gnomon::actors
