// Block traces as CSV: `time_us,volume,op,offset_bytes,length_bytes`, plain, gzip or zstd. A reader that streams and
// a writer whose file is readable up to its last flush whatever happens after it. One thread at a time per object;
// both block on the disk. Memory is bounded by the limits below; hostile files give errc::corrupt with the line
// number.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/error.hpp"
#include "store/files/text_stream.hpp"

namespace gnomon::store {

inline constexpr std::size_t trace_volumes_max = 65'536;        // different names in one trace
inline constexpr std::size_t trace_batch_records_max = 65'536;  // returned by one read()
inline constexpr std::uint64_t trace_position_max = 1ull << 62; // of time, offset and length

enum class trace_operation : char {
  read = 'R',
  write = 'W',
  flush = 'F',
  trim = 'T',
  zero = 'Z',
  cache = 'C',
  block_status = 'B'
};
std::optional<trace_operation> trace_operation_of(char letter) noexcept;
constexpr bool changes_data(trace_operation op) noexcept {
  using enum trace_operation;
  return op == write || op == trim || op == zero;
}

struct trace_record {
  std::uint64_t time_us = 0; // from the start of the trace, or since 1970: the trace's choice
  std::uint32_t volume = 0;  // index into the reader's or writer's volumes()
  trace_operation op = trace_operation::read;
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;
  friend bool operator==(const trace_record&, const trace_record&) = default;
};

inline constexpr std::string_view trace_header = "time_us,volume,op,offset_bytes,length_bytes";

// Interned volume names; an index never changes its name.
class trace_volumes {
public:
  // limit_reached, invalid_argument (empty, too long, or with a comma, quote or control character).
  result<std::uint32_t> intern(std::string_view name);
  const std::vector<std::string>& names() const noexcept { return names_; }

private:
  struct hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  std::vector<std::string> names_;
  std::unordered_map<std::string, std::uint32_t, hash, std::equal_to<>> index_;
  std::uint32_t last_ = 0;
};

class trace_reader {
public:
  // not_found, permission_denied. The header line is optional.
  static result<trace_reader> open(const std::string& path);

  // Replaces `batch` with up to `records_max` next records; an empty batch is the end. corrupt, with the line number,
  // after every record before the damage was delivered; then the same error for ever. Order in time is not checked.
  result<void> read(std::vector<trace_record>& batch, std::size_t records_max = trace_batch_records_max);
  const std::vector<std::string>& volumes() const noexcept { return volumes_.names(); } // seen so far
  std::uint64_t line() const noexcept { return lines_.line(); }
  double progress() const { return lines_.progress(); } // 0..1 of the file's bytes
  bool cut_short() const { return lines_.cut_short(); } // the error was a compressed file without its end

private:
  explicit trace_reader(line_reader lines) : lines_(std::move(lines)) {}
  result<void> parse(std::string_view line, std::vector<trace_record>& batch);

  line_reader lines_;
  trace_volumes volumes_;
  std::optional<error> failed_;
};

class trace_writer {
public:
  // Writes `path`.partial, which close() renames to `path`. Compression by the name: .gz, .zst, else plain.
  // already_exists: `path` is there; no_space, permission_denied, not_found (directory).
  static result<std::unique_ptr<trace_writer>> create(const std::string& path);
  // Without close() the partial file stays, flushed as far as possible.
  ~trace_writer();
  trace_writer(const trace_writer&) = delete;

  result<std::uint32_t> volume(std::string_view name) { return volumes_.intern(name); }
  // invalid_argument: a volume index this writer has not given out. After no_space or io_failed every call fails
  // alike.
  result<void> write(std::span<const trace_record> records);
  // All records written so far become readable by others and survive the death of the process.
  result<void> flush();
  // Finishes, syncs and names the file.
  result<void> close();
  std::uint64_t records_written() const noexcept { return records_; }

private:
  trace_writer(std::string path, std::unique_ptr<text_sink> sink) : path_(std::move(path)), sink_(std::move(sink)) {}
  result<void> keep(result<void> outcome);
  result<void> drain();

  std::string path_;
  std::unique_ptr<text_sink> sink_;
  trace_volumes volumes_;
  std::string buffer_;
  std::uint64_t records_ = 0;
  std::optional<error> failed_;
  bool closed_ = false;
};

} // namespace gnomon::store
