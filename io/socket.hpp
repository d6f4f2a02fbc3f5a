// Sockets to listen on and the names of those who come. Control threads; blocks only as bind and connect do.
#pragma once

#include <cstdint>
#include <string>

#include "config/error.hpp"
#include "config/settings.hpp"

namespace gnomon::io {

struct listening_socket {
  int fd = -1;    // non-blocking, close-on-exec; the caller owns it
  endpoint bound; // port 0 resolved
};

// A Unix socket's file left behind by a dead process is replaced; one that answers is not (errc::busy). `mode` is the
// Unix socket file's permissions from the moment it exists. busy: "address in use", permission_denied,
// invalid_argument.
result<listening_socket> listen_on(const endpoint& where, std::uint32_t mode);

// Checks that `fd` is a listening stream socket (socket activation) and says where.
result<endpoint> check_listening_socket(int fd);

// "unix:pid=4242,uid=1000", "127.0.0.1:51422", "[::1]:4711"; "unknown" if it cannot be told.
std::string describe_peer(int fd);

// TCP: no delay (replies leave at once) and keep-alive; nothing on other sockets.
void prepare_client_socket(int fd) noexcept;

} // namespace gnomon::io
