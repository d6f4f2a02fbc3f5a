// Where a capture keeps what writes were about to change: a file without a name, beside the volume's, that goes away
// with its last descriptor. Bounded; nothing of it survives the process, since a crash fails the capture anyway.
// Any thread; the calls block on the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "config/error.hpp"
#include "config/types.hpp"

namespace gnomon::io {

class granule_spill {
public:
  // Of one capture. Slots are used again once the capture has read them.
  static constexpr std::uint64_t bytes_max_default = 4ull << 30;

  // In `folder`. io_failed, permission_denied, ...
  static result<std::unique_ptr<granule_spill>> create(const std::string& folder,
                                                       std::uint64_t bytes_max = bytes_max_default);
  ~granule_spill();
  granule_spill(const granule_spill&) = delete;
  granule_spill& operator=(const granule_spill&) = delete;

  // Keeps a copy of a granule that has none. limit_reached, no_space, io_failed: nothing is kept.
  result<void> keep(granule_index granule, std::span<const std::byte> content);
  bool holds(granule_index granule) const;
  // not_found.
  result<void> read(granule_index granule, std::span<std::byte> into) const;
  // Copies of granules before this one are needed no more.
  void forget_before(granule_index granule);
  std::uint64_t bytes_used() const; // now

private:
  granule_spill(int fd, std::uint64_t bytes_max) : fd_(fd), slots_max_(bytes_max / granule_bytes) {}

  const int fd_;
  const std::uint64_t slots_max_;
  mutable std::mutex mutex_; // the maps; never held over a read or write
  std::map<std::uint64_t, std::uint64_t> slot_of_; // ordered: what is read goes from its front
  std::vector<std::uint64_t> free_;
  std::uint64_t slots_made_ = 0;
};

} // namespace gnomon::io
