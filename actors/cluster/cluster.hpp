// The actor that speaks for the cluster: which peers there are, which of their volumes are served here, and their
// shadows on this node, made and dropped by hand. It decides nothing about coherence; the engine does.
#pragma once

#include <string>

#include <caf/actor_system.hpp>

#include "actors/protocol/protocol.hpp"
#include "actors/runtime/node_context.hpp"

namespace gnomon::actors {

inline constexpr char cluster_name[] = "cluster";

struct cluster_state {
  cluster_state() = default;
  node_context* node = nullptr;

  // `nodes`, `shadows`, each with `json` or not; `create VOLUME NODE`, `drop VOLUME NODE`, `progress VOLUME`.
  result<std::string> answer(const std::string& message) const;
};

caf::actor spawn_cluster(caf::actor_system& system, node_context* node);

} // namespace gnomon::actors
