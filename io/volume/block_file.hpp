// The file or block device under a volume: its descriptors, geometry and what the kernel can do with it.
// Opened, grown and closed on a maintenance thread; the descriptors and facts are read by rings and never change
// while the object lives (but see open_sync_descriptor). All users share one mode, buffered or O_DIRECT: mixing them on
// one file loses writes.
//
// The file is locked as qemu locks an image (locks of the open file description on bytes 100 and up, and 200 and up), so
// that two nodes, or a node and a virtual machine, do not write one file. The lock lies on the description that the
// requests use: what a dead process still has in flight keeps the next one out.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "config/error.hpp"
#include "config/settings/settings.hpp"
#include "config/types.hpp"

namespace gnomon::io {

class block_file {
public:
  struct options {
    std::string path;
    cache_mode cache = cache_mode::buffered;
    bool read_only = false;
    bool exclusive_block_device = true; // O_EXCL: refuse a device that is mounted
    std::chrono::milliseconds lock_patience{2000}; // a process that was just killed may still hold its locks
  };

  block_file() = default;
  ~block_file();
  block_file(block_file&& other) noexcept;
  block_file& operator=(block_file&& other) noexcept;

  // Descriptors that files of volumes leave to listeners, connections' handshakes, rings and the store.
  static constexpr int descriptors_kept = 256;

  // not_found, permission_denied, busy (in use by another process), unsupported (no O_DIRECT here), limit_reached (too
  // few descriptors), io_failed.
  static result<block_file> open(const options& how);

  int data_fd() const noexcept { return data_fd_; }
  // A second description of the same file, used for fdatasync and nothing else: of two syncs on one description
  // only one would see an error, and an error is reported once. Until it is opened, the data's own.
  int sync_fd() const noexcept {
    const int own = sync_fd_.load(std::memory_order_acquire);
    return own >= 0 ? own : data_fd_;
  }
  // Before somebody may write: an idle volume gets along with one descriptor. Where none is left the data's own serves
  // on: nothing else syncs there. Any thread; no disk access.
  void open_sync_descriptor();

  bool is_block_device() const noexcept { return block_device_; }
  bool is_direct() const noexcept { return direct_; }
  // Offsets and lengths on this descriptor must be multiples of this: 1 when buffered.
  std::uint32_t alignment_bytes() const noexcept { return alignment_; }
  // Buffered writes here cannot say "would block" (ext4) but are a copy to memory while the disk keeps up: the ring
  // writes itself instead of handing each write to a kernel worker.
  bool prefers_inline_writes() const noexcept { return inline_writes_; }
  // Of the file system or block device: volumes with the same one share a disk.
  std::uint64_t device_number() const noexcept { return device_number_; }
  // tmpfs and the like: reads never wait for a disk.
  bool lives_in_memory() const noexcept { return in_memory_; }
  // Whether fallocate's FALLOC_FL_ZERO_RANGE and FALLOC_FL_PUNCH_HOLE may be tried here; they can still be refused.
  bool can_zero_range() const noexcept { return zero_range_; }
  bool can_punch_hole() const noexcept { return punch_hole_; }

  result<byte_count> size() const;
  // Free space on the file system under it that one request may take: never the last of it (64 MiB, or a 64th of a
  // small one). A device never needs any.
  std::uint64_t free_bytes() const noexcept;
  // Grows a flat file (sparse), not yet durably; on a block device checks that it is large enough.
  result<void> extend(byte_count size);
  // fsync on a description of its own, beside the one where a ring's sync may be under way; errno.
  int sync_beside() const;

private:
  result<void> examine();
  result<void> lock(std::chrono::milliseconds patience);
  result<bool> try_lock(); // false: another process has it
  void close_all() noexcept;

  std::string path_;
  int data_fd_ = -1;
  std::atomic<int> sync_fd_{-1};
  bool block_device_ = false, direct_ = false, read_only_ = false;
  bool inline_writes_ = false, in_memory_ = false, zero_range_ = true, punch_hole_ = true;
  std::uint32_t alignment_ = 1;
  std::uint64_t device_number_ = 0;
};

} // namespace gnomon::io
