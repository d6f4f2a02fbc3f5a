// A finished request becomes the bytes of its reply, written around the data where it lies.
#include "io/nbd_connection.hpp"

#include <algorithm>
#include <cstring>

namespace gnomon::io {

void nbd_connection::encode_reply(nbd_request& r) {
  volume_request& io = r.io;
  if (io.error != 0)
    return encode_error(r, nbd::error_from_errno(io.error), std::strerror(io.error));
  if (io.op == operation::read)
    return encode_read(r);
  if (io.op == operation::block_status)
    return encode_block_status(r);
  const std::size_t n =
      structured_ ? nbd::encode_done(r.head, r.cookie) : nbd::encode_simple(r.head, nbd::error::none, r.cookie);
  r.pieces[r.piece_count++] = {r.head, n};
}

static bool all_zero(const std::byte* bytes, std::size_t n) {
  // The first byte is zero and each byte equals its neighbour.
  return n == 0 || (bytes[0] == std::byte{0} && std::memcmp(bytes, bytes + 1, n - 1) == 0);
}

// The header is written just before the data it belongs to; a run of zeros becomes a hole chunk, whose header and the
// next one's lie in the room its own zeros took.
void nbd_connection::encode_read(nbd_request& r) {
  volume_request& io = r.io;
  std::byte* const data = io.data = io.memory.data + memory_skew(*io.core, io.offset);
  const std::size_t length = io.length;
  if (!structured_) {
    std::byte* head = data - nbd::simple_reply_bytes;
    nbd::encode_simple(head, nbd::error::none, r.cookie);
    r.pieces[r.piece_count++] = {head, nbd::simple_reply_bytes + length};
    return;
  }
  const auto hole_at = [&](std::size_t at) {
    const std::size_t n = std::min(hole_unit_bytes, length - at);
    return n >= hole_bytes_min && all_zero(data + at, n);
  };
  // A hole needs room for itself and the data behind it; data may end at a hole only if that hole will find room, for
  // data behind data would write its header over the former's last bytes.
  const auto room_for = [&](std::size_t pieces) { return r.piece_count + pieces <= nbd_request::pieces_max; };
  const bool all_or_nothing = r.dont_fragment && length > hole_unit_bytes;
  std::size_t at = 0;
  while (at < length) {
    const std::size_t begin = at;
    const bool hole = !all_or_nothing && room_for(2) && hole_at(begin);
    const bool ends_at_hole = !r.dont_fragment && room_for(3);
    do
      at = std::min(at + hole_unit_bytes, length);
    while (at < length && (hole ? hole_at(at) : !ends_at_hole || !hole_at(at)));
    const bool last = at == length;
    if (hole) {
      std::byte* head = data + at - nbd::hole_chunk_bytes - nbd::data_chunk_header_bytes;
      nbd::encode_hole(head, r.cookie, io.offset + begin, static_cast<std::uint32_t>(at - begin), last);
      r.pieces[r.piece_count++] = {head, nbd::hole_chunk_bytes};
    } else {
      std::byte* head = data + begin - nbd::data_chunk_header_bytes;
      nbd::encode_data_header(head, r.cookie, io.offset + begin, static_cast<std::uint32_t>(at - begin), last);
      r.pieces[r.piece_count++] = {head, nbd::data_chunk_header_bytes + (at - begin)};
    }
  }
}

void nbd_connection::encode_block_status(nbd_request& r) {
  volume_request& io = r.io;
  r.words.resize(nbd::block_status_bytes(io.extents.size()));
  const std::size_t bytes = nbd::encode_block_status(r.words.data(), r.cookie, base_allocation_, io.extents);
  r.pieces[r.piece_count++] = {r.words.data(), bytes};
}

void nbd_connection::encode_error(nbd_request& r, nbd::error error, std::string_view text) {
  const std::size_t n = structured_ ? nbd::encode_error_chunk(r.head, sizeof r.head, r.cookie, error, text)
                                    : nbd::encode_simple(r.head, error, r.cookie);
  r.piece_count = 0;
  r.pieces[r.piece_count++] = {r.head, n};
}

} // namespace gnomon::io
