#include "store/meta/data_directory.hpp"

#include <cctype>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "config/log.hpp"
#include "store/meta/repair.hpp"
#include "store/meta/schema.hpp"

namespace gnomon::store {

namespace {

constexpr std::size_t small_file_bytes_max = 4096;

std::string trimmed(bytes_view content) {
  std::string text(as_text(content));
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.pop_back();
  return text;
}

// The first entry that a directory without a format file may not have: "" if there is none.
result<std::string> foreign_entry(const std::string& path) {
  DIR* dir = ::opendir(path.c_str());
  if (!dir)
    return fail_errno(path + ": opendir");
  std::string found;
  while (const dirent* entry = ::readdir(dir)) {
    const std::string_view name = entry->d_name;
    // What a first start may leave when it is cut short, and what a file system brings along.
    if (name != "." && name != ".." && name != "lock" && name != "format.tmp" && name != "lost+found")
      found = name;
  }
  ::closedir(dir);
  return found;
}

// Best effort: a node runs without, it only may not start again on a full disk.
void set_space_aside(const std::string& path, std::uint64_t bytes) {
  auto fd = open_file(path, O_RDWR | O_CREAT);
  if (!fd)
    return;
  struct stat about {};
  if (::fstat(fd->get(), &about) == 0 && static_cast<std::uint64_t>(about.st_blocks) * 512 >= bytes)
    return;
  if (::posix_fallocate(fd->get(), 0, static_cast<off_t>(bytes)) != 0 || ::fsync(fd->get()) != 0)
    ::unlink(path.c_str());
}

} // namespace

std::string_view to_string(previous_stop stop) noexcept {
  switch (stop) {
  case previous_stop::none:
    return "none";
  case previous_stop::clean:
    return "clean";
  case previous_stop::process_crash:
    return "process_crash";
  case previous_stop::machine_crash:
    return "machine_crash";
  }
  return "unknown";
}

result<std::unique_ptr<data_directory>> data_directory::open(data_directory_options options) {
  if (options.path.empty() || options.node.value.empty())
    return fail(errc::invalid_argument, "a data directory needs a path and a node name");
  auto directory = std::unique_ptr<data_directory>(new data_directory(std::move(options)));
  auto ok = make_directory(directory->options_.path)
                .and_then([&] { return directory->take_lock(); })
                .and_then([&] { return directory->check_format(); })
                .and_then([&] { return directory->make_layout(); });
  if (ok)
    ok = directory->mark_running_with_reserve();
  if (!ok)
    return tl::unexpected(ok.error());
  return directory;
}

// A disk that volumes have filled must not keep the node from starting. What was set aside is given to the start's
// own small files and commits; half of it is kept for the start after this one, and all of it again once there is
// room.
result<void> data_directory::mark_running_with_reserve() {
  const std::string path = options_.path + "/reserve";
  std::uint64_t keep = reserve_bytes_max;
  auto ok = mark_running();
  if (!ok && ok.error().code == errc::no_space) {
    struct stat about {};
    if (::stat(path.c_str(), &about) != 0 || about.st_blocks == 0)
      return ok;
    keep = static_cast<std::uint64_t>(about.st_blocks) * 512 / 2;
    log::warning("{}: the disk is full; starting on the {} KiB set aside for this", options_.path, keep * 2 >> 10);
    if (auto removed = remove_file_durably(path); !removed)
      return removed;
    ok = mark_running();
  }
  if (ok)
    set_space_aside(path, keep);
  return ok;
}

result<void> data_directory::take_lock() {
  const std::string path = options_.path + "/lock";
  auto fd = open_file(path, O_RDWR | O_CREAT);
  if (!fd)
    return tl::unexpected(fd.error());
  if (::flock(fd->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK)
      return fail_errno(path + ": flock");
    auto holder = read_small_file(path, small_file_bytes_max);
    const std::string pid = holder ? trimmed(*holder) : "";
    return fail(errc::busy,
                fmt::format("{}: in use by another gnomond (pid {})", options_.path, pid.empty() ? "unknown" : pid));
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(fd->get(), 0) != 0)
    return fail_errno(path + ": truncate");
  // The pid is only for messages: a full disk must not keep a node from starting.
  (void)write_all(fd->get(), as_bytes(pid), path);
  lock_ = std::move(*fd);
  return {};
}

result<void> data_directory::check_format() {
  const std::string path = options_.path + "/format";
  auto content = read_small_file(path, small_file_bytes_max);
  if (content) {
    auto record = decode_node(*content, path);
    if (!record && record.error().code == errc::corrupt) {
      if (options_.damaged_format == data_directory_options::damage::refuse)
        return fail(errc::corrupt, fmt::format("{}; if this is the data directory of node \"{}\", write the file anew "
                                               "with: {}",
                                               record.error().message, options_.node.value, repair_command));
      format_written_anew_ = true;
      return write_file_durably(path, encode(node_record{data_format, options_.node, options_.clock->wall_now()}));
    }
    if (!record)
      return tl::unexpected(record.error());
    if (record->format > data_format)
      return fail(errc::unsupported, fmt::format("{}: data format {}, this release reads up to {}", options_.path,
                                                 record->format, data_format));
    if (record->node != options_.node)
      return fail(errc::invalid_argument, fmt::format("{}: the data directory of node \"{}\", not of \"{}\"",
                                                      options_.path, record->node.value, options_.node.value));
    return {};
  }
  if (content.error().code != errc::not_found)
    return tl::unexpected(content.error());
  auto foreign = foreign_entry(options_.path);
  if (!foreign)
    return tl::unexpected(foreign.error());
  if (!foreign->empty())
    return fail(errc::corrupt,
                fmt::format("{}: not a data directory: no format file, but \"{}\"", options_.path, *foreign));
  is_new_ = true;
  return write_file_durably(path, encode(node_record{data_format, options_.node, options_.clock->wall_now()}));
}

result<void> data_directory::make_layout() {
  return make_directory(volumes_path())
      .and_then([&] { return make_directory(trash_path()); })
      .and_then([&] { return make_directory(meta_path()); })
      .and_then([&] { return make_directory(history_path()); })
      .and_then([&] { return sync_directory(options_.path); });
}

result<void> data_directory::mark_running() {
  auto boot_id = read_small_file(options_.boot_id_path, small_file_bytes_max);
  if (!boot_id)
    return fail(errc::unsupported, "boot id: " + boot_id.error().message, boot_id.error().os_errno);
  boot_id_ = trimmed(*boot_id);
  const std::string path = options_.path + "/running";
  auto last = read_small_file(path, small_file_bytes_max);
  if (!last && last.error().code != errc::not_found)
    return tl::unexpected(last.error());
  if (!last)
    stopped_ = is_new_ ? previous_stop::none : previous_stop::clean;
  // A mark that cannot be read for sure is taken for the worse case.
  else
    stopped_ =
        !boot_id_.empty() && trimmed(*last) == boot_id_ ? previous_stop::process_crash : previous_stop::machine_crash;
  if (stopped_ == previous_stop::process_crash)
    return {};
  return write_file_durably(path, as_bytes(boot_id_ + "\n"));
}

result<void> data_directory::mark_clean() { return remove_file_durably(options_.path + "/running"); }

} // namespace gnomon::store
