// How records and statuses look in messages and as text: pure conversions from the store's and the data plane's
// structs to payloads. Any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "actors/protocol/volume_messages.hpp"
#include "actors/runtime/node_context.hpp"
#include "io/engine/engine.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::actors {

// `status`: none if the data plane does not have it open. `keep`: how long a deleted volume is kept.
volume_summary summary_of(const store::volume_record& record, const std::optional<io::volume_status>& status,
                          std::uint64_t connections, std::chrono::seconds keep);
volume_summary summary_of(const node_context& node, const store::volume_record& record);
volume_details details_of(const node_context& node, const store::volume_record& record);
connection_info info_of(const io::connection_status& connection, const volume_name& volume);
std::vector<connection_info> connections_of(const node_context& node, volume_uuid uuid, const volume_name& name);
io::volume_spec spec_of(const store::volume_record& record, std::string path, io::fence_set fences = {});

std::string to_text(const volume_summary& volume);
std::string to_text(const volume_details& volume);

// By name, by uuid, or among the deleted ones. invalid_argument, not_found; `where` says which volumes to look among.
result<store::volume_record> resolve(const store::catalogue& catalogue, const volume_ref& ref,
                                     list_filter where = list_filter::present);
// Also among the volumes of other nodes that this one is a gateway of.
result<store::volume_record> resolve_served(const node_context& node, const volume_ref& ref);

} // namespace gnomon::actors
