#include "store/meta/boot_marks.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "store/lmdb/codec.hpp"

namespace gnomon::store {

namespace {

constexpr std::array<char, 4> file_magic{'G', 'N', 'B', 'M'};
constexpr std::uint32_t file_version = 1;
constexpr std::size_t header_bytes = 64, entry_bytes = 32, checked_bytes = 20;
constexpr std::size_t file_bytes = header_bytes + boot_marks::entries_max * entry_bytes;

} // namespace

result<std::unique_ptr<boot_marks>> boot_marks::open(const std::string& data_path, const std::string& boot_id,
                                                     const std::string& directory) {
  struct stat data {};
  if (::stat(data_path.c_str(), &data) != 0)
    return fail_errno(data_path + ": stat");
  const auto path = fmt::format("{}/gnomon-{}-{:x}-{:x}", directory, boot_id.substr(0, 8), data.st_dev, data.st_ino);
  auto file = open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (!file)
    return tl::unexpected(file.error());
  struct stat about {};
  if (::fstat(file->get(), &about) != 0)
    return fail_errno(path + ": stat");
  if (about.st_uid != ::geteuid() || !S_ISREG(about.st_mode))
    return fail(errc::permission_denied, path + ": belongs to another user");
  std::unique_ptr<boot_marks> marks{new boot_marks(std::move(*file), path)};
  const auto known = marks->read();
  if (!known)
    return tl::unexpected(known.error());
  if (!*known)
    if (auto made = marks->create(); !made)
      return tl::unexpected(made.error());
  return marks;
}

result<void> boot_marks::create() {
  if (::getrandom(&token_, sizeof token_, 0) != sizeof token_)
    return fail_errno("random bytes");
  token_ |= 1; // 0: none
  if (::ftruncate(file_.get(), 0) != 0)
    return fail_errno(path_ + ": truncate");
  if (const int error = ::posix_fallocate(file_.get(), 0, static_cast<off_t>(file_bytes)); error != 0)
    return fail_errno(path_ + ": reserve", error);
  std::array<std::byte, header_bytes> header{};
  std::memcpy(header.data(), file_magic.data(), file_magic.size());
  std::memcpy(header.data() + 4, &file_version, sizeof file_version);
  std::memcpy(header.data() + 8, &token_, sizeof token_);
  if (::pwrite(file_.get(), header.data(), header.size(), 0) != static_cast<ssize_t>(header.size()))
    return fail_errno(path_ + ": write");
  return {};
}

// False: new, or not whole.
result<bool> boot_marks::read() {
  std::vector<std::byte> content(file_bytes);
  const auto got = ::pread(file_.get(), content.data(), content.size(), 0);
  if (got < 0)
    return fail_errno(path_ + ": read");
  std::uint32_t version = 0;
  std::memcpy(&version, content.data() + 4, sizeof version);
  if (static_cast<std::size_t>(got) != file_bytes || version != file_version ||
      std::memcmp(content.data(), file_magic.data(), file_magic.size()) != 0)
    return false;
  std::memcpy(&token_, content.data() + 8, sizeof token_);
  for (; entries_used_ < entries_max; ++entries_used_) {
    const std::byte* at = content.data() + header_bytes + entries_used_ * entry_bytes;
    std::uint32_t os_errno = 0, sum = 0;
    std::memcpy(&os_errno, at + 16, sizeof os_errno);
    std::memcpy(&sum, at + checked_bytes, sizeof sum);
    if (sum == 0)
      break; // never used
    volume_uuid volume;
    std::memcpy(volume.bytes.data(), at, volume.bytes.size());
    // A torn note is one: the process ended while a sync had failed.
    if (sum != std::max(1u, checksum({at, checked_bytes})))
      os_errno = EIO;
    if (os_errno != 0)
      marks_[volume] = {static_cast<int>(os_errno), entries_used_};
  }
  return true;
}

result<void> boot_marks::put(std::size_t entry, volume_uuid volume, int os_errno) {
  std::array<std::byte, entry_bytes> bytes{};
  const auto code = static_cast<std::uint32_t>(os_errno);
  std::memcpy(bytes.data(), volume.bytes.data(), volume.bytes.size());
  std::memcpy(bytes.data() + 16, &code, sizeof code);
  const auto sum = std::max(1u, checksum(bytes_view(bytes).first(checked_bytes)));
  std::memcpy(bytes.data() + checked_bytes, &sum, sizeof sum);
  const auto offset = static_cast<off_t>(header_bytes + entry * entry_bytes);
  if (::pwrite(file_.get(), bytes.data(), bytes.size(), offset) != static_cast<ssize_t>(bytes.size()))
    return fail_errno(path_ + ": write");
  return {};
}

result<void> boot_marks::add(volume_uuid volume, int os_errno) {
  std::lock_guard lock(mutex_);
  auto known = marks_.find(volume);
  std::size_t entry = known != marks_.end() ? known->second.entry : entries_used_;
  if (entry == entries_max) { // one that was removed has room
    std::vector<bool> used(entries_max);
    for (const auto& [uuid, mark] : marks_)
      used[mark.entry] = true;
    entry = static_cast<std::size_t>(std::find(used.begin(), used.end(), false) - used.begin());
    if (entry == entries_max)
      return fail(errc::limit_reached, fmt::format("{}: {} failed volumes are noted already", path_, entries_max));
  }
  if (auto ok = put(entry, volume, os_errno); !ok)
    return ok;
  entries_used_ = std::max(entries_used_, entry + 1);
  marks_[volume] = {os_errno, entry};
  return {};
}

void boot_marks::remove(volume_uuid volume) {
  std::lock_guard lock(mutex_);
  const auto known = marks_.find(volume);
  if (known != marks_.end() && put(known->second.entry, volume, 0))
    marks_.erase(known);
}

std::map<volume_uuid, int> boot_marks::all() const {
  std::lock_guard lock(mutex_);
  std::map<volume_uuid, int> out;
  for (const auto& [volume, mark] : marks_)
    out[volume] = mark.os_errno;
  return out;
}

void boot_marks::discard() {
  std::lock_guard lock(mutex_);
  if (marks_.empty())
    ::unlink(path_.c_str());
}

} // namespace gnomon::store
