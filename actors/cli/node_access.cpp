#include "actors/cli/node_access.hpp"

#include <cstdlib>

#include <fmt/format.h>

#include "config/settings/load.hpp"

namespace gnomon::actors::cli {

result<std::string> find_data_dir(const node_location& location, const char* environment) {
  if (!location.data_dir.empty())
    return location.data_dir;
  if (!location.config_path.empty()) {
    // The node runs with the version that it read: what is wrong with the file now does not keep anybody from it.
    return find_data_dir_in(location.config_path);
  }
  if (environment != nullptr && *environment != '\0')
    return std::string(environment);
  return std::string(data_dir_default);
}

result<client*> node_access::get() {
  if (client_) {
    if (client_->status())
      return client_.get();
    client_.reset();
  }
  const auto data_dir = find_data_dir(location_, std::getenv(data_dir_variable));
  if (!data_dir)
    return tl::unexpected(data_dir.error());
  auto connected = client::connect(control_socket_path(*data_dir));
  if (!connected)
    return tl::unexpected(connected.error());
  client_ = std::move(*connected);
  return client_.get();
}

} // namespace gnomon::actors::cli
