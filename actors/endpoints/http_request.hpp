// What the admin endpoint makes of an HTTP request before anything is done for it: limits, the target's path and
// parameters, and the answer to what is not admitted. Pure; hostile bytes end in an answer, never in an exception. The
// sockets are in actors/endpoints/http_server.hpp, the paths in actors/endpoints/admin_http.hpp. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/error.hpp"

namespace gnomon::actors {

inline constexpr std::size_t http_header_bytes_max = 8u << 10; // request line and headers together
inline constexpr std::size_t http_body_bytes_max = 1u << 20;
inline constexpr std::size_t http_target_bytes_max = 2'048;
inline constexpr std::size_t http_parameters_max = 16;

struct http_answer {
  int status = 200;
  std::string body;      // JSON unless `type` says otherwise, ends in a newline
  int retry_after_s = 0; // 0: nothing to wait for
  std::string allow;     // of a 405: the methods there are
  const char* type = "application/json";
};
using query_parameters = std::vector<std::pair<std::string, std::string>>;

// {"errors": [{"pointer", "message", "nearest"}]} with the status that belongs to the code.
http_answer http_error(const error& why, std::string pointer = {});
http_answer http_error(int status, std::string message);

// The head of a request as it came: views into the parser's memory.
struct http_head {
  std::string_view method, target;
  unsigned version = 11; // 10, 11
  std::vector<std::string_view> hosts; // every Host header
  bool has_origin = false;
  bool has_content_encoding = false;
  bool has_length = false; // Content-Length or Transfer-Encoding
  std::string_view content_type;
};

struct http_target {
  std::string path;            // decoded
  query_parameters parameters; // decoded
  friend bool operator==(const http_target&, const http_target&) = default;
};
// "/v1/events?from=now" taken apart. Nothing: not a path, an unfinished %, a NUL, or beyond a limit.
std::optional<http_target> parse_http_target(std::string_view text);

// The methods a path has, as an Allow header names them; empty: there is no such path.
using http_methods = std::string_view (*)(std::string_view path);

// Whether `host`, the value of a Host header, can mean this node: an address, localhost, a name without a dot, or one
// of `names`. A page from elsewhere whose name was pointed at this machine (DNS rebinding) has another one.
bool is_own_host(std::string_view host, std::span<const std::string> names);

// Nothing: the request goes on. `target`: parsed from the head.
std::optional<http_answer> refuse_http(const http_head& head, const std::optional<http_target>& target,
                                       http_methods methods, std::span<const std::string> host_names);

} // namespace gnomon::actors
