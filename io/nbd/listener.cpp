#include "io/nbd/listener.hpp"

#include <cerrno>
#include <system_error>

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/nbd/socket.hpp"

namespace gnomon::io {

result<std::unique_ptr<listener>> listener::open(const endpoint& where, std::uint32_t socket_mode,
                                                 std::optional<instance_id> instance, ring& on,
                                                 client_function on_client, alert_function on_alert) {
  auto opened = listen_on(where, socket_mode);
  if (!opened)
    return tl::unexpected(opened.error());
  std::unique_ptr<listener> made{
      new listener(opened->fd, opened->bound, std::move(instance), on, std::move(on_client), std::move(on_alert))};
  struct stat about {};
  if (where.type == endpoint::kind::unix_socket && lstat(opened->bound.path.c_str(), &about) == 0)
    made->made_ = {about.st_dev, about.st_ino};
  made->begin();
  return made;
}

result<std::unique_ptr<listener>> listener::take_over(int fd, ring& on, client_function on_client,
                                                      alert_function on_alert) {
  auto bound = check_listening_socket(fd);
  if (!bound)
    return tl::unexpected(bound.error());
  std::unique_ptr<listener> made{
      new listener(fd, *bound, std::nullopt, on, std::move(on_client), std::move(on_alert))};
  made->begin();
  return made;
}

listener::listener(int fd, endpoint bound, std::optional<instance_id> instance, ring& on, client_function on_client,
                   alert_function on_alert)
    : fd_(fd), bound_(std::move(bound)),
      anonymous_(instance ? std::move(*instance) : instance_id{"anonymous:" + bound_.to_string()}), ring_(on),
      on_client_(std::move(on_client)), on_alert_(std::move(on_alert)) {
  accept_.self = retry_.self = this;
  accept_.on_complete = [](completion& self, ring&, int result, unsigned flags) {
    static_cast<accept_completion&>(self).self->accepted(result, flags);
  };
  retry_.on_complete = [](completion& self, ring&, int, unsigned) {
    listener& l = *static_cast<accept_completion&>(self).self;
    if (!l.closed_.load(std::memory_order_acquire))
      l.ring_.submit_accept_multishot(l.accept_, l.fd_);
  };
}

listener::~listener() {
  close();
  if (fd_ >= 0)
    ::close(fd_);
}

void listener::begin() {
  ring_.post([this](ring& on) { on.submit_accept_multishot(accept_, fd_); });
}

void listener::close() {
  if (closed_.exchange(true, std::memory_order_acq_rel))
    return;
  // The socket is still open, so that no other file can have come by its inode.
  struct stat about {};
  if (made_ && lstat(bound_.path.c_str(), &about) == 0 && about.st_dev == made_->device &&
      about.st_ino == made_->inode)
    unlink(bound_.path.c_str());
  shutdown(fd_, SHUT_RDWR); // ends the accept; the descriptor goes with the object
}

void listener::accepted(int result, unsigned flags) {
  if (result >= 0) {
    if (closed_.load(std::memory_order_acquire))
      ::close(result);
    else
      on_client_(result, anonymous_);
  }
  if (flags & IORING_CQE_F_MORE)
    return;
  if (closed_.load(std::memory_order_acquire))
    return;
  const bool passing = result >= 0 || result == -EINTR || result == -EAGAIN || result == -ECONNABORTED;
  if (passing)
    return ring_.submit_accept_multishot(accept_, fd_);
  on_alert_({alert::kind::listener_failed,
             {},
             anonymous_,
             -result,
             "accept on " + bound_.to_string() + ": " + std::system_category().message(-result) + "; trying again"});
  ring_.submit_timeout(retry_, &retry_span_);
}

} // namespace gnomon::io
