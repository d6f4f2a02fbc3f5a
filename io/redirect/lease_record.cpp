#include "io/redirect/lease_record.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <unistd.h>

namespace gnomon::io {

namespace {

constexpr char first_line[] = "gnomon-leases 1";

std::string read_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  file >> id;
  return id;
}

} // namespace

result<lease_record> lease_record::open(std::string path, nanoseconds lease) {
  lease_record r;
  r.path_ = std::move(path);
  r.boot_id_ = r.boot_on_record_ = read_boot_id();
  r.longest_ = r.lease_ = lease;
  const auto damaged = [&] {
    return fail(errc::corrupt, r.path_ + " is damaged: wait until no gateway can hold a lease (stop them, or one minute), "
                                         "remove the file and start again");
  };
  if (access(r.path_.c_str(), F_OK) != 0)
    return errno == ENOENT ? result<lease_record>(r) : fail_errno(r.path_);
  std::ifstream file(r.path_);
  std::string line, word, boot;
  bool ended = false;
  if (!std::getline(file, line) || line != first_line)
    return damaged();
  while (std::getline(file, line) && !ended) {
    std::istringstream words(line);
    words >> word;
    if (word == "boot") {
      words >> boot;
    } else if (word == "lease") {
      std::int64_t ns = 0;
      if (!(words >> ns) || ns < 0)
        return damaged();
      r.longest_left_behind_ = nanoseconds{ns};
    } else if (word == "volume") {
      words >> word;
      const auto uuid = volume_uuid::parse(word);
      if (!uuid)
        return damaged();
      r.left_behind_.insert(*uuid);
    } else if (word == "end") {
      ended = true;
    } else {
      return damaged();
    }
  }
  if (!ended)
    return damaged();
  r.rebooted_ = boot != r.boot_id_;
  r.boot_on_record_ = boot; // a second crash before recovery_over() finds the same
  r.volumes_ = r.left_behind_;
  r.longest_ = std::max(lease, r.longest_left_behind_);
  if (!r.volumes_.empty() && lease > r.longest_left_behind_) // on record before it is granted
    if (auto saved = r.save(); !saved)
      return tl::unexpected(saved.error());
  return r;
}

result<void> lease_record::recovery_over() {
  if (boot_on_record_ == boot_id_ && longest_ == lease_)
    return {};
  boot_on_record_ = boot_id_;
  longest_ = lease_; // what was granted before is over
  return save();
}

result<void> lease_record::add(const volume_uuid& volume) {
  if (!volumes_.insert(volume).second)
    return {};
  auto saved = save();
  if (!saved)
    volumes_.erase(volume);
  return saved;
}

result<void> lease_record::remove(const volume_uuid& volume) {
  if (volumes_.erase(volume) == 0)
    return {};
  return save();
}

result<void> lease_record::save() const {
  std::ostringstream text;
  text << first_line << "\nboot " << boot_on_record_ << "\nlease " << longest_.count() << '\n';
  for (const auto& volume : volumes_)
    text << "volume " << volume.to_string() << '\n';
  text << "end\n";
  const std::string bytes = text.str(), next = path_ + ".new";
  const int fd = ::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail_errno(next);
  const bool written = ::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()) && fsync(fd) == 0;
  const int error = errno;
  ::close(fd);
  if (!written)
    return fail_errno(next, error);
  if (std::rename(next.c_str(), path_.c_str()) != 0)
    return fail_errno(path_);
  const auto slash = path_.rfind('/');
  const int folder = ::open(path_.substr(0, slash).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0)
    return fail_errno(path_);
  const bool synced = fsync(folder) == 0;
  const int folder_error = errno;
  ::close(folder);
  return synced ? result<void>{} : fail_errno(path_, folder_error);
}

} // namespace gnomon::io
