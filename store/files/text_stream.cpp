#include "store/files/text_stream.hpp"

#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

namespace gnomon::store {

namespace {

constexpr std::size_t input_bytes = 128 << 10;
constexpr std::size_t line_buffer_bytes = 1 << 20;
constexpr int zstd_window_log_max = 27;
constexpr int zstd_level = 3;
constexpr int gzip_level = 6;
constexpr int gzip_window_bits = 15 + 16; // 16: with the gzip header

// Reads the raw file; the decompressors are built on it.
class file_source : public text_source {
public:
  file_source(std::string path, unique_fd fd, std::uint64_t size)
      : path_(std::move(path)), fd_(std::move(fd)), size_(size) {}
  result<std::size_t> read(std::span<char> into) override {
    for (;;) {
      const auto got = ::read(fd_.get(), into.data(), into.size());
      if (got >= 0) {
        read_ += static_cast<std::uint64_t>(got);
        return static_cast<std::size_t>(got);
      }
      if (errno != EINTR)
        return fail_errno(path_ + ": read");
    }
  }
  bool cut_short() const override { return cut_short_; }
  std::uint64_t file_bytes_read() const override { return read_; }
  std::uint64_t file_bytes() const override { return size_; }

protected:
  // Makes at least one byte of input available; false at the end of the file.
  result<bool> fill() {
    if (!input_.empty())
      return true;
    raw_.resize(input_bytes);
    auto got = file_source::read(raw_);
    if (!got)
      return tl::unexpected(got.error());
    input_ = {raw_.data(), *got};
    return *got > 0;
  }
  tl::unexpected<error> damaged(std::string_view what) const {
    return fail(errc::corrupt, fmt::format("damaged: {}", what));
  }
  tl::unexpected<error> ends_early() {
    cut_short_ = true;
    return fail(errc::corrupt, "the file is cut short");
  }

  std::string path_;
  std::string_view input_;

private:
  unique_fd fd_;
  std::uint64_t size_, read_ = 0;
  std::string raw_;
  bool cut_short_ = false;
};

class gzip_source final : public file_source {
public:
  using file_source::file_source;
  ~gzip_source() override {
    if (started_)
      ::inflateEnd(&stream_);
  }
  result<std::size_t> read(std::span<char> into) override {
    if (!started_) {
      if (::inflateInit2(&stream_, gzip_window_bits) != Z_OK)
        return fail(errc::internal, "inflateInit2");
      started_ = true;
    }
    for (;;) {
      auto more = fill();
      if (!more)
        return tl::unexpected(more.error());
      if (!*more && !in_member_)
        return 0;
      if (!in_member_) {
        ::inflateReset(&stream_);
        in_member_ = true;
      }
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input_.data()));
      stream_.avail_in = static_cast<uInt>(input_.size());
      stream_.next_out = reinterpret_cast<Bytef*>(into.data());
      stream_.avail_out = static_cast<uInt>(into.size());
      const int rc = ::inflate(&stream_, Z_NO_FLUSH);
      input_.remove_prefix(input_.size() - stream_.avail_in);
      const std::size_t produced = into.size() - stream_.avail_out;
      if (rc == Z_STREAM_END)
        in_member_ = false;
      else if (rc != Z_OK && rc != Z_BUF_ERROR)
        return damaged(stream_.msg ? stream_.msg : "not gzip");
      if (produced > 0)
        return produced;
      if (!*more && in_member_)
        return ends_early();
    }
  }

private:
  z_stream stream_{};
  bool started_ = false, in_member_ = false;
};

class zstd_source final : public file_source {
public:
  using file_source::file_source;
  result<std::size_t> read(std::span<char> into) override {
    if (!context_) {
      context_.reset(ZSTD_createDCtx());
      if (!context_)
        return fail(errc::internal, "ZSTD_createDCtx");
      ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, zstd_window_log_max);
    }
    for (;;) {
      auto more = fill();
      if (!more)
        return tl::unexpected(more.error());
      if (!*more && !in_frame_)
        return 0;
      ZSTD_inBuffer in{input_.data(), input_.size(), 0};
      ZSTD_outBuffer out{into.data(), into.size(), 0};
      const auto rc = ZSTD_decompressStream(context_.get(), &out, &in);
      if (ZSTD_isError(rc))
        return damaged(ZSTD_getErrorName(rc));
      input_.remove_prefix(in.pos);
      in_frame_ = rc != 0;
      if (out.pos > 0)
        return out.pos;
      if (!*more && in_frame_)
        return ends_early();
    }
  }

private:
  struct free_context {
    void operator()(ZSTD_DCtx* c) const { ZSTD_freeDCtx(c); }
  };
  std::unique_ptr<ZSTD_DCtx, free_context> context_;
  bool in_frame_ = false;
};

class plain_sink : public text_sink {
public:
  plain_sink(std::string path, unique_fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  result<void> write(std::string_view text) override { return write_all(fd_.get(), as_bytes(text), path_); }
  result<void> flush() override { return {}; }
  result<void> finish() override { return {}; }
  int fd() const override { return fd_.get(); }

protected:
  std::string path_;
  unique_fd fd_;
};

class gzip_sink final : public plain_sink {
public:
  using plain_sink::plain_sink;
  ~gzip_sink() override {
    if (started_)
      ::deflateEnd(&stream_);
  }
  result<void> write(std::string_view text) override { return deflate(text, Z_NO_FLUSH); }
  result<void> flush() override { return deflate({}, Z_SYNC_FLUSH); }
  result<void> finish() override { return deflate({}, Z_FINISH); }

private:
  result<void> deflate(std::string_view text, int mode) {
    if (!started_) {
      if (::deflateInit2(&stream_, gzip_level, Z_DEFLATED, gzip_window_bits, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return fail(errc::internal, path_ + ": deflateInit2");
      started_ = true;
    }
    char out[64 << 10];
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream_.avail_in = static_cast<uInt>(text.size());
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(out);
      stream_.avail_out = sizeof out;
      if (::deflate(&stream_, mode) == Z_STREAM_ERROR)
        return fail(errc::internal, path_ + ": deflate");
      if (auto ok = plain_sink::write({out, sizeof out - stream_.avail_out}); !ok)
        return ok;
    } while (stream_.avail_out == 0);
    return {};
  }
  z_stream stream_{};
  bool started_ = false;
};

class zstd_sink final : public plain_sink {
public:
  zstd_sink(std::string path, unique_fd fd)
      : plain_sink(std::move(path), std::move(fd)), context_(ZSTD_createCCtx()) {
    if (context_)
      ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, zstd_level);
    if (context_)
      ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
  }
  result<void> write(std::string_view text) override { return compress(text, ZSTD_e_continue); }
  result<void> flush() override { return compress({}, ZSTD_e_flush); }
  result<void> finish() override { return compress({}, ZSTD_e_end); }

private:
  result<void> compress(std::string_view text, ZSTD_EndDirective mode) {
    if (!context_)
      return fail(errc::internal, path_ + ": ZSTD_createCCtx");
    char out[64 << 10];
    ZSTD_inBuffer in{text.data(), text.size(), 0};
    for (;;) {
      ZSTD_outBuffer produced{out, sizeof out, 0};
      const auto left = ZSTD_compressStream2(context_.get(), &produced, &in, mode);
      if (ZSTD_isError(left))
        return fail(errc::internal, path_ + ": " + ZSTD_getErrorName(left));
      if (auto ok = plain_sink::write({out, produced.pos}); !ok)
        return ok;
      if (mode == ZSTD_e_continue ? in.pos == in.size : left == 0)
        return {};
    }
  }
  struct free_context {
    void operator()(ZSTD_CCtx* c) const { ZSTD_freeCCtx(c); }
  };
  std::unique_ptr<ZSTD_CCtx, free_context> context_;
};

} // namespace

result<std::unique_ptr<text_source>> text_source::open(const std::string& path) {
  auto fd = open_file(path, O_RDONLY);
  if (!fd)
    return tl::unexpected(fd.error());
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0)
    return fail_errno(path + ": stat");
  if (S_ISDIR(info.st_mode))
    return fail(errc::invalid_argument, path + ": a directory");
  unsigned char magic[4] = {};
  const bool have_magic =
      ::pread(fd->get(), magic, sizeof magic, 0) == static_cast<ssize_t>(sizeof magic); // pipes are plain
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (have_magic && magic[0] == 0x1f && magic[1] == 0x8b)
    return std::make_unique<gzip_source>(path, std::move(*fd), size);
  if (have_magic && std::memcmp(magic, "\x28\xb5\x2f\xfd", 4) == 0)
    return std::make_unique<zstd_source>(path, std::move(*fd), size);
  return std::make_unique<file_source>(path, std::move(*fd), size);
}

compression compression_of_name(std::string_view path) {
  if (path.ends_with(".gz"))
    return compression::gzip;
  if (path.ends_with(".zst"))
    return compression::zstd;
  return compression::none;
}

result<std::unique_ptr<text_sink>> text_sink::create(const std::string& path, compression how) {
  auto fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (!fd)
    return tl::unexpected(fd.error());
  switch (how) {
  case compression::gzip:
    return std::make_unique<gzip_sink>(path, std::move(*fd));
  case compression::zstd:
    return std::make_unique<zstd_sink>(path, std::move(*fd));
  case compression::none:
    break;
  }
  return std::make_unique<plain_sink>(path, std::move(*fd));
}

// --- lines

line_reader::line_reader(std::string path, std::unique_ptr<text_source> source)
    : path_(std::move(path)), source_(std::move(source)), buffer_(line_buffer_bytes, '\0') {}

result<line_reader> line_reader::open(const std::string& path) {
  auto source = text_source::open(path);
  if (!source)
    return tl::unexpected(source.error());
  return line_reader(path, std::move(*source));
}

tl::unexpected<error> line_reader::corrupt(std::string_view what) const {
  return fail(errc::corrupt, fmt::format("{}: line {}: {}", path_, line_, what));
}

double line_reader::progress() const {
  const auto total = source_->file_bytes();
  return total == 0 ? 1.0
                    : std::min(1.0, static_cast<double>(source_->file_bytes_read()) / static_cast<double>(total));
}

// Moves what is left to the front and reads behind it; false at the end.
result<bool> line_reader::refill() {
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  auto got = source_->read({buffer_.data() + end_, buffer_.size() - end_});
  if (!got)
    return tl::unexpected(got.error());
  end_ += *got;
  return *got > 0;
}

result<std::optional<std::string_view>> line_reader::next() {
  for (;;) {
    const char* from = buffer_.data() + begin_;
    const auto available = end_ - begin_;
    const auto* newline = static_cast<const char*>(std::memchr(from, '\n', available));
    if (newline || (at_end_ && !pending_ && available > 0)) {
      std::string_view text(from, newline ? static_cast<std::size_t>(newline - from) : available);
      begin_ += text.size() + (newline ? 1 : 0);
      ++line_;
      if (text.size() > text_line_bytes_max)
        return corrupt(fmt::format("longer than {} bytes", text_line_bytes_max));
      if (text.ends_with('\r'))
        text.remove_suffix(1);
      return text;
    }
    if (available > text_line_bytes_max)
      return ++line_, corrupt(fmt::format("longer than {} bytes", text_line_bytes_max));
    if (pending_) {
      // A line that is not whole is not trusted: a number may have lost its last digits.
      auto told = *pending_;
      told.message = fmt::format("{}: after line {}: {}", path_, line_, told.message);
      return tl::unexpected(told);
    }
    if (at_end_)
      return std::nullopt;
    auto more = refill();
    if (!more)
      pending_ = more.error();
    if (!more || !*more)
      at_end_ = true;
  }
}

} // namespace gnomon::store
