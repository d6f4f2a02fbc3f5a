// What a volume has on disk beside its record: volumes/<uuid>/data (the flat sparse file) and volumes/<uuid>/volume
// (the descriptor: the record once more, so that the catalogue can be rebuilt). Any one thread at a time per volume;
// blocks; never touches LMDB and never opens a volume's data for reading or writing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/error.hpp"
#include "config/types.hpp"
#include "store/meta/schema.hpp"

namespace gnomon::store {

inline constexpr const char* data_file_name = "data";
inline constexpr const char* descriptor_file_name = "volume";
inline constexpr const char* unfinished_file_name = "volume.new"; // the descriptor, until the record is committed

// A file or block device that holds a volume.
struct backing {
  bool is_block_device = false;
  byte_count size;                     // whole blocks
  std::uint64_t bytes = 0;             // all of it
  bool ever_written = false;           // something is allocated
  std::uint64_t device = 0, inode = 0; // identity: equal for two paths to the same thing
};

// not_found, permission_denied, unsupported (neither a regular file nor a block device), io_failed.
result<backing> inspect_backing(const std::string& path);

enum class sync_mode { now, later }; // later: the caller syncs the whole file system once for many volumes

class volume_files {
public:
  explicit volume_files(std::string volumes_path, std::string trash_path)
      : volumes_path_(std::move(volumes_path)), trash_path_(std::move(trash_path)) {}

  std::string directory(volume_uuid uuid) const { return volumes_path_ + "/" + uuid.to_string(); }
  std::string data_path(const volume_record& record) const {
    return record.external_path ? *record.external_path : directory(record.uuid) + "/" + data_file_name;
  }

  // Makes directory, data file (unless it is external) and descriptor, still under its unfinished name; on failure
  // removes what it made.
  result<void> create(const volume_record& record, sync_mode sync) const;
  // After create(): makes the entries of volumes/ durable. `later` syncs everything on the file system.
  result<void> sync_all(sync_mode sync) const;
  // The record of a creation is committed: the descriptor gets its name. Without it, an opening sweeps the directory.
  result<void> finish_creation(volume_uuid uuid) const;
  // Extends the data file and makes its new size durable. no_space, io_failed, unsupported (file system's limit).
  result<void> grow(const std::string& path, byte_count size) const;
  // Takes a growth back that came to nothing.
  result<void> cut(const std::string& path, std::uint64_t bytes) const;
  // A lost end reads as zeros from now on; a file of ours that is gone is made anew. invalid_argument: nothing is
  // missing, or it is a block device.
  result<void> replace_lost_end(const volume_record& record) const;

  result<void> write_descriptor(const volume_record& record) const;
  // not_found: there is none. An unfinished one counts where the volume has been written to, and gets its name then.
  result<volume_record> read_descriptor(volume_uuid uuid) const;

  // Directories of volumes/ by uuid; other names go to `strangers`.
  result<std::vector<volume_uuid>> list(std::vector<std::string>& strangers) const;
  // Renames the directory into trash/ as "<why>-<uuid>-<unix seconds>".
  result<void> move_to_trash(volume_uuid uuid, const std::string& why, wall_time now) const;
  // The same for a volume that is gone for good: returns where it lies now, to be removed by remove_trash(), or by
  // empty_trash() whatever its `before` is.
  result<std::string> condemn(volume_uuid uuid) const;
  void remove_now(volume_uuid uuid) const noexcept;
  static void remove_trash(const std::string& path) noexcept; // takes long for a large file
  // Removes what was moved to trash/ before `before`; returns how many directories went.
  result<std::size_t> empty_trash(wall_time before) const;

private:
  std::string volumes_path_, trash_path_;
};

} // namespace gnomon::store
