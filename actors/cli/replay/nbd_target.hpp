// From a node's bound NBD endpoints to the URI of one of its exports. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "config/error.hpp"

namespace gnomon::actors::cli {

// `endpoints`: as the node's status lists them ("unix:/path", "127.0.0.1:10809", "[::1]:10809"); a Unix socket is
// preferred. unavailable: there is none.
result<std::string> nbd_uri(const std::vector<std::string>& endpoints, const std::string& export_name);

} // namespace gnomon::actors::cli
