// Keys and geometry of the history's tables, shared by its reading and its writing half. Private to those two.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store/history/history.hpp"
#include "store/lmdb/codec.hpp"
#include "store/meta/schema.hpp"

namespace gnomon::store::history_layout {

inline constexpr std::uint32_t chunks_per_block = 64;
inline constexpr std::size_t tail_key_bytes = 2 + 16 + 8;
inline constexpr std::size_t block_key_bytes = 2 + 8 + 16 + 4;

inline std::uint64_t slot_seconds(resolution r) { return static_cast<std::uint64_t>(slot_length(r).count()); }
inline std::uint64_t part_seconds(resolution r) { return static_cast<std::uint64_t>(part_length(r).count()); }
inline std::uint64_t floor_to(std::uint64_t seconds, std::uint64_t step) { return seconds - seconds % step; }
inline std::optional<resolution> coarser(resolution r) {
  if (r == resolution::one_hour)
    return std::nullopt;
  return static_cast<resolution>(static_cast<std::uint8_t>(r) + 1);
}
// Seconds since 1970; before that 0.
inline std::uint64_t seconds_of(wall_time t) {
  const auto s = std::chrono::floor<std::chrono::seconds>(t.time_since_epoch()).count();
  return s < 0 ? 0 : static_cast<std::uint64_t>(s);
}
// The first whole second at or after `t`.
inline std::uint64_t ceil_seconds_of(wall_time t) {
  const auto s = seconds_of(t);
  return t > wall_time(std::chrono::seconds(s)) ? s + 1 : s;
}
inline wall_time time_of(std::uint64_t seconds) { return wall_time(std::chrono::seconds(seconds)); }

inline std::string table_prefix(std::uint8_t kind, resolution r) {
  return {static_cast<char>(kind), static_cast<char>(r)};
}
inline std::string tail_prefix(std::uint8_t kind, resolution r, volume_uuid volume) {
  return table_prefix(kind, r) + volume_key(volume);
}
inline std::string tail_key(std::uint8_t kind, resolution r, volume_uuid volume, std::uint64_t slot) {
  auto key = tail_prefix(kind, r, volume);
  append_key_u64(key, slot);
  return key;
}
inline std::uint64_t tail_slot(std::string_view key) { return key_u64(key, 18); }

inline std::string part_prefix(std::uint8_t kind, resolution r, std::uint64_t part) {
  auto key = table_prefix(kind, r);
  append_key_u64(key, part);
  return key;
}
inline std::string block_prefix(std::uint8_t kind, resolution r, std::uint64_t part, volume_uuid volume) {
  return part_prefix(kind, r, part) + volume_key(volume);
}
inline std::string block_key(std::uint8_t kind, resolution r, std::uint64_t part, volume_uuid volume,
                             std::uint32_t group) {
  auto key = block_prefix(kind, r, part, volume);
  append_key_u32(key, group);
  return key;
}
inline std::uint64_t block_part(std::string_view key) { return key_u64(key, 2); }
inline std::uint32_t block_group(std::string_view key) { return key_u32(key, 26); }

// The rows of a tail (slot 0 only) or of a block, appended to `rows`.
inline result<void> decode_tail(std::string_view key, bytes_view value, std::vector<stored_row>& rows) {
  auto opened = open_value(value, value_type::history_tail, history_tail_version, "history: tail");
  if (!opened)
    return tl::unexpected(opened.error());
  if (key.size() != tail_key_bytes)
    return fail(errc::corrupt, "history: tail: wrong key");
  return decode_rows(opened->payload, "history: tail", rows);
}
inline result<void> decode_block(std::string_view key, bytes_view value, std::vector<stored_row>& rows) {
  auto opened = open_value(value, value_type::history_block, history_block_version, "history: block");
  if (!opened)
    return tl::unexpected(opened.error());
  if (key.size() != block_key_bytes)
    return fail(errc::corrupt, "history: block: wrong key");
  return decode_rows(opened->payload, "history: block", rows);
}

// A model as it is stored; `blob` points into `stored`.
struct opened_model {
  std::uint32_t version = 0;
  wall_time written;
  bytes_view blob;
};

inline result<opened_model> open_model(bytes_view stored, std::string_view what) {
  auto opened = open_value(stored, value_type::model, model_version, what);
  if (!opened)
    return tl::unexpected(opened.error());
  field_reader r(opened->payload);
  opened_model model;
  model.version = r.u32();
  model.written = wall_time(microseconds(r.i64()));
  model.blob = r.blob(model_bytes_max);
  if (auto ok = r.finish(what); !ok)
    return tl::unexpected(ok.error());
  return model;
}

} // namespace gnomon::store::history_layout
