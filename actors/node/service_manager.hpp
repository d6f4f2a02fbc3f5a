// The interface of a service manager (systemd) to a daemon: passed sockets (sd_listen_fds(3)) and
// notifications (sd_notify(3)), spoken by hand: a few environment variables and one datagram. Main thread only.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/error.hpp"
#include "config/settings/settings.hpp"

namespace gnomon::actors {

inline constexpr int listen_fds_max = 64;

// Sockets passed by LISTEN_FDS, if LISTEN_PID is this process; they are made close-on-exec and the variables removed.
// invalid_argument: nonsense in the variables.
result<std::vector<int>> passed_sockets();
// The address a socket is bound to. unsupported: neither TCP nor Unix.
result<endpoint> endpoint_of(int fd);

// Sends `state` ("READY=1\nSTATUS=…") to NOTIFY_SOCKET; nothing if it is not set. Failures are logged, never fatal.
void notify_service_manager(std::string_view state);

// How often "WATCHDOG=1" is due (half of WATCHDOG_USEC); nothing: the service manager does not watch this process.
std::optional<std::chrono::milliseconds> service_watchdog_interval();

} // namespace gnomon::actors
