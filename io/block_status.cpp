#include "io/block_status.hpp"

#include <algorithm>
#include <cerrno>

#include <sys/stat.h>
#include <unistd.h>

namespace gnomon::io {

result<std::vector<extent>> extents_of(int fd, byte_offset offset, byte_count length, std::uint32_t extents_max) {
  struct stat about {};
  if (fstat(fd, &about) != 0) return fail_errno("file status");
  if (!S_ISREG(about.st_mode)) return std::vector<extent>{{length.value, false, false}};
  const std::uint64_t end = offset.value + length.value;
  std::vector<extent> found;
  const auto add = [&](std::uint64_t bytes, bool hole) {
    if (!found.empty() && found.back().hole == hole) found.back().length_bytes += bytes;
    else found.push_back({bytes, hole, hole});
  };
  std::uint64_t at = offset.value;
  while (at < end) {
    const off_t data = lseek(fd, static_cast<off_t>(at), SEEK_DATA);
    std::uint64_t data_at = end;
    if (data >= 0) data_at = std::min(end, static_cast<std::uint64_t>(data));
    else if (errno == EINVAL || errno == EOPNOTSUPP) data_at = at; // no SEEK_DATA here: all is data
    else if (errno != ENXIO) return fail_errno("looking for holes");
    if (data_at > at) {
      if (found.size() == extents_max && !found.back().hole) break;
      add(data_at - at, true);
      at = data_at;
      continue;
    }
    const off_t hole = data >= 0 ? lseek(fd, static_cast<off_t>(at), SEEK_HOLE) : -1;
    const std::uint64_t hole_at = hole > static_cast<off_t>(at) ? std::min(end, static_cast<std::uint64_t>(hole)) : end;
    if (found.size() == extents_max && found.back().hole) break;
    add(hole_at - at, false);
    at = hole_at;
  }
  return found;
}

} // namespace gnomon::io
