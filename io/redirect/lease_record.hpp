// Which volumes may be shadowed and for how long a lease on them may be out, on disk: what a home needs to know after
// any stop. One small text file in the data directory, replaced as a whole and synced before it is relied on. One thread
// at a time; blocks on the disk.
//
//   gnomon-leases 1 / boot BOOT_ID / lease NANOSECONDS / volume UUID (each) / end
#pragma once

#include <set>
#include <string>

#include "config/clock.hpp"
#include "config/error.hpp"
#include "config/types.hpp"

namespace gnomon::io {

class lease_record {
public:
  // Reads what the last start left; nothing there is an empty record. corrupt: the file is damaged, the message says
  // what to do.
  static result<lease_record> open(std::string path, nanoseconds lease);

  const std::set<volume_uuid>& left_behind() const noexcept { return left_behind_; }
  nanoseconds longest_left_behind() const noexcept { return longest_left_behind_; }
  // The machine was rebooted since: what was not flushed may be lost.
  bool rebooted() const noexcept { return rebooted_; }
  // The leases of before are over: from now on a stop is one of this boot, and leaves none longer than the present one.
  result<void> recovery_over();

  // Durable when it returns.
  result<void> add(const volume_uuid& volume);
  result<void> remove(const volume_uuid& volume);
  bool contains(const volume_uuid& volume) const { return volumes_.contains(volume); }

private:
  lease_record() = default;
  result<void> save() const;

  std::string path_, boot_id_, boot_on_record_;
  nanoseconds lease_{0}, longest_{0}, longest_left_behind_{0};
  std::set<volume_uuid> volumes_, left_behind_;
  bool rebooted_ = false;
};

} // namespace gnomon::io
