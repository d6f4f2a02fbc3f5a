// One granule of a shadow at its gateway as one atomic word {valid, filling, own writes in flight, version}. Any
// thread; nothing locks or allocates. A single word is what makes "void" exact: a write or an invalidation raises the
// version and clears valid in one step, so a fill that began before it can never set valid.
//
//            begin_fill (no own write)           end_fill (version as at the beginning)
//   invalid ─────────────────────────► filling ────────────────────────────────────────► valid
//      ▲                                  │ end_fill (version has moved on: void)            │
//      ├──────────────────────────────────┘                                                 │
//      └──────────────── begin_own_write, invalidate (also while filling: void) ◄────────────┘
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "io/session/planted.hpp"

namespace gnomon::io::session {

class granule_word {
public:
  static constexpr std::uint64_t own_writes_max = (1u << 14) - 1; // of one granule at once

  // The granule may be read from the shadow now.
  bool valid() const noexcept { return (word_.load(std::memory_order_acquire) & valid_bit) != 0; }
  bool filling() const noexcept { return (word_.load(std::memory_order_acquire) & filling_bit) != 0; }
  std::uint64_t own_writes() const noexcept {
    return (word_.load(std::memory_order_acquire) & own_mask) >> own_shift;
  }
  // Rises with every write and invalidation. Unchanged over a read that began valid: nothing was written meanwhile.
  std::uint64_t version() const noexcept { return word_.load(std::memory_order_acquire) >> version_shift; }

  // Before a write of this gateway's own clients is forwarded. False: own_writes_max are in flight, try again later.
  [[nodiscard]] bool begin_own_write() noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed), next = 0;
    do {
      if ((seen & own_mask) == own_mask)
        return false;
      next = (planted(fault::no_void_on_own_write) && (seen & filling_bit) != 0 ? seen : raised(seen)) + one_own;
    } while (!word_.compare_exchange_weak(seen, next, std::memory_order_acq_rel, std::memory_order_relaxed));
    return true;
  }
  // Its reply has arrived, or never will.
  void end_own_write() noexcept { word_.fetch_sub(one_own, std::memory_order_acq_rel); }

  // After the return nothing older is served, so the invalidation may be acknowledged.
  void invalidate() noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed), next = 0;
    do {
      next = planted(fault::no_void_on_invalidation) && (seen & filling_bit) != 0 ? seen & ~valid_bit : raised(seen);
    } while (!word_.compare_exchange_weak(seen, next, std::memory_order_acq_rel, std::memory_order_relaxed));
  }

  // The version to end the fill with; nothing while the granule is valid, being filled or written by own clients.
  [[nodiscard]] std::optional<std::uint64_t> begin_fill() noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    do {
      const bool filling = (seen & filling_bit) != 0 && !planted(fault::two_fills_at_once);
      if ((seen & (valid_bit | own_mask)) != 0 || filling)
        return std::nullopt;
    } while (
        !word_.compare_exchange_weak(seen, seen | filling_bit, std::memory_order_acq_rel, std::memory_order_relaxed));
    return seen >> version_shift;
  }
  enum class fill_result : std::uint8_t { failed, written };
  // After the fill's write to the shadow file has ended, void or not. True: the granule is valid now.
  bool end_fill(std::uint64_t version, fill_result how) noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed), next = 0;
    do {
      next = seen & ~filling_bit;
      const bool current = seen >> version_shift == version || planted(fault::void_flag_beside_valid);
      if (how == fill_result::written && current)
        next |= valid_bit;
    } while (!word_.compare_exchange_weak(seen, next, std::memory_order_acq_rel, std::memory_order_relaxed));
    return (next & valid_bit) != 0;
  }

private:
  static constexpr std::uint64_t valid_bit = 1, filling_bit = 2;
  static constexpr unsigned own_shift = 2, version_shift = 16;
  static constexpr std::uint64_t one_own = 1u << own_shift;
  static constexpr std::uint64_t own_mask = own_writes_max << own_shift;
  static constexpr std::uint64_t one_version = 1u << version_shift;

  static constexpr std::uint64_t raised(std::uint64_t word) noexcept { return (word & ~valid_bit) + one_version; }

  std::atomic<std::uint64_t> word_{0};
};

} // namespace gnomon::io::session
