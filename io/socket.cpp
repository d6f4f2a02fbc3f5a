#include "io/socket.hpp"

#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace gnomon::io {

namespace {

constexpr int backlog = 1024;

endpoint endpoint_of(const sockaddr_storage& address, socklen_t length) {
  endpoint e;
  char host[INET6_ADDRSTRLEN] = {};
  if (address.ss_family == AF_UNIX) {
    const auto& un = reinterpret_cast<const sockaddr_un&>(address);
    e.type = endpoint::kind::unix_socket;
    const std::size_t room = length > offsetof(sockaddr_un, sun_path) ? length - offsetof(sockaddr_un, sun_path) : 0;
    e.path.assign(un.sun_path, strnlen(un.sun_path, room));
  } else if (address.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &in.sin_addr, host, sizeof host);
    e.host = host;
    e.port = ntohs(in.sin_port);
  } else if (address.ss_family == AF_INET6) {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &in.sin6_addr, host, sizeof host);
    e.host = host;
    e.port = ntohs(in.sin6_port);
  }
  return e;
}

struct descriptor {
  int fd = -1;
  ~descriptor() {
    if (fd >= 0)
      close(fd);
  }
  int release() { return std::exchange(fd, -1); }
};

result<void> remove_if_dead(const std::string& path, const sockaddr_un& address) {
  struct stat about {};
  if (lstat(path.c_str(), &about) != 0)
    return {}; // nothing there, or bind will say what is wrong
  if (!S_ISSOCK(about.st_mode))
    return fail(errc::already_exists, path + " exists and is not a socket");
  descriptor probe{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (probe.fd < 0)
    return fail_errno("socket");
  if (connect(probe.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN)
    return fail(errc::busy, path + ": another process listens there", EADDRINUSE);
  if (errno != ECONNREFUSED)
    return fail_errno(path);
  unlink(path.c_str());
  return {};
}

result<listening_socket> listen_unix(const endpoint& where, std::uint32_t mode) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (where.path.size() >= sizeof address.sun_path)
    return fail(errc::invalid_argument, where.path + ": a socket path has at most 107 bytes");
  std::memcpy(address.sun_path, where.path.c_str(), where.path.size());
  if (auto ok = remove_if_dead(where.path, address); !ok)
    return tl::unexpected(ok.error());
  descriptor s{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (s.fd < 0)
    return fail_errno("socket");
  // On Linux the file takes the socket's own mode bits at bind: no moment with wider permissions, no umask to change.
  fchmod(s.fd, mode);
  if (bind(s.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_errno("bind " + where.path);
  chmod(where.path.c_str(), mode); // what the umask took away
  if (::listen(s.fd, backlog) != 0)
    return fail_errno("listen " + where.path);
  return listening_socket{s.release(), where};
}

result<listening_socket> listen_tcp(const endpoint& where) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  const std::string port = std::to_string(where.port);
  if (const int error = getaddrinfo(where.host.empty() ? nullptr : where.host.c_str(), port.c_str(), &hints, &found))
    return fail(errc::invalid_argument, where.to_string() + ": " + gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner{found, freeaddrinfo};
  int last_error = EADDRNOTAVAIL;
  for (const addrinfo* a = found; a; a = a->ai_next) {
    descriptor s{socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol)};
    const int on = 1;
    if (s.fd < 0 || setsockopt(s.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(s.fd, a->ai_addr, a->ai_addrlen) != 0 || ::listen(s.fd, backlog) != 0) {
      last_error = errno;
      continue;
    }
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    if (getsockname(s.fd, reinterpret_cast<sockaddr*>(&bound), &length) != 0)
      return fail_errno("getsockname");
    return listening_socket{s.release(), endpoint_of(bound, length)};
  }
  if (last_error == EADDRINUSE)
    return fail(errc::busy, where.to_string() + ": another process listens there", EADDRINUSE);
  return fail_errno("listen on " + where.to_string(), last_error);
}

} // namespace

result<listening_socket> listen_on(const endpoint& where, std::uint32_t mode) {
  return where.type == endpoint::kind::unix_socket ? listen_unix(where, mode) : listen_tcp(where);
}

result<endpoint> check_listening_socket(int fd) {
  int value = 0;
  socklen_t length = sizeof value;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) != 0)
    return fail_errno("descriptor " + std::to_string(fd) + " is not a socket");
  if (!value)
    return fail(errc::invalid_argument, "descriptor " + std::to_string(fd) + " does not listen");
  length = sizeof value;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length) != 0 || value != SOCK_STREAM)
    return fail(errc::invalid_argument, "descriptor " + std::to_string(fd) + " is not a stream socket");
  sockaddr_storage bound{};
  length = sizeof bound;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length) != 0)
    return fail_errno("getsockname");
  return endpoint_of(bound, length);
}

std::string describe_peer(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    return "unknown";
  if (address.ss_family != AF_UNIX)
    return endpoint_of(address, length).to_string();
  ucred who{};
  length = sizeof who;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) != 0)
    return "unix";
  return "unix:pid=" + std::to_string(who.pid) + ",uid=" + std::to_string(who.uid);
}

void prepare_client_socket(int fd) noexcept {
  const int on = 1;
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0)
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

} // namespace gnomon::io
