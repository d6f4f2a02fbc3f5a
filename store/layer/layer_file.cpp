#include "store/layer/layer_file.hpp"

#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace gnomon::store {

namespace {

auto beyond_end(const std::string& name, std::uint64_t offset) {
  return fail(errc::corrupt, fmt::format("{}: ends before byte {}", name, offset));
}

class disk_file final : public layer_file {
public:
  disk_file(unique_fd fd, std::uint64_t size, std::string path) : fd_(std::move(fd)), size_(size), path_(std::move(path)) {}
  std::uint64_t size() const override { return size_; }
  const std::string& name() const override { return path_; }
  result<void> read_at(std::uint64_t offset, std::span<std::byte> into) const override {
    while (!into.empty()) {
      const auto got = ::pread(fd_.get(), into.data(), into.size(), static_cast<off_t>(offset));
      if (got < 0) {
        if (errno == EINTR)
          continue;
        return fail_errno(fmt::format("{}: read at {}", path_, offset));
      }
      if (got == 0)
        return beyond_end(path_, offset);
      offset += static_cast<std::uint64_t>(got);
      into = into.subspan(static_cast<std::size_t>(got));
    }
    return {};
  }

private:
  unique_fd fd_;
  std::uint64_t size_;
  std::string path_;
};

class memory_file final : public layer_file {
public:
  memory_file(bytes content, std::string name) : content_(std::move(content)), name_(std::move(name)) {}
  std::uint64_t size() const override { return content_.size(); }
  const std::string& name() const override { return name_; }
  result<void> read_at(std::uint64_t offset, std::span<std::byte> into) const override {
    if (offset > content_.size() || content_.size() - offset < into.size())
      return beyond_end(name_, content_.size());
    std::copy_n(content_.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
    return {};
  }

private:
  bytes content_;
  std::string name_;
};

} // namespace

result<std::unique_ptr<layer_file>> open_layer_file(const std::string& path) {
  auto fd = open_file(path, O_RDONLY);
  if (!fd)
    return tl::unexpected(fd.error());
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0)
    return fail_errno(path + ": stat");
  if (!S_ISREG(info.st_mode))
    return fail(errc::corrupt, path + ": not a regular file");
  return std::make_unique<disk_file>(std::move(*fd), static_cast<std::uint64_t>(info.st_size), path);
}

std::unique_ptr<layer_file> layer_in_memory(bytes content, std::string name) {
  return std::make_unique<memory_file>(std::move(content), std::move(name));
}

} // namespace gnomon::store
