#include "io/nbd/reply.hpp"

#include <algorithm>
#include <cstring>

namespace gnomon::io {

namespace {

constexpr std::size_t hole_unit_bytes = granule_bytes; // runs of zeros are looked for in these steps
constexpr std::size_t hole_bytes_min = 512;            // shorter ones are cheaper to send
constexpr std::size_t hole_search_bytes_max = 4 << 20; // looking through a longer read would hold the ring

// The chunks of a read in either form: their sizes, and how they are written.
struct structured_chunks {
  static constexpr std::size_t data_header_bytes = nbd::data_chunk_header_bytes, hole_bytes = nbd::hole_chunk_bytes;
  static void data_header(std::byte* to, const nbd_request& r, std::size_t at, std::size_t bytes, bool last) {
    nbd::encode_data_header(to, r.cookie, r.io.offset + at, static_cast<std::uint32_t>(bytes), last);
  }
  static void hole(std::byte* to, const nbd_request& r, std::size_t at, std::size_t bytes, bool last) {
    nbd::encode_hole(to, r.cookie, r.io.offset + at, static_cast<std::uint32_t>(bytes), last);
  }
};
struct extended_chunks {
  static constexpr std::size_t data_header_bytes = nbd::extended::data_chunk_header_bytes,
                               hole_bytes = nbd::extended::hole_chunk_bytes;
  static void data_header(std::byte* to, const nbd_request& r, std::size_t at, std::size_t bytes, bool last) {
    nbd::extended::encode_data_header(to, r.cookie, r.asked_at, r.io.offset + at, static_cast<std::uint32_t>(bytes),
                                      last);
  }
  static void hole(std::byte* to, const nbd_request& r, std::size_t at, std::size_t bytes, bool last) {
    nbd::extended::encode_hole(to, r.cookie, r.asked_at, r.io.offset + at, static_cast<std::uint32_t>(bytes), last);
  }
};

void add_piece(nbd_request& r, std::byte* bytes, std::size_t count) { r.add_piece(bytes, count); }

bool all_zero(const std::byte* bytes, std::size_t n) {
  // The first byte is zero and each byte equals its neighbour.
  return n == 0 || (bytes[0] == std::byte{0} && std::memcmp(bytes, bytes + 1, n - 1) == 0);
}

// The header is written just before the data it belongs to; a run of zeros becomes a hole chunk, whose header and the
// next one's lie in the room its own zeros took.
template <class Chunks>
void encode_read(nbd_request& r) {
  static_assert(Chunks::hole_bytes + Chunks::data_header_bytes <= hole_bytes_min);
  std::byte* const data = r.io.data;
  const std::size_t length = r.io.length;
  const auto hole_at = [&](std::size_t at) {
    const std::size_t n = std::min(hole_unit_bytes, length - at);
    return n >= hole_bytes_min && all_zero(data + at, n);
  };
  // A hole needs room for itself and the data behind it; data may end at a hole only if that hole will find room, for
  // data behind data would write its header over the former's last bytes.
  const auto room_for = [&](std::size_t pieces) { return r.piece_count + pieces <= nbd_request::pieces_max; };
  const bool all_or_nothing = (r.dont_fragment && length > hole_unit_bytes) || length > hole_search_bytes_max;
  std::size_t at = 0;
  while (at < length) {
    const std::size_t begin = at;
    const bool hole = !all_or_nothing && room_for(2) && hole_at(begin);
    const bool ends_at_hole = !r.dont_fragment && !all_or_nothing && room_for(3);
    do
      at = std::min(at + hole_unit_bytes, length);
    while (at < length && (hole ? hole_at(at) : !ends_at_hole || !hole_at(at)));
    const bool last = at == length;
    if (hole) {
      std::byte* head = data + at - Chunks::hole_bytes - Chunks::data_header_bytes;
      Chunks::hole(head, r, begin, at - begin, last);
      add_piece(r, head, Chunks::hole_bytes);
    } else {
      std::byte* head = data + begin - Chunks::data_header_bytes;
      Chunks::data_header(head, r, begin, at - begin, last);
      add_piece(r, head, Chunks::data_header_bytes + (at - begin));
    }
  }
}

void encode_simple_read(nbd_request& r) {
  std::byte* head = r.io.data - nbd::simple_reply_bytes;
  nbd::encode_simple(head, nbd::error::none, r.cookie);
  add_piece(r, head, nbd::simple_reply_bytes + r.io.length);
}

// Where it is short in the request itself, else in its memory, with the header in the space before.
void encode_block_status(nbd_request& r, reply_form form) {
  const auto& extents = r.io.extents;
  const bool wide = form == reply_form::extended;
  const std::size_t most =
      wide ? nbd::extended::block_status_bytes(extents.size()) : nbd::block_status_bytes(extents.size());
  static_assert(nbd::extended::block_status_bytes(0) <= buffer_pool::headroom_bytes);
  std::byte* to = most <= sizeof r.head
                      ? r.head
                      : r.io.memory.data - (wide ? nbd::extended::block_status_bytes(0) : nbd::block_status_bytes(0));
  add_piece(r, to,
            wide ? nbd::extended::encode_block_status(to, r.cookie, r.asked_at, nbd::base_allocation_id, extents)
                 : nbd::encode_block_status(to, r.cookie, nbd::base_allocation_id, extents));
}

void encode_done(nbd_request& r, reply_form form) {
  switch (form) {
  case reply_form::simple:
    return add_piece(r, r.head, nbd::encode_simple(r.head, nbd::error::none, r.cookie));
  case reply_form::structured:
    return add_piece(r, r.head, nbd::encode_done(r.head, r.cookie));
  case reply_form::extended:
    return add_piece(r, r.head, nbd::extended::encode_done(r.head, r.cookie, r.asked_at));
  }
}

} // namespace

void encode_reply(nbd_request& r, reply_form form) {
  const volume_request& io = r.io;
  if (io.error != 0)
    return encode_error(r, form, nbd::error_from_errno(io.error), std::strerror(io.error));
  if (io.op == operation::read)
    return form == reply_form::simple       ? encode_simple_read(r)
           : form == reply_form::structured ? encode_read<structured_chunks>(r)
                                            : encode_read<extended_chunks>(r);
  if (io.op == operation::block_status)
    return encode_block_status(r, form);
  encode_done(r, form);
}

void encode_error(nbd_request& r, reply_form form, nbd::error error, std::string_view text) {
  r.piece_count = 0;
  if (form == reply_form::simple)
    return add_piece(r, r.head, nbd::encode_simple(r.head, error, r.cookie));
  const std::size_t wanted =
      nbd::extended::error_chunk_bytes_min + std::min(text.size(), error_text_bytes_max); // the longer form's
  std::byte* to = r.head;
  std::size_t capacity = sizeof r.head;
  if (wanted > capacity) {
    r.words.resize(wanted);
    to = r.words.data(), capacity = wanted;
  }
  add_piece(r, to,
            form == reply_form::extended
                ? nbd::extended::encode_error_chunk(to, capacity, r.cookie, r.asked_at, error, text)
                : nbd::encode_error_chunk(to, capacity, r.cookie, error, text));
}

} // namespace gnomon::io
