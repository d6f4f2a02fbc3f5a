// The envelope around every stored value and the bounds-checked field reader and writer inside it. Any thread, no
// I/O, never throws on hostile bytes and never reads outside what it was given.
//
// Envelope, little-endian, 16 bytes, then the payload:
//   u32 magic "GNMV"   u16 type (value_type)   u16 version   u32 payload length   u32 CRC-32 (zlib) of the 12 bytes
//   before it and the payload
// A reader takes every version up to its own; a newer one is errc::unsupported. Fields are only ever appended with a
// new version, and the bytes left over after the last field of the newest version are an error.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/error.hpp"
#include "store/files/posix_file.hpp"

namespace gnomon::store {

inline constexpr std::uint32_t value_magic = 0x564d4e47; // "GNMV"
inline constexpr std::size_t value_header_bytes = 16;
inline constexpr std::size_t value_payload_bytes_max = 64u << 20;

// Never reuse a number. Names and versions are in store/meta/schema.hpp.
enum class value_type : std::uint16_t {
  node = 1,
  volume = 2,
  event = 3,
  event_counter = 4,
  instance = 8,
  access = 9,
  clock_mark = 10,
  history_tail = 16,
  history_block = 17,
  history_instance = 18,
  model = 19,
  layer = 32,
  snapshot_head = 33,
  snapshot_group = 34,
  test = 0xffff,
};

// Appends fields to a payload. Lengths are bounded by the caller's own limits.
class field_writer {
public:
  void u8(std::uint8_t v) { fixed(v); }
  void u16(std::uint16_t v) { fixed(v); }
  void u32(std::uint32_t v) { fixed(v); }
  void u64(std::uint64_t v) { fixed(v); }
  void i64(std::int64_t v) { fixed(static_cast<std::uint64_t>(v)); }
  void boolean(bool v) { u8(v ? 1 : 0); }
  void varint(std::uint64_t v); // LEB128, at most 10 bytes
  void zigzag(std::int64_t v) { varint((static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63)); }
  void raw(bytes_view v) { payload_.insert(payload_.end(), v.begin(), v.end()); }
  void string(std::string_view v); // u32 length, then the bytes
  void blob(bytes_view v) { string(as_text(v)); }
  const bytes& payload() const noexcept { return payload_; }
  bytes take() { return std::move(payload_); }

private:
  template <class T>
  void fixed(T v) {
    for (std::size_t i = 0; i < sizeof v; ++i)
      payload_.push_back(static_cast<std::byte>(v >> (8 * i)));
  }
  bytes payload_;
};

// Takes fields from a payload. The first violation sticks: every later call returns zero or empty, and ok() is false.
class field_reader {
public:
  explicit field_reader(bytes_view payload) : rest_(payload) {}
  std::uint8_t u8() { return fixed<std::uint8_t>(); }
  std::uint16_t u16() { return fixed<std::uint16_t>(); }
  std::uint32_t u32() { return fixed<std::uint32_t>(); }
  std::uint64_t u64() { return fixed<std::uint64_t>(); }
  std::int64_t i64() { return static_cast<std::int64_t>(u64()); }
  bool boolean(); // 0 or 1, anything else is a violation
  template <class Enum>
  Enum enumeration(Enum highest) { // 0..highest
    const auto v = u8();
    if (v > static_cast<std::uint8_t>(highest))
      return violate("a choice out of range"), Enum{};
    return static_cast<Enum>(v);
  }
  std::uint64_t varint();
  std::int64_t zigzag() {
    const auto v = varint();
    return static_cast<std::int64_t>(v >> 1) ^ -static_cast<std::int64_t>(v & 1);
  }
  bytes_view raw(std::size_t count);
  std::string string(std::size_t length_max);
  bytes_view blob(std::size_t length_max);

  void violate(const char* what) noexcept {
    if (!violation_)
      violation_ = what;
    rest_ = {};
  }
  bool ok() const noexcept { return violation_ == nullptr; }
  std::size_t remaining() const noexcept { return rest_.size(); }
  // corrupt, naming `what`, after a violation or when bytes are left over.
  result<void> finish(std::string_view what);

private:
  template <class T>
  T fixed() {
    const auto part = raw(sizeof(T));
    T v = 0;
    for (std::size_t i = 0; i < part.size(); ++i)
      v = static_cast<T>(v | static_cast<T>(static_cast<T>(part[i]) << (8 * i)));
    return v;
  }
  bytes_view rest_;
  const char* violation_ = nullptr;
};

struct opened_value {
  std::uint16_t version = 0;
  bytes_view payload; // points into what was opened
};

// The payload in its envelope.
bytes seal_value(value_type type, std::uint16_t version, bytes_view payload);

// Checks magic, type, length, checksum, version (1..`newest_version`). `what` names the key or file in the message.
// corrupt: damaged or not such a value; unsupported: written by a newer version.
result<opened_value> open_value(bytes_view stored, value_type type, std::uint16_t newest_version,
                                std::string_view what);

// Keys keep numeric order as bytes: big-endian.
void append_key_u64(std::string& key, std::uint64_t v);
void append_key_u32(std::string& key, std::uint32_t v);
std::uint64_t key_u64(std::string_view key, std::size_t at); // 0 if the key is too short
std::uint32_t key_u32(std::string_view key, std::size_t at);

std::uint32_t checksum(bytes_view data, std::uint32_t seed = 0); // zlib's CRC-32

} // namespace gnomon::store
