#include "io/nbd/socket.hpp"

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace gnomon::io {

namespace {

constexpr int backlog = 1024;
constexpr std::size_t addresses_max = 8; // of one host name

struct descriptor {
  int fd = -1;
  explicit descriptor(int opened) : fd(opened) {}
  ~descriptor() {
    if (fd >= 0)
      close(fd);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  int release() { return std::exchange(fd, -1); }
};

int option_of(int fd, int option) {
  int value = -1;
  socklen_t length = sizeof value;
  return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 ? value : -1;
}

std::optional<ucred> peer_of(int fd) {
  ucred who{};
  socklen_t length = sizeof who;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) != 0)
    return std::nullopt;
  return who;
}

// An IPv4 client of an IPv6 socket is shown as what it is.
void unmap(sockaddr_storage& address) {
  const auto six = reinterpret_cast<const sockaddr_in6&>(address);
  if (address.ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&six.sin6_addr))
    return;
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = six.sin6_port;
  std::memcpy(&four.sin_addr, six.sin6_addr.s6_addr + 12, 4);
  std::memcpy(&address, &four, sizeof four);
}

std::optional<endpoint> endpoint_of(sockaddr_storage address, socklen_t length) {
  endpoint e;
  if (address.ss_family == AF_UNIX) {
    const auto& un = reinterpret_cast<const sockaddr_un&>(address);
    constexpr std::size_t before = offsetof(sockaddr_un, sun_path);
    std::string_view path{un.sun_path, length > before ? length - before : 0};
    e.type = endpoint::kind::unix_socket;
    if (path.starts_with('\0'))
      e.path = "@" + std::string(path.substr(1)); // abstract, as ss(8) writes it
    else
      e.path = path.substr(0, path.find('\0'));
    return e;
  }
  if (address.ss_family != AF_INET && address.ss_family != AF_INET6)
    return std::nullopt;
  unmap(address);
  char host[NI_MAXHOST] = {}, port[NI_MAXSERV] = {};
  if (getnameinfo(reinterpret_cast<const sockaddr*>(&address), sizeof address, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return std::nullopt;
  e.host = host;
  e.port = static_cast<std::uint16_t>(std::stoul(port));
  return e;
}

std::optional<endpoint> bound_to(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    return std::nullopt;
  return endpoint_of(address, length);
}

// --- Unix sockets

// Held while a path is looked at and bound, so that two starting processes do not each take the other's new socket
// for a dead one (between bind and listen it refuses connections, too). A lock on the directory leaves no file
// behind; if it cannot be had within a second we go on without.
descriptor lock_directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == path.npos ? "." : path.substr(0, slash + 1);
  descriptor d{open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  for (int tries = 0; d.fd >= 0 && flock(d.fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK && tries < 100;
       ++tries)
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  return descriptor{d.release()};
}

tl::unexpected<error> in_use(const std::string& where, std::optional<ucred> by = {}) {
  std::string who = by && by->pid > 0 ? "process " + std::to_string(by->pid) : "another process";
  return fail(errc::busy, where + ": address in use, " + who + " listens there", EADDRINUSE);
}

result<void> remove_if_dead(const std::string& path, const sockaddr_un& address) {
  struct stat about {};
  if (lstat(path.c_str(), &about) != 0)
    return {}; // nothing there, or bind will say what is wrong
  if (!S_ISSOCK(about.st_mode))
    return fail(errc::already_exists, path + " exists and is not a socket");
  descriptor probe{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (probe.fd < 0)
    return fail_errno("socket");
  if (connect(probe.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
    return in_use(path, peer_of(probe.fd));
  if (errno == EAGAIN || errno == EPROTOTYPE) // its backlog is full; a socket of another type
    return in_use(path);
  if (errno != ECONNREFUSED)
    return fail_errno(path + ": cannot tell whether a process listens there");
  if (unlink(path.c_str()) != 0 && errno != ENOENT)
    return fail_errno(path + ": cannot remove the socket a dead process left");
  return {};
}

result<listening_socket> listen_unix(const endpoint& where, std::uint32_t mode) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (where.path.empty() || where.path.size() > unix_path_length_max)
    return fail(errc::invalid_argument, "a socket path has 1 to 107 bytes: " + where.path);
  std::memcpy(address.sun_path, where.path.c_str(), where.path.size());
  const descriptor lock = lock_directory_of(where.path);
  if (auto ok = remove_if_dead(where.path, address); !ok)
    return tl::unexpected(ok.error());
  descriptor s{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (s.fd < 0)
    return fail_errno("socket");
  // On Linux the file takes the socket's own mode at bind, less the umask: at no moment is it open to more than
  // `mode` says, and the process's umask stays as it is.
  if (fchmod(s.fd, mode & 0777) != 0)
    return fail_errno(where.path + ": mode of the socket");
  if (bind(s.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EADDRINUSE)
      return in_use(where.path);
    return fail_errno(where.path + ": cannot make the socket");
  }
  // What the umask took away comes back before anybody can connect.
  if (chmod(where.path.c_str(), mode & 0777) != 0 || ::listen(s.fd, backlog) != 0) {
    const int os_errno = errno;
    unlink(where.path.c_str());
    return fail_errno(where.path + ": cannot listen", os_errno);
  }
  return listening_socket{s.release(), where};
}

// What a Unix socket holds of replies that the client has not taken yet. The default is less than one reply of 256 KiB
// needs: the server would wait for the client in the middle of each. Only what is sent takes memory.
constexpr int unix_send_buffer_bytes = 1 << 20; // the kernel doubles it, for its own bookkeeping

// --- TCP

bool set(int fd, int level, int option) noexcept {
  const int on = 1;
  return setsockopt(fd, level, option, &on, sizeof on) == 0;
}

bool listen_at(int fd, const addrinfo& a) noexcept {
  // The IPv6 wildcard leaves IPv4 to a listener of its own.
  if (a.ai_family == AF_INET6 && !set(fd, IPPROTO_IPV6, IPV6_V6ONLY))
    return false;
  return set(fd, SOL_SOCKET, SO_REUSEADDR) && bind(fd, a.ai_addr, a.ai_addrlen) == 0 && ::listen(fd, backlog) == 0;
}

result<listening_socket> listen_tcp(const endpoint& where) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  const std::string port = std::to_string(where.port);
  const int problem = getaddrinfo(where.host.empty() ? nullptr : where.host.c_str(), port.c_str(), &hints, &found);
  if (problem != 0)
    return fail(problem == EAI_AGAIN ? errc::unavailable : errc::invalid_argument,
                where.to_string() + ": cannot resolve the host: " + gai_strerror(problem));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner{found, freeaddrinfo};
  int os_errno = EADDRNOTAVAIL;
  for (const addrinfo* a = found; a; a = a->ai_next) { // a name may have several addresses: the first that works
    descriptor s{socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol)};
    if (s.fd < 0 || !listen_at(s.fd, *a)) {
      os_errno = errno;
      continue;
    }
    auto bound = bound_to(s.fd);
    if (!bound)
      return fail_errno(where.to_string() + ": address of the socket");
    return listening_socket{s.release(), std::move(*bound)};
  }
  switch (os_errno) {
  case EADDRINUSE:
    return in_use(where.to_string());
  case EADDRNOTAVAIL:
    return fail(errc::invalid_argument, where.to_string() + ": this machine does not have the address", os_errno);
  default:
    return fail_errno(where.to_string() + ": cannot listen", os_errno);
  }
}

// A peer whose machine or link is gone ends its connection, and with it its claim, within about half a minute, whether
// something waits to be sent to it or not. One that lives and takes nothing answers the probes and stays.
void end_with_dead_peer(int fd) noexcept {
  const auto put = [fd](int option, int value) { setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value); };
  set(fd, SOL_SOCKET, SO_KEEPALIVE);
  put(TCP_KEEPIDLE, keepalive_idle_seconds);
  put(TCP_KEEPINTVL, keepalive_interval_seconds);
  put(TCP_KEEPCNT, keepalive_probes);
  put(TCP_USER_TIMEOUT, user_timeout_milliseconds);
}

} // namespace

result<listening_socket> listen_on(const endpoint& where, std::uint32_t mode) {
  return where.type == endpoint::kind::unix_socket ? listen_unix(where, mode) : listen_tcp(where);
}

result<endpoint> check_listening_socket(int fd) {
  const std::string name = "descriptor " + std::to_string(fd);
  struct stat about {};
  if (fstat(fd, &about) != 0)
    return fail_errno(name);
  if (!S_ISSOCK(about.st_mode))
    return fail(errc::invalid_argument, name + " is not a socket");
  if (option_of(fd, SO_TYPE) != SOCK_STREAM)
    return fail(errc::invalid_argument, name + " is not a stream socket");
  if (option_of(fd, SO_ACCEPTCONN) != 1)
    return fail(errc::invalid_argument, name + " does not listen");
  auto bound = bound_to(fd);
  if (!bound)
    return fail(errc::invalid_argument, name + " is neither a Unix nor a TCP socket");
  // As if it were our own: not inherited by others, and an accept with nobody there does not wait.
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0)
    return fail_errno(name);
  return std::move(*bound);
}

result<std::vector<socket_address>> addresses_of(const endpoint& where, host_names names) {
  std::vector<socket_address> all(1);
  if (where.type == endpoint::kind::unix_socket) {
    if (where.path.empty() || where.path.size() > unix_path_length_max)
      return fail(errc::invalid_argument, "a socket path has 1 to 107 bytes: " + where.path);
    auto& address = reinterpret_cast<sockaddr_un&>(all[0].storage);
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, where.path.c_str(), where.path.size());
    all[0].length = sizeof address;
    return all;
  }
  addrinfo hints{}, *found = nullptr;
  hints.ai_flags = AI_NUMERICSERV | (names == host_names::numeric_only ? AI_NUMERICHOST : AI_ADDRCONFIG);
  hints.ai_socktype = SOCK_STREAM;
  const std::string port = std::to_string(where.port);
  const int problem = getaddrinfo(where.host.c_str(), port.c_str(), &hints, &found);
  if (problem != 0)
    return fail(problem == EAI_AGAIN ? errc::unavailable : errc::invalid_argument,
                where.to_string() + ": cannot resolve the host: " + gai_strerror(problem));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner{found, freeaddrinfo};
  all.clear();
  for (const addrinfo* a = found; a && all.size() < addresses_max; a = a->ai_next) {
    auto& one = all.emplace_back();
    std::memcpy(&one.storage, a->ai_addr, a->ai_addrlen);
    one.length = a->ai_addrlen;
  }
  return all;
}

std::string describe_peer(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    return "unknown";
  if (address.ss_family == AF_UNIX) {
    const auto who = peer_of(fd);
    return who ? "unix:pid=" + std::to_string(who->pid) + ",uid=" + std::to_string(who->uid) : "unix";
  }
  const auto peer = endpoint_of(address, length);
  return peer ? peer->to_string() : "unknown";
}

void prepare_client_socket(int fd) noexcept {
  if (set(fd, IPPROTO_TCP, TCP_NODELAY)) {
    end_with_dead_peer(fd);
    return; // the kernel sizes TCP's buffers
  }
  const int bytes = unix_send_buffer_bytes;
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0) // needs CAP_NET_ADMIN
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);             // as far as net.core.wmem_max allows
}

} // namespace gnomon::io
