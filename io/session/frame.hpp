// The frames of a session stream between a gateway node and a home node: their fields, limits and codec. Pure; any
// thread. Every integer is little-endian. A frame is a head of frame_head_bytes and a body whose length depends on
// its type and is bounded by frame_body_bytes_max; what does not decode ends the stream.
//
//   head: magic u16 | version u8 | type u8 | body bytes u32 | number u64 | start u64 | session u64 | lease ns u64 |
//         volume 16 bytes | first granule u64 | granules u64
//
// Gateway to home: hello, response, renew, ack, goodbye, shadow_add, shadow_drop. Home to gateway: challenge, opened,
// refused, renewed, directory, directory_end, invalidate, shadow_dropped, volume, volume_gone, expect.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/clock.hpp"
#include "config/types.hpp"

namespace gnomon::io::session {

using start_id = strong_integer<struct start_id_tag>;     // random, one per start of a node; never 0
using session_id = strong_integer<struct session_id_tag>; // given by the home, never again; 0: no session

struct granule_run {
  granule_index first;
  std::uint64_t count = 0;
  std::uint64_t end() const noexcept { return first.value + count; }
  friend bool operator==(const granule_run&, const granule_run&) = default;
};
constexpr granule_run granules_of(std::uint64_t offset_bytes, std::uint64_t length_bytes) noexcept {
  const std::uint64_t first = offset_bytes / granule_bytes;
  return {granule_index{first},
          length_bytes == 0 ? 0 : (offset_bytes + length_bytes - 1) / granule_bytes - first + 1};
}

enum class frame_type : std::uint8_t {
  hello = 1,      // start; body: nonce, node name
  challenge,      // start of the home; body: nonce, proof, node name
  response,       // body: proof
  opened,         // session, lease; body: text, where the home serves block data
  refused,        // body: text
  renew,          // number: of the question
  renewed,        // number: of the question; lease
  goodbye,        // the gateway serves no shadow any more
  invalidate,     // number, volume, run
  ack,            // number: this and every earlier invalidation is done
  shadow_add,     // volume; count: granules of the volume; number: of this announcement, echoed in what answers it
  shadow_drop,    // volume: the gateway has stopped serving it
  shadow_dropped, // volume, number: dropped, or not to be had (body: text)
  directory,      // volume, number, run; body: one bit a granule, lowest first; no body: all clear
  directory_end,  // volume, number: all of it has been sent
  volume,         // the home serves this volume; number: its size in bytes; run.count: volume flags; body: name
  volume_gone,    // it does no longer
  expect,         // volume, run: reads that an event will bring to the gateway; number: thousandths of one per second, of
                  // each chunk; lease: for how long this stands
};
inline constexpr frame_type frame_type_last = frame_type::expect;
inline constexpr std::uint64_t volume_is_read_only = 1, volume_is_shared = 2; // volume flags
inline constexpr std::uint64_t volume_planner_advises = 4, volume_planner_is_off = 8; // neither: it may act
std::string_view to_string(frame_type type) noexcept;

inline constexpr std::uint16_t frame_magic = 0x4e47; // "GN"
inline constexpr std::uint8_t frame_version = 1;
inline constexpr std::size_t frame_head_bytes = 72;
inline constexpr std::size_t nonce_bytes = 32, proof_bytes = 32;
inline constexpr std::size_t directory_bits_max = 4096; // of one piece
inline constexpr std::size_t frame_body_bytes_max = directory_bits_max / 8;
inline constexpr std::size_t frame_text_bytes_max = 256;
inline constexpr std::uint64_t granules_max = volume_bytes_max / granule_bytes;

using nonce = std::array<std::byte, nonce_bytes>;
using proof = std::array<std::byte, proof_bytes>;

struct frame {
  frame_type type = frame_type::goodbye;
  std::uint64_t number = 0;
  start_id start;
  session_id session;
  nanoseconds lease{0};
  volume_uuid volume;
  granule_run run;
  nonce salt{};                // hello, challenge
  proof proven{};              // challenge, response
  std::string text;            // hello, challenge: node name; refused, shadow_dropped: the reason
  std::vector<std::byte> bits; // directory
  friend bool operator==(const frame&, const frame&) = default;
};

// Appends the frame to `to`. Texts that are too long are cut.
void encode(const frame& f, std::vector<std::byte>& to);

struct decoded {
  enum class outcome : std::uint8_t { whole, incomplete, bad } what = outcome::incomplete;
  std::size_t bytes = 0; // whole: taken from the front
  std::string_view why;  // bad: static text
  frame value;           // whole
};
// Looks at the front of a stream. Never reads beyond `from`; allocates at most frame_body_bytes_max.
decoded decode(std::span<const std::byte> from);

} // namespace gnomon::io::session
