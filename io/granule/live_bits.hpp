// Which granules of a volume changed since its newest layer, while the node runs: two bitmaps in shared memory, so
// that the death of the process loses nothing, named by the boot, so that the death of the machine loses everything.
// Rings set bits; the rest is for one control thread at a time. No ring touches a mapping of a file on a disk.
//
// A clean stop writes the bits beside the volume, with a clean mark that carries the file's identity as of its last
// sync. The next start takes them over and removes that file durably before the first request. The mark is void when
// somebody wrote the volume's file meanwhile.
//
// Kept after an unclean stop: the segment of this boot is there, and the file lies in the file system that was mounted
// then (mount_mark). Otherwise the bits are lost or doubtful and what changed is unknown.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "config/error.hpp"
#include "config/tagged_uuid.hpp"
#include "config/types.hpp"
#include "io/granule/bits.hpp"

namespace gnomon::io {

// The file that the bits describe.
struct file_identity {
  std::uint64_t device = 0, inode = 0, size_bytes = 0;
  std::int64_t mtime_ns = 0;
  friend bool operator==(const file_identity&, const file_identity&) = default;
};
result<file_identity> identity_of(int fd);
result<file_identity> identity_of(const std::string& path);

// Changes when the file system under `fd` is mounted anew, and not when the process or its container restarts. For
// ext4 and xfs the node that the kernel makes for the mounted file system in /sys/fs; elsewhere the mount's unique
// number. Empty: nothing tells.
std::string mount_mark(int fd);
// /proc/sys/kernel/random/boot_id.
std::string boot_id();

class live_bits {
public:
  static constexpr std::uint64_t memory_bytes_max = 1ull << 30; // of all volumes of this process
  static constexpr std::size_t mark_bytes_max = 64;

  struct options {
    volume_uuid volume;
    std::uint64_t granules = 0;
    std::string boot;       // boot_id()
    std::string mark;       // mount_mark()
    file_identity file;     // as it is now
    std::string saved_path; // where a clean stop leaves the bits; empty: nowhere
    bool doubtful = false;  // a sync failed: what is found is not to be trusted
  };

  // The segment of this boot, or what a clean stop saved; nothing: neither is there or may be trusted (what changed is
  // unknown, tracking starts with the next capture). Removes what it does not take over.
  static result<std::unique_ptr<live_bits>> find(const options& o);
  // The volume's file is lost or short: what is put in its place has nothing to do with any bits, even under the same
  // inode. The segment and what a clean stop saved go, durably.
  static result<void> forget(const options& o);
  // A new, empty segment. limit_reached, no_space.
  static result<std::unique_ptr<live_bits>> create(const options& o);
  ~live_bits(); // leaves the segment: it is what a killed process leaves behind
  live_bits(const live_bits&) = delete;
  live_bits& operator=(const live_bits&) = delete;

  granule_bits& bits(unsigned which) noexcept { return bits_[which]; }
  std::uint64_t granules() const noexcept { return bits_[0].granules(); }
  // Whether the bits cover everything since the newest layer.
  bool known() const noexcept;
  void set_known(bool known) noexcept;
  // The snapshot of that layer. They may be counted from another one than the catalogue names.
  snapshot_uuid since() const noexcept;
  // They are known, and cover everything since `layer`.
  void count_from(snapshot_uuid layer) noexcept;

  // After the last change and sync: saves the bits (both bitmaps as one) and ends the segment.
  result<void> save(const file_identity& file);
  // Ends the segment without saving: what changed is unknown from now on.
  void discard() noexcept;

private:
  struct header;
  live_bits() = default;
  static result<std::unique_ptr<live_bits>> map(const options& o, bool make);
  result<bool> load(const options& o);

  std::string name_, saved_path_;
  volume_uuid volume_;
  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
  std::array<granule_bits, 2> bits_;
};

} // namespace gnomon::io
