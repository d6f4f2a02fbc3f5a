#include "io/ring/buffer_pool.hpp"

#include <algorithm>
#include <bit>

#include <sys/mman.h>

namespace gnomon::io {

buffer_pool::~buffer_pool() { unmap_idle(0); }

static unsigned class_of(std::uint32_t bytes) noexcept {
  const std::uint32_t rounded = std::bit_ceil(std::max(bytes, buffer_pool::smallest_bytes));
  return static_cast<unsigned>(std::countr_zero(rounded / buffer_pool::smallest_bytes));
}

buffer buffer_pool::acquire(std::uint32_t bytes) noexcept {
  const unsigned size_class = class_of(bytes);
  return size_class < class_count ? take_or_map(size_class, memory_max_) : buffer{};
}

buffer buffer_pool::acquire_reserved(std::uint32_t bytes) noexcept { return take_or_map(class_of(bytes), SIZE_MAX); }

buffer buffer_pool::take_or_map(unsigned size_class, std::size_t held_max) noexcept {
  const std::size_t size = mapped_bytes(size_class);
  buffer b{nullptr, smallest_bytes << size_class, static_cast<std::uint8_t>(size_class)};
  if (free_node* node = free_[size_class]) {
    free_[size_class] = node->next;
    idle_ -= size;
    b.data = reinterpret_cast<std::byte*>(node);
    return b;
  }
  if (held_ + charged_ + size > held_max) {
    unmap_idle(0); // idle buffers of other sizes must not keep this one away
    if (held_ + charged_ + size > held_max && used_bytes() > held_max / 16)
      return {}; // one request of any size fits while little is used
  }
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return {};
  held_ += size;
  b.data = static_cast<std::byte*>(memory) + headroom_bytes;
  return b;
}

void buffer_pool::release(buffer& b) noexcept {
  if (!b.data)
    return;
  auto* node = reinterpret_cast<free_node*>(b.data);
  node->next = free_[b.size_class];
  free_[b.size_class] = node;
  ++releases_;
  idle_ += mapped_bytes(b.size_class);
  b = {};
}

void buffer_pool::trim() noexcept {
  if (idle_ > idle_bytes_max)
    unmap_idle(idle_bytes_max);
}

void buffer_pool::unmap_idle(std::size_t keep) noexcept {
  for (unsigned c = class_count; c-- > 0 && idle_ > keep;) {
    while (free_[c] && idle_ > keep) {
      free_node* node = free_[c];
      free_[c] = node->next;
      munmap(reinterpret_cast<std::byte*>(node) - headroom_bytes, mapped_bytes(c));
      idle_ -= mapped_bytes(c);
      held_ -= mapped_bytes(c);
    }
  }
}

} // namespace gnomon::io
