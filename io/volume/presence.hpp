// Which granules of a volume with a source lie in its own file. Three places that agree after every crash:
//
//   live      in memory: what rings ask. A granule is live-present once its data is in the file and `pending` says so.
//   pending   a sparse file of one byte per granule, made for one data file, one boot and one mount (all in its name).
//             Written without a sync before the reply of what brought the granule in: a killed process loses nothing.
//   present   a bitmap file, synced after the data: what a power cut leaves.
//
// The order: data; pending byte; live; reply. And in the core's one chain, before any flush or FUA reply: the list is
// taken; the data is synced; `present` is set and synced for that list; its pending bytes are cleared.
// After a kill present = `present` OR `pending`; after another boot `present` alone. Where the file system was mounted
// anew or a sync failed, granules with `pending` and without `present` are suspect: they answer EIO.
//
// The other way, for the archive: a granule is cleared() once its source has its content, durably; then live, and its
// pending byte, say "missing" at once, `present` with the next chain, and only behind that chain may its space go.
//
// test() and next(): any thread. arrived() is called with the granules' gate held (shared for whole granules,
// exclusively for bringing in). The chain is one at a time. The calls with files block; rings leave them to workers.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "config/error.hpp"
#include "config/types.hpp"
#include "io/fault/fault_plan.hpp"
#include "io/granule/bits.hpp"
#include "io/types.hpp"

namespace gnomon::io {

class presence {
public:
  static constexpr std::size_t list_max = 1024; // granules (64 MiB) in no chain yet, before one is asked for

  struct options {
    std::string path; // of `present`; made, with nothing present, when it does not exist
    volume_uuid volume;
    byte_count size;
    std::string boot, mark; // boot_id(), mount_mark()
    std::uint64_t device = 0, inode = 0; // of the data file
    bool doubtful = false;               // a sync failed
    bool expected = false;               // the file must be there: corrupt if not
    bool everything = false;             // made anew, with everything present
    fault_plan* faults = nullptr;        // tests
  };

  // Takes over what an earlier start left; removes, durably, what belongs to another boot or file.
  // corrupt, io_failed, no_space.
  static result<std::unique_ptr<presence>> open(const options& o);
  ~presence();
  presence(const presence&) = delete;
  presence& operator=(const presence&) = delete;

  // --- any thread
  std::uint64_t granules() const noexcept { return granules_; }
  byte_count size() const noexcept { return size_; }                  // of what the source covers
  std::uint32_t bytes_of(std::uint64_t granule) const noexcept;       // of the source's content
  // What lies behind the source's end is always in the file.
  bool test(std::uint64_t granule) const noexcept { return granule >= granules_ || live_.test(granule); }
  // The end of the run of granules that are all present, or all missing, from `granule` on; at most `end`.
  std::uint64_t run_end(std::uint64_t granule, std::uint64_t end) const noexcept;
  bool any_missing(std::uint64_t first, std::uint64_t end) const noexcept;
  bool suspect(std::uint64_t granule) const noexcept { return !suspects_.empty() && suspect_bits_.test(granule); }
  presence_report report() const noexcept { return {granules_, live_.count()}; }

  // --- blocking
  // The data of the missing granules of [first, end) is in the file: from now on they are read from there. On an error
  // nothing has changed. True: the list is long, ask for a chain.
  result<bool> arrived(std::uint64_t first, std::uint64_t end);
  // From now on it is read from the source. Its gate is held exclusively. On an error nothing has changed.
  result<void> cleared(std::uint64_t granule);

  // --- the chain
  struct list {
    std::vector<std::uint64_t> granules; // arrived
    std::vector<std::uint64_t> cleared;
  };
  list take_list(); // before the data's sync begins
  bool list_is_empty() const;
  // The data is synced. os_errno of what failed; the granules stay on the list then.
  int make_durable(list taken);
  void give_back(list taken); // the data's sync failed

  // No longer needed: every granule is present, durably, and the source is gone.
  void remove_files();
  // After remove_files(): a source is there again, and everything is present still.
  result<void> make_files_again();

private:
  presence() = default;
  result<void> open_present(const options& o);
  result<void> open_pending(const options& o);
  int write(int fd, const void* data, std::size_t bytes, std::uint64_t offset);
  int sync(int fd);
  int set_pending(std::uint64_t granule, std::uint64_t end, bool value);
  result<void> make_present(const volume_uuid& volume); // of durable_
  result<void> make_pending();
  void close_files();

  std::string path_, pending_path_;
  std::uint64_t granules_ = 0;
  byte_count size_;
  fault_plan* faults_ = nullptr;
  int present_fd_ = -1, pending_fd_ = -1;
  std::vector<granule_bits::word> live_words_;
  granule_bits live_;
  std::vector<granule_bits::word> suspects_; // empty: none
  granule_bits suspect_bits_;
  std::mutex durable_mutex_;           // one writer of `present` at a time
  std::vector<std::uint64_t> durable_; // the content of `present`; the chain's
  mutable std::mutex mutex_;           // the list
  std::vector<std::uint64_t> list_;
  std::unordered_set<std::uint64_t> cleared_; // none is in list_
  volume_uuid volume_;
};

} // namespace gnomon::io
