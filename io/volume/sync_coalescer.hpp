// Flushes of one file: one sync is in flight at a time, on a descriptor used for nothing else; flushes that arrive
// meanwhile share the next one. A pure state machine: who is told to start a sync submits it and reports its result.
//
// Any thread, each call under a short mutex (flushes are not the steady read/write path; it covers a few pointer
// moves and no system call). Allocates nothing.
//
// A flush promises what was answered before it arrived. So a flush may not join a sync that is already in flight: the
// kernel may have passed over the flush's data. After a failed sync Linux has dropped dirty pages and reports it
// once; those may be the data of flushes that wait for the next sync as well, which would then "succeed". So they all
// get the error, and every later flush until an operator clears it: the file's writes have failed. Nobody is answered
// before the failure's mark is decided (durable, or certain that it cannot be), and a later sync never undoes it:
//
//   sound --completed(errno), fail()--> marking --marked()--> failed --clear_failure()--> sound
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
    joined,     // will be answered with a sync that begins later, or with the failure once its mark is decided
    failed,     // a sync failed earlier and nobody cleared it: answer with waiter.os_errno (EIO), write nothing
    full,       // waiters_max wait: stop reading that socket and try again
  };
  struct completion_result {
    parked* answer = nullptr; // linked by `next`; os_errno is set. Hand each to its ring (resume_target::resume_list)
    bool start_another = false; // the caller submits the next sync, before or after it hands out the answers
    bool newly_failed = false;  // the volume's writes have failed just now: mark it durably, then call marked()
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
  // A sync that was not made here has failed (a close, a stop). True if the writes had not failed before: mark it
  // durably, then call marked().
  [[nodiscard]] bool fail(int os_errno);
  // The mark of the failure is decided. Returns who waited for that, linked by `next`, os_errno set.
  [[nodiscard]] parked* marked();
  // An operator accepts what may have been lost: flushes work again. Nothing happens while the mark is under way.
  void clear_failure();
  bool failed() const;
  bool marking() const;
  int failed_errno() const; // 0: sound
  bool idle() const; // no sync in flight, nobody waits

private:
  struct list {
    parked* first = nullptr;
    parked* last = nullptr;
    std::uint32_t length = 0;
    void append(parked& node) noexcept;
    void append(list other) noexcept;
  };

  parked* give(list answered) const; // with the failure's errno, or 0

  mutable std::mutex mutex_;
  bool in_flight_ = false;
  bool marking_ = false;
  int failed_errno_ = 0;
  list sharing_; // by the sync in flight
  list next_;    // by the one after it; while marking: all who wait for the mark
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
  if (failed_errno_ != 0 && !marking_)
    return arrival::failed;
  if (sharing_.length + next_.length == waiters_max)
    return arrival::full;
  if (in_flight_ || marking_) {
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
  in_flight_ = false;
  if (os_errno != 0 && failed_errno_ == 0) {
    out.newly_failed = marking_ = true;
    failed_errno_ = os_errno;
  }
  list answered = std::exchange(sharing_, {});
  if (marking_) {
    next_.append(answered);
    return out;
  }
  if (failed_errno_ == 0) {
    sharing_ = std::exchange(next_, {});
    in_flight_ = out.start_another = sharing_.first != nullptr;
  }
  out.answer = give(answered);
  return out;
}

inline bool sync_coalescer::fail(int os_errno) {
  assert(os_errno > 0);
  const std::lock_guard lock(mutex_);
  if (failed_errno_ != 0)
    return false;
  failed_errno_ = os_errno;
  marking_ = true;
  return true;
}

inline parked* sync_coalescer::marked() {
  const std::lock_guard lock(mutex_);
  assert(marking_);
  marking_ = false;
  return give(std::exchange(next_, {}));
}

inline parked* sync_coalescer::give(list answered) const {
  for (parked* node = answered.first; node != nullptr; node = node->next)
    static_cast<sync_waiter*>(node)->os_errno = failed_errno_;
  return answered.first;
}

inline void sync_coalescer::clear_failure() {
  const std::lock_guard lock(mutex_);
  if (!marking_)
    failed_errno_ = 0;
}
inline bool sync_coalescer::failed() const {
  const std::lock_guard lock(mutex_);
  return failed_errno_ != 0;
}
inline bool sync_coalescer::marking() const {
  const std::lock_guard lock(mutex_);
  return marking_;
}
inline int sync_coalescer::failed_errno() const {
  const std::lock_guard lock(mutex_);
  return failed_errno_;
}
inline bool sync_coalescer::idle() const {
  const std::lock_guard lock(mutex_);
  return !in_flight_;
}

} // namespace gnomon::io
