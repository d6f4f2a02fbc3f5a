// A node's data directory: its lock, its identity, its layout, and how the node that used it last came to stop.
// open() and mark_clean() block on the disk and belong to the daemon's main thread; the paths may be read from any
// thread. Never touches what is inside volumes/, meta/ and history/.
//
//   reserve          space set aside, so that a node starts on a disk that its volumes have filled
//   lock             flock'ed while a node runs; holds its pid
//   format           whose directory this is and in which format (node_record), written once
//   running          exists while a node runs: the boot id of the machine at its start. Removed by a clean stop.
//   volumes/<uuid>/  data and descriptor of each volume (store/meta/catalogue.hpp)
//   trash/           what was swept aside at start, kept for a while
//   layers/<uuid>/   the layers of each volume's snapshots (store/layer/layer_folder.hpp)
//   meta/ history/   the LMDB environments
#pragma once

#include <memory>
#include <string>

#include "config/clock.hpp"
#include "config/error.hpp"
#include "config/types.hpp"
#include "store/files/posix_file.hpp"

namespace gnomon::store {

// How the previous node that used the directory ended.
enum class previous_stop {
  none,          // the directory is new
  clean,         // everything was synced and closed
  process_crash, // killed; the page cache survived, so no write is lost
  machine_crash, // the boot id differs: what was not synced is lost
};
std::string_view to_string(previous_stop stop) noexcept;

struct data_directory_options {
  std::string path;
  node_name node;
  // Replaceable for tests.
  std::string boot_id_path = "/proc/sys/kernel/random/boot_id";
  const clock_source* clock = &system_clock_source();
  // What to do about a format file that cannot be read (store/meta/repair.hpp).
  enum class damage { refuse, write_anew } damaged_format = damage::refuse;
};

class data_directory {
public:
  static constexpr std::uint64_t reserve_bytes_max = 1 << 20;

  // Creates what is missing (the parent of `path` must exist), takes the lock, and durably marks the node as running.
  // busy: another process has it, the message names its pid; invalid_argument: the directory of another node;
  // unsupported: a newer format; corrupt: not a data directory (not empty and without a format file, or damaged);
  // permission_denied, no_space, io_failed.
  static result<std::unique_ptr<data_directory>> open(data_directory_options options);
  // Releases the lock. Without mark_clean() before it, the next open() reports a crash.
  ~data_directory() = default;
  data_directory(const data_directory&) = delete;
  data_directory& operator=(const data_directory&) = delete;

  previous_stop stopped() const noexcept { return stopped_; }
  // The last act of a clean stop, after everything is synced and closed.
  result<void> mark_clean();

  bool format_written_anew() const noexcept { return format_written_anew_; }
  const std::string& path() const noexcept { return options_.path; }
  const std::string& boot_id() const noexcept { return boot_id_; }
  std::string volumes_path() const { return options_.path + "/volumes"; }
  std::string layers_path() const { return options_.path + "/layers"; } // made with the first layer
  std::string trash_path() const { return options_.path + "/trash"; }
  std::string meta_path() const { return options_.path + "/meta"; }
  std::string history_path() const { return options_.path + "/history"; }

private:
  explicit data_directory(data_directory_options options) : options_(std::move(options)) {}
  result<void> take_lock();
  result<void> check_format();
  result<void> make_layout();
  result<void> mark_running();
  result<void> mark_running_with_reserve();

  data_directory_options options_;
  unique_fd lock_;
  std::string boot_id_;
  bool is_new_ = false, format_written_anew_ = false;
  previous_stop stopped_ = previous_stop::none;
};

} // namespace gnomon::store
