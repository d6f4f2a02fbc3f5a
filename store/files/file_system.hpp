// Which mounted file system holds a file, told so that a remount is told from a restarted process: what was written and
// not synced survives the one and may not survive the other. Any thread; short system calls; never touches a file.
#pragma once

#include <string>

#include "config/error.hpp"

namespace gnomon::store {

// Equal as long as the file system under `path` stays mounted. ext4 and xfs have a node in /sys/fs whose number
// is new at each mount; elsewhere (tmpfs, btrfs, NFS) it is the device number alone. A block device stands for itself.
// not_found, io_failed.
result<std::string> file_system_instance(const std::string& path);

} // namespace gnomon::store
