#include "io/nbd/stdio_bridge.hpp"

#include <array>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gnomon::io {

namespace {

bool is_socket(int fd) {
  struct stat about {};
  return fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode);
}

// Moves bytes until either side ends. The socket side tells when the other thread has gone: a pipe alone may sit in
// read(2) for ever, so both are polled.
void pump(int from, int to, int socket) {
  std::array<char, 65536> bytes;
  for (;;) {
    pollfd watched[2] = {{from, POLLIN, 0}, {socket, 0, 0}};
    if (poll(watched, 2, -1) < 0 && errno != EINTR)
      break;
    if (watched[0].revents == 0 && watched[1].revents == 0)
      continue;
    if (watched[0].revents == 0)
      break; // the socket is shut down and nothing is left to move
    const ssize_t got = read(from, bytes.data(), bytes.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
      continue;
    if (got <= 0)
      break;
    ssize_t put = 0;
    while (put < got) {
      const ssize_t n = write(to, bytes.data() + put, static_cast<std::size_t>(got - put));
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0 && errno == EAGAIN) {
        pollfd room{to, POLLOUT, 0};
        poll(&room, 1, -1);
        continue;
      }
      if (n <= 0)
        return;
      put += n;
    }
  }
}

} // namespace

result<std::unique_ptr<stdio_bridge>> stdio_bridge::open(int in_fd, int out_fd) {
  std::unique_ptr<stdio_bridge> bridge{new stdio_bridge};
  struct stat in_about {
  }, out_about{};
  if (fstat(in_fd, &in_about) != 0 || fstat(out_fd, &out_about) != 0)
    return fail_errno("standard input and output");
  if (is_socket(in_fd) && in_about.st_ino == out_about.st_ino && in_about.st_dev == out_about.st_dev) {
    bridge->server_ = fcntl(in_fd, F_DUPFD_CLOEXEC, 3);
    if (bridge->server_ < 0)
      return fail_errno("standard input");
    return bridge;
  }
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return fail_errno("socketpair");
  bridge->server_ = ends[0];
  bridge->inner_ = ends[1];
  bridge->in_ = in_fd;
  bridge->out_ = out_fd;
  bridge->inwards_ = std::thread([in_fd, inner = ends[1]] {
    pump(in_fd, inner, inner);
    shutdown(inner, SHUT_WR); // end of requests; replies still flow
  });
  bridge->outwards_ = std::thread([out_fd, inner = ends[1]] {
    pump(inner, out_fd, inner);
    shutdown(inner, SHUT_RDWR);
  });
  return bridge;
}

stdio_bridge::~stdio_bridge() {
  if (inner_ >= 0)
    shutdown(inner_, SHUT_RDWR);
  if (outwards_.joinable())
    outwards_.join();
  if (inwards_.joinable())
    inwards_.join();
  if (inner_ >= 0)
    close(inner_);
  if (server_ >= 0)
    close(server_);
}

int stdio_bridge::take_socket() noexcept { return std::exchange(server_, -1); }

} // namespace gnomon::io
