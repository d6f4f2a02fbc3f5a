// Small file-system helpers of this folder: descriptors that close themselves, durable small files, directory syncs.
// Any thread; every call may block on the disk, so actors and rings never use it. Never throws, never follows a
// partially written file: what is written durably is either the old content or the new.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/error.hpp"

namespace gnomon::store {

using bytes = std::vector<std::byte>;
using bytes_view = std::span<const std::byte>;

// Owns one file descriptor.
class unique_fd {
public:
  unique_fd() = default;
  explicit unique_fd(int fd) noexcept : fd_(fd) {}
  unique_fd(unique_fd&& other) noexcept : fd_(other.release()) {}
  unique_fd& operator=(unique_fd&& other) noexcept {
    if (this != &other)
      reset(other.release());
    return *this;
  }
  ~unique_fd() { reset(); }
  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  int release() noexcept {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset(int fd = -1) noexcept;

private:
  int fd_ = -1;
};

// open(2) with O_CLOEXEC, repeated on EINTR. Errors name the path and carry the errno.
result<unique_fd> open_file(const std::string& path, int flags, unsigned mode = 0640);

// Writes all of `data` at the descriptor's position; short writes and EINTR are continued.
result<void> write_all(int fd, bytes_view data, const std::string& path);

// Creates one directory (0750); an existing one is fine.
result<void> make_directory(const std::string& path);
result<void> sync_directory(const std::string& path);

// Replaces `path` with `data`: temporary file, fsync, rename, fsync of the directory. After a crash at any point
// `path` holds the old content or the new one.
result<void> write_file_durably(const std::string& path, bytes_view data, unsigned mode = 0640);

// Removes a file and syncs its directory; a file that is not there is fine.
result<void> remove_file_durably(const std::string& path);

// The whole of a small file. not_found, permission_denied, corrupt if it is longer than `bytes_max`.
result<bytes> read_small_file(const std::string& path, std::size_t bytes_max);

bool path_exists(const std::string& path) noexcept;

inline bytes_view as_bytes(std::string_view text) noexcept {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(bytes_view data) noexcept {
  return {reinterpret_cast<const char*>(data.data()), data.size()};
}

} // namespace gnomon::store
