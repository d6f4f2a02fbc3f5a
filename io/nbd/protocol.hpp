// The NBD protocol's numbers and messages, after doc/proto.md of the NetworkBlockDevice project: constants, decoding
// of request headers, encoding of replies into caller memory, and the one check that every request passes. Pure
// functions, any thread; nothing allocates, nothing reads or writes beyond the sizes named here. Extended headers are
// those of the extension-ext-header branch of the same document. The only metadata context is base:allocation.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "io/volume/block_status.hpp"

namespace gnomon::io::nbd {

// --- handshake
inline constexpr std::uint64_t magic_init = 0x4e42444d41474943;   // "NBDMAGIC"
inline constexpr std::uint64_t magic_option = 0x49484156454f5054; // "IHAVEOPT"
inline constexpr std::uint64_t magic_option_reply = 0x0003e889045565a9;
inline constexpr std::uint16_t handshake_fixed_newstyle = 1, handshake_no_zeroes = 2;
inline constexpr std::uint16_t default_port = 10809;
inline constexpr std::size_t name_bytes_max = 4096;          // of any string the protocol carries
inline constexpr std::size_t option_header_bytes = 16;       // magic, option, length
inline constexpr std::size_t option_reply_header_bytes = 20; // magic, option, type, length
inline constexpr std::size_t export_name_zeroes = 124;       // end the reply to EXPORT_NAME without NO_ZEROES

enum class option : std::uint32_t {
  export_name = 1,
  abort = 2,
  list = 3,
  peek_export = 4,
  starttls = 5,
  info = 6,
  go = 7,
  structured_reply = 8,
  list_meta_context = 9,
  set_meta_context = 10,
  extended_headers = 11,
};
enum class option_reply : std::uint32_t {
  ack = 1,
  server = 2,
  info = 3,
  meta_context = 4,
  err_unsupported = 0x80000001,
  err_policy = 0x80000002,
  err_invalid = 0x80000003,
  err_platform = 0x80000004,
  err_tls_required = 0x80000005,
  err_unknown = 0x80000006,
  err_shutdown = 0x80000007,
  err_block_size = 0x80000008,
  err_too_big = 0x80000009,
  err_extended_headers_required = 0x8000000a,
};
inline constexpr std::uint32_t option_reply_error_bit = 0x80000000;
enum class info : std::uint16_t { export_ = 0, name = 1, description = 2, block_size = 3 };

// Whether `text` is what the protocol calls a string: UTF-8 without NUL, at most name_bytes_max bytes.
bool is_string(std::string_view text) noexcept;

// --- transmission
inline constexpr std::uint32_t magic_request = 0x25609513;
inline constexpr std::uint32_t magic_simple_reply = 0x67446698;
inline constexpr std::uint32_t magic_structured_reply = 0x668e33ef;
inline constexpr std::uint32_t magic_extended_request = 0x21e41c71;
inline constexpr std::uint32_t magic_extended_reply = 0x6e8a278c;

inline constexpr std::uint16_t has_flags = 1 << 0, is_read_only = 1 << 1, send_flush = 1 << 2, send_fua = 1 << 3,
                               rotational = 1 << 4, send_trim = 1 << 5, send_write_zeroes = 1 << 6, send_df = 1 << 7,
                               can_multi_conn = 1 << 8, send_resize = 1 << 9, send_cache = 1 << 10,
                               send_fast_zero = 1 << 11, block_status_payload = 1 << 12;
// What every writable export offers; DF only with structured replies.
inline constexpr std::uint16_t served_flags = has_flags | send_flush | send_fua | send_trim | send_write_zeroes |
                                              send_df | can_multi_conn | send_cache | send_fast_zero;

enum class command : std::uint16_t {
  read = 0,
  write = 1,
  disconnect = 2,
  flush = 3,
  trim = 4,
  cache = 5,
  write_zeroes = 6,
  block_status = 7,
};
inline constexpr std::uint16_t flag_fua = 1 << 0, flag_no_hole = 1 << 1, flag_dont_fragment = 1 << 2,
                               flag_request_one = 1 << 3, flag_fast_zero = 1 << 4, flag_payload_length = 1 << 5;

enum class chunk : std::uint16_t {
  none = 0,
  offset_data = 1,
  offset_hole = 2,
  block_status = 5,
  block_status_extended = 6,
  error = 0x8001,
  error_offset = 0x8002,
};
inline constexpr std::uint16_t chunk_done = 1;
inline constexpr std::uint32_t state_hole = 1 << 0, state_zero = 1 << 1; // of base:allocation
inline constexpr std::string_view base_allocation_name = "base:allocation";
inline constexpr std::uint32_t base_allocation_id = 1; // what clients know the context by

enum class error : std::uint32_t {
  none = 0,
  perm = 1,
  io = 5,
  nomem = 12,
  inval = 22,
  nospc = 28,
  overflow = 75,
  notsup = 95,
  shutdown = 108,
};
// Never `none` unless os_errno is 0; what has no NBD error of its own is EIO. EOPNOTSUPP becomes ENOTSUP, which only
// an answer to a fast zero may carry.
error error_from_errno(int os_errno) noexcept;

// --- limits
inline constexpr std::uint32_t payload_bytes_max = 32 << 20;          // one read or write; the largest portable one
inline constexpr std::uint32_t skipped_payload_bytes_max = 128 << 20; // of a refused write; longer: connection ends
inline constexpr std::uint32_t extents_max = 4096;                    // in one block status reply
inline constexpr std::uint32_t preferred_block_bytes = 4096;

// --- big-endian access to unaligned memory
template <class Integer>
Integer load(const std::byte* from) noexcept {
  Integer value;
  std::memcpy(&value, from, sizeof value);
  if constexpr (sizeof(Integer) == 2)
    value = static_cast<Integer>(__builtin_bswap16(value));
  else if constexpr (sizeof(Integer) == 4)
    value = static_cast<Integer>(__builtin_bswap32(value));
  else if constexpr (sizeof(Integer) == 8)
    value = static_cast<Integer>(__builtin_bswap64(value));
  return value;
}
template <class Integer>
std::byte* store(std::byte* to, Integer value) noexcept {
  if constexpr (sizeof(Integer) == 2)
    value = static_cast<Integer>(__builtin_bswap16(value));
  else if constexpr (sizeof(Integer) == 4)
    value = static_cast<Integer>(__builtin_bswap32(value));
  else if constexpr (sizeof(Integer) == 8)
    value = static_cast<Integer>(__builtin_bswap64(value));
  std::memcpy(to, &value, sizeof value);
  return to + sizeof value;
}

// --- requests
inline constexpr std::size_t request_bytes = 28;
inline constexpr std::size_t extended_request_bytes = 32;
// The payload of a block status that says which contexts it is about: the range's length and their ids. As there is
// one context, a filter of any other length names an unknown one or the same one twice.
inline constexpr std::size_t block_status_filter_bytes = sizeof(std::uint64_t) + sizeof(std::uint32_t);

struct request {
  std::uint16_t flags = 0;
  command type = command::read;
  std::uint64_t cookie = 0;
  std::uint64_t offset = 0;                   // bytes
  std::uint64_t length = 0;                   // bytes; fits 32 bits unless headers are extended
  std::uint32_t context = base_allocation_id; // block status: what it is about
};

// Reads request_bytes at `bytes`. Nothing when the magic is wrong: the stream is out of step.
inline std::optional<request> decode_request(const std::byte* bytes) noexcept {
  if (load<std::uint32_t>(bytes) != magic_request)
    return std::nullopt;
  return request{load<std::uint16_t>(bytes + 4), static_cast<command>(load<std::uint16_t>(bytes + 6)),
                 load<std::uint64_t>(bytes + 8), load<std::uint64_t>(bytes + 16), load<std::uint32_t>(bytes + 24)};
}
// The same for extended headers: reads extended_request_bytes.
inline std::optional<request> decode_extended_request(const std::byte* bytes) noexcept {
  if (load<std::uint32_t>(bytes) != magic_extended_request)
    return std::nullopt;
  return request{load<std::uint16_t>(bytes + 4), static_cast<command>(load<std::uint16_t>(bytes + 6)),
                 load<std::uint64_t>(bytes + 8), load<std::uint64_t>(bytes + 16), load<std::uint64_t>(bytes + 24)};
}

// What was agreed on with this client, and what may have changed since.
struct export_limits {
  std::uint64_t size = 0; // bytes, as the client was told
  bool read_only = false; // now; a volume may have become so after the handshake
  bool structured_replies = false;
  bool has_base_allocation = false;
  bool extended_headers = false;
  std::uint16_t transmission_flags = served_flags; // as the client was told
  std::uint32_t block_bytes_min = 1;               // a power of two
  std::uint32_t payload_bytes_max = nbd::payload_bytes_max;
};

// Bytes that follow the header on the wire. May be anything for a request that validate() would refuse.
inline std::uint64_t payload_bytes(const request& r, const export_limits& limits) noexcept {
  const bool carries = limits.extended_headers ? (r.flags & flag_payload_length) != 0 : r.type == command::write;
  return carries ? r.length : 0;
}

// Whether block_status_filter_bytes follow that belong to the request itself, to be applied before it is validated.
inline bool carries_filter(const request& r, const export_limits& limits) noexcept {
  return (r.flags & flag_payload_length) != 0 && r.type == command::block_status &&
         r.length == block_status_filter_bytes && limits.extended_headers &&
         (limits.transmission_flags & block_status_payload) != 0;
}
// Reads block_status_filter_bytes at `payload`: the request becomes one without payload for the range and context
// named there.
inline void apply_filter(request& r, const std::byte* payload) noexcept {
  r.flags &= static_cast<std::uint16_t>(~flag_payload_length);
  r.length = load<std::uint64_t>(payload);
  r.context = load<std::uint32_t>(payload + sizeof(std::uint64_t));
}

struct verdict {
  nbd::error error = error::none; // none: carry it out
  bool drop = false;              // the stream cannot be kept in step: end the connection
  std::string_view text{};        // for the client; static
  std::uint64_t skip_bytes = 0;   // refused: payload to pass over before the next header
};

// The one check before a request reaches a volume: known command, its flags, its range, its length, what was agreed.
// Accepted requests other than a flush or a disconnect have 0 < length and offset + length <= size; reads and writes
// have length <= payload_bytes_max.
verdict validate(const request& r, const export_limits& limits) noexcept;

// --- replies: each encoder returns the bytes it wrote
inline constexpr std::size_t simple_reply_bytes = 16;
inline constexpr std::size_t chunk_header_bytes = 20;
inline constexpr std::size_t data_chunk_header_bytes = chunk_header_bytes + 8;
inline constexpr std::size_t hole_chunk_bytes = chunk_header_bytes + 12;

inline std::size_t encode_simple(std::byte* to, error e, std::uint64_t cookie) noexcept {
  to = store(to, magic_simple_reply);
  to = store(to, static_cast<std::uint32_t>(e));
  store(to, cookie);
  return simple_reply_bytes;
}
inline std::byte* encode_chunk_header(std::byte* to, std::uint16_t flags, chunk type, std::uint64_t cookie,
                                      std::uint32_t payload) noexcept {
  to = store(to, magic_structured_reply);
  to = store(to, flags);
  to = store(to, static_cast<std::uint16_t>(type));
  to = store(to, cookie);
  return store(to, payload);
}
inline std::size_t encode_done(std::byte* to, std::uint64_t cookie) noexcept {
  encode_chunk_header(to, chunk_done, chunk::none, cookie, 0);
  return chunk_header_bytes;
}
// `length` bytes of data follow.
inline std::size_t encode_data_header(std::byte* to, std::uint64_t cookie, std::uint64_t offset, std::uint32_t length,
                                      bool last) noexcept {
  store(encode_chunk_header(to, last ? chunk_done : 0, chunk::offset_data, cookie, length + 8), offset);
  return data_chunk_header_bytes;
}
inline std::size_t encode_hole(std::byte* to, std::uint64_t cookie, std::uint64_t offset, std::uint32_t length,
                               bool last) noexcept {
  to = encode_chunk_header(to, last ? chunk_done : 0, chunk::offset_hole, cookie, 12);
  store(store(to, offset), length);
  return hole_chunk_bytes;
}
inline constexpr std::size_t error_chunk_bytes_min = chunk_header_bytes + 6; // without text
// An ERROR chunk that ends the reply; the text is cut to fit `capacity` (at least error_chunk_bytes_min).
std::size_t encode_error_chunk(std::byte* to, std::size_t capacity, std::uint64_t cookie, error e,
                               std::string_view text) noexcept;
// ERROR_OFFSET: what lies before `offset` was carried out. `capacity` at least error_chunk_bytes_min + 8.
std::size_t encode_error_offset_chunk(std::byte* to, std::size_t capacity, std::uint64_t cookie, error e,
                                      std::string_view text, std::uint64_t offset, bool last) noexcept;
inline constexpr std::size_t extent_bytes = 8;
inline constexpr std::size_t block_status_bytes(std::size_t extents) noexcept {
  return chunk_header_bytes + 4 + extent_bytes * extents;
}
// `to` holds block_status_bytes(extents.size()). An extent longer than 2^32 - 1 bytes is reported shorter and ends
// it.
std::size_t encode_block_status(std::byte* to, std::uint64_t cookie, std::uint32_t context,
                                std::span<const extent> extents) noexcept;

// The same chunks under extended headers. `asked_at` is the offset of the request, which each of its replies repeats;
// `offset` is where the data, hole or error lies. There are no simple replies.
namespace extended {
inline constexpr std::size_t chunk_header_bytes = 32;
inline constexpr std::size_t data_chunk_header_bytes = chunk_header_bytes + 8;
inline constexpr std::size_t hole_chunk_bytes = chunk_header_bytes + 12;
inline constexpr std::size_t error_chunk_bytes_min = chunk_header_bytes + 6;

inline std::byte* encode_chunk_header(std::byte* to, std::uint16_t flags, chunk type, std::uint64_t cookie,
                                      std::uint64_t asked_at, std::uint64_t payload) noexcept {
  to = store(to, magic_extended_reply);
  to = store(to, flags);
  to = store(to, static_cast<std::uint16_t>(type));
  to = store(to, cookie);
  to = store(to, asked_at);
  return store(to, payload);
}
inline std::size_t encode_done(std::byte* to, std::uint64_t cookie, std::uint64_t asked_at) noexcept {
  encode_chunk_header(to, chunk_done, chunk::none, cookie, asked_at, 0);
  return chunk_header_bytes;
}
inline std::size_t encode_data_header(std::byte* to, std::uint64_t cookie, std::uint64_t asked_at,
                                      std::uint64_t offset, std::uint32_t length, bool last) noexcept {
  store(
      encode_chunk_header(to, last ? chunk_done : 0, chunk::offset_data, cookie, asked_at, std::uint64_t{length} + 8),
      offset);
  return data_chunk_header_bytes;
}
inline std::size_t encode_hole(std::byte* to, std::uint64_t cookie, std::uint64_t asked_at, std::uint64_t offset,
                               std::uint32_t length, bool last) noexcept {
  to = encode_chunk_header(to, last ? chunk_done : 0, chunk::offset_hole, cookie, asked_at, 12);
  store(store(to, offset), length);
  return hole_chunk_bytes;
}
std::size_t encode_error_chunk(std::byte* to, std::size_t capacity, std::uint64_t cookie, std::uint64_t asked_at,
                               error e, std::string_view text) noexcept;
std::size_t encode_error_offset_chunk(std::byte* to, std::size_t capacity, std::uint64_t cookie,
                                      std::uint64_t asked_at, error e, std::string_view text, std::uint64_t offset,
                                      bool last) noexcept;
inline constexpr std::size_t extent_bytes = 16;
inline constexpr std::size_t block_status_bytes(std::size_t extents) noexcept {
  return chunk_header_bytes + 8 + extent_bytes * extents;
}
std::size_t encode_block_status(std::byte* to, std::uint64_t cookie, std::uint64_t asked_at, std::uint32_t context,
                                std::span<const extent> extents) noexcept;
} // namespace extended

} // namespace gnomon::io::nbd
