#include "config/endpoint.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "config/text.hpp"

namespace gnomon {
namespace {

constexpr std::string_view unix_prefix = "unix:";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool all_of(std::string_view text, auto predicate) {
  return !text.empty() && std::all_of(text.begin(), text.end(), predicate);
}

// inet_pton reads the address without its zone ("fe80::1%eth0").
bool is_ipv6(std::string_view text) {
  const auto percent = text.find('%');
  if (percent != text.npos && !all_of(text.substr(percent + 1), [](char c) {
        return is_digit(c) || is_letter(c) || c == '.' || c == '_' || c == '-';
      }))
    return false;
  in6_addr address;
  return inet_pton(AF_INET6, std::string(text.substr(0, percent)).c_str(), &address) == 1;
}

bool is_ipv4(std::string_view text) {
  in_addr address;
  return inet_pton(AF_INET, std::string(text).c_str(), &address) == 1;
}

bool is_host_name(std::string_view text) {
  if (text.size() > host_length_max)
    return false;
  // What consists of digits and dots is meant as an address.
  if (all_of(text, [](char c) { return is_digit(c) || c == '.'; }))
    return is_ipv4(text);
  if (!all_of(text, [](char c) { return is_digit(c) || is_letter(c) || c == '.' || c == '-' || c == '_'; }))
    return false;
  return text.front() != '.' && text.front() != '-' && text.find("..") == text.npos;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  if (text.size() > 1 && text.front() == '0')
    return {};
  std::uint16_t port = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || problem != std::errc{} || end != text.data() + text.size())
    return {};
  return port;
}

std::optional<endpoint> read_unix(std::string_view path) {
  if (!path.starts_with('/') || path.starts_with("//") || path.size() < 2 || path.size() > unix_path_length_max)
    return {};
  if (std::any_of(path.begin(), path.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
    return {};
  for (const auto& part : std::filesystem::path(path))
    if (part == "..")
      return {};
  return endpoint{endpoint::kind::unix_socket, std::string(path), {}, 0};
}

std::optional<endpoint> read_tcp(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == text.npos)
    return {};
  const auto port = parse_port(text.substr(colon + 1));
  auto host = text.substr(0, colon);
  if (!port)
    return {};
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed)
    host = host.substr(1, host.size() - 2);
  if (bracketed ? !is_ipv6(host) : !is_host_name(host))
    return {};
  return endpoint{endpoint::kind::tcp, {}, std::string(host), *port};
}

std::optional<endpoint> read_endpoint(std::string_view text) {
  return text.starts_with(unix_prefix) ? read_unix(text.substr(unix_prefix.size())) : read_tcp(text);
}

std::string_view canonical_host(const endpoint& e) {
  return e.host == "localhost" ? "127.0.0.1" : std::string_view(e.host);
}
bool is_ipv6_family(std::string_view host) { return host.find(':') != host.npos; }
bool is_wildcard(std::string_view host) { return host == "0.0.0.0" || host == "::"; }

} // namespace

std::string endpoint::to_string() const {
  if (type == kind::unix_socket)
    return std::string(unix_prefix) + path;
  return is_ipv6_family(host) ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

std::string suggest_endpoint(std::string_view text) {
  if (text.size() > host_length_max + 16 || read_endpoint(text))
    return {};
  const std::string given(text);
  const auto last_colon = given.rfind(':');
  std::string guesses[] = {
      text.starts_with('/') ? "unix:" + given : std::string(),                 // a bare path
      text.starts_with("unix://") ? "unix:" + given.substr(7) : std::string(), // written like a URI
      text.starts_with("tcp://") ? given.substr(6) : std::string(),
      last_colon == 0 || text.starts_with("*:") ? "0.0.0.0" + given.substr(last_colon) : std::string(),
      parse_port(text) ? "127.0.0.1:" + given : std::string(), // a bare port
      last_colon != given.npos ? '[' + given.substr(0, last_colon) + ']' + given.substr(last_colon) : std::string(),
  };
  for (auto& guess : guesses)
    if (!guess.empty() && read_endpoint(guess))
      return std::move(guess);
  return {};
}

result<endpoint> parse_endpoint(std::string_view text) {
  if (auto read = read_endpoint(text))
    return *std::move(read);
  if (text.starts_with(unix_prefix) && text.size() > unix_prefix.size() + unix_path_length_max)
    return fail(errc::invalid_argument,
                fmt::format("the socket path in {} has {} bytes where unix(7) allows {}", quote(text),
                            text.size() - unix_prefix.size(), unix_path_length_max));
  auto message = fmt::format("not an endpoint: {}; write \"unix:/absolute/path\", \"HOST:PORT\" or \"[IPV6]:PORT\"",
                             quote(text));
  if (const auto meant = suggest_endpoint(text); !meant.empty())
    message += fmt::format("; did you mean {}?", quote(meant));
  return fail(errc::invalid_argument, std::move(message));
}

bool listen_conflict(const endpoint& a, const endpoint& b) {
  if (a.type != b.type)
    return false;
  if (a.type == endpoint::kind::unix_socket)
    return std::filesystem::path(a.path).lexically_normal() == std::filesystem::path(b.path).lexically_normal();
  if (a.port == 0 || a.port != b.port)
    return false;
  const auto first = canonical_host(a), second = canonical_host(b);
  if (first == second)
    return true;
  return is_ipv6_family(first) == is_ipv6_family(second) && (is_wildcard(first) || is_wildcard(second));
}

} // namespace gnomon
