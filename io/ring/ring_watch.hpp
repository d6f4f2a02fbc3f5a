// Sees rings that stay in one turn: a system call that was meant not to wait does. A thread of its own that looks now
// and then and calls `stays` for such a ring, at every look, until the turn is over. It can end nothing; its callback
// keeps other rings from the same place, and tells the operator.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "io/ring/ring.hpp"

namespace gnomon::io {

class ring_watch {
public:
  static constexpr std::chrono::milliseconds between_looks{100};
  static constexpr std::chrono::milliseconds patience{50}; // no turn that only computes and copies lasts so long

  // Called on the watch's thread; must not block.
  using callback = std::function<void(ring& one, nanoseconds stayed)>;
  // The rings outlive the watch.
  ring_watch(std::vector<ring*> rings, callback stays);
  ~ring_watch();
  ring_watch(const ring_watch&) = delete;
  ring_watch& operator=(const ring_watch&) = delete;

private:
  void run();

  const std::vector<ring*> rings_;
  const callback stays_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

} // namespace gnomon::io
