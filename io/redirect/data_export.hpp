// The export names by which a gateway logs in at a home's data listener: UUID@node:SESSION:PROOF:USE. Who knows the proof
// of an open session is the gateway of that session. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/types.hpp"
#include "io/session/frame.hpp"

namespace gnomon::io {

enum class data_use : char { reads = 'r', changes = 'w', fills = 'f' };

struct data_export {
  volume_uuid volume;
  session::session_id session;
  session::proof proven{};
  data_use use = data_use::reads;
};

// What clients of the data listener are called before they have proven who they are; no instance has such a name.
inline constexpr std::string_view data_listener_instance = "cluster:data";

std::string data_export_name(const volume_uuid& volume, session::session_id session, const session::proof& proven,
                             data_use use);
std::optional<data_export> parse_data_export(std::string_view name);

} // namespace gnomon::io
