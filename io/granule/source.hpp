// Where the granules come from that a volume's own file does not hold: a layer, an archive object, a test's memory.
//
// A source is immutable and outlives every route that names it. holds() is called by rings and does no I/O; read() is
// called on the granule workers, several at once, and may block for as long as its storage takes.
#pragma once

#include <cstddef>
#include <span>

#include "config/error.hpp"
#include "config/types.hpp"

namespace gnomon::io {

class granule_source {
public:
  virtual ~granule_source() = default;

  // Whether this source has content for `granule`; one that it does not hold reads as zeros. Any thread, no I/O.
  virtual bool holds(granule_index granule) const = 0;

  // The content of `granule`: 64 KiB, or what the volume has of its last one (`into` says how much). io_failed where
  // the storage fails, corrupt where its checksum does not match; `into` is undefined then.
  virtual result<void> read(granule_index granule, std::span<std::byte> into) = 0;
};

} // namespace gnomon::io
