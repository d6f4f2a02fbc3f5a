// Which parts of a file are holes. The calls may wait for the disk, so rings leave them to the blocking pool.
#pragma once

#include <cstdint>
#include <vector>

#include "config/error.hpp"
#include "config/types.hpp"

namespace gnomon::io {

struct extent {
  std::uint64_t length_bytes = 0;
  bool hole = false; // not allocated
  bool zero = false; // reads as zeros
  friend bool operator==(const extent&, const extent&) = default;
};

// Extents of [offset, offset + length), contiguous, neighbours of one kind merged, at least one and at most
// `extents_max`; they may end before the range does but never after it. Block devices and file systems without
// SEEK_HOLE: one allocated extent. Beyond the end of the file: a hole. What is written or punched meanwhile may be
// told either way, except that bytes which were there all along are never called a hole. Moves the position
// of `fd`. length > 0, extents_max > 0 (1 for NBD_CMD_FLAG_REQ_ONE). io_failed.
// How many bytes of the range have space on the disk already, at least: a preallocated one counts. Blocks on the disk.
std::uint64_t allocated_bytes(int fd, byte_offset offset, byte_count length);

result<std::vector<extent>> extents_of(int fd, byte_offset offset, byte_count length, std::uint32_t extents_max);

} // namespace gnomon::io
