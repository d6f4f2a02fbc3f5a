// The granule gate of one volume: writes hold their granules shared; a fill's read, bringing in, a layer's copy, an
// archive commit and a read-modify-write hold theirs exclusively. A request takes all of its range or nothing, so
// nobody holds while waiting and no deadlock is possible. Created with the volume's first duty; before, no cost.
//
// Any thread may try, release and cancel. Uncontended, all is one compare-and-swap per unit, without lock or
// allocation. Only where somebody waits is a short mutex taken. Nothing here blocks: who must wait is parked and
// handed back to its ring through its inbox, already holding its range.
//
// Memory is fixed: positions are folded onto stripes (unit modulo a prime: a range is a run of stripes without
// repeats, and power-of-two strides do not collide). Two ranges that share a stripe conflict needlessly but rightly.
// A range of stripe_count units or more is the whole gate.
//
// Fairness: first come, first served among those that conflict. A stripe with waiters turns away newcomers, who queue
// behind them; a waiter needs every stripe of its range free of conflicting holders and of conflicting earlier
// waiters. So it waits for finitely many others only: shared ones starve no exclusive one, nor the reverse, and
// small ranges starve no large one.
//
// No lost wake-up: a waiter adds itself to its stripes' waiting counts (W) and then looks at their holders (L); a
// holder's release (R) is one read-modify-write of the same word. If R comes after W in that word's modification
// order, the releaser sees the waiting count and serves the queue, after the waiter is in it (both under the mutex).
// Otherwise L sees the stripe released. The ordering between holders is the usual one: release, then acquire.
#pragma once

#include <atomic>
#include <cassert>
#include <cstdint>
#include <memory>
#include <mutex>

#include "config/types.hpp"
#include "io/ring/wake.hpp"

namespace gnomon::io {

enum class gate_mode : std::uint8_t { shared, exclusive };

// What a request holds or waits for: embedded in its slot, alive until it was released, cancelled or never acquired.
// `resume` (with `ring`) is called on the ring when a wait has ended; the range is held then. While it waits only the
// gate touches it.
struct gate_waiter : parked {
  std::uint32_t first_stripe = 0;
  std::uint32_t stripes = 0; // 0: holds nothing, waits for nothing
  gate_mode mode = gate_mode::shared;
  bool waiting = false; // guarded by the gate's mutex
  gate_waiter* earlier = nullptr;
  gate_waiter* later = nullptr;
};

class granule_gate {
public:
  struct options {
    byte_count unit{granule_bytes};    // granules, or blocks for read-modify-write on an O_DIRECT volume
    std::uint32_t stripe_count = 4093; // best a prime; 8 bytes each
    std::uint32_t waiters_max = 16384;
    resume_target resume; // must outlive the gate
  };
  enum class outcome : std::uint8_t {
    acquired, // held now
    parked,   // will be resumed, holding its range
    full,     // waiters_max are waiting: as at any full queue, stop reading that socket and try again later
  };

  explicit granule_gate(const options& o);
  ~granule_gate() { assert(waiters_ == 0); }
  granule_gate(const granule_gate&) = delete;
  granule_gate& operator=(const granule_gate&) = delete;

  // Takes [offset, offset + length) in `mode`, or parks `waiter` (whose `ring` and `resume` are set). length > 0.
  [[nodiscard]] outcome try_acquire(byte_offset offset, byte_count length, gate_mode mode, gate_waiter& waiter);

  // The same for callers that will not wait: true when it is held now. Does not overtake waiters.
  [[nodiscard]] bool try_acquire_now(byte_offset offset, byte_count length, gate_mode mode, gate_waiter& waiter);

  // Gives back what `waiter` holds and resumes those who can go on. Any thread, not only the one that acquired.
  void release(gate_waiter& waiter);

  // Gives up a wait. True: it no longer waits and will not be resumed. False: it has been granted before and is on
  // its way to its ring, which must release it.
  [[nodiscard]] bool cancel(gate_waiter& waiter);

  std::uint32_t waiting() const; // now, for status output
  std::uint32_t stripe_count() const noexcept { return stripe_count_; }

private:
  using word = std::uint64_t; // {waiting: 32, exclusive: 1, shared: 31}
  static constexpr word one_shared = 1;
  static constexpr word exclusive = word{1} << 31;
  static constexpr word shared_mask = exclusive - 1;
  static constexpr word one_waiting = word{1} << 32;
  static constexpr word waiting_mask = ~word{0} << 32;

  static constexpr word held_by(gate_mode mode) noexcept {
    return mode == gate_mode::shared ? one_shared : exclusive;
  }
  static constexpr bool admits(word w, gate_mode mode) noexcept {
    return (w & (mode == gate_mode::shared ? exclusive : exclusive | shared_mask)) == 0;
  }

  std::atomic<word>& stripe(const gate_waiter& w, std::uint32_t i) const noexcept {
    const std::uint32_t at = w.first_stripe + i;
    return words_[at < stripe_count_ ? at : at - stripe_count_];
  }
  void set_range(gate_waiter& w, byte_offset offset, byte_count length, gate_mode mode) const noexcept;
  bool overlap(const gate_waiter& a, const gate_waiter& b) const noexcept;
  bool take_uncontended(const gate_waiter& w) noexcept;
  bool give_back(const gate_waiter& w, std::uint32_t stripes) noexcept;
  void serve(const gate_waiter& freed);

  // With mutex_ held.
  bool may_go(const gate_waiter& w) const noexcept;
  void grant(gate_waiter& w) noexcept;
  void enqueue(gate_waiter& w) noexcept;
  void unlink(gate_waiter& w) noexcept;
  void add_waiting(const gate_waiter& w, word delta) noexcept;
  parked* grant_overlapping(const gate_waiter& freed) noexcept;

  const std::uint64_t unit_bytes_;
  const std::uint32_t stripe_count_;
  const std::uint32_t waiters_max_;
  const resume_target resume_;
  std::unique_ptr<std::atomic<word>[]> words_;
  mutable std::mutex mutex_; // the queue; never held while anything but the gate's own memory is touched
  gate_waiter* oldest_ = nullptr;
  gate_waiter* newest_ = nullptr;
  std::uint32_t waiters_ = 0;
};

// --- the uncontended path

inline granule_gate::granule_gate(const options& o)
    : unit_bytes_(o.unit.value), stripe_count_(o.stripe_count), waiters_max_(o.waiters_max), resume_(o.resume),
      words_(std::make_unique<std::atomic<word>[]>(o.stripe_count)) {
  assert(unit_bytes_ > 0 && stripe_count_ > 0);
}

inline void granule_gate::set_range(gate_waiter& w, byte_offset offset, byte_count length,
                                    gate_mode mode) const noexcept {
  assert(length.value > 0 && w.stripes == 0 && !w.waiting);
  const std::uint64_t first = offset.value / unit_bytes_;
  const std::uint64_t units = (offset.value + length.value - 1) / unit_bytes_ - first + 1;
  w.first_stripe = static_cast<std::uint32_t>(first % stripe_count_);
  w.stripes = units < stripe_count_ ? static_cast<std::uint32_t>(units) : stripe_count_;
  w.mode = mode;
}

// All stripes, provided that nobody conflicts and nobody waits; else none.
inline bool granule_gate::take_uncontended(const gate_waiter& w) noexcept {
  for (std::uint32_t i = 0; i < w.stripes; ++i) {
    auto& s = stripe(w, i);
    word seen = s.load(std::memory_order_relaxed);
    do {
      if ((seen & waiting_mask) != 0 || !admits(seen, w.mode)) {
        // Somebody may have queued because of what was held here for this moment.
        if (give_back(w, i))
          serve(w);
        return false;
      }
    } while (
        !s.compare_exchange_weak(seen, seen + held_by(w.mode), std::memory_order_acquire, std::memory_order_relaxed));
  }
  return true;
}

// Releases the first `stripes` of the range; true when somebody waits at one of them.
inline bool granule_gate::give_back(const gate_waiter& w, std::uint32_t stripes) noexcept {
  word seen = 0;
  for (std::uint32_t i = 0; i < stripes; ++i)
    seen |= stripe(w, i).fetch_sub(held_by(w.mode), std::memory_order_release);
  return (seen & waiting_mask) != 0;
}

inline bool granule_gate::try_acquire_now(byte_offset offset, byte_count length, gate_mode mode,
                                          gate_waiter& waiter) {
  set_range(waiter, offset, length, mode);
  if (take_uncontended(waiter))
    return true;
  waiter.stripes = 0;
  return false;
}

inline void granule_gate::release(gate_waiter& waiter) {
  assert(waiter.stripes > 0);
  const bool somebody_waits = give_back(waiter, waiter.stripes);
  if (somebody_waits)
    serve(waiter);
  waiter.stripes = 0;
}

// --- the contended path

inline granule_gate::outcome granule_gate::try_acquire(byte_offset offset, byte_count length, gate_mode mode,
                                                       gate_waiter& waiter) {
  set_range(waiter, offset, length, mode);
  if (take_uncontended(waiter))
    return outcome::acquired;
  const std::lock_guard lock(mutex_);
  // From here on nobody can take a stripe of the range without the mutex: its holders can only become fewer. So
  // looking at all of them first and taking them afterwards is one step.
  add_waiting(waiter, one_waiting); // W
  if (may_go(waiter)) {             // L
    grant(waiter);
    return outcome::acquired;
  }
  if (waiters_ == waiters_max_) {
    add_waiting(waiter, word{0} - one_waiting);
    waiter.stripes = 0;
    return outcome::full;
  }
  enqueue(waiter);
  return outcome::parked;
}

inline bool granule_gate::cancel(gate_waiter& waiter) {
  parked* granted = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (!waiter.waiting)
      return false;
    unlink(waiter);
    add_waiting(waiter, word{0} - one_waiting);
    granted = grant_overlapping(waiter); // those who were behind it
    waiter.stripes = 0;
  }
  resume_.resume_list(granted);
  return true;
}

inline void granule_gate::serve(const gate_waiter& freed) {
  parked* granted = nullptr;
  {
    const std::lock_guard lock(mutex_);
    granted = grant_overlapping(freed);
  }
  resume_.resume_list(granted);
}

inline std::uint32_t granule_gate::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiters_;
}

// Both are runs on a circle of stripe_count_ stripes.
inline bool granule_gate::overlap(const gate_waiter& a, const gate_waiter& b) const noexcept {
  const auto distance = [this](std::uint32_t from, std::uint32_t to) {
    return to >= from ? to - from : to + stripe_count_ - from;
  };
  return distance(a.first_stripe, b.first_stripe) < a.stripes || distance(b.first_stripe, a.first_stripe) < b.stripes;
}

inline bool granule_gate::may_go(const gate_waiter& w) const noexcept {
  for (std::uint32_t i = 0; i < w.stripes; ++i)
    if (!admits(stripe(w, i).load(std::memory_order_relaxed), w.mode))
      return false; // grant() acquires
  // Those who came before: all of the queue for a newcomer (it is not linked yet), else the part before it.
  for (const gate_waiter* e = w.waiting ? w.earlier : newest_; e != nullptr; e = e->earlier)
    if ((e->mode == gate_mode::exclusive || w.mode == gate_mode::exclusive) && overlap(*e, w))
      return false;
  return true;
}

// Turns a wait into a hold, on every stripe of the range.
inline void granule_gate::grant(gate_waiter& w) noexcept { add_waiting(w, held_by(w.mode) - one_waiting); }

inline void granule_gate::add_waiting(const gate_waiter& w, word delta) noexcept {
  // Acquire for grants; release because a count read by others must not hide an earlier holder's release (an RMW
  // continues the release sequence anyway).
  for (std::uint32_t i = 0; i < w.stripes; ++i)
    stripe(w, i).fetch_add(delta, std::memory_order_acq_rel);
}

inline void granule_gate::enqueue(gate_waiter& w) noexcept {
  w.waiting = true;
  w.earlier = newest_;
  w.later = nullptr;
  (newest_ != nullptr ? newest_->later : oldest_) = &w;
  newest_ = &w;
  ++waiters_;
}

inline void granule_gate::unlink(gate_waiter& w) noexcept {
  (w.earlier != nullptr ? w.earlier->later : oldest_) = w.later;
  (w.later != nullptr ? w.later->earlier : newest_) = w.earlier;
  w.earlier = w.later = nullptr;
  w.waiting = false;
  --waiters_;
}

// Only waiters that overlap what was freed can have become ready; a grant makes nobody else ready. Oldest first. The
// granted ones are returned, linked by `next`.
inline parked* granule_gate::grant_overlapping(const gate_waiter& freed) noexcept {
  parked* granted = nullptr;
  parked** tail = &granted;
  for (gate_waiter* w = oldest_; w != nullptr;) {
    gate_waiter* const next = w->later;
    if (overlap(*w, freed) && may_go(*w)) {
      unlink(*w);
      grant(*w);
      w->next = nullptr;
      *tail = w;
      tail = &w->next;
    }
    w = next;
  }
  return granted;
}

} // namespace gnomon::io
