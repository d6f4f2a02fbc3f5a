// Failed syncs, noted in memory that outlives the process and not the machine's boot: a second place for a volume's
// failure mark, for the disk that refuses the mark in `meta` as well. One file per data directory in /dev/shm, its
// space reserved when it is made, so that a note needs no allocation and no disk.
//
// Its token is new with each file. `meta` records it when a volume is opened: after an unclean stop a file with the same
// token and no note says that no sync of the volume had failed; a missing or another one says nothing.
//
// Any thread, one short mutex. Nothing here waits for a disk.
//
// File, little-endian: "GNBM", u32 version, u64 token, 48 bytes 0, then entries of 32 bytes: uuid 16, u32 errno (0: none),
// u32 checksum of the 20 bytes before it, 8 bytes 0.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "config/error.hpp"
#include "config/types.hpp"
#include "store/files/posix_file.hpp"

namespace gnomon::store {

class boot_marks {
public:
  static constexpr std::size_t entries_max = 2048; // volumes whose sync failed and which wait for an operator
  static constexpr const char* default_directory = "/dev/shm";

  // The file for the data directory at `data_path` (which exists) in this boot. permission_denied: it belongs to another
  // user; no_space, io_failed.
  static result<std::unique_ptr<boot_marks>> open(const std::string& data_path, const std::string& boot_id,
                                                  const std::string& directory = default_directory);

  std::uint64_t token() const noexcept { return token_; }
  // limit_reached, io_failed.
  result<void> add(volume_uuid volume, int os_errno);
  void remove(volume_uuid volume);
  std::map<volume_uuid, int> all() const; // errno by volume
  // After a clean stop: nothing is left to be told.
  void discard();

private:
  boot_marks(unique_fd file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  result<void> create();
  result<bool> read();
  result<void> put(std::size_t entry, volume_uuid volume, int os_errno);

  unique_fd file_;
  std::string path_;
  std::uint64_t token_ = 0;
  mutable std::mutex mutex_;
  struct mark {
    int os_errno = 0;
    std::size_t entry = 0;
  };
  std::map<volume_uuid, mark> marks_;
  std::size_t entries_used_ = 0;
};

} // namespace gnomon::store
