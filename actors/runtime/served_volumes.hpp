// The volumes that clients of this node use: those homed here, and those of other nodes that it is a gateway of. What is
// learned, forecast and shown goes by this list; the catalogue holds the former alone. Any thread.
#pragma once

#include <optional>
#include <vector>

#include "actors/runtime/node_context.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::actors {

// Of a volume of another node: uuid, name and size are set.
std::optional<store::volume_record> served_volume(const node_context& node, volume_uuid uuid);
std::vector<store::volume_record> served_volumes(const node_context& node);

} // namespace gnomon::actors
