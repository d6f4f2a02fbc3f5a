#include "store/files/posix_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gnomon::store {

namespace {

std::string parent_of(const std::string& path) {
  const auto slash = path.find_last_of('/');
  if (slash == std::string::npos)
    return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

} // namespace

void unique_fd::reset(int fd) noexcept {
  if (fd_ >= 0)
    ::close(fd_);
  fd_ = fd;
}

result<unique_fd> open_file(const std::string& path, int flags, unsigned mode) {
  for (;;) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
    if (fd >= 0)
      return unique_fd{fd};
    if (errno != EINTR)
      return fail_errno(path + ": open");
  }
}

result<void> write_all(int fd, bytes_view data, const std::string& path) {
  while (!data.empty()) {
    const auto written = ::write(fd, data.data(), data.size());
    if (written < 0) {
      if (errno == EINTR)
        continue;
      return fail_errno(path + ": write");
    }
    data = data.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

result<void> make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0750) == 0)
    return {};
  const int mkdir_errno = errno;
  struct stat info {};
  if (mkdir_errno == EEXIST && ::stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode))
      return {};
    return fail(errc::already_exists, path + ": exists and is not a directory", ENOTDIR);
  }
  return fail_errno(path + ": mkdir", mkdir_errno);
}

result<void> sync_directory(const std::string& path) {
  auto fd = open_file(path, O_RDONLY | O_DIRECTORY);
  if (!fd)
    return tl::unexpected(fd.error());
  if (::fsync(fd->get()) != 0)
    return fail_errno(path + ": fsync");
  return {};
}

result<void> write_file_durably(const std::string& path, bytes_view data, unsigned mode) {
  const std::string temporary = path + ".tmp";
  auto fd = open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC, mode);
  if (!fd)
    return tl::unexpected(fd.error());
  auto written = write_all(fd->get(), data, temporary);
  if (written && ::fsync(fd->get()) != 0)
    written = fail_errno(temporary + ": fsync");
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0)
    written = fail_errno(path + ": rename");
  if (!written) {
    ::unlink(temporary.c_str());
    return written;
  }
  return sync_directory(parent_of(path));
}

result<void> remove_file_durably(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return fail_errno(path + ": unlink");
  return sync_directory(parent_of(path));
}

result<bytes> read_small_file(const std::string& path, std::size_t bytes_max) {
  auto fd = open_file(path, O_RDONLY);
  if (!fd)
    return tl::unexpected(fd.error());
  bytes content;
  std::byte buffer[4096];
  for (;;) {
    const auto got = ::read(fd->get(), buffer, sizeof buffer);
    if (got < 0) {
      if (errno == EINTR)
        continue;
      return fail_errno(path + ": read");
    }
    if (got == 0)
      return content;
    if (content.size() + static_cast<std::size_t>(got) > bytes_max)
      return fail(errc::corrupt, path + ": longer than " + std::to_string(bytes_max) + " bytes");
    content.insert(content.end(), buffer, buffer + got);
  }
}

bool path_exists(const std::string& path) noexcept { return ::access(path.c_str(), F_OK) == 0; }

} // namespace gnomon::store
