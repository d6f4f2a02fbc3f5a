#include "store/meta/volume_files.hpp"

#include <charconv>
#include <filesystem>

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace gnomon::store {

namespace {

constexpr std::size_t descriptor_bytes_max = 64 << 10;

result<std::vector<std::string>> entries(const std::string& path) {
  DIR* dir = ::opendir(path.c_str());
  if (!dir)
    return fail_errno(path + ": opendir");
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(dir)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..")
      names.emplace_back(name);
  }
  ::closedir(dir);
  return names;
}

result<void> create_data_file(const std::string& path, byte_count size, sync_mode sync) {
  auto fd = open_file(path, O_RDWR | O_CREAT | O_EXCL);
  if (!fd)
    return tl::unexpected(fd.error());
  if (::ftruncate(fd->get(), static_cast<off_t>(size.value)) != 0) {
    if (errno == EFBIG || errno == EINVAL)
      return fail(errc::unsupported,
                  fmt::format("{}: the file system cannot hold a file of {} bytes", path, size.value), errno);
    return fail_errno(fmt::format("{}: size {} bytes", path, size.value));
  }
  if (sync == sync_mode::now && ::fsync(fd->get()) != 0)
    return fail_errno(path + ": fsync");
  return {};
}

result<void> write_plainly(const std::string& path, bytes_view data) {
  auto fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (!fd)
    return tl::unexpected(fd.error());
  return write_all(fd->get(), data, path);
}

} // namespace

result<backing> inspect_backing(const std::string& path) {
  auto fd = open_file(path, O_RDONLY | O_NONBLOCK);
  if (!fd)
    return tl::unexpected(fd.error());
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0)
    return fail_errno(path + ": stat");
  backing found;
  std::uint64_t size = 0;
  if (S_ISREG(info.st_mode)) {
    size = static_cast<std::uint64_t>(info.st_size);
    found.device = info.st_dev;
    found.inode = info.st_ino;
  } else if (S_ISBLK(info.st_mode)) {
    if (::ioctl(fd->get(), BLKGETSIZE64, &size) != 0)
      return fail_errno(path + ": BLKGETSIZE64");
    found.is_block_device = true;
    found.device = info.st_rdev;
  } else {
    return fail(errc::unsupported, path + ": neither a regular file nor a block device");
  }
  found.size = byte_count(size / block_bytes * block_bytes);
  found.bytes = size;
  found.ever_written = found.is_block_device || info.st_blocks > 0;
  return found;
}

result<void> volume_files::create(const volume_record& record, sync_mode sync) const {
  const std::string dir = directory(record.uuid);
  if (::mkdir(dir.c_str(), 0750) != 0)
    return fail_errno(dir + ": mkdir");
  result<void> made;
  if (!record.external_path)
    made = create_data_file(dir + "/" + data_file_name, record.size, sync);
  const std::string descriptor = dir + "/" + unfinished_file_name;
  if (made)
    made = sync == sync_mode::now ? write_file_durably(descriptor, encode(record))
                                  : write_plainly(descriptor, encode(record));
  if (!made)
    remove_now(record.uuid);
  return made;
}

result<void> volume_files::finish_creation(volume_uuid uuid) const {
  const auto dir = directory(uuid);
  if (::rename((dir + "/" + unfinished_file_name).c_str(), (dir + "/" + descriptor_file_name).c_str()) != 0)
    return fail_errno(dir + ": name its descriptor");
  return {};
}

result<void> volume_files::sync_all(sync_mode sync) const {
  if (sync == sync_mode::now)
    return sync_directory(volumes_path_);
  auto fd = open_file(volumes_path_, O_RDONLY | O_DIRECTORY);
  if (!fd)
    return tl::unexpected(fd.error());
  if (::syncfs(fd->get()) != 0)
    return fail_errno(volumes_path_ + ": syncfs");
  return {};
}

result<void> volume_files::grow(const std::string& path, byte_count size) const {
  auto fd = open_file(path, O_RDWR);
  if (!fd)
    return tl::unexpected(fd.error());
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0)
    return fail_errno(path + ": stat");
  if (static_cast<std::uint64_t>(info.st_size) < size.value &&
      ::ftruncate(fd->get(), static_cast<off_t>(size.value)) != 0) {
    if (errno == EFBIG || errno == EINVAL)
      return fail(errc::unsupported,
                  fmt::format("{}: the file system cannot hold a file of {} bytes", path, size.value), errno);
    return fail_errno(fmt::format("{}: grow to {} bytes", path, size.value));
  }
  if (::fsync(fd->get()) != 0)
    return fail_errno(path + ": fsync");
  return {};
}

result<void> volume_files::cut(const std::string& path, std::uint64_t bytes) const {
  auto fd = open_file(path, O_RDWR);
  if (!fd)
    return tl::unexpected(fd.error());
  if (::ftruncate(fd->get(), static_cast<off_t>(bytes)) != 0 || ::fsync(fd->get()) != 0)
    return fail_errno(fmt::format("{}: cut back to {} bytes", path, bytes));
  return {};
}

result<void> volume_files::replace_lost_end(const volume_record& record) const {
  const auto path = data_path(record);
  const bool ours = !record.external_path;
  auto found = inspect_backing(path);
  if (!found && (!ours || found.error().code != errc::not_found))
    return tl::unexpected(found.error());
  if (found && found->bytes >= record.size.value)
    return fail(errc::invalid_argument, fmt::format("volume {}: nothing is missing from {}", record.name.value, path));
  if (found && found->is_block_device)
    return fail(errc::invalid_argument,
                fmt::format("volume {}: the device {} has {} of {} bytes; it has to grow", record.name.value, path,
                            found->bytes, record.size.value));
  if (!found) {
    auto made = make_directory(directory(record.uuid))
                    .and_then([&] { return create_data_file(path, record.size, sync_mode::now); })
                    .and_then([&] { return sync_directory(directory(record.uuid)); });
    return made;
  }
  return grow(path, record.size);
}

result<void> volume_files::write_descriptor(const volume_record& record) const {
  return make_directory(directory(record.uuid)).and_then([&] {
    return write_file_durably(directory(record.uuid) + "/" + descriptor_file_name, encode(record));
  });
}

result<volume_record> volume_files::read_descriptor(volume_uuid uuid) const {
  const std::string path = directory(uuid) + "/" + descriptor_file_name;
  auto content = read_small_file(path, descriptor_bytes_max);
  // A volume that somebody could write to had its record: only the naming was lost.
  if (!content && content.error().code == errc::not_found) {
    const auto data = inspect_backing(directory(uuid) + "/" + data_file_name);
    if (data && data->ever_written && finish_creation(uuid))
      content = read_small_file(path, descriptor_bytes_max);
  }
  if (!content)
    return tl::unexpected(content.error());
  auto record = decode_volume(*content, path);
  if (record && record->uuid != uuid)
    return fail(errc::corrupt, path + ": the descriptor of volume " + record->uuid.to_string());
  return record;
}

result<std::vector<volume_uuid>> volume_files::list(std::vector<std::string>& strangers) const {
  auto names = entries(volumes_path_);
  if (!names)
    return tl::unexpected(names.error());
  std::vector<volume_uuid> found;
  for (auto& name : *names) {
    auto uuid = volume_uuid::parse(name);
    if (uuid && uuid->to_string() == name)
      found.push_back(*uuid);
    else
      strangers.push_back(std::move(name));
  }
  return found;
}

result<void> volume_files::move_to_trash(volume_uuid uuid, const std::string& why, wall_time now) const {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  const std::string from = directory(uuid);
  const std::string to = fmt::format("{}/{}-{}-{}", trash_path_, why, uuid.to_string(), seconds);
  if (::rename(from.c_str(), to.c_str()) == 0)
    return {};
  if (errno == ENOENT)
    return {};
  return fail_errno(from + ": move to trash");
}

result<std::string> volume_files::condemn(volume_uuid uuid) const {
  const std::string to = fmt::format("{}/purged-{}-0", trash_path_, uuid.to_string()); // older than any `before`
  if (::rename(directory(uuid).c_str(), to.c_str()) != 0 && errno != ENOENT)
    return fail_errno(directory(uuid) + ": move to trash");
  return to;
}

void volume_files::remove_now(volume_uuid uuid) const noexcept { remove_trash(directory(uuid)); }

void volume_files::remove_trash(const std::string& path) noexcept {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

result<std::size_t> volume_files::empty_trash(wall_time before) const {
  auto names = entries(trash_path_);
  if (!names)
    return tl::unexpected(names.error());
  std::size_t removed = 0;
  for (const auto& name : *names) {
    std::int64_t seconds = 0;
    const auto dash = name.find_last_of('-');
    if (dash == std::string::npos)
      continue; // not ours
    const auto parsed = std::from_chars(name.data() + dash + 1, name.data() + name.size(), seconds);
    if (parsed.ec != std::errc{} || parsed.ptr != name.data() + name.size())
      continue;
    if (wall_time(std::chrono::seconds(seconds)) > before)
      continue;
    std::error_code failed;
    std::filesystem::remove_all(trash_path_ + "/" + name, failed);
    if (failed)
      return fail_errno(trash_path_ + "/" + name + ": remove", failed.value());
    ++removed;
  }
  return removed;
}

} // namespace gnomon::store
