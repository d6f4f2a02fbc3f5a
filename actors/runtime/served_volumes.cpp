#include "actors/runtime/served_volumes.hpp"

namespace gnomon::actors {
namespace {
store::volume_record record_of(const io::remote_volume_entry& remote) {
  store::volume_record out;
  out.uuid = remote.uuid, out.name = remote.name, out.size = remote.size;
  out.description = "at node " + remote.home.value;
  return out;
}
} // namespace

std::optional<store::volume_record> served_volume(const node_context& node, volume_uuid uuid) {
  if (auto own = node.catalogue->find(uuid))
    return own;
  for (const auto& remote : *node.remote_volumes())
    if (remote.uuid == uuid)
      return record_of(remote);
  return std::nullopt;
}

std::vector<store::volume_record> served_volumes(const node_context& node) {
  auto out = node.catalogue->list();
  for (const auto& remote : *node.remote_volumes())
    out.push_back(record_of(remote));
  return out;
}

} // namespace gnomon::actors
