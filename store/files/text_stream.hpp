// Text files that may be plain, gzip or zstd: a reader of bounded lines and a writer of bytes. One thread at a time
// per object; blocks on the disk. Reading recognises the compression by its magic, writing chooses it by the file's
// name
// (.gz, .zst, else plain). Memory is bounded whatever the file says (zstd windows up to 128 MiB); never throws.
// Formats: RFC 1952 (several members are one text), RFC 8878 (several frames likewise).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "config/error.hpp"
#include "store/files/posix_file.hpp"

namespace gnomon::store {

inline constexpr std::size_t text_line_bytes_max = 4096;

enum class compression { none, gzip, zstd };

// Decompresses; defined in text_stream.cpp.
class text_source {
public:
  virtual ~text_source() = default;
  // Fills the front of `into`; 0 at the end. corrupt: damaged, or cut short (then cut_short() is true).
  virtual result<std::size_t> read(std::span<char> into) = 0;
  virtual bool cut_short() const = 0;
  virtual std::uint64_t file_bytes_read() const = 0;
  virtual std::uint64_t file_bytes() const = 0;
  static result<std::unique_ptr<text_source>> open(const std::string& path);
};

class line_reader {
public:
  static result<line_reader> open(const std::string& path);

  // The next line without its end ("\n" or "\r\n"), valid until the next call; nullopt at the end.
  // corrupt: damaged file or a line of more than text_line_bytes_max bytes; the message names file and line.
  result<std::optional<std::string_view>> next();
  std::uint64_t line() const noexcept { return line_; } // number of the line returned last, from 1
  bool cut_short() const { return source_->cut_short(); }
  double progress() const; // 0..1 of the file's bytes
  const std::string& path() const noexcept { return path_; }
  tl::unexpected<error> corrupt(std::string_view what) const;

private:
  line_reader(std::string path, std::unique_ptr<text_source> source);
  result<bool> refill();

  std::string path_;
  std::unique_ptr<text_source> source_;
  std::string buffer_;
  std::size_t begin_ = 0, end_ = 0; // what of the buffer is not yet returned
  bool at_end_ = false;
  std::optional<error> pending_; // found by a refill, told after the lines before it
  std::uint64_t line_ = 0;
};

// Compresses; defined in text_stream.cpp.
class text_sink {
public:
  virtual ~text_sink() = default;
  virtual result<void> write(std::string_view text) = 0;
  // What was written so far can be read back even if nothing follows. Costs some compression.
  virtual result<void> flush() = 0;
  virtual result<void> finish() = 0;
  virtual int fd() const = 0;
  static result<std::unique_ptr<text_sink>> create(const std::string& path, compression how);
};

compression compression_of_name(std::string_view path);

} // namespace gnomon::store
