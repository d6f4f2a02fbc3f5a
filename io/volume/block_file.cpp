#include "io/volume/block_file.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "config/log.hpp"

namespace gnomon::io {

namespace {

int descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX)
    return INT_MAX;
  return static_cast<int>(limit.rlim_cur);
}

} // namespace

block_file::~block_file() { close_all(); }

void block_file::close_all() noexcept {
  if (data_fd_ >= 0)
    close(data_fd_);
  if (const int own = sync_fd_.exchange(-1); own >= 0)
    close(own);
  data_fd_ = -1;
}

block_file::block_file(block_file&& other) noexcept { *this = std::move(other); }

block_file& block_file::operator=(block_file&& other) noexcept {
  if (this == &other)
    return *this;
  close_all();
  path_ = std::move(other.path_);
  data_fd_ = std::exchange(other.data_fd_, -1);
  sync_fd_ = other.sync_fd_.exchange(-1);
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
  if (const int limit = descriptor_limit(); file.data_fd_ >= limit - descriptors_kept)
    return fail(errc::limit_reached, how.path + ": no file descriptor is left for it: the limit is " +
                                         std::to_string(limit) + ", " + std::to_string(descriptors_kept) +
                                         " of them are kept for other uses; raise it (LimitNOFILE, ulimit -n)");
  if (auto ok = file.lock(how.lock_patience); !ok)
    return tl::unexpected(ok.error());
  if (auto ok = file.examine(); !ok)
    return tl::unexpected(ok.error());
  return file;
}

// As qemu does, all locks are shared: one on each permission that is used, one on each that is not granted to others;
// then it looks whether somebody uses what is not granted, or does not grant what is used.
result<bool> block_file::try_lock() {
  constexpr off_t used_base = 100, refused_base = 200;
  constexpr int read = 0, write = 1, resize = 3; // qemu's permissions: consistent read, write, resize
  const auto on_byte = [](off_t byte, short type) {
    struct flock lock {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = byte;
    lock.l_len = 1;
    return lock;
  };
  const std::vector<int> used = read_only_ ? std::vector{read} : std::vector{read, write, resize};
  const std::vector<int> refused{write, resize};
  std::vector<off_t> ours, conflicting;
  for (const int permission : used) {
    ours.push_back(used_base + permission);
    conflicting.push_back(refused_base + permission);
  }
  for (const int permission : refused) {
    ours.push_back(refused_base + permission);
    conflicting.push_back(used_base + permission);
  }
  for (const off_t byte : ours) {
    auto lock = on_byte(byte, F_RDLCK);
    if (fcntl(data_fd_, F_OFD_SETLK, &lock) == 0)
      continue;
    if (errno == EAGAIN || errno == EACCES)
      return false;
    return fail_errno(path_ + ": lock");
  }
  for (const off_t byte : conflicting) {
    auto lock = on_byte(byte, F_WRLCK);
    if (fcntl(data_fd_, F_OFD_GETLK, &lock) != 0)
      return fail_errno(path_ + ": lock");
    if (lock.l_type != F_UNLCK)
      return false;
  }
  return true;
}

result<void> block_file::lock(std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  for (;;) {
    auto locked = try_lock();
    if (!locked && (locked.error().os_errno == EINVAL || locked.error().os_errno == ENOLCK ||
                    locked.error().os_errno == EOPNOTSUPP || locked.error().os_errno == ENOSYS)) {
      log::warning("{}: its file system has no locks: nothing keeps another process from writing to it", path_);
      return {};
    }
    if (!locked)
      return tl::unexpected(locked.error());
    if (*locked)
      return {};
    auto none = flock{};
    none.l_type = F_UNLCK;
    none.l_whence = SEEK_SET;
    (void)fcntl(data_fd_, F_OFD_SETLK, &none); // two that try at once must not keep each other out
    if (std::chrono::steady_clock::now() >= until)
      return fail(errc::busy, path_ + ": in use by another process (another node, a virtual machine or an image tool "
                                      "holds its lock)");
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
  }
}

void block_file::open_sync_descriptor() {
  if (sync_fd_.load(std::memory_order_acquire) >= 0)
    return;
  const auto same = "/proc/self/fd/" + std::to_string(data_fd_);
  const int fd = ::open(same.c_str(), (read_only_ ? O_RDONLY : O_RDWR) | O_CLOEXEC);
  int none = -1;
  if (fd >= 0 && (fd >= descriptor_limit() - descriptors_kept || !sync_fd_.compare_exchange_strong(none, fd)))
    close(fd);
}

std::uint64_t block_file::free_bytes() const noexcept {
  struct statfs system {};
  if (block_device_ || fstatfs(data_fd_, &system) != 0)
    return ~0ull;
  constexpr std::uint64_t kept_bytes_max = 64ull << 20;
  const std::uint64_t unit = static_cast<std::uint64_t>(system.f_bsize), free = system.f_bavail * unit;
  return free - std::min({free, kept_bytes_max, system.f_blocks * unit / 64});
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

result<void> block_file::extend(byte_count wanted) {
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
  return {};
}

int block_file::sync_beside() const {
  const auto same = "/proc/self/fd/" + std::to_string(data_fd_);
  const int own = ::open(same.c_str(), (read_only_ ? O_RDONLY : O_RDWR) | O_CLOEXEC);
  const int error = fsync(own >= 0 ? own : data_fd_) == 0 ? 0 : errno;
  if (own >= 0)
    close(own);
  return error;
}

} // namespace gnomon::io
