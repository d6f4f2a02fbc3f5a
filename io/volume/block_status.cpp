#include "io/volume/block_status.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <optional>

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gnomon::io {

namespace {

// Where `what` (SEEK_DATA or SEEK_HOLE) is found, within [at, end]. A file system that cannot tell has data
// everywhere; behind its last data a file has nothing but a hole.
result<std::uint64_t> seek(int fd, std::uint64_t at, std::uint64_t end, int what) {
  const off_t found = lseek(fd, static_cast<off_t>(at), what);
  if (found >= 0)
    return std::clamp(static_cast<std::uint64_t>(found), at, end);
  if (errno == ENXIO)
    return what == SEEK_DATA ? end : at;
  if (errno == EINVAL || errno == EOPNOTSUPP)
    return what == SEEK_DATA ? at : end;
  return fail_errno("looking for holes");
}

constexpr std::uint32_t mapped_extents_max = 256; // per call

// The file system's own list of extents. Nothing where it has none.
std::optional<std::uint64_t> mapped_bytes(int fd, std::uint64_t from, std::uint64_t end) {
  std::vector<std::byte> room(sizeof(fiemap) + mapped_extents_max * sizeof(fiemap_extent));
  auto* map = reinterpret_cast<fiemap*>(room.data());
  std::uint64_t total = 0;
  while (from < end) {
    *map = {};
    map->fm_start = from;
    map->fm_length = end - from;
    map->fm_extent_count = mapped_extents_max;
    if (ioctl(fd, FS_IOC_FIEMAP, map) != 0)
      return std::nullopt;
    if (map->fm_mapped_extents == 0)
      break;
    for (std::uint32_t i = 0; i < map->fm_mapped_extents; ++i) {
      const auto& one = map->fm_extents[i];
      const std::uint64_t begin = std::max<std::uint64_t>(one.fe_logical, from);
      const std::uint64_t stop = std::min<std::uint64_t>(one.fe_logical + one.fe_length, end);
      if (stop > begin)
        total += stop - begin;
      from = std::max(from, stop);
      if (one.fe_flags & FIEMAP_EXTENT_LAST)
        return total;
    }
  }
  return total;
}

void add(std::vector<extent>& found, std::uint64_t bytes, bool hole) {
  if (bytes == 0)
    return;
  if (!found.empty() && found.back().hole == hole)
    found.back().length_bytes += bytes;
  else
    found.push_back({bytes, hole, hole});
}

} // namespace

std::uint64_t allocated_bytes(int fd, byte_offset offset, byte_count length) {
  const std::uint64_t end = offset.value + length.value;
  if (const auto mapped = mapped_bytes(fd, offset.value, end))
    return *mapped;
  constexpr std::uint32_t extents_max = 65536; // beyond: as if it were a hole
  std::uint64_t total = 0;
  if (const auto found = extents_of(fd, offset, length, extents_max))
    for (const auto& one : *found)
      total += one.hole ? 0 : one.length_bytes;
  return total;
}

result<std::vector<extent>> extents_of(int fd, byte_offset offset, byte_count length, std::uint32_t extents_max) {
  assert(length.value > 0 && extents_max > 0);
  struct stat about {};
  if (fstat(fd, &about) != 0)
    return fail_errno("file status");
  if (!S_ISREG(about.st_mode))
    return std::vector<extent>{{length.value, false, false}};
  const std::uint64_t end = offset.value + length.value;
  std::vector<extent> found;
  std::uint64_t at = offset.value;
  while (at < end && found.size() < extents_max) {
    const auto data = seek(fd, at, end, SEEK_DATA);
    if (!data)
      return tl::unexpected(data.error());
    add(found, *data - at, true);
    at = *data;
    if (at == end || found.size() == extents_max)
      break;
    auto hole = seek(fd, at, end, SEEK_HOLE);
    if (!hole)
      return tl::unexpected(hole.error());
    // Punched since a moment ago: calling it data is always right, and it gets us on.
    if (*hole == at)
      hole = std::min(end, (at / block_bytes + 1) * block_bytes);
    add(found, *hole - at, false);
    at = *hole;
  }
  return found;
}

} // namespace gnomon::io
