// Callbacks of the catalogue and the engine as the outcome of a registry's step. For the registry's own files.
#pragma once

#include "actors/volumes/registry.hpp"

namespace gnomon::actors {

// A catalogue callback as a step's.
inline auto forward(registry_state::step_done done) {
  return [done = std::move(done)](result<store::volume_record> outcome) {
    if (outcome)
      done(outcome->uuid);
    else
      done(tl::unexpected(outcome.error()));
  };
}
inline auto forward(registry_state::step_done done, volume_uuid uuid) {
  return [done = std::move(done), uuid](result<void> outcome) {
    if (outcome)
      done(uuid);
    else
      done(tl::unexpected(outcome.error()));
  };
}

} // namespace gnomon::actors
