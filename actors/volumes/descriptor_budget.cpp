#include "actors/volumes/descriptor_budget.hpp"

#include <limits>

#include <sys/resource.h>

#include <fmt/format.h>

#include "io/volume/block_file.hpp"

namespace gnomon::actors {

static_assert(descriptors_kept == io::block_file::descriptors_kept);

std::optional<std::string> descriptor_shortage(std::uint64_t volumes, std::uint64_t limit) {
  if (volumes + descriptors_kept <= limit)
    return std::nullopt;
  return fmt::format("{} volumes need {} file descriptors (one each, and {} for rings, listeners and the store), the "
                     "limit of open files is {}: raise it (LimitNOFILE, ulimit -n)",
                     volumes, volumes + descriptors_kept, descriptors_kept, limit);
}

std::uint64_t descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max == RLIM_INFINITY)
    return std::numeric_limits<std::uint64_t>::max();
  return limit.rlim_max;
}

} // namespace gnomon::actors
