// One capture: the content of a volume as of a cut, while the volume goes on. It knows which granules it is to contain,
// which it has already (read, or copied to the spill because a write was about to change them), and whether it failed.
//
//   draining:  changes from before the cut are under way. Nothing is scanned; a write copies every granule first that
//              has no copy. Which granules are wanted is not known yet.
//   scanning:  they are over. The wanted granules are read in ascending order; a write copies first only a wanted one
//              that was neither copied nor read.
//   failed:    what a write was about to change could not be kept, or content could not be read. Writes copy nothing.
//
// Rings ask must_copy() and any_settled() with the granules' gate held shared; keep() and reads are made with it held
// exclusively. begin_scan() and the order of reads are the control side's.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "config/error.hpp"
#include "config/types.hpp"
#include "io/granule/bits.hpp"
#include "io/granule/spill.hpp"
#include "io/types.hpp"

namespace gnomon::io {

class capture {
public:
  // Of the whole volume, `size` bytes at the cut.
  capture(std::uint64_t id, byte_count size, std::unique_ptr<granule_spill> spill);

  std::uint64_t id() const noexcept { return id_; }
  byte_count size() const noexcept { return size_; }
  std::uint64_t granules() const noexcept { return granules_; }
  std::uint32_t bytes_of(std::uint64_t granule) const noexcept; // 64 KiB, or the rest of the volume

  // --- rings
  // The first of [first, end) that must be copied before it changes, or `end`.
  std::uint64_t next_to_copy(std::uint64_t first, std::uint64_t end) const noexcept;
  bool must_copy(std::uint64_t granule) const noexcept { return next_to_copy(granule, granule + 1) == granule; }
  // Whether any has been copied or read: a change from before the cut must not follow.
  bool any_settled(std::uint64_t first, std::uint64_t end) const noexcept;

  // --- with the granule's gate held exclusively
  result<void> keep(std::uint64_t granule, std::span<const std::byte> content);
  void settle(std::uint64_t granule) noexcept { settled_.set(granule, 1); }
  bool settled(std::uint64_t granule) const noexcept { return settled_.test(granule); }
  result<void> read_copy(std::uint64_t granule, std::span<std::byte> into) const {
    return spill_->read(granule_index{granule}, into);
  }

  // --- any thread
  void fail_with(error why);
  std::optional<error> failure() const;
  bool failed() const noexcept { return failed_.load(std::memory_order_acquire); }
  std::uint64_t spill_bytes() const { return spill_->bytes_used(); }

  // --- control side
  // Every change from before the cut is over. `changed`: only what it holds is wanted; null: everything.
  void begin_scan(const granule_bits* changed) noexcept;
  // What lies before `granule` has been delivered and is not asked for again.
  void delivered_before(std::uint64_t granule);
  std::uint64_t next_wanted(std::uint64_t from) const noexcept; // granules() if none

private:
  enum class phase : std::uint8_t { draining, scanning };

  const std::uint64_t id_;
  const byte_count size_;
  const std::uint64_t granules_;
  std::vector<granule_bits::word> settled_words_;
  granule_bits settled_;
  std::unique_ptr<granule_spill> spill_;
  std::atomic<phase> phase_{phase::draining};
  const granule_bits* wanted_ = nullptr; // written before phase_ becomes scanning; null: all
  std::atomic<std::uint64_t> delivered_before_{0};
  std::atomic<bool> failed_{false};
  mutable std::mutex mutex_;
  std::optional<error> why_;
};

} // namespace gnomon::io
