// One listening socket, accepting on a ring. Made, closed and destroyed by control threads; `on_client` is called on
// the ring and takes ownership of the descriptor. When descriptors run out it waits a moment instead of spinning.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>

#include <sys/types.h>

#include "config/settings/settings.hpp"
#include "io/ring/ring.hpp"
#include "io/types.hpp"

namespace gnomon::io {

class listener {
public:
  using client_function = std::function<void(int fd, const instance_id& anonymous)>;
  using alert_function = std::function<void(alert)>;

  // `instance`: its clients are this instance; nothing: they are "anonymous:ENDPOINT".
  static result<std::unique_ptr<listener>> open(const endpoint& where, std::uint32_t socket_mode,
                                                std::optional<instance_id> instance, ring& on,
                                                client_function on_client, alert_function on_alert);
  // A descriptor that listens already (socket activation).
  static result<std::unique_ptr<listener>> take_over(int fd, ring& on, client_function on_client,
                                                     alert_function on_alert);
  // The ring has stopped or close() was called and the ring has seen it.
  ~listener();

  const endpoint& bound() const noexcept { return bound_; }
  // Accepts nothing more; removes the Unix socket's file, unless somebody has put another in its place. Idempotent.
  void close();

private:
  listener(int fd, endpoint bound, std::optional<instance_id> instance, ring& on, client_function on_client, alert_function on_alert);
  void begin();
  void accepted(int result, unsigned flags);

  struct accept_completion : completion {
    listener* self = nullptr;
  };

  int fd_;
  const endpoint bound_;
  struct file_identity {
    dev_t device;
    ino_t inode;
  };
  std::optional<file_identity> made_; // the Unix socket's file, ours to remove while it is the same
  const instance_id anonymous_;
  ring& ring_;
  client_function on_client_;
  alert_function on_alert_;
  accept_completion accept_, retry_;
  __kernel_timespec retry_span_{0, 100'000'000};
  std::atomic<bool> closed_{false};
};

} // namespace gnomon::io
