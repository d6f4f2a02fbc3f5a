// The vocabulary of sizes, positions and names used in every public signature. Values only; any thread.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "config/error.hpp"

namespace gnomon {

inline constexpr std::uint64_t sector_bytes = 512;              // what clients may align to
inline constexpr std::uint64_t block_bytes = 4096;              // unit of I/O alignment inside Gnomon
inline constexpr std::uint64_t granule_bytes = 64 * 1024;       // unit of change tracking, presence, validity, copying
inline constexpr std::uint64_t chunk_bytes_min = 16ull << 20;   // smallest unit of heat and forecast
inline constexpr std::uint64_t chunks_per_volume_max = 4096;    // at the default chunk size
inline constexpr std::uint64_t volume_bytes_max = 1ull << 50;   // 1 PiB
inline constexpr std::size_t volume_name_length_max = 128;

// An integer that does not mix with other integers. `Tag` only names it.
template <class Tag, class Representation = std::uint64_t>
struct strong_integer {
  Representation value = 0;
  constexpr strong_integer() = default;
  constexpr explicit strong_integer(Representation v) : value(v) {}
  friend constexpr auto operator<=>(const strong_integer&, const strong_integer&) = default;
};

// A non-empty name that does not mix with other names. Validity is checked where it is parsed (config/names.hpp).
template <class Tag>
struct strong_name {
  std::string value;
  strong_name() = default;
  explicit strong_name(std::string v) : value(std::move(v)) {}
  friend auto operator<=>(const strong_name&, const strong_name&) = default;
};

using byte_offset = strong_integer<struct byte_offset_tag>;     // bytes from the start of a volume
using byte_count = strong_integer<struct byte_count_tag>;
using granule_index = strong_integer<struct granule_index_tag>; // offset / granule_bytes
using chunk_index = strong_integer<struct chunk_index_tag>;     // offset / chunk size of the volume
using generation_number = strong_integer<struct generation_tag>;

using node_name = strong_name<struct node_name_tag>;
using volume_name = strong_name<struct volume_name_tag>;
using instance_id = strong_name<struct instance_id_tag>;
using group_name = strong_name<struct group_name_tag>;

// A volume's name between nodes and for ever: names may be reused, uuids never. RFC 9562 version 4.
struct volume_uuid {
  std::array<std::uint8_t, 16> bytes{};
  friend auto operator<=>(const volume_uuid&, const volume_uuid&) = default;
  bool is_nil() const noexcept { return bytes == std::array<std::uint8_t, 16>{}; }
  std::string to_string() const;                             // 8-4-4-4-12, lower case
  static volume_uuid random();                               // from getrandom(2)
  static result<volume_uuid> parse(std::string_view text);   // invalid_argument
};

// The default chunk: the smallest power of two from 16 MiB up that gives at most 4,096 chunks.
constexpr byte_count default_chunk_bytes(byte_count volume_size) {
  std::uint64_t bytes = chunk_bytes_min;
  while ((volume_size.value + bytes - 1) / bytes > chunks_per_volume_max) bytes *= 2;
  return byte_count{bytes};
}

} // namespace gnomon

template <class Tag, class Representation>
struct std::hash<gnomon::strong_integer<Tag, Representation>> {
  std::size_t operator()(const gnomon::strong_integer<Tag, Representation>& v) const noexcept {
    return std::hash<Representation>{}(v.value);
  }
};
template <class Tag>
struct std::hash<gnomon::strong_name<Tag>> {
  std::size_t operator()(const gnomon::strong_name<Tag>& v) const noexcept { return std::hash<std::string>{}(v.value); }
};
template <>
struct std::hash<gnomon::volume_uuid> {
  std::size_t operator()(const gnomon::volume_uuid& v) const noexcept {
    return std::hash<std::string_view>{}({reinterpret_cast<const char*>(v.bytes.data()), v.bytes.size()});
  }
};
