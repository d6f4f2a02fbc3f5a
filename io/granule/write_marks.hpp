// Which granules of a volume are being written, for readers that must not see a mix of an old and a new block: the
// page cache copies neither reads nor writes atomically. Changes are marked from before they touch the file until
// they are over; a reader looks before and after its copy, and copies again if a change was under way meanwhile.
//
// Any thread. No lock; the first change of a volume allocates. Granules are folded onto stripes, so that two of them may
// be taken for one: then a reader copies once more than it had to.
//
// Why no mix is missed: a change that is over before the first look is whole in the file; one that is under way at a
// look shows in its count; one that began and ended between the looks has raised the version. begin() is an atomic
// read-modify-write before the system call that changes the file, end() one after it, and each look is between the
// reader's system calls.
//
// Starvation: a reader that was disturbed often holds writers back (hold_back); begin() tells them, and they wait a
// little, for a bounded time.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

#include "config/types.hpp"

namespace gnomon::io {

class write_marks {
public:
  static constexpr std::uint32_t stripe_count = 4096; // a power of two; 8 bytes each

  struct glance {
    std::uint64_t versions = 0; // sum over the range
    bool quiet = true;          // no change is under way
    bool same_as(const glance& other) const noexcept { return quiet && other.quiet && versions == other.versions; }
  };

  write_marks() = default;
  ~write_marks() { delete[] words_.load(std::memory_order_acquire); }
  write_marks(const write_marks&) = delete;
  write_marks& operator=(const write_marks&) = delete;

  // Marks a change of [offset, offset + length), length > 0. False: a reader asks writers to wait; the change is
  // marked all the same.
  bool begin(std::uint64_t offset, std::uint64_t length) noexcept {
    std::atomic<word>* words = words_.load(std::memory_order_acquire);
    if (words == nullptr) [[unlikely]]
      words = allocate();
    word seen = 0;
    each(offset, length, [&](std::uint32_t at) { seen |= words[at].fetch_add(1, std::memory_order_seq_cst); });
    return (seen & held_back) == 0;
  }
  void end(std::uint64_t offset, std::uint64_t length) noexcept {
    std::atomic<word>* words = words_.load(std::memory_order_relaxed);
    each(offset, length, [&](std::uint32_t at) { words[at].fetch_add(one_version - 1, std::memory_order_release); });
  }

  glance look(std::uint64_t offset, std::uint64_t length) const noexcept {
    std::atomic_thread_fence(std::memory_order_acquire); // the copy before it is over
    glance g;
    const std::atomic<word>* words = words_.load(std::memory_order_acquire);
    if (words == nullptr)
      return g; // nothing was ever changed
    each(offset, length, [&](std::uint32_t at) {
      const word w = words[at].load(std::memory_order_seq_cst);
      g.quiet &= (w & count_mask) == 0;
      g.versions += w & version_mask;
    });
    return g;
  }

  // Only where look() has seen a change.
  void hold_back(std::uint64_t offset, std::uint64_t length) noexcept {
    if (std::atomic<word>* words = words_.load(std::memory_order_acquire))
      each(offset, length, [&](std::uint32_t at) { words[at].fetch_or(held_back, std::memory_order_relaxed); });
  }
  // Another reader that still wants it says so again.
  void let_go(std::uint64_t offset, std::uint64_t length) noexcept {
    if (std::atomic<word>* words = words_.load(std::memory_order_acquire))
      each(offset, length, [&](std::uint32_t at) { words[at].fetch_and(~held_back, std::memory_order_relaxed); });
  }

private:
  using word = std::uint64_t; // {version: 43, held back: 1, changes under way: 20}
  static constexpr word count_mask = (word{1} << 20) - 1;
  static constexpr word held_back = word{1} << 20;
  static constexpr word one_version = word{1} << 21;
  static constexpr word version_mask = ~(one_version - 1);

  template <class Do>
  static void each(std::uint64_t offset, std::uint64_t length, Do what) noexcept {
    const std::uint64_t first = offset / granule_bytes, last = (offset + length - 1) / granule_bytes;
    const std::uint64_t count = std::min<std::uint64_t>(last - first + 1, stripe_count);
    for (std::uint64_t i = 0; i < count; ++i)
      what(static_cast<std::uint32_t>((first + i) % stripe_count));
  }

  std::atomic<word>* allocate() noexcept {
    auto* made = new std::atomic<word>[stripe_count]();
    std::atomic<word>* expected = nullptr;
    if (words_.compare_exchange_strong(expected, made, std::memory_order_acq_rel))
      return made;
    delete[] made;
    return expected;
  }

  std::atomic<std::atomic<word>*> words_{nullptr};
};

} // namespace gnomon::io
