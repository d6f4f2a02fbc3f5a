#include "store/lmdb/codec.hpp"

#include <fmt/format.h>
#include <zlib.h>

namespace gnomon::store {

void field_writer::varint(std::uint64_t v) {
  for (; v >= 0x80; v >>= 7)
    payload_.push_back(static_cast<std::byte>(v | 0x80));
  payload_.push_back(static_cast<std::byte>(v));
}

void field_writer::string(std::string_view v) {
  u32(static_cast<std::uint32_t>(v.size()));
  raw(as_bytes(v));
}

bool field_reader::boolean() {
  const auto v = u8();
  if (v > 1)
    violate("a boolean that is neither 0 nor 1");
  return v == 1;
}

std::uint64_t field_reader::varint() {
  std::uint64_t v = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (rest_.empty())
      return violate("it is too short"), 0;
    const auto b = static_cast<std::uint8_t>(rest_.front());
    rest_ = rest_.subspan(1);
    if (shift == 63 && b > 1)
      break;
    v |= static_cast<std::uint64_t>(b & 0x7f) << shift;
    if (b < 0x80)
      return v;
  }
  return violate("a number of more than 64 bits"), 0;
}

bytes_view field_reader::raw(std::size_t count) {
  if (count > rest_.size())
    return violate("it is too short"), bytes_view{};
  const auto part = rest_.first(count);
  rest_ = rest_.subspan(count);
  return part;
}

std::string field_reader::string(std::size_t length_max) { return std::string(as_text(blob(length_max))); }

bytes_view field_reader::blob(std::size_t length_max) {
  const std::size_t length = u32();
  if (length > length_max)
    return violate("a text or blob is longer than it may be"), bytes_view{};
  return raw(length);
}

result<void> field_reader::finish(std::string_view what) {
  if (violation_)
    return fail(errc::corrupt, fmt::format("{}: {}", what, violation_));
  if (!rest_.empty())
    return fail(errc::corrupt, fmt::format("{}: {} bytes left over", what, rest_.size()));
  return {};
}

std::uint32_t checksum(bytes_view data, std::uint32_t seed) {
  return static_cast<std::uint32_t>(::crc32_z(seed, reinterpret_cast<const Bytef*>(data.data()), data.size()));
}

bytes seal_value(value_type type, std::uint16_t version, bytes_view payload) {
  field_writer w;
  w.u32(value_magic);
  w.u16(static_cast<std::uint16_t>(type));
  w.u16(version);
  w.u32(static_cast<std::uint32_t>(payload.size()));
  w.u32(checksum(payload, checksum(w.payload())));
  w.raw(payload);
  return w.take();
}

result<opened_value> open_value(bytes_view stored, value_type type, std::uint16_t newest_version,
                                std::string_view what) {
  if (stored.size() < value_header_bytes)
    return fail(errc::corrupt, fmt::format("{}: {} bytes are no stored value", what, stored.size()));
  field_reader r(stored.first(value_header_bytes));
  if (r.u32() != value_magic)
    return fail(errc::corrupt, fmt::format("{}: not a stored value (wrong magic)", what));
  const auto stored_type = r.u16();
  const auto version = r.u16();
  const std::size_t length = r.u32();
  const auto stored_checksum = r.u32();
  const auto payload = stored.subspan(value_header_bytes);
  if (length != payload.size() || length > value_payload_bytes_max)
    return fail(errc::corrupt, fmt::format("{}: it says {} bytes and has {}", what, length, payload.size()));
  if (checksum(payload, checksum(stored.first(12))) != stored_checksum)
    return fail(errc::corrupt, fmt::format("{}: wrong checksum", what));
  if (stored_type != static_cast<std::uint16_t>(type))
    return fail(errc::corrupt, fmt::format("{}: a value of type {} where type {} belongs", what, stored_type,
                                           static_cast<unsigned>(type)));
  if (version == 0)
    return fail(errc::corrupt, fmt::format("{}: version 0", what));
  if (version > newest_version)
    return fail(errc::unsupported, fmt::format("{}: written by a newer release (version {}, this one reads up to {})",
                                               what, version, newest_version));
  return opened_value{version, payload};
}

void append_key_u64(std::string& key, std::uint64_t v) {
  for (int shift = 56; shift >= 0; shift -= 8)
    key.push_back(static_cast<char>(v >> shift));
}

void append_key_u32(std::string& key, std::uint32_t v) {
  for (int shift = 24; shift >= 0; shift -= 8)
    key.push_back(static_cast<char>(v >> shift));
}

std::uint64_t key_u64(std::string_view key, std::size_t at) {
  if (at > key.size() || key.size() - at < 8)
    return 0;
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < 8; ++i)
    v = v << 8 | static_cast<unsigned char>(key[at + i]);
  return v;
}

std::uint32_t key_u32(std::string_view key, std::size_t at) {
  if (at > key.size() || key.size() - at < 4)
    return 0;
  std::uint32_t v = 0;
  for (std::size_t i = 0; i < 4; ++i)
    v = v << 8 | static_cast<unsigned char>(key[at + i]);
  return v;
}

} // namespace gnomon::store
