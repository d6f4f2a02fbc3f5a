#include "actors/cli/replay/nbd_target.hpp"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

namespace gnomon::actors::cli {
namespace {
constexpr std::string_view unix_prefix = "unix:";

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
  std::string out;
  for (const char c : text)
    out += plain.find(c) != plain.npos ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  return out;
}
} // namespace

result<std::string> nbd_uri(const std::vector<std::string>& endpoints, const std::string& export_name) {
  const auto is_unix = [](const std::string& e) { return e.starts_with(unix_prefix); };
  auto found = std::find_if(endpoints.begin(), endpoints.end(), is_unix);
  if (found != endpoints.end())
    return fmt::format("nbd+unix:///{}?socket={}", percent_encoded(export_name),
                       percent_encoded(std::string_view(*found).substr(unix_prefix.size())));
  if (endpoints.empty())
    return fail(errc::unavailable, "the node listens nowhere for NBD; use --uri");
  return fmt::format("nbd://{}/{}", endpoints.front(), percent_encoded(export_name));
}

} // namespace gnomon::actors::cli
