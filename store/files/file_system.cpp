#include "store/files/file_system.hpp"

#include <filesystem>

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fmt/format.h>

namespace gnomon::store {

result<std::string> file_system_instance(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    return fail_errno(path + ": stat");
  if (S_ISBLK(info.st_mode))
    return fmt::format("device {}:{}", major(info.st_rdev), minor(info.st_rdev));
  const auto device = fmt::format("{}:{}", major(info.st_dev), minor(info.st_dev));
  std::error_code none;
  const auto block = std::filesystem::read_symlink("/sys/dev/block/" + device, none);
  if (none)
    return device;
  for (const char* type : {"ext4", "xfs"}) {
    struct stat node {};
    const auto where = fmt::format("/sys/fs/{}/{}", type, block.filename().string());
    if (::stat(where.c_str(), &node) == 0)
      return fmt::format("{} {} {}", device, type, node.st_ino);
  }
  return device;
}

} // namespace gnomon::store
