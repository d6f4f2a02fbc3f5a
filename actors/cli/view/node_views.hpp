// The texts of `status`, `actors` and `top` for operators. Pure functions; any thread.
#pragma once

#include <string>
#include <vector>

#include "actors/protocol/volume_messages.hpp"

namespace gnomon::actors::cli {

std::string reload_text(const reload_report& report, reload_mode mode);
std::string status_text(const node_status& status, std::int64_t now_us, bool colour);
// The supervision tree, drawn. Actors whose parent is not listed stand at the left.
std::string actors_text(const std::vector<actor_info>& actors, std::int64_t now_us, bool colour);
// Busiest volumes first; rings below.
std::string top_text(const telemetry_snapshot& snapshot, bool colour);

} // namespace gnomon::actors::cli
