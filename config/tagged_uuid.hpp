// Ids of 16 random bytes that do not mix with other ids: points in time, layer files, group snapshots. Values only; any
// thread. They are written as uuids are, and made and parsed as volume_uuid is.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "config/error.hpp"
#include "config/types.hpp"

namespace gnomon {

template <class Tag>
struct tagged_uuid {
  std::array<std::uint8_t, 16> bytes{};
  friend auto operator<=>(const tagged_uuid&, const tagged_uuid&) = default;
  bool is_nil() const noexcept { return bytes == std::array<std::uint8_t, 16>{}; }
  std::string to_string() const { return volume_uuid{bytes}.to_string(); }
  static tagged_uuid random() { return {volume_uuid::random().bytes}; }
  static result<tagged_uuid> parse(std::string_view text) { // invalid_argument
    return volume_uuid::parse(text).map([](const volume_uuid& id) { return tagged_uuid{id.bytes}; });
  }
};

using snapshot_uuid = tagged_uuid<struct snapshot_uuid_tag>; // a point in time of one volume, for ever
using layer_id = tagged_uuid<struct layer_id_tag>;           // one layer file; a merge writes another for the same point
using group_cut_id = tagged_uuid<struct group_cut_id_tag>;   // one point in time of a group's members

} // namespace gnomon

template <class Tag>
struct std::hash<gnomon::tagged_uuid<Tag>> {
  std::size_t operator()(const gnomon::tagged_uuid<Tag>& v) const noexcept {
    return std::hash<gnomon::volume_uuid>{}(gnomon::volume_uuid{v.bytes});
  }
};
