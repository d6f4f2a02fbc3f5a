// Plain reads and writes of a volume's file from threads that may block (granule workers): whole or not at all, with
// the disk's faults where a test injects them. O_DIRECT files want aligned memory, offsets and lengths.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "config/error.hpp"
#include "config/types.hpp"

namespace gnomon::io {

class volume_core;

// Aligned for O_DIRECT; one granule.
class granule_buffer {
public:
  granule_buffer() : memory_(static_cast<std::byte*>(::operator new(granule_bytes, std::align_val_t{block_bytes}))) {}
  ~granule_buffer() { ::operator delete(memory_, std::align_val_t{block_bytes}); }
  granule_buffer(const granule_buffer&) = delete;
  granule_buffer& operator=(const granule_buffer&) = delete;
  std::byte* data() noexcept { return memory_; }
  std::span<std::byte> first(std::size_t bytes) noexcept { return {memory_, bytes}; }

private:
  std::byte* memory_;
};

// `bytes` of the file, of which `memory` has room for whole aligned blocks. A short read is io_failed.
result<void> read_file(volume_core& core, std::byte* memory, std::uint64_t offset, std::uint64_t bytes);
// The rest of the last block, if any, is written as it is in `memory`.
result<void> write_file(volume_core& core, std::byte* memory, std::uint64_t offset, std::uint64_t bytes);
// Whether [offset, offset + bytes) is certainly a hole of the file now.
bool is_hole(volume_core& core, std::uint64_t offset, std::uint64_t bytes);

} // namespace gnomon::io
