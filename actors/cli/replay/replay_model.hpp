// What a replay's writes must have left behind: per 512-byte sector the number of the last write to it. Every sector
// written carries a stamp made of the run, the sector and that number, so that a lost, stale, torn or misplaced write
// is seen and named. The caller keeps requests that overlap, one of which changes data, out of each other's way.
// One thread. Memory: 512 bytes per 64 KiB that was ever touched, at most model_regions_max regions.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/error.hpp"
#include "config/types.hpp"

namespace gnomon::actors::cli {

inline constexpr std::size_t model_regions_max = 4u << 20; // 256 GiB written, 2 GiB of memory
using write_number = std::uint32_t;                        // 1 … write_number_max

class write_model {
public:
  static constexpr write_number unknown = 0, zeroed = ~write_number{0}, write_number_max = zeroed - 1;

  explicit write_model(std::uint64_t run) : run_(run) {}

  // Offsets and lengths are multiples of sector_bytes throughout.
  void stamp(std::span<unsigned char> data, std::uint64_t offset, write_number number) const;
  // The state of a range from now on: a write's number, `zeroed`, or `unknown` (trimmed, or the request failed).
  // limit_reached.
  result<void> set(std::uint64_t offset, std::uint64_t length, write_number state);

  // The first sector that is not as it must be, in words; nullopt if all that is known is right.
  std::optional<std::string> check(std::span<const unsigned char> data, std::uint64_t offset) const;

  struct range {
    std::uint64_t offset = 0, length = 0;
  };
  // The next run of sectors from `offset` on whose content is known, at most `length_max` long and inside one region.
  // Takes a snapshot of the regions at the first call; `set` starts over.
  std::optional<range> next_known(std::uint64_t offset, std::uint64_t length_max);
  std::uint64_t known_bytes() const noexcept { return known_sectors_ * sector_bytes; }

private:
  static constexpr std::uint64_t sectors_per_region = granule_bytes / sector_bytes;
  using region = std::array<write_number, sectors_per_region>;
  write_number state_of(std::uint64_t sector) const;

  std::uint64_t run_;
  std::unordered_map<std::uint64_t, std::unique_ptr<region>> regions_;
  std::vector<std::uint64_t> sorted_; // keys of regions_, while next_known is in use
  std::uint64_t known_sectors_ = 0;
};

} // namespace gnomon::actors::cli
