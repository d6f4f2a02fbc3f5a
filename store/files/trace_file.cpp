#include "store/files/trace_file.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "config/types.hpp"

namespace gnomon::store {

namespace {

constexpr std::size_t writer_buffer_bytes = 256 << 10;

// Takes the next field; false if there is none.
bool take_field(std::string_view& rest, std::string_view& field, bool is_last) {
  const auto comma = rest.find(',');
  if (is_last != (comma == std::string_view::npos))
    return false;
  field = rest.substr(0, comma);
  rest = is_last ? std::string_view{} : rest.substr(comma + 1);
  return true;
}

bool parse_position(std::string_view text, std::uint64_t& value) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size() &&
         value <= trace_position_max;
}

} // namespace

std::optional<trace_operation> trace_operation_of(char letter) noexcept {
  switch (letter) {
  case 'R':
  case 'r':
    return trace_operation::read;
  case 'W':
  case 'w':
    return trace_operation::write;
  case 'F':
    return trace_operation::flush;
  case 'T':
    return trace_operation::trim;
  case 'Z':
    return trace_operation::zero;
  case 'C':
    return trace_operation::cache;
  case 'B':
    return trace_operation::block_status;
  default:
    return std::nullopt;
  }
}

result<std::uint32_t> trace_volumes::intern(std::string_view name) {
  if (last_ < names_.size() && names_[last_] == name)
    return last_;
  if (const auto known = index_.find(name); known != index_.end())
    return last_ = known->second;
  const bool plain = std::none_of(name.begin(), name.end(),
                                  [](unsigned char c) { return c < 32 || c == 127 || c == ',' || c == '"'; });
  if (name.empty() || name.size() > volume_name_length_max || !plain)
    return fail(errc::invalid_argument,
                fmt::format("a volume name of a trace has 1 to {} characters without commas and quotes",
                            volume_name_length_max));
  if (names_.size() >= trace_volumes_max)
    return fail(errc::limit_reached, fmt::format("more than {} volumes in one trace", trace_volumes_max));
  last_ = static_cast<std::uint32_t>(names_.size());
  names_.emplace_back(name);
  index_.emplace(name, last_);
  return last_;
}

// --- reader

result<trace_reader> trace_reader::open(const std::string& path) {
  auto lines = line_reader::open(path);
  if (!lines)
    return tl::unexpected(lines.error());
  return trace_reader(std::move(*lines));
}

result<void> trace_reader::parse(std::string_view line, std::vector<trace_record>& batch) {
  if (line.empty() || (lines_.line() == 1 && line.starts_with("time_us")))
    return {};
  std::string_view rest = line, time, volume, op, offset, length;
  if (!take_field(rest, time, false) || !take_field(rest, volume, false) || !take_field(rest, op, false) ||
      !take_field(rest, offset, false) || !take_field(rest, length, true))
    return lines_.corrupt(fmt::format("expected {}", trace_header));
  trace_record record;
  if (!parse_position(time, record.time_us))
    return lines_.corrupt("time_us is no number");
  const auto operation = op.size() == 1 ? trace_operation_of(op.front()) : std::nullopt;
  if (!operation)
    return lines_.corrupt("op is none of R W F T Z C B");
  record.op = *operation;
  if (!parse_position(offset, record.offset_bytes))
    return lines_.corrupt("offset_bytes is no number");
  if (!parse_position(length, record.length_bytes))
    return lines_.corrupt("length_bytes is no number");
  auto index = volumes_.intern(volume);
  if (!index)
    return lines_.corrupt(index.error().message);
  record.volume = *index;
  batch.push_back(record);
  return {};
}

result<void> trace_reader::read(std::vector<trace_record>& batch, std::size_t records_max) {
  batch.clear();
  records_max = std::clamp<std::size_t>(records_max, 1, trace_batch_records_max);
  while (!failed_ && batch.size() < records_max) {
    auto line = lines_.next();
    if (!line) {
      failed_ = line.error();
      break;
    }
    if (!*line)
      return {};
    if (auto ok = parse(**line, batch); !ok)
      failed_ = ok.error();
  }
  if (failed_ && batch.empty())
    return tl::unexpected(*failed_);
  return {};
}

// --- writer

result<std::unique_ptr<trace_writer>> trace_writer::create(const std::string& path) {
  if (path_exists(path))
    return fail(errc::already_exists, path + ": exists already");
  auto sink = text_sink::create(path + ".partial", compression_of_name(path));
  if (!sink)
    return tl::unexpected(sink.error());
  auto writer = std::unique_ptr<trace_writer>(new trace_writer(path, std::move(*sink)));
  writer->buffer_ = std::string(trace_header) + "\n";
  return writer;
}

trace_writer::~trace_writer() {
  if (!closed_ && !failed_)
    (void)flush();
}

result<void> trace_writer::keep(result<void> outcome) {
  if (!outcome)
    failed_ = outcome.error();
  return outcome;
}

result<void> trace_writer::drain() {
  if (buffer_.empty())
    return {};
  auto written = sink_->write(buffer_);
  buffer_.clear();
  return written;
}

result<void> trace_writer::write(std::span<const trace_record> records) {
  if (failed_)
    return tl::unexpected(*failed_);
  if (closed_)
    return fail(errc::invalid_argument, path_ + ": closed already");
  for (const auto& record : records) {
    if (record.volume >= volumes_.names().size())
      return fail(errc::invalid_argument, fmt::format("{}: no volume with index {}", path_, record.volume));
    fmt::format_to(std::back_inserter(buffer_), "{},{},{},{},{}\n", record.time_us, volumes_.names()[record.volume],
                   static_cast<char>(record.op), record.offset_bytes, record.length_bytes);
    ++records_;
    if (buffer_.size() < writer_buffer_bytes)
      continue;
    if (auto ok = keep(drain()); !ok)
      return ok;
  }
  return {};
}

result<void> trace_writer::flush() {
  if (failed_)
    return tl::unexpected(*failed_);
  if (closed_)
    return {};
  return keep(drain().and_then([&] { return sink_->flush(); }));
}

result<void> trace_writer::close() {
  if (failed_)
    return tl::unexpected(*failed_);
  if (closed_)
    return {};
  const std::string partial = path_ + ".partial";
  auto finish = [&]() -> result<void> {
    if (auto ok = drain(); !ok)
      return ok;
    if (auto ok = sink_->finish(); !ok)
      return ok;
    if (::fsync(sink_->fd()) != 0)
      return fail_errno(partial + ": fsync");
    if (::rename(partial.c_str(), path_.c_str()) != 0)
      return fail_errno(path_ + ": rename");
    const auto slash = path_.find_last_of('/');
    return sync_directory(slash == std::string::npos ? "." : slash == 0 ? "/" : path_.substr(0, slash));
  };
  auto finished = keep(finish());
  closed_ = finished.has_value();
  return finished;
}

} // namespace gnomon::store
