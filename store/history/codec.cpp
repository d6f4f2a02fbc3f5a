#include "store/history/codec.hpp"

#include <algorithm>
#include <bit>
#include <numeric>
#include <tuple>

#include "store/lmdb/codec.hpp"

namespace gnomon::store {

namespace {

constexpr unsigned unary_max = 24;       // longer quotients are written out: this many zeros, then 64 bits
constexpr std::uint64_t adapt_rows = 24; // how fast the Rice parameter follows the data
constexpr std::uint64_t slot_max = 1u << 20;

class bit_writer {
public:
  explicit bit_writer(bytes& out) : out_(out) {}
  void put(std::uint64_t value, unsigned count) {
    while (count > 0) {
      const unsigned take = std::min(count, 8 - used_);
      count -= take;
      const auto bits = static_cast<unsigned>(value >> count) & ((1u << take) - 1);
      current_ = current_ << take | bits;
      used_ += take;
      if (used_ == 8)
        flush();
    }
  }
  void finish() {
    if (used_ > 0)
      put(0, 8 - used_);
  }

private:
  void flush() {
    out_.push_back(static_cast<std::byte>(current_));
    current_ = used_ = 0;
  }
  bytes& out_;
  unsigned current_ = 0, used_ = 0;
};

class bit_reader {
public:
  explicit bit_reader(bytes_view in) : in_(in) {}
  bool ok() const { return ok_; }
  std::uint64_t get(unsigned count) {
    if (count > 32) {
      const auto high = get(count - 32);
      return high << 32 | get(32);
    }
    if (count == 0)
      return 0;
    fill();
    if (held_ < count)
      return ok_ = false, 0;
    held_ -= count;
    return window_ >> held_ & ((std::uint64_t{1} << count) - 1);
  }
  // Zeros before the next one, which is taken too; at most `max` are taken.
  unsigned zeros(unsigned max) {
    fill();
    if (held_ == 0)
      return ok_ = false, 0;
    const auto aligned = window_ << (64 - held_);
    const unsigned count = std::min<unsigned>(max, static_cast<unsigned>(std::countl_zero(aligned)));
    const unsigned take = count == max ? max : count + 1;
    if (take > held_)
      return ok_ = false, 0;
    held_ -= take;
    return count;
  }

private:
  void fill() {
    while (held_ <= 56 && position_ < in_.size()) {
      window_ = window_ << 8 | static_cast<std::uint64_t>(in_[position_++]);
      held_ += 8;
    }
  }
  bytes_view in_;
  std::size_t position_ = 0;
  std::uint64_t window_ = 0;
  unsigned held_ = 0;
  bool ok_ = true;
};

// Golomb-Rice codes whose parameter follows the mean of what was coded.
class rice {
public:
  void write(bit_writer& out, std::uint64_t value) {
    const unsigned k = parameter();
    if (const auto quotient = value >> k; quotient < unary_max) {
      out.put(1, static_cast<unsigned>(quotient) + 1);
      out.put(value, k);
    } else {
      out.put(0, unary_max);
      out.put(value, 64);
    }
    adapt(value);
  }
  std::uint64_t read(bit_reader& in) {
    const unsigned k = parameter();
    const auto quotient = in.zeros(unary_max);
    const auto value = quotient == unary_max ? in.get(64) : std::uint64_t{quotient} << k | in.get(k);
    adapt(value);
    return value;
  }
  void write_signed(bit_writer& out, std::uint64_t difference) {
    const auto v = static_cast<std::int64_t>(difference);
    write(out, (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63));
  }
  std::uint64_t read_signed(bit_reader& in) {
    const auto v = read(in);
    return (v >> 1) ^ (~(v & 1) + 1);
  }

private:
  // The smallest k with count << k >= sum.
  unsigned parameter() const {
    const int difference = std::bit_width(sum_) - std::bit_width(count_);
    if (difference < 0)
      return 0;
    const auto k = static_cast<unsigned>(difference);
    return std::min(k + ((count_ << k) < sum_ ? 1 : 0), 48u);
  }
  void adapt(std::uint64_t value) {
    sum_ += std::min(value, std::uint64_t{1} << 48);
    if (++count_ < adapt_rows)
      return;
    sum_ /= 2;
    count_ /= 2;
  }
  std::uint64_t sum_ = 4, count_ = 1;
};

// The running mean of a counter within a series.
class level {
public:
  void restart() { fresh_ = true; }
  std::uint64_t predicted() const { return mean_; }
  void see(std::uint64_t value) {
    // Halfway to the new value: between "same as before" and the mean of the past.
    mean_ = fresh_ ? value : mean_ / 2 + value / 2 + (mean_ & value & 1);
    fresh_ = false;
  }

private:
  std::uint64_t mean_ = 0; // a new series starts from the last one's level
  bool fresh_ = true;
};

// Mean request size within a series, in units of the column.
class request_size {
public:
  void restart() { fresh_ = true; }
  std::uint64_t predicted(std::uint64_t count) const {
    if (requests_ <= 0)
      return 0;
    const double wanted = static_cast<double>(count) * (units_ / requests_);
    return wanted < 9e18 ? static_cast<std::uint64_t>(wanted + 0.5) : 0;
  }
  void see(std::uint64_t count, std::uint64_t units) {
    if (count == 0)
      return;
    const double keep = fresh_ ? 0.0 : 0.9375;
    requests_ = requests_ * keep + static_cast<double>(count);
    units_ = units_ * keep + static_cast<double>(units);
    fresh_ = false;
  }

private:
  double requests_ = 0, units_ = 0;
  bool fresh_ = true;
};

// The columns' states; encoder and decoder walk through them in step.
struct columns {
  rice chunk, instance, length, slot, reads, writes, read_bytes, write_bytes, sequential;
  level reads_level, writes_level, sequential_level;
  request_size read_size, write_size;
  void restart_series() {
    reads_level.restart(), writes_level.restart(), sequential_level.restart();
    read_size.restart(), write_size.restart();
  }
};

bool same_series(const stored_row& a, const stored_row& b) { return a.chunk == b.chunk && a.instance == b.instance; }

void write_count(rice& code, level& mean, bit_writer& out, std::uint64_t value) {
  code.write_signed(out, value - mean.predicted());
  mean.see(value);
}

std::uint64_t read_count(rice& code, level& mean, bit_reader& in) {
  const auto value = mean.predicted() + code.read_signed(in);
  mean.see(value);
  return value;
}

void write_bytes(rice& code, request_size& size, bit_writer& out, std::uint64_t count, std::uint64_t value,
                 std::uint64_t unit) {
  if (unit == 0)
    return;
  code.write_signed(out, value / unit - size.predicted(count));
  size.see(count, value / unit);
}

std::uint64_t read_bytes(rice& code, request_size& size, bit_reader& in, std::uint64_t count, std::uint64_t unit) {
  if (unit == 0)
    return 0;
  const auto units = size.predicted(count) + code.read_signed(in);
  size.see(count, units);
  return units * unit;
}

} // namespace

void normalize(std::vector<stored_row>& rows) {
  auto key = [](const stored_row& r) { return std::tie(r.chunk, r.instance, r.slot); };
  std::sort(rows.begin(), rows.end(), [&](auto& a, auto& b) { return key(a) < key(b); });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (kept > 0 && key(rows[kept - 1]) == key(rows[i]))
      rows[kept - 1].counters += rows[i].counters;
    else
      rows[kept++] = rows[i];
  }
  rows.resize(kept);
}

bytes encode_rows(const std::vector<stored_row>& rows) {
  std::uint64_t series = 0, read_unit = 0, write_unit = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    series += i == 0 || !same_series(rows[i - 1], rows[i]);
    read_unit = std::gcd(read_unit, rows[i].counters.read_bytes);
    write_unit = std::gcd(write_unit, rows[i].counters.write_bytes);
  }
  field_writer header;
  header.varint(rows.size());
  header.varint(series);
  header.varint(read_unit);
  header.varint(write_unit);
  bytes payload = header.take();
  payload.reserve(payload.size() + rows.size() * 6);
  bit_writer out(payload);
  columns c;
  std::uint32_t last_chunk = 0;
  for (std::size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
    while (end < rows.size() && same_series(rows[begin], rows[end]))
      ++end;
    c.chunk.write(out, rows[begin].chunk - last_chunk);
    c.instance.write(out, rows[begin].instance);
    c.length.write(out, end - begin - 1);
    last_chunk = rows[begin].chunk;
    c.restart_series();
    for (auto i = begin; i < end; ++i) {
      const auto& v = rows[i].counters;
      c.slot.write(out, i == begin ? rows[i].slot : rows[i].slot - rows[i - 1].slot - 1);
      write_count(c.reads, c.reads_level, out, v.reads);
      write_count(c.writes, c.writes_level, out, v.writes);
      write_bytes(c.read_bytes, c.read_size, out, v.reads, v.read_bytes, read_unit);
      write_bytes(c.write_bytes, c.write_size, out, v.writes, v.write_bytes, write_unit);
      write_count(c.sequential, c.sequential_level, out, v.sequential);
    }
  }
  out.finish();
  return payload;
}

result<void> decode_rows(bytes_view payload, std::string_view what, std::vector<stored_row>& rows) {
  field_reader header(payload);
  const auto row_count = header.varint();
  const auto series = header.varint();
  const auto read_unit = header.varint(), write_unit = header.varint();
  const auto before = rows.size();
  auto damaged = [&](const char* why) {
    rows.resize(before);
    return fail(errc::corrupt, std::string(what) + ": " + why);
  };
  // A row takes at least four bits, so that a small value cannot claim much memory.
  if (!header.ok() || row_count > history_block_rows_max || series > row_count || row_count > header.remaining() * 2)
    return damaged("impossible number of rows");
  rows.reserve(before + row_count);
  bit_reader in(payload.last(header.remaining()));
  columns c;
  std::uint64_t chunk = 0, left = row_count;
  for (std::uint64_t s = 0; s < series; ++s) {
    chunk += c.chunk.read(in);
    const auto instance = c.instance.read(in), length = c.length.read(in);
    if (!in.ok() || chunk > UINT32_MAX || instance > UINT32_MAX || length >= left)
      return damaged("impossible series");
    left -= length + 1;
    c.restart_series();
    std::uint64_t slot = 0;
    for (std::uint64_t i = 0; i <= length; ++i) {
      slot += c.slot.read(in) + (i == 0 ? 0 : 1);
      stored_row row{static_cast<std::uint32_t>(chunk),
                     static_cast<std::uint32_t>(instance),
                     static_cast<std::uint32_t>(slot),
                     {}};
      row.counters.reads = read_count(c.reads, c.reads_level, in);
      row.counters.writes = read_count(c.writes, c.writes_level, in);
      row.counters.read_bytes = read_bytes(c.read_bytes, c.read_size, in, row.counters.reads, read_unit);
      row.counters.write_bytes = read_bytes(c.write_bytes, c.write_size, in, row.counters.writes, write_unit);
      row.counters.sequential = read_count(c.sequential, c.sequential_level, in);
      if (!in.ok() || slot > slot_max)
        return damaged("impossible row");
      rows.push_back(row);
    }
  }
  if (left != 0)
    return damaged("rows without a series");
  return {};
}

} // namespace gnomon::store
