// The kinds of actors that stand beside every volume: a table that is filled where the node is assembled
// (actors/node/node.cpp), so that the registry starts and ends them without including any of them. A new kind of
// per-volume actor is one row. Filled before the first actor is spawned; read by any thread afterwards.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "config/types.hpp"

namespace gnomon::actors {

class node_context;

struct volume_child {
  const char* kind;   // first part of the actor's name: "pattern" makes "pattern/db"
  const char* parent; // its supervisor's name
  caf::actor (*spawn)(caf::actor_system& system, node_context* node, volume_uuid uuid);
  enum class whose { own, all };
  whose of = whose::own; // all: also beside volumes of other nodes that this one is a gateway of
};
using volume_child_table = std::vector<volume_child>;

inline std::string volume_child_name(std::string_view kind, const volume_name& volume) {
  return std::string(kind) + "/" + volume.value;
}

} // namespace gnomon::actors
