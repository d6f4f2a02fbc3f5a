#include "actors/node/service_manager.hpp"

#include <cstdlib>
#include <cstring>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "actors/runtime/ask.hpp"
#include "config/log.hpp"

namespace gnomon::actors {
namespace {
constexpr int first_passed = 3; // SD_LISTEN_FDS_START
}

result<std::vector<int>> passed_sockets() {
  const char* count_text = std::getenv("LISTEN_FDS");
  const char* pid_text = std::getenv("LISTEN_PID");
  if (count_text == nullptr || pid_text == nullptr)
    return std::vector<int>{};
  const auto pid = parse_number(pid_text, "LISTEN_PID");
  if (!pid)
    return tl::unexpected(pid.error());
  if (*pid != static_cast<std::uint64_t>(::getpid()))
    return std::vector<int>{}; // meant for another process
  const auto count = parse_number(count_text, "LISTEN_FDS");
  if (!count)
    return tl::unexpected(count.error());
  if (*count > listen_fds_max)
    return fail(errc::invalid_argument, fmt::format("LISTEN_FDS: {} sockets, at most {}", *count, listen_fds_max));
  std::vector<int> out;
  for (int fd = first_passed; fd < first_passed + static_cast<int>(*count); ++fd) {
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
      return fail_errno(fmt::format("LISTEN_FDS: descriptor {}", fd));
    out.push_back(fd);
  }
  ::unsetenv("LISTEN_FDS");
  ::unsetenv("LISTEN_PID");
  ::unsetenv("LISTEN_FDNAMES");
  return out;
}

result<endpoint> endpoint_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return fail_errno(fmt::format("passed descriptor {}", fd));
  endpoint out;
  char text[INET6_ADDRSTRLEN] = {};
  switch (address.ss_family) {
  case AF_UNIX:
    out.type = endpoint::kind::unix_socket;
    out.path = reinterpret_cast<const sockaddr_un&>(address).sun_path;
    return out;
  case AF_INET: {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address);
    out.host = ::inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
    out.port = ntohs(in.sin_port);
    return out;
  }
  case AF_INET6: {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(address);
    out.host = ::inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof text);
    out.port = ntohs(in.sin6_port);
    return out;
  }
  default:
    return fail(errc::unsupported, fmt::format("passed descriptor {}: neither TCP nor a Unix socket", fd));
  }
}

void notify_service_manager(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (*path != '/' && *path != '@'))
    return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto length = std::strlen(path);
  if (length >= sizeof address.sun_path)
    return log::warning("NOTIFY_SOCKET: the name is too long");
  std::memcpy(address.sun_path, path, length);
  if (*path == '@')
    address.sun_path[0] = '\0'; // abstract
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  if (fd < 0 ||
      ::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), size) < 0)
    log::warning("NOTIFY_SOCKET {}: {}", path, std::strerror(errno));
  if (fd >= 0)
    ::close(fd);
}

std::optional<std::chrono::milliseconds> service_watchdog_interval() {
  const char* interval = std::getenv("WATCHDOG_USEC");
  const char* pid = std::getenv("WATCHDOG_PID");
  if (interval == nullptr || (pid != nullptr && std::strtol(pid, nullptr, 10) != ::getpid()))
    return std::nullopt;
  const auto us = std::strtoll(interval, nullptr, 10);
  if (us <= 0)
    return std::nullopt;
  return std::max(std::chrono::milliseconds(us / 2000), std::chrono::milliseconds(1));
}

} // namespace gnomon::actors
