// The control socket: CAF's own wire protocol (BASP) on a Unix socket, DATA_DIR/control.sock.
//
// What it protects against. BASP has no authentication: whoever can open a connection can send any registered message
// to any actor whose (small, guessable) id he names, reach CAF's built-in ConfigServ and SpawnServ, and even end
// actors. A secret inside a message, or in the handshake - which the *server* sends first - would not change that,
// and a port on 127.0.0.1 is open to every local user and to every container that shares the network. So the kernel
// decides: the socket has mode 0600, and each accepted connection must come from the node's own user or root
// (SO_PEERCRED). No TCP port is opened for control at all. Whoever passes may do everything: he could as well read
// the volumes' files. Nothing can be spawned remotely in any case: no actor type is registered for it.
//
// CAF 0.17 knows only TCP; a middleman actor of our own hands Unix sockets to the unchanged BASP broker, in the way
// caf_openssl does it for TLS. The socket is bound under another name and renamed into place, so that there is no
// moment without one when a restarted control actor takes over.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <caf/actor_system.hpp>
#include <caf/io/middleman_actor.hpp>

#include "actors/protocol/protocol.hpp"
#include "config/error.hpp"

namespace gnomon::actors {

inline constexpr const char* control_socket_name = "control.sock";
inline constexpr std::chrono::seconds endpoint_timeout{10}; // to publish, or to connect and shake hands

// Serves the endpoint. Created by the daemon's main thread, used by the control actor.
class control_socket {
public:
  // `path`: where the socket appears. Opens nothing yet. The system must have been configured with networking.
  control_socket(caf::actor_system& system, std::string path);
  ~control_socket(); // removes the socket
  control_socket(const control_socket&) = delete;

  // For the control actor: publishes `self` in place of its predecessor, without blocking.
  void publish(control_actor::pointer self);
  // For main: waits until the first publication succeeded or failed. timed_out, or why it failed.
  result<void> wait_published(std::chrono::milliseconds patience);
  // Closes the endpoint; connections end.
  void close();
  const std::string& path() const noexcept { return path_; }

private:
  void published(result<void> outcome);

  const std::string path_;
  caf::io::middleman_actor middleman_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint16_t number_ = 0; // BASP knows published actors by "port": each publication has a number of its own
  std::optional<result<void>> outcome_;
  bool closed_ = false;
};

// A middleman actor that understands Unix socket paths as host names, for clients.
caf::io::middleman_actor spawn_unix_middleman(caf::actor_system& system);

} // namespace gnomon::actors
