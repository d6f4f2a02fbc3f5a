#include "actors/protocol/volume_messages.hpp"

#include "actors/protocol/learning_messages.hpp"

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
  case volume_state::damaged:
    return "damaged";
  case volume_state::closing:
    return "closing";
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

std::string_view to_string(load_kind kind) noexcept {
  switch (kind) {
  case load_kind::requests:
    return "requests";
  case load_kind::bytes:
    return "bytes";
  case load_kind::reads:
    return "reads";
  case load_kind::writes:
    return "writes";
  case load_kind::read_bytes:
    return "read-bytes";
  case load_kind::write_bytes:
    return "write-bytes";
  }
  return "unknown";
}

} // namespace gnomon::actors
