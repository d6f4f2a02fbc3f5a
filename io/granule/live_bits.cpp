#include "io/granule/live_bits.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "config/log.hpp"

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x00004000U
#endif
#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

namespace gnomon::io {

struct live_bits::header {
  std::uint64_t magic;
  std::uint32_t version;
  std::atomic<std::uint32_t> known;
  std::uint64_t granules;
  std::uint64_t device, inode;
  char mark[mark_bytes_max];
  snapshot_uuid since;
};

namespace {

constexpr std::uint64_t segment_magic = 0x31737469622e6e67; // "gn.bits1"
constexpr std::uint64_t saved_magic = 0x3164766173626e67;   // "gnbsavd1"
constexpr std::uint32_t bits_version = 2; // 2: the snapshot that the bits are counted from
constexpr std::size_t segment_page = 4096;

std::atomic<std::uint64_t> memory_used{0};

std::string segment_name(const live_bits::options& o) { return "/gnomon." + o.boot + "." + o.volume.to_string(); }

std::size_t bitmap_bytes(std::uint64_t granules) {
  return (granule_bits::words_for(granules) * sizeof(std::uint64_t) + segment_page - 1) / segment_page * segment_page;
}

// Room to grow without a new segment.
std::uint64_t reserved_granules(std::uint64_t granules) { return std::bit_ceil(std::max<std::uint64_t>(granules, 64)); }

struct saved_header {
  std::uint64_t magic;
  std::uint32_t version, known;
  std::uint64_t granules;
  file_identity file;
  snapshot_uuid since;
  std::uint64_t checksum; // of what comes before and of the words
};

std::uint64_t checksum(const void* data, std::size_t bytes, std::uint64_t sum) { // FNV-1a, by words of 8 bytes
  const auto* at = static_cast<const unsigned char*>(data);
  for (; bytes >= 8; bytes -= 8, at += 8) {
    std::uint64_t w;
    std::memcpy(&w, at, 8);
    sum = std::rotl((sum ^ w) * 0x100000001b3ull, 29);
  }
  return sum;
}

std::uint64_t checksum(const saved_header& h, const std::vector<std::uint64_t>& words) {
  const auto head = checksum(&h, offsetof(saved_header, checksum), 0xcbf29ce484222325ull);
  return checksum(words.data(), words.size() * 8, head);
}

result<void> sync_folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return fail_errno(folder);
  const int failed = fsync(fd) != 0 ? errno : 0;
  close(fd);
  return failed == 0 ? result<void>{} : fail_errno("sync of " + folder, failed);
}

result<void> write_all_of(int fd, const void* data, std::size_t bytes) {
  const auto* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t wrote = write(fd, at, bytes);
    if (wrote < 0 && errno == EINTR)
      continue;
    if (wrote <= 0)
      return fail_errno("write", wrote == 0 ? EIO : errno);
    at += wrote, bytes -= static_cast<std::size_t>(wrote);
  }
  return {};
}

bool read_all_of(int fd, void* data, std::size_t bytes) {
  auto* at = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t got = read(fd, at, bytes);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return false;
    at += got, bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

} // namespace

namespace {
file_identity identity_in(const struct stat& about) {
  return {static_cast<std::uint64_t>(about.st_dev), about.st_ino, static_cast<std::uint64_t>(about.st_size),
          about.st_mtim.tv_sec * 1'000'000'000 + about.st_mtim.tv_nsec};
}
} // namespace

result<file_identity> identity_of(int fd) {
  struct stat about {};
  if (fstat(fd, &about) != 0)
    return fail_errno("file status");
  return identity_in(about);
}

result<file_identity> identity_of(const std::string& path) {
  struct stat about {};
  if (stat(path.c_str(), &about) != 0)
    return fail_errno(path);
  return identity_in(about);
}

std::string boot_id() {
  std::string id;
  std::ifstream{"/proc/sys/kernel/random/boot_id"} >> id;
  return id;
}

std::string mount_mark(int fd) {
  struct statfs system {};
  struct stat about {};
  if (fstatfs(fd, &system) != 0 || fstat(fd, &about) != 0)
    return {};
  const char* kind = system.f_type == EXT4_SUPER_MAGIC ? "ext4" : system.f_type == XFS_SUPER_MAGIC ? "xfs" : nullptr;
  if (kind != nullptr) {
    // /sys/dev/block/MAJOR:MINOR is a link to the device, whose name is the node's.
    const std::string link =
        "/sys/dev/block/" + std::to_string(major(about.st_dev)) + ":" + std::to_string(minor(about.st_dev));
    char target[4096];
    const ssize_t length = readlink(link.c_str(), target, sizeof target - 1);
    if (length > 0) {
      const std::string device{target, static_cast<std::size_t>(length)};
      const std::string node = std::string("/sys/fs/") + kind + "/" + device.substr(device.rfind('/') + 1);
      struct stat mounted {};
      if (stat(node.c_str(), &mounted) == 0)
        return std::string(kind) + ":" + std::to_string(mounted.st_ino); // its times are those of a cache
    }
  }
  struct statx more {};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID_UNIQUE, &more) == 0 && (more.stx_mask & STATX_MNT_ID_UNIQUE) != 0)
    return "mount:" + std::to_string(more.stx_mnt_id);
  return {};
}

result<std::unique_ptr<live_bits>> live_bits::map(const options& o, bool make) {
  std::unique_ptr<live_bits> bits{new live_bits};
  bits->name_ = segment_name(o);
  bits->saved_path_ = o.saved_path;
  bits->volume_ = o.volume;
  const int fd = shm_open(bits->name_.c_str(), O_RDWR | O_CLOEXEC | (make ? O_CREAT | O_EXCL : 0), 0600);
  if (fd < 0)
    return fail_errno("shared memory " + bits->name_);
  std::uint64_t reserved = reserved_granules(o.granules);
  std::size_t bytes = segment_page + 2 * bitmap_bytes(reserved);
  if (!make) {
    struct stat about {};
    header found{};
    if (fstat(fd, &about) != 0 || pread(fd, static_cast<void*>(&found), sizeof found, 0) != sizeof found ||
        found.magic != segment_magic || found.version != bits_version || found.granules < o.granules ||
        static_cast<std::uint64_t>(about.st_size) != segment_page + 2 * bitmap_bytes(found.granules)) {
      close(fd);
      return fail(errc::corrupt, "shared memory " + bits->name_ + " is of another kind or size");
    }
    reserved = found.granules;
    bytes = static_cast<std::size_t>(about.st_size);
  }
  if (memory_used.fetch_add(bytes) + bytes > memory_bytes_max) {
    memory_used.fetch_sub(bytes);
    close(fd);
    if (make)
      shm_unlink(bits->name_.c_str());
    return fail(errc::limit_reached, "change tracking of all volumes may use " + std::to_string(memory_bytes_max) +
                                         " bytes of shared memory; this volume needs " + std::to_string(bytes));
  }
  bits->bytes_ = bytes;
  // Reserved now: a full /dev/shm is an error here and not a signal in a ring.
  const int full = make ? posix_fallocate(fd, 0, static_cast<off_t>(bytes)) : 0;
  void* memory = full == 0 ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0) : MAP_FAILED;
  const int error = full != 0 ? full : errno;
  close(fd);
  if (memory == MAP_FAILED) {
    if (make)
      shm_unlink(bits->name_.c_str());
    return fail_errno("shared memory " + bits->name_, error);
  }
  bits->memory_ = memory;
  for (unsigned i = 0; i < 2; ++i) {
    auto* words = reinterpret_cast<granule_bits::word*>(static_cast<std::byte*>(memory) + segment_page + i * bitmap_bytes(reserved));
    bits->bits_[i] = granule_bits{{words, granule_bits::words_for(reserved)}, reserved};
  }
  auto& h = *static_cast<header*>(memory);
  if (make) {
    h.version = bits_version;
    h.granules = reserved;
    h.device = o.file.device, h.inode = o.file.inode;
    std::strncpy(h.mark, o.mark.c_str(), mark_bytes_max - 1);
    std::atomic_thread_fence(std::memory_order_release);
    h.magic = segment_magic;
  }
  return bits;
}

result<std::unique_ptr<live_bits>> live_bits::create(const options& o) {
  shm_unlink(segment_name(o).c_str());
  return map(o, true);
}

result<std::unique_ptr<live_bits>> live_bits::find(const options& o) {
  auto segment = map(o, false);
  if (segment) {
    const auto& h = *static_cast<const header*>((*segment)->memory_);
    const bool same_file = h.device == o.file.device && h.inode == o.file.inode;
    const bool kept = same_file && !o.mark.empty() && o.mark == h.mark && !o.doubtful;
    if (!kept) {
      log::warning("volume {}: what changed since its newest layer is unknown: {}", o.volume.to_string(),
                o.doubtful    ? "a sync failed"
                : !same_file ? "its file is another one"
                              : "the file system was mounted anew");
      (*segment)->discard();
      segment = std::unique_ptr<live_bits>{};
    }
  } else if (segment.error().code != errc::not_found) {
    shm_unlink(segment_name(o).c_str());
  }
  std::unique_ptr<live_bits> found = segment ? std::move(*segment) : nullptr;
  if (o.saved_path.empty())
    return found;
  if (access(o.saved_path.c_str(), F_OK) != 0)
    return found;
  if (!found && !o.doubtful) {
    auto made = create(o);
    if (!made)
      return tl::unexpected(made.error());
    const auto loaded = (*made)->load(o);
    if (!loaded || !*loaded) {
      log::warning("volume {}: {} does not match the volume's file: what changed since its newest layer is unknown",
                o.volume.to_string(), o.saved_path);
      (*made)->discard();
    } else {
      found = std::move(*made);
    }
  }
  // Durably, before the first change that would make it false.
  if (unlink(o.saved_path.c_str()) != 0)
    return fail_errno(o.saved_path);
  if (auto synced = sync_folder_of(o.saved_path); !synced)
    return tl::unexpected(synced.error());
  return found;
}

result<void> live_bits::forget(const options& o) {
  const std::string name = segment_name(o);
  if (shm_unlink(name.c_str()) != 0 && errno != ENOENT)
    return fail_errno("shared memory " + name);
  if (o.saved_path.empty())
    return {};
  if (unlink(o.saved_path.c_str()) != 0)
    return errno == ENOENT ? result<void>{} : fail_errno(o.saved_path);
  return sync_folder_of(o.saved_path);
}

result<bool> live_bits::load(const options& o) {
  const int fd = open(o.saved_path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fail_errno(o.saved_path);
  saved_header h{};
  std::vector<std::uint64_t> words;
  bool good = read_all_of(fd, &h, sizeof h) && h.magic == saved_magic && h.version == bits_version &&
              h.granules <= granules() && h.file == o.file;
  if (good) {
    words.resize(granule_bits::words_for(h.granules));
    good = read_all_of(fd, words.data(), words.size() * 8) && checksum(h, words) == h.checksum;
  }
  close(fd);
  if (!good)
    return false;
  for (std::size_t i = 0; i < words.size(); ++i)
    bits_[0].words()[i].store(words[i], std::memory_order_relaxed);
  static_cast<header*>(memory_)->since = h.since;
  set_known(h.known != 0);
  return true;
}

live_bits::~live_bits() {
  if (memory_ != nullptr)
    munmap(memory_, bytes_);
  memory_used.fetch_sub(bytes_);
}

bool live_bits::known() const noexcept {
  return static_cast<const header*>(memory_)->known.load(std::memory_order_acquire) != 0;
}

void live_bits::set_known(bool known) noexcept {
  static_cast<header*>(memory_)->known.store(known ? 1 : 0, std::memory_order_release);
}

snapshot_uuid live_bits::since() const noexcept { return static_cast<const header*>(memory_)->since; }

void live_bits::count_from(snapshot_uuid layer) noexcept {
  set_known(false); // a kill in between leaves no mixture
  static_cast<header*>(memory_)->since = layer;
  set_known(true);
}

void live_bits::discard() noexcept { shm_unlink(name_.c_str()); }

result<void> live_bits::save(const file_identity& file) {
  if (saved_path_.empty()) {
    discard();
    return {};
  }
  std::vector<std::uint64_t> words(granule_bits::words_for(granules()));
  for (std::size_t i = 0; i < words.size(); ++i)
    words[i] = bits_[0].words()[i].load(std::memory_order_acquire) | bits_[1].words()[i].load(std::memory_order_acquire);
  saved_header h{saved_magic, bits_version, known() ? 1u : 0u, granules(), file, since(), 0};
  h.checksum = checksum(h, words);
  const std::string unfinished = saved_path_ + ".new";
  const int fd = open(unfinished.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail_errno(unfinished);
  auto written = write_all_of(fd, &h, sizeof h);
  if (written)
    written = write_all_of(fd, words.data(), words.size() * 8);
  if (written && fsync(fd) != 0)
    written = fail_errno("sync of " + unfinished);
  close(fd);
  if (!written) {
    unlink(unfinished.c_str());
    return written;
  }
  if (rename(unfinished.c_str(), saved_path_.c_str()) != 0)
    return fail_errno(saved_path_);
  if (auto synced = sync_folder_of(saved_path_); !synced)
    return synced;
  discard();
  return {};
}

} // namespace gnomon::io
