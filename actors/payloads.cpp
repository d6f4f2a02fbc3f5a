#include "actors/payloads.hpp"

namespace gnomon::actors {

std::string_view to_string(volume_state state) noexcept {
  switch (state) {
  case volume_state::serving:
    return "serving";
  case volume_state::writes_failed:
    return "writes failed";
  case volume_state::not_serving:
    return "not serving";
  case volume_state::deleted:
    return "deleted";
  }
  return "unknown";
}

std::string_view to_string(node_state state) noexcept {
  switch (state) {
  case node_state::starting:
    return "starting";
  case node_state::serving:
    return "serving";
  case node_state::stopping:
    return "stopping";
  }
  return "unknown";
}

} // namespace gnomon::actors
