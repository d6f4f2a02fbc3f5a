// Whatever an HTTP client sends before anything is done for it: the parser with the limits of the admin endpoint takes
// the bytes in pieces, and what it lets through is admitted or refused with an answer that is bounded JSON. The first byte
// chooses how the rest is cut into pieces.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <boost/beast/http.hpp>

#include "actors/endpoints/http_request.hpp"
#include "config/json.hpp"
#include "config/text.hpp"

using namespace gnomon;
using namespace gnomon::actors;
namespace http = boost::beast::http;

namespace {

void require(bool promise, const char* what, std::string_view input) {
  if (promise)
    return;
  std::fprintf(stderr, "broken: %s\nfor: %s\n", what, quote(input, 100'000).c_str());
  std::abort();
}

std::string_view methods(std::string_view path) { return path == "/metrics" ? "GET, HEAD" : path == "/v1/events" ? "GET, POST" : ""; }

void check_head(const http::request_parser<http::string_body>& parser, std::string_view text) {
  const auto& message = parser.get();
  http_head head;
  head.method = {message.method_string().data(), message.method_string().size()};
  head.target = {message.target().data(), message.target().size()};
  head.version = message.version();
  for (const auto& field : message)
    if (field.name() == http::field::host)
      head.hosts.emplace_back(field.value().data(), field.value().size());
  const auto target = parse_http_target(head.target);
  if (target) {
    require(target->path.starts_with('/'), "a path begins with a slash", text);
    require(target->parameters.size() <= http_parameters_max, "parameters are limited", text);
  }
  const auto refused = refuse_http(head, target, methods, {});
  if (!refused)
    return require(target.has_value() && !methods(target->path).empty(), "what is let through has a path", text);
  require(refused->status >= 400 && refused->status < 500, "a refusal is the client's fault", text);
  require(parse_json(refused->body).has_value(), "a refusal is JSON", text);
  require(refused->body.size() < 4096, "a refusal is short", text);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const std::size_t piece = data[0] == 0 ? size : data[0];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  http::request_parser<http::string_body> parser;
  parser.header_limit(http_header_bytes_max);
  parser.body_limit(http_body_bytes_max);
  parser.eager(true);
  std::string held; // what the parser has not taken yet, as in a connection's buffer
  bool head_checked = false;
  for (std::size_t at = 0; at < text.size() && !parser.is_done(); at += piece) {
    held += text.substr(at, piece);
    boost::system::error_code failed;
    const auto taken = parser.put(boost::asio::buffer(held), failed);
    require(taken <= held.size(), "no more is taken than there is", text);
    held.erase(0, taken);
    if (parser.is_header_done() && !std::exchange(head_checked, true))
      check_head(parser, text);
    require(parser.get().body().size() <= http_body_bytes_max, "bodies are limited", text);
    if (failed && failed != http::error::need_more)
      return 0;
  }
  return 0;
}
