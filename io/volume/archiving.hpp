// One run of granules of a volume on its way to the archive: which of them were read and have not changed since. Rings
// clear bits with the granule's gate held shared, before they change the file; bits are set and looked at with it held
// exclusively. Any thread; nothing locks or allocates.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "config/types.hpp"
#include "io/granule/bits.hpp"

namespace gnomon::io {

class archiving {
public:
  static constexpr std::uint64_t run_granules_max = 65'536; // 4 GiB

  archiving(std::uint64_t first, std::uint64_t granules)
      : first_(first), end_(first + granules), words_(granule_bits::words_for(granules)), bits_(words_, granules) {}

  std::uint64_t first() const noexcept { return first_; }
  std::uint64_t end() const noexcept { return end_; }

  // The granules of [first, end) are about to change.
  void changes(std::uint64_t first, std::uint64_t end) noexcept {
    first = std::max(first, first_), end = std::min(end, end_);
    if (first < end)
      bits_.clear(first - first_, end - first);
  }
  void was_read(std::uint64_t granule) noexcept { bits_.set(granule - first_, 1); }
  bool unchanged(std::uint64_t granule) const noexcept { return bits_.test(granule - first_); }

private:
  const std::uint64_t first_, end_;
  std::vector<granule_bits::word> words_;
  granule_bits bits_;
};

} // namespace gnomon::io
