#include "io/ring/ring_watch.hpp"

#include <utility>

namespace gnomon::io {

ring_watch::ring_watch(std::vector<ring*> rings, callback stays)
    : rings_(std::move(rings)), stays_(std::move(stays)), thread_([this] { run(); }) {}

ring_watch::~ring_watch() {
  {
    const std::lock_guard lock{mutex_};
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void ring_watch::run() {
  std::unique_lock lock{mutex_};
  while (!wake_.wait_for(lock, between_looks, [this] { return stop_; })) {
    const std::int64_t now = boot_clock::now().time_since_epoch().count();
    for (ring* one : rings_) {
      const std::int64_t began = one->stats().turn_began_ns.load(std::memory_order_relaxed);
      if (began != 0 && now - began > std::chrono::nanoseconds(patience).count())
        stays_(*one, nanoseconds{now - began});
    }
  }
}

} // namespace gnomon::io
