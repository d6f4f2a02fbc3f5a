#include "actors/endpoints/control_socket.hpp"

#include <cstring>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <caf/actor_cast.hpp>
#include <caf/io/basp_broker.hpp>
#include <caf/io/middleman.hpp>
#include <caf/io/middleman_actor_impl.hpp>
#include <caf/io/network/default_multiplexer.hpp>
#include <caf/io/network/doorman_impl.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/protocol/error_message.hpp"
#include "config/log.hpp"

namespace gnomon::actors {
namespace {

// A descriptor that is closed unless it was given away.
struct owned_fd {
  int fd = -1;
  explicit owned_fd(int f) : fd(f) {}
  ~owned_fd() {
    if (fd >= 0)
      ::close(fd);
  }
  owned_fd(const owned_fd&) = delete;
  int release() { return std::exchange(fd, -1); }
};

// Calls bind or connect with the socket's address. A path longer than sockaddr_un takes (107 characters) is reached
// through its directory's descriptor.
result<void> with_address(const std::string& path, const std::function<int(const sockaddr*, socklen_t)>& call) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string usable = path;
  owned_fd directory(-1);
  if (path.size() >= sizeof(address.sun_path)) {
    const auto slash = path.rfind('/');
    directory.fd = ::open(path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory.fd < 0)
      return fail_errno(path.substr(0, slash));
    usable = "/proc/self/fd/" + std::to_string(directory.fd) + path.substr(slash);
    if (usable.size() >= sizeof(address.sun_path))
      return fail(errc::invalid_argument, "the socket's name is too long: " + path);
  }
  std::memcpy(address.sun_path, usable.c_str(), usable.size() + 1);
  if (call(reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_errno(path);
  return {};
}

result<int> listen_at(const std::string& path) {
  owned_fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.fd < 0)
    return fail_errno("a Unix socket");
  const auto fresh = path + ".new";
  ::unlink(fresh.c_str());
  // The mode of the descriptor becomes the mode of the name: at no moment may others connect.
  if (::fchmod(socket.fd, 0600) != 0)
    return fail_errno(fresh);
  auto bound = with_address(fresh, [&](auto* address, auto size) { return ::bind(socket.fd, address, size); });
  if (!bound)
    return tl::unexpected(bound.error());
  if (::chmod(fresh.c_str(), 0600) != 0)
    return fail_errno(fresh);
  if (::listen(socket.fd, 64) != 0)
    return fail_errno(fresh);
  if (::rename(fresh.c_str(), path.c_str()) != 0)
    return fail_errno(path);
  return socket.release();
}

result<int> connect_to(const std::string& path) {
  owned_fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket.fd < 0)
    return fail_errno("a Unix socket");
  auto connected = with_address(path, [&](auto* address, auto size) { return ::connect(socket.fd, address, size); });
  if (!connected)
    return tl::unexpected(connected.error());
  return socket.release();
}

bool is_allowed(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return false;
  return peer.uid == 0 || peer.uid == ::geteuid();
}

class unix_doorman final : public caf::io::network::doorman_impl {
public:
  unix_doorman(caf::io::network::default_multiplexer& multiplexer, int fd, std::string path, std::uint16_t number)
      : doorman_impl(multiplexer, fd), path_(std::move(path)), number_(number) {}

  bool new_connection() override {
    if (!detached() && !is_allowed(acceptor_.accepted_socket())) {
      log::warning("control socket: a connection of another user was refused");
      ::close(acceptor_.accepted_socket());
      return false;
    }
    return doorman_impl::new_connection();
  }
  std::string addr() const override { return path_; }
  std::uint16_t port() const override { return number_; }

private:
  const std::string path_;
  const std::uint16_t number_;
};

class unix_middleman_actor final : public caf::io::middleman_actor_impl {
public:
  using middleman_actor_impl::middleman_actor_impl;
  const char* name() const override { return "unix_middleman_actor"; }

protected:
  caf::expected<caf::io::scribe_ptr> connect(const std::string& path, std::uint16_t) override {
    auto fd = connect_to(path);
    if (!fd)
      return to_caf(fd.error());
    return multiplexer().new_scribe(*fd);
  }
  caf::expected<caf::io::doorman_ptr> open(std::uint16_t number, const char* path, bool) override {
    auto fd = listen_at(path);
    if (!fd)
      return to_caf(fd.error());
    return caf::io::doorman_ptr{caf::make_counted<unix_doorman>(multiplexer(), *fd, path, number)};
  }

private:
  caf::io::network::default_multiplexer& multiplexer() {
    return dynamic_cast<caf::io::network::default_multiplexer&>(system().middleman().backend());
  }
};

} // namespace

caf::io::middleman_actor spawn_unix_middleman(caf::actor_system& system) {
  auto broker = system.middleman().named_broker<caf::io::basp_broker>(caf::atom("BASP"));
  return system.spawn<unix_middleman_actor, caf::hidden>(std::move(broker));
}

control_socket::control_socket(caf::actor_system& system, std::string path)
    : path_(std::move(path)), middleman_(spawn_unix_middleman(system)) {}

control_socket::~control_socket() {
  close();
  caf::anon_send_exit(middleman_, caf::exit_reason::kill);
}

void control_socket::publish(control_actor::pointer self) {
  std::uint16_t former = 0, number = 0;
  {
    std::lock_guard lock(mutex_);
    if (closed_)
      return;
    former = number_;
    if (++number_ == 0)
      number_ = 1;
    number = number_;
  }
  const caf::strong_actor_ptr whom = caf::actor_cast<caf::strong_actor_ptr>(self);
  self->request(middleman_, endpoint_timeout, caf::publish_atom_v, number, whom,
                self->system().message_types(caf::actor_cast<control_actor>(self)), path_, true)
      .then([this](std::uint16_t) { published({}); },
            [this](const caf::error& reason) { published(tl::unexpected(from_caf(reason))); });
  // The former socket has no name any more; whoever was connecting to it is told so.
  if (former != 0)
    self->request(middleman_, endpoint_timeout, caf::close_atom_v, former).then([] {}, [](const caf::error&) {});
}

void control_socket::published(result<void> outcome) {
  if (!outcome)
    log::error("control socket {}: {}", path_, outcome.error().to_string());
  std::lock_guard lock(mutex_);
  outcome_ = std::move(outcome);
  changed_.notify_all();
}

result<void> control_socket::wait_published(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, patience, [this] { return outcome_.has_value(); }))
    return fail(errc::timed_out, "control socket " + path_ + ": not open in time");
  return *outcome_;
}

void control_socket::close() {
  std::uint16_t number = 0;
  {
    std::lock_guard lock(mutex_);
    if (closed_)
      return;
    closed_ = true;
    number = number_;
  }
  if (number != 0) {
    caf::anon_send(middleman_, caf::close_atom_v, number);
    ::unlink(path_.c_str());
  }
}

} // namespace gnomon::actors
