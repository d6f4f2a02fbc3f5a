// Where something listens or connects: a Unix socket or a TCP host and port, and how it is written.
// Values and pure functions, any thread. Never resolves names and opens nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/error.hpp"

namespace gnomon {

inline constexpr std::size_t unix_path_length_max = 107; // sun_path of unix(7), less its NUL
inline constexpr std::size_t host_length_max = 253;      // of a DNS name, RFC 1035

struct endpoint {
  enum class kind { unix_socket, tcp };
  kind type = kind::tcp;
  std::string path;              // unix_socket: absolute, at most unix_path_length_max bytes
  std::string host;              // tcp: name or literal address, without brackets
  std::uint16_t port = 0;        // tcp: 0 lets the kernel choose
  std::string to_string() const; // "unix:/run/x.sock", "127.0.0.1:10809", "[::1]:10809"
  friend bool operator==(const endpoint&, const endpoint&) = default;
};

// "unix:/path" (absolute, no "..") or "HOST:PORT"; an IPv6 address stands in brackets. What parses prints as it was
// written. invalid_argument with what is wrong and, where it can be guessed, what to write instead.
result<endpoint> parse_endpoint(std::string_view text);

// What somebody who wrote `text` may have meant ("[::1]:80" for "::1:80"); empty if `text` is right or beyond
// guessing.
std::string suggest_endpoint(std::string_view text);

// Whether one process could not listen on both: the same socket, or the same port of the same address where either is
// the wildcard of its family. Port 0 never conflicts.
bool listen_conflict(const endpoint& a, const endpoint& b);

} // namespace gnomon
