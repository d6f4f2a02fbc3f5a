#include "actors/endpoints/http_request.hpp"

#include <algorithm>

#include <arpa/inet.h>
#include <fmt/format.h>

#include "config/event_json.hpp"

namespace gnomon::actors {
namespace {

constexpr int busy_retry_s = 1;

int status_of(errc code) {
  switch (code) {
  case errc::invalid_argument:
  case errc::out_of_range:
    return 400;
  case errc::permission_denied:
    return 403;
  case errc::not_found:
    return 404;
  case errc::already_exists:
  case errc::limit_reached:
    return 409;
  case errc::unsupported:
    return 501;
  case errc::busy:
  case errc::unavailable:
  case errc::shutting_down:
    return 503;
  case errc::timed_out:
    return 504;
  case errc::no_space:
    return 507;
  default:
    return 500;
  }
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

enum class plus_sign { plain, space };

std::optional<std::string> percent_decoded(std::string_view text, plus_sign plus) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size())
        return std::nullopt;
      const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0)
        return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus == plus_sign::space) {
      c = ' ';
    }
    if (c == '\0')
      return std::nullopt;
    out += c;
  }
  return out;
}

bool allows(std::string_view methods, std::string_view method) {
  for (std::size_t from = 0; from <= methods.size();) {
    const auto end = std::min(methods.find(", ", from), methods.size());
    if (methods.substr(from, end - from) == method)
      return true;
    from = end + 2;
  }
  return false;
}

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return lower(x) == lower(y);
  });
}

} // namespace

http_answer http_error(const error& why, std::string pointer) {
  const int status = status_of(why.code);
  return {status, dump_json(event_errors_to_json({{std::move(pointer), why.message, "", ""}})) + "\n",
          status == 503 ? busy_retry_s : 0, {}};
}

http_answer http_error(int status, std::string message) {
  return {status, dump_json(event_errors_to_json({{"", std::move(message), "", ""}})) + "\n",
          status == 503 ? busy_retry_s : 0, {}};
}

std::optional<http_target> parse_http_target(std::string_view text) {
  if (text.size() > http_target_bytes_max || !text.starts_with('/'))
    return std::nullopt;
  text = text.substr(0, text.find('#'));
  const auto mark = text.find('?');
  auto path = percent_decoded(text.substr(0, mark), plus_sign::plain);
  if (!path)
    return std::nullopt;
  http_target out{std::move(*path), {}};
  if (mark == text.npos)
    return out;
  auto rest = text.substr(mark + 1);
  while (!rest.empty()) {
    const auto part = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(part.size() + 1, rest.size()));
    if (part.empty())
      continue;
    const auto equals = part.find('=');
    auto name = percent_decoded(part.substr(0, equals), plus_sign::space);
    auto value = percent_decoded(equals == part.npos ? std::string_view() : part.substr(equals + 1), plus_sign::space);
    if (!name || !value || out.parameters.size() >= http_parameters_max)
      return std::nullopt;
    out.parameters.emplace_back(std::move(*name), std::move(*value));
  }
  return out;
}

bool is_own_host(std::string_view host, std::span<const std::string> names) {
  if (host.starts_with('[')) { // an IPv6 address
    const auto end = host.find(']');
    if (end == host.npos)
      return false;
    in6_addr address{};
    const auto rest = host.substr(end + 1);
    return ::inet_pton(AF_INET6, std::string(host.substr(1, end - 1)).c_str(), &address) == 1 &&
           (rest.empty() || rest.starts_with(':'));
  }
  const auto colon = host.find(':');
  const auto port = colon == host.npos ? std::string_view() : host.substr(colon + 1);
  if (std::any_of(port.begin(), port.end(), [](char c) { return c < '0' || c > '9'; }))
    return false;
  auto name = host.substr(0, colon);
  if (name.ends_with('.'))
    name.remove_suffix(1);
  if (name.empty())
    return false;
  in_addr address{};
  return name.find('.') == name.npos || ::inet_pton(AF_INET, std::string(name).c_str(), &address) == 1 ||
         std::any_of(names.begin(), names.end(), [&](const std::string& own) { return same_name(own, name); });
}

std::optional<http_answer> refuse_http(const http_head& head, const std::optional<http_target>& target,
                                       http_methods methods, std::span<const std::string> host_names) {
  if (head.hosts.size() > 1 || (head.version >= 11 && head.hosts.empty()))
    return http_error(400, "a request has one Host header");
  if (!head.hosts.empty() && !is_own_host(head.hosts.front(), host_names))
    return http_error(421, "this node has another name: see admin.hosts in the configuration");
  if (head.target.size() > http_target_bytes_max)
    return http_error(414, fmt::format("a target of at most {} bytes", http_target_bytes_max));
  if (!target)
    return http_error(400, "the target cannot be read");
  const auto allowed = methods(target->path);
  if (allowed.empty())
    return http_error(404, "there is nothing here");
  if (!allows(allowed, head.method)) {
    auto answer = http_error(405, "this path takes " + std::string(allowed));
    answer.allow = std::string(allowed);
    return answer;
  }
  if (head.method == "GET" || head.method == "HEAD")
    return std::nullopt;
  if (head.has_origin) // every browser names the page that sends it
    return http_error(403, "changes are not taken from web pages");
  if (head.has_content_encoding || head.content_type.starts_with("multipart/"))
    return http_error(415, "send JSON, not compressed");
  return std::nullopt;
}

} // namespace gnomon::actors
