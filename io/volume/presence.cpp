#include "io/volume/presence.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/log.hpp"
#include "io/fault/planted.hpp"

namespace gnomon::io {

namespace {

constexpr std::uint64_t present_magic = 0x31737265736e6f67; // "gonsers1"
constexpr std::uint32_t present_version = 1;
constexpr std::uint64_t present_header_bytes = 4096;

struct present_header {
  std::uint64_t magic = present_magic;
  std::uint32_t version = present_version, reserved = 0;
  std::array<std::uint8_t, 16> volume{};
  std::uint64_t granules = 0, size_bytes = 0;
};

result<void> sync_parent_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const int fd = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return fail_errno(folder);
  const int error = fsync(fd) != 0 ? errno : 0;
  close(fd);
  return error == 0 ? result<void>{} : fail_errno("sync of " + folder, error);
}

bool read_at(int fd, void* into, std::size_t bytes, std::uint64_t offset) {
  auto* at = static_cast<char*>(into);
  while (bytes > 0) {
    const ssize_t got = pread(fd, at, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return false;
    at += got, offset += static_cast<std::uint64_t>(got), bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

} // namespace

// --- open

result<std::unique_ptr<presence>> presence::open(const options& o) {
  std::unique_ptr<presence> p{new presence};
  p->path_ = o.path;
  p->size_ = o.size;
  p->granules_ = (o.size.value + granule_bytes - 1) / granule_bytes;
  p->faults_ = o.faults;
  p->volume_ = o.volume;
  if (auto ok = p->open_present(o); !ok)
    return tl::unexpected(ok.error());
  p->live_words_ = std::vector<granule_bits::word>(granule_bits::words_for(p->granules_));
  p->live_ = granule_bits{p->live_words_, p->granules_};
  for (std::size_t i = 0; i < p->durable_.size(); ++i)
    p->live_words_[i].store(p->durable_[i], std::memory_order_relaxed);
  if (auto ok = p->open_pending(o); !ok)
    return tl::unexpected(ok.error());
  return p;
}

result<void> presence::open_present(const options& o) {
  durable_.assign(granule_bits::words_for(granules_), 0);
  if (o.everything) {
    for (std::uint64_t g = 0; g < granules_; ++g)
      durable_[g / 64] |= std::uint64_t{1} << (g % 64);
    return make_present(o.volume);
  }
  present_fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
  if (present_fd_ >= 0) {
    present_header h;
    if (!read_at(present_fd_, &h, sizeof h, 0) || h.magic != present_magic || h.version != present_version)
      return fail(errc::corrupt, path_ + " does not tell which granules a volume holds");
    if (std::memcmp(h.volume.data(), &o.volume, sizeof h.volume) != 0 || h.granules > granules_)
      return fail(errc::corrupt, path_ + " belongs to another volume");
    granules_ = h.granules, size_ = byte_count{h.size_bytes}; // what grew later has no source
    durable_.resize(granule_bits::words_for(granules_));
    if (!read_at(present_fd_, durable_.data(), durable_.size() * 8, present_header_bytes))
      return fail(errc::corrupt, path_ + " is shorter than it says");
    return {};
  }
  if (errno != ENOENT)
    return fail_errno(path_);
  if (o.expected)
    return fail(errc::corrupt, path_ + " is missing: it tells which granules of the volume its file holds");
  return make_present(o.volume);
}

result<void> presence::make_present(const volume_uuid& volume) {
  const std::string unfinished = path_ + ".new";
  present_fd_ = ::open(unfinished.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
  if (present_fd_ < 0)
    return fail_errno(unfinished);
  present_header h;
  static_assert(sizeof(volume_uuid) == sizeof h.volume);
  std::memcpy(h.volume.data(), &volume, sizeof h.volume);
  h.granules = granules_, h.size_bytes = size_.value;
  std::vector<char> whole(present_header_bytes + durable_.size() * 8);
  std::memcpy(whole.data(), &h, sizeof h);
  std::memcpy(whole.data() + present_header_bytes, durable_.data(), durable_.size() * 8);
  for (std::size_t done = 0; done < whole.size();) {
    const ssize_t wrote = pwrite(present_fd_, whole.data() + done, whole.size() - done, static_cast<off_t>(done));
    if (wrote <= 0 && errno != EINTR)
      return fail_errno(unfinished);
    done += wrote > 0 ? static_cast<std::size_t>(wrote) : 0;
  }
  if (fsync(present_fd_) != 0 || rename(unfinished.c_str(), path_.c_str()) != 0)
    return fail_errno(unfinished);
  return sync_parent_of(path_);
}

result<void> presence::open_pending(const options& o) {
  const std::string file = std::to_string(o.device) + "." + std::to_string(o.inode);
  std::string mark = o.mark;
  std::replace(mark.begin(), mark.end(), '/', '_');
  const std::string of_boot = path_ + ".pending." + file + "." + o.boot;
  pending_path_ = of_boot + "." + mark;
  const auto name_of = [](const std::string& path) { return std::filesystem::path(path).filename().string(); };
  const std::string any = name_of(path_) + ".pending.", mine = name_of(pending_path_), here = name_of(of_boot) + ".";
  std::vector<std::string> other_mounts;
  bool removed = false;
  const auto folder = std::filesystem::path(path_).parent_path();
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder.empty() ? "." : folder, failed)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(any) || name == mine)
      continue;
    if (name.starts_with(here)) {
      other_mounts.push_back(entry.path().string());
    } else if (!plants(planted::other_pending_believed)) {
      if (unlink(entry.path().c_str()) != 0)
        return fail_errno(entry.path().string());
      removed = true;
    } else {
      other_mounts.push_back(entry.path().string());
    }
  }
  if (failed)
    return fail_errno(path_, failed.value());
  if (removed)
    if (auto synced = sync_parent_of(path_); !synced)
      return synced;
  if (auto made = make_pending(); !made)
    return made;
  const auto each = [this](int fd, auto what) {
    std::array<char, 65536> bytes{};
    for (std::uint64_t at = 0; at < granules_;) {
      const off_t data = lseek(fd, static_cast<off_t>(at), SEEK_DATA);
      if (data < 0)
        return;
      at = static_cast<std::uint64_t>(data);
      const ssize_t got = pread(fd, bytes.data(), bytes.size(), data);
      if (got <= 0)
        return;
      for (ssize_t i = 0; i < got; ++i, ++at)
        if (bytes[static_cast<std::size_t>(i)] != 0 && at < granules_ && !live_.test(at))
          what(at);
    }
  };
  const bool believed = !o.doubtful && !o.mark.empty();
  const auto doubt = [this](std::uint64_t granule) {
    if (suspects_.empty()) {
      suspects_ = std::vector<granule_bits::word>(granule_bits::words_for(granules_));
      suspect_bits_ = granule_bits{suspects_, granules_};
    }
    suspect_bits_.set(granule, 1);
  };
  each(pending_fd_, [&](std::uint64_t granule) {
    if (!believed)
      return doubt(granule);
    live_.set(granule, 1);
    list_.push_back(granule);
  });
  for (const auto& path : other_mounts) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
      return fail_errno(path);
    if (plants(planted::other_pending_believed))
      each(fd, [&](std::uint64_t granule) { live_.set(granule, 1), list_.push_back(granule); });
    else
      each(fd, doubt);
    close(fd);
  }
  if (!suspects_.empty())
    log::error("{}: {} granules may have been written and lost; they answer EIO until they are written again as a whole",
               path_, suspect_bits_.count());
  return {};
}

result<void> presence::make_pending() {
  pending_fd_ = ::open(pending_path_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (pending_fd_ < 0)
    return fail_errno(pending_path_);
  if (ftruncate(pending_fd_, static_cast<off_t>(granules_)) != 0)
    return fail_errno(pending_path_);
  return {};
}

presence::~presence() { close_files(); }

void presence::close_files() {
  for (int* const fd : {&present_fd_, &pending_fd_}) {
    if (faults_ != nullptr && *fd >= 0)
      faults_->forget(*fd);
    if (*fd >= 0)
      close(*fd);
    *fd = -1;
  }
}

// --- any thread

std::uint32_t presence::bytes_of(std::uint64_t granule) const noexcept {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(granule_bytes, size_.value - granule * granule_bytes));
}

std::uint64_t presence::run_end(std::uint64_t granule, std::uint64_t end) const noexcept {
  if (granule >= granules_)
    return end;
  const std::uint64_t last = std::min(end, granules_);
  const bool here = live_.test(granule);
  const std::uint64_t found = here ? live_.next_clear(granule, last) : live_.next(granule, last);
  return here && found == granules_ ? end : found; // what follows the source's end is present
}

bool presence::any_missing(std::uint64_t first, std::uint64_t end) const noexcept {
  const std::uint64_t last = std::min(end, granules_);
  return first < last && live_.next_clear(first, last) != last;
}

// --- files

int presence::write(int fd, const void* data, std::size_t bytes, std::uint64_t offset) {
  fault_plan::write_id remembered{0};
  if (faults_ != nullptr) {
    const auto id = faults_->before_write(fd, byte_offset{offset}, byte_count{bytes});
    if (!id)
      return EIO;
    remembered = *id;
  }
  const auto* at = static_cast<const char*>(data);
  int error = 0;
  while (bytes > 0 && error == 0) {
    const ssize_t wrote = pwrite(fd, at, bytes, static_cast<off_t>(offset));
    if (wrote > 0)
      at += wrote, offset += static_cast<std::uint64_t>(wrote), bytes -= static_cast<std::size_t>(wrote);
    else if (wrote == 0 || errno != EINTR)
      error = wrote == 0 ? EIO : errno;
  }
  if (faults_ != nullptr)
    faults_->after_write(fd, remembered);
  return error;
}

int presence::sync(int fd) {
  const auto id = faults_ != nullptr ? faults_->before_sync(fd) : fault_plan::sync_id{0};
  const int error = fdatasync(fd) != 0 ? errno : 0;
  if (faults_ != nullptr)
    (void)faults_->after_sync(fd, id, error);
  return error;
}

int presence::set_pending(std::uint64_t granule, std::uint64_t end, bool value) {
  const std::vector<char> bytes(end - granule, value ? 1 : 0);
  return write(pending_fd_, bytes.data(), bytes.size(), granule);
}

result<bool> presence::arrived(std::uint64_t first, std::uint64_t end) {
  const std::uint64_t last = std::min(end, granules_);
  bool long_list = false;
  for (std::uint64_t at = first; at < last;) {
    at = live_.next_clear(at, last);
    const std::uint64_t run = live_.next(at, last);
    if (at == last)
      break;
    if (!plants(planted::pending_left_out))
      if (const int error = set_pending(at, run, true); error != 0)
        return fail_errno("noting what the volume holds", error);
    const std::lock_guard lock{mutex_};
    for (; at < run; ++at) {
      if (live_.test(at))
        continue; // somebody wrote all of it at the same time
      if (!suspects_.empty())
        suspect_bits_.clear(at, 1);
      live_.set(at, 1);
      list_.push_back(at);
      cleared_.erase(at);
    }
    long_list = list_.size() >= list_max;
  }
  if (plants(planted::bits_outside_chain))
    (void)make_durable(take_list());
  return long_list;
}

result<void> presence::cleared(std::uint64_t granule) {
  // `present` still says that the file holds it, or nothing does and the source has the same.
  if (!plants(planted::pending_not_cleared))
    if (const int error = set_pending(granule, granule + 1, false); error != 0)
      return fail_errno("noting what the volume holds", error);
  if (plants(planted::cleared_outside_chain))
    (void)make_durable({{}, {granule}});
  const std::lock_guard lock{mutex_};
  live_.clear(granule, 1);
  std::erase(list_, granule);
  if (!plants(planted::cleared_outside_chain))
    cleared_.insert(granule);
  return {};
}

// --- the chain

presence::list presence::take_list() {
  const std::lock_guard lock{mutex_};
  list taken;
  taken.granules.swap(list_);
  taken.cleared.assign(cleared_.begin(), cleared_.end());
  cleared_.clear();
  return taken;
}

bool presence::list_is_empty() const {
  const std::lock_guard lock{mutex_};
  return list_.empty() && cleared_.empty();
}

void presence::give_back(list taken) {
  const std::lock_guard lock{mutex_};
  // What has become the other meanwhile is in the other list.
  for (const auto granule : taken.granules)
    if (live_.test(granule))
      list_.push_back(granule);
  for (const auto granule : taken.cleared)
    if (!live_.test(granule))
      cleared_.insert(granule);
}

int presence::make_durable(list taken) {
  if (taken.granules.empty() && taken.cleared.empty())
    return 0;
  const std::lock_guard one_at_a_time{durable_mutex_};
  std::sort(taken.granules.begin(), taken.granules.end());
  for (const auto granule : taken.granules)
    durable_[granule / 64] |= std::uint64_t{1} << (granule % 64);
  for (const auto granule : taken.cleared)
    durable_[granule / 64] &= ~(std::uint64_t{1} << (granule % 64));
  std::vector<std::uint64_t> granules = taken.granules;
  granules.insert(granules.end(), taken.cleared.begin(), taken.cleared.end());
  std::sort(granules.begin(), granules.end());
  // One write per stretch of words that are close together.
  constexpr std::uint64_t close_words = 512;
  int error = 0;
  for (std::size_t i = 0; i < granules.size() && error == 0;) {
    const std::uint64_t from = granules[i] / 64;
    std::uint64_t to = from;
    while (i < granules.size() && granules[i] / 64 <= to + close_words)
      to = granules[i++] / 64;
    error = write(present_fd_, durable_.data() + from, (to - from + 1) * 8, present_header_bytes + from * 8);
  }
  if (error == 0)
    error = sync(present_fd_);
  if (error != 0) {
    give_back(std::move(taken));
    return error;
  }
  const auto& arrived = taken.granules;
  for (std::size_t i = 0; i < arrived.size() && error == 0;) {
    const std::uint64_t from = arrived[i];
    std::uint64_t to = from;
    while (i < arrived.size() && arrived[i] == to)
      ++to, ++i;
    error = set_pending(from, to, false);
  }
  return 0; // a pending byte that stays does no harm: `present` says the same
}

void presence::remove_files() {
  unlink(path_.c_str());
  unlink(pending_path_.c_str());
  close_files();
}

result<void> presence::make_files_again() {
  if (auto made = make_present(volume_); !made)
    return made;
  return make_pending();
}

} // namespace gnomon::io
