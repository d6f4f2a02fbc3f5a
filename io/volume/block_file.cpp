#include "io/volume/block_file.hpp"

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace gnomon::io {

block_file::~block_file() { close_all(); }

void block_file::close_all() noexcept {
  if (data_fd_ >= 0)
    close(data_fd_);
  if (sync_fd_ >= 0)
    close(sync_fd_);
  data_fd_ = sync_fd_ = -1;
}

block_file::block_file(block_file&& other) noexcept { *this = std::move(other); }

block_file& block_file::operator=(block_file&& other) noexcept {
  if (this == &other)
    return *this;
  close_all();
  path_ = std::move(other.path_);
  data_fd_ = std::exchange(other.data_fd_, -1);
  sync_fd_ = std::exchange(other.sync_fd_, -1);
  block_device_ = other.block_device_;
  direct_ = other.direct_;
  read_only_ = other.read_only_;
  inline_writes_ = other.inline_writes_;
  in_memory_ = other.in_memory_;
  zero_range_ = other.zero_range_;
  punch_hole_ = other.punch_hole_;
  alignment_ = other.alignment_;
  device_number_ = other.device_number_;
  return *this;
}

result<block_file> block_file::open(const options& how) {
  block_file file;
  file.path_ = how.path;
  file.direct_ = how.cache == cache_mode::direct;
  file.read_only_ = how.read_only;
  struct stat about {};
  if (stat(how.path.c_str(), &about) != 0)
    return fail_errno(how.path);
  file.block_device_ = S_ISBLK(about.st_mode);
  file.device_number_ = file.block_device_ ? about.st_rdev : about.st_dev;
  if (!file.block_device_ && !S_ISREG(about.st_mode))
    return fail(errc::invalid_argument, how.path + " is neither a regular file nor a block device");
  const int access = how.read_only ? O_RDONLY : O_RDWR;
  int flags = access | O_CLOEXEC | O_NOATIME;
  if (file.direct_)
    flags |= O_DIRECT;
  if (file.block_device_ && how.exclusive_block_device && !how.read_only)
    flags |= O_EXCL;
  file.data_fd_ = ::open(how.path.c_str(), flags);
  if (file.data_fd_ < 0 && errno == EPERM)
    file.data_fd_ = ::open(how.path.c_str(), flags & ~O_NOATIME);
  if (file.data_fd_ < 0) {
    if (errno == EINVAL && file.direct_)
      return fail(errc::unsupported, how.path + ": its file system has no O_DIRECT; use \"cache\": \"buffered\"",
                  EINVAL);
    return fail_errno(how.path);
  }
  file.sync_fd_ = ::open(how.path.c_str(), access | O_CLOEXEC);
  if (file.sync_fd_ < 0)
    return fail_errno(how.path);
  if (auto ok = file.examine(); !ok)
    return tl::unexpected(ok.error());
  return file;
}

result<void> block_file::examine() {
  if (direct_) {
    alignment_ = 4096;
    struct statx about {};
    if (statx(data_fd_, "", AT_EMPTY_PATH, STATX_DIOALIGN, &about) == 0 && (about.stx_mask & STATX_DIOALIGN)) {
      if (about.stx_dio_offset_align == 0)
        return fail(errc::unsupported, path_ + ": O_DIRECT is not supported here; use \"cache\": \"buffered\"");
      alignment_ = about.stx_dio_offset_align;
    }
    if (alignment_ > block_bytes)
      return fail(errc::unsupported, path_ + ": needs O_DIRECT alignment of " + std::to_string(alignment_) +
                                         " bytes, more than the block of 4096");
  }
  if (block_device_) {
    inline_writes_ = false;
    return {};
  }
  struct statfs system {};
  if (fstatfs(data_fd_, &system) == 0) {
    in_memory_ = system.f_type == TMPFS_MAGIC;
    if (in_memory_)
      zero_range_ = false;
    // ext4 refuses RWF_NOWAIT for buffered writes, so io_uring would hand each one to a worker; xfs and btrfs take
    // it, and elsewhere (NFS, FUSE) a write may wait for somebody else, which a ring must not.
    inline_writes_ = !direct_ && !read_only_ && (in_memory_ || system.f_type == EXT4_SUPER_MAGIC);
  }
  if (!read_only_) {
    // Beyond the end and with KEEP_SIZE these change nothing but say whether the file system has them.
    const auto end = size();
    if (!end)
      return tl::unexpected(end.error());
    const auto beyond = static_cast<off_t>((end->value + granule_bytes) & ~(granule_bytes - 1));
    punch_hole_ = fallocate(data_fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, beyond, block_bytes) == 0 ||
                  (errno != EOPNOTSUPP && errno != ENOSYS);
  }
  return {};
}

result<byte_count> block_file::size() const {
  if (block_device_) {
    std::uint64_t bytes = 0;
    if (ioctl(data_fd_, BLKGETSIZE64, &bytes) != 0)
      return fail_errno(path_ + ": size of the device");
    return byte_count{bytes};
  }
  struct stat about {};
  if (fstat(data_fd_, &about) != 0)
    return fail_errno(path_);
  return byte_count{static_cast<std::uint64_t>(about.st_size)};
}

result<void> block_file::grow(byte_count wanted) {
  const auto now = size();
  if (!now)
    return tl::unexpected(now.error());
  if (now->value >= wanted.value)
    return {};
  if (block_device_)
    return fail(errc::no_space, path_ + ": the device has " + std::to_string(now->value) + " bytes, fewer than " +
                                    std::to_string(wanted.value));
  if (ftruncate(data_fd_, static_cast<off_t>(wanted.value)) != 0)
    return fail_errno(path_ + ": grow");
  if (fsync(sync_fd_) != 0)
    return fail_errno(path_ + ": sync after growing");
  return {};
}

} // namespace gnomon::io
