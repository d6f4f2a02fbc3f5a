#include "io/granule/spill.hpp"

#include <cassert>
#include <cerrno>
#include <cstdlib>

#include <fcntl.h>
#include <unistd.h>

namespace gnomon::io {

result<std::unique_ptr<granule_spill>> granule_spill::create(const std::string& folder, std::uint64_t bytes_max) {
  int fd = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
    std::string name = folder + "/.gnomon-spill-XXXXXX";
    fd = mkostemp(name.data(), O_CLOEXEC);
    if (fd >= 0)
      unlink(name.c_str());
  }
  if (fd < 0)
    return fail_errno("spill file in " + folder);
  return std::unique_ptr<granule_spill>{new granule_spill(fd, bytes_max)};
}

granule_spill::~granule_spill() { close(fd_); }

result<void> granule_spill::keep(granule_index granule, std::span<const std::byte> content) {
  assert(content.size() <= granule_bytes);
  std::uint64_t slot = 0;
  {
    const std::lock_guard lock{mutex_};
    assert(!slot_of_.contains(granule.value));
    if (!free_.empty()) {
      slot = free_.back();
      free_.pop_back();
    } else if (slots_made_ < slots_max_) {
      slot = slots_made_++;
    } else {
      return fail(errc::limit_reached, "what clients change during the capture exceeds " +
                                           std::to_string(slots_max_ * granule_bytes) + " bytes of spill");
    }
  }
  std::size_t done = 0;
  int error = 0;
  while (done < content.size() && error == 0) {
    const ssize_t wrote = pwrite(fd_, content.data() + done, content.size() - done,
                                 static_cast<off_t>(slot * granule_bytes + done));
    if (wrote > 0)
      done += static_cast<std::size_t>(wrote);
    else if (wrote == 0 || errno != EINTR)
      error = wrote == 0 ? EIO : errno;
  }
  const std::lock_guard lock{mutex_};
  if (error != 0) {
    free_.push_back(slot);
    return fail_errno("spill of a granule that is about to change", error);
  }
  slot_of_.emplace(granule.value, slot);
  return {};
}

bool granule_spill::holds(granule_index granule) const {
  const std::lock_guard lock{mutex_};
  return slot_of_.contains(granule.value);
}

result<void> granule_spill::read(granule_index granule, std::span<std::byte> into) const {
  std::uint64_t slot = 0;
  {
    const std::lock_guard lock{mutex_};
    const auto found = slot_of_.find(granule.value);
    if (found == slot_of_.end())
      return fail(errc::not_found, "no copy of granule " + std::to_string(granule.value));
    slot = found->second;
  }
  std::size_t done = 0;
  while (done < into.size()) {
    const ssize_t got =
        pread(fd_, into.data() + done, into.size() - done, static_cast<off_t>(slot * granule_bytes + done));
    if (got > 0)
      done += static_cast<std::size_t>(got);
    else if (got == 0 || errno != EINTR)
      return fail_errno("reading the spill", got == 0 ? EIO : errno);
  }
  return {};
}

void granule_spill::forget_before(granule_index granule) {
  const std::lock_guard lock{mutex_};
  const auto end = slot_of_.lower_bound(granule.value);
  for (auto at = slot_of_.begin(); at != end; at = slot_of_.erase(at))
    free_.push_back(at->second);
}

std::uint64_t granule_spill::bytes_used() const {
  const std::lock_guard lock{mutex_};
  return slot_of_.size() * granule_bytes;
}

} // namespace gnomon::io
