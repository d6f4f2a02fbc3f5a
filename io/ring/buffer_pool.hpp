// Request and reply buffers of one ring: page-aligned, in power-of-two size classes, kept on free lists.
// Used by the ring's thread only. Steady state allocates nothing; memory is bounded and given back when idle.
//
// Layout of a buffer: [headroom_bytes][capacity]. Data starts page-aligned, so that it can be read with O_DIRECT, and
// a reply's header is written into the headroom just before it: header and data leave in one piece.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "config/types.hpp"

namespace gnomon::io {

struct buffer {
  std::byte* data = nullptr;  // first byte of the capacity; headroom lies before it
  std::uint32_t capacity = 0; // bytes, at least what was asked for
  std::uint8_t size_class = 0;
  explicit operator bool() const noexcept { return data != nullptr; }
};

class buffer_pool {
public:
  static constexpr std::size_t headroom_bytes = 4096;
  static constexpr std::uint32_t smallest_bytes = 4096;
  static constexpr unsigned class_count = 15;            // 4 KiB ... 64 MiB
  static constexpr std::size_t idle_bytes_max = 8 << 20; // what trim() leaves on the free lists

  explicit buffer_pool(byte_count memory_max) : memory_max_(memory_max.value) {}
  ~buffer_pool();
  buffer_pool(const buffer_pool&) = delete;
  buffer_pool& operator=(const buffer_pool&) = delete;

  // An empty buffer when the limit is reached (or the kernel has no memory): try again after a release().
  buffer acquire(std::uint32_t bytes) noexcept;
  // Whatever the limit: for a request that is under way and must be able to end. Small sizes only.
  buffer acquire_reserved(std::uint32_t bytes = smallest_bytes) noexcept;
  void release(buffer& b) noexcept; // leaves `b` empty
  // Memory from elsewhere that counts as used all the same: what connections keep that are not buffers of this pool.
  void charge(std::size_t bytes) noexcept { charged_ += bytes; }
  void discharge(std::size_t bytes) noexcept {
    charged_ -= bytes;
    ++releases_;
  }
  // Grows with each release() and discharge(): has there been room made since?
  std::uint64_t releases() const noexcept { return releases_; }
  // Frees idle buffers beyond idle_bytes_max.
  void trim() noexcept;

  std::size_t held_bytes() const noexcept { return held_; } // from the system, in use or idle
  std::size_t used_bytes() const noexcept { return held_ - idle_ + charged_; }
  std::size_t memory_max() const noexcept { return memory_max_; }
  bool under_pressure() const noexcept { return used_bytes() > memory_max_ / 2; }

private:
  struct free_node {
    free_node* next;
  };
  static std::size_t mapped_bytes(unsigned size_class) noexcept {
    return headroom_bytes + (static_cast<std::size_t>(smallest_bytes) << size_class);
  }
  buffer take_or_map(unsigned size_class, std::size_t held_max) noexcept;
  void unmap_idle(std::size_t keep) noexcept;

  std::array<free_node*, class_count> free_{};
  std::size_t memory_max_;
  std::size_t held_ = 0, idle_ = 0, charged_ = 0;
  std::uint64_t releases_ = 0;
};

} // namespace gnomon::io
