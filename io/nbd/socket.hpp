// Sockets to listen on and the names of those who come. Any control thread; blocks as bind, connect and, for host
// names, the resolver do, never on a client. Knows nothing of rings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sys/socket.h>

#include "config/endpoint.hpp"
#include "config/error.hpp"

namespace gnomon::io {

struct listening_socket {
  int fd = -1;    // non-blocking, close-on-exec; the caller owns it
  endpoint bound; // TCP: the numeric address, port 0 resolved
};

// A Unix socket's file that a dead process left behind is replaced; one that answers is not. `mode` is the file's
// permissions from the moment it exists, whatever the umask. The caller removes the file when it stops listening.
// [::] does not include IPv4. Errors: busy (somebody listens there, with their pid where it can be told),
// already_exists (the path is something else), permission_denied, not_found (no such directory), invalid_argument,
// unavailable (the name service; retryable).
result<listening_socket> listen_on(const endpoint& where, std::uint32_t mode);

// Takes over a descriptor that listens already (socket activation): checks that it is a listening Unix or TCP stream
// socket, makes it non-blocking and close-on-exec, and says where it listens ("@name" for an abstract Unix address).
// invalid_argument; the descriptor stays the caller's in any case.
result<endpoint> check_listening_socket(int fd);

// Where a client connects to.
struct socket_address {
  sockaddr_storage storage{};
  socklen_t length = 0;
};
enum class host_names : std::uint8_t { resolve, numeric_only }; // resolve asks the name service, which may block
// The addresses of an endpoint, the first to be tried first; at least one. invalid_argument (with numeric_only also
// for a name), unavailable (the name service; retryable).
result<std::vector<socket_address>> addresses_of(const endpoint& where, host_names names);

// "unix:pid=4242,uid=1000", "127.0.0.1:51422", "[::1]:4711"; "unknown" if it cannot be told.
std::string describe_peer(int fd);

// After how long a TCP peer that no longer answers is given up: probes on an idle connection, and what is sent and not
// acknowledged.
inline constexpr int keepalive_idle_seconds = 15, keepalive_interval_seconds = 5, keepalive_probes = 3,
                     user_timeout_milliseconds = 30'000;

// TCP: no delay (replies leave at once), and the limits above; a send buffer for large replies on Unix sockets.
void prepare_client_socket(int fd) noexcept;

} // namespace gnomon::io
