// Serves one client on descriptors that rings cannot use as sockets (pipes of inetd, ssh or a fuzzer): two threads
// move bytes between them and a socket pair. When both are one socket it is used directly and no thread is needed.
#pragma once

#include <memory>
#include <thread>

#include "config/error.hpp"

namespace gnomon::io {

class stdio_bridge {
public:
  static result<std::unique_ptr<stdio_bridge>> open(int in_fd, int out_fd);
  ~stdio_bridge(); // ends both directions and joins

  int take_socket() noexcept; // the server's end; the caller owns it

private:
  stdio_bridge() = default;
  int server_ = -1, inner_ = -1, in_ = -1, out_ = -1;
  std::thread inwards_, outwards_;
};

} // namespace gnomon::io
