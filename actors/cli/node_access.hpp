// Which node a command means, and a connection to it that outlives the node's restarts. Connects when first needed.
// One thread; blocks.
#pragma once

#include <memory>

#include "actors/cli/grammar/command.hpp"
#include "actors/endpoints/client.hpp"

namespace gnomon::actors::cli {

inline constexpr const char* data_dir_variable = "GNOMON_DATA_DIR";
inline constexpr const char* data_dir_default = "/var/lib/gnomon";

// --data-dir, else what the file of --config says, else `environment` (GNOMON_DATA_DIR, may be null or empty), else
// the default. Errors: what reading the file gives; not_found: it names none. A file that
// is wrong elsewhere is good enough (`gnomon check` says all of it).
result<std::string> find_data_dir(const node_location& location, const char* environment);

class node_access {
public:
  explicit node_access(node_location location) : location_(std::move(location)) {}

  // A node that answers now. A connection from before is tried first and replaced if it is dead, so that no request
  // with an effect ever has to be repeated. unavailable, permission_denied, unsupported.
  result<client*> get();

private:
  node_location location_;
  std::unique_ptr<client> client_;
};

} // namespace gnomon::actors::cli
