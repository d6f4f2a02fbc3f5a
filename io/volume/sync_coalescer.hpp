// Flushes of one file: one sync is in flight at a time, on a descriptor used for nothing else; flushes that arrive
// meanwhile share the next one. A pure state machine: who is told to start a sync submits it and reports its result.
//
// Any thread, each call under a short mutex (flushes are not the steady read/write path; it covers a few pointer
// moves and no system call). Allocates nothing.
//
// A flush promises what was answered before it arrived. So a flush may not join a sync that is already in flight: the
// kernel may have passed over the flush's data. After a failed sync Linux has dropped dirty pages and reports it
// once; those may be the data of flushes that wait for the next sync as well, which would then "succeed". So they all
// get the error, and every later flush until an operator clears it: the file's writes have failed.
#pragma once

#include <cassert>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <utility>

#include "io/ring/wake.hpp"

namespace gnomon::io {

// A flush or FUA write that waits for stable storage; embedded in its request's slot. After it was answered (it is in
// the list that completed() returned, or arrive() refused it) it belongs to its request again.
struct sync_waiter : parked {
  int os_errno = 0; // the answer: 0 or the errno of the sync it shared
};

class sync_coalescer {
public:
  static constexpr std::uint32_t waiters_max = 65536;

  enum class arrival : std::uint8_t {
    start_sync, // the caller submits a sync now and reports it with completed()
    joined,     // will be answered with a sync that begins later
    failed,     // a sync failed earlier and nobody cleared it: answer with waiter.os_errno (EIO), write nothing
    full,       // waiters_max wait: stop reading that socket and try again
  };
  struct completion_result {
    parked* answer = nullptr; // linked by `next`; os_errno is set. Hand each to its ring (resume_target::resume_list)
    bool start_another = false; // the caller submits the next sync, before or after it hands out the answers
    bool newly_failed = false;  // the volume's writes have failed just now: say so once, persist it
  };

  // `failed`: a sync failed in an earlier life of the volume and no operator has cleared it.
  explicit sync_coalescer(bool failed = false) : failed_errno_(failed ? EIO : 0) {}
  ~sync_coalescer() { assert(!in_flight_); }
  sync_coalescer(const sync_coalescer&) = delete;
  sync_coalescer& operator=(const sync_coalescer&) = delete;

  // Call it after the writes that it covers have completed.
  [[nodiscard]] arrival arrive(sync_waiter& waiter);
  // The sync in flight is over: 0, or the errno. EINTR and EAGAIN are the caller's to repeat, not reported here.
  [[nodiscard]] completion_result completed(int os_errno);
  // An operator accepts what may have been lost: flushes work again.
  void clear_failure();
  // A write itself failed in a way that leaves the file's content unknown: as a failed sync.
  bool failed() const;
  bool idle() const; // no sync in flight, nobody waits

private:
  struct list {
    parked* first = nullptr;
    parked* last = nullptr;
    std::uint32_t length = 0;
    void append(parked& node) noexcept;
    void append(list other) noexcept;
  };

  mutable std::mutex mutex_;
  bool in_flight_ = false;
  int failed_errno_ = 0;
  list sharing_; // by the sync in flight
  list next_;    // by the one after it
};

// ---

inline void sync_coalescer::list::append(parked& node) noexcept {
  node.next = nullptr;
  (last != nullptr ? last->next : first) = &node;
  last = &node;
  ++length;
}
inline void sync_coalescer::list::append(list other) noexcept {
  if (other.first == nullptr)
    return;
  (last != nullptr ? last->next : first) = other.first;
  last = other.last;
  length += other.length;
}

inline sync_coalescer::arrival sync_coalescer::arrive(sync_waiter& waiter) {
  const std::lock_guard lock(mutex_);
  waiter.os_errno = failed_errno_;
  if (failed_errno_ != 0)
    return arrival::failed;
  if (sharing_.length + next_.length == waiters_max)
    return arrival::full;
  if (in_flight_) {
    next_.append(waiter);
    return arrival::joined;
  }
  in_flight_ = true;
  sharing_.append(waiter);
  return arrival::start_sync;
}

inline sync_coalescer::completion_result sync_coalescer::completed(int os_errno) {
  assert(os_errno >= 0);
  const std::lock_guard lock(mutex_);
  assert(in_flight_);
  completion_result out;
  list answered = std::exchange(sharing_, {});
  if (os_errno != 0) {
    out.newly_failed = failed_errno_ == 0;
    failed_errno_ = os_errno;
    answered.append(std::exchange(next_, {}));
  } else {
    sharing_ = std::exchange(next_, {});
  }
  for (parked* node = answered.first; node != nullptr; node = node->next)
    static_cast<sync_waiter*>(node)->os_errno = os_errno;
  in_flight_ = out.start_another = sharing_.first != nullptr;
  out.answer = answered.first;
  return out;
}

inline void sync_coalescer::clear_failure() {
  const std::lock_guard lock(mutex_);
  failed_errno_ = 0;
}
inline bool sync_coalescer::failed() const {
  const std::lock_guard lock(mutex_);
  return failed_errno_ != 0;
}
inline bool sync_coalescer::idle() const {
  const std::lock_guard lock(mutex_);
  return !in_flight_;
}

} // namespace gnomon::io
