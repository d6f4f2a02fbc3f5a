// Any bytes as a client's half of the transmission phase: headers are decoded and judged, payloads skipped or taken,
// replies written into memory of exactly their size. Whatever passes the check lies inside the export, and what is
// passed over is bounded. Layout of an input: ten bytes of limits, then the stream.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <vector>

#include "io/nbd/protocol.hpp"

using namespace gnomon::io;

namespace {

#define CHECK(condition)                                                                                             \
  if (!(condition)) {                                                                                                \
    std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                             \
    std::abort();                                                                                                    \
  }

constexpr std::size_t limits_bytes = 10;

nbd::export_limits limits_from(const std::uint8_t* bytes) {
  nbd::export_limits limits;
  limits.size = (std::uint64_t{bytes[1]} << (bytes[2] % 57)) - (bytes[3] & 1);
  limits.read_only = bytes[0] & 1;
  limits.structured_replies = bytes[0] & 2;
  limits.has_base_allocation = bytes[0] & 4;
  limits.extended_headers = bytes[0] & 8;
  if (bytes[0] & 16)
    limits.transmission_flags = static_cast<std::uint16_t>(bytes[4] << 8 | bytes[5]);
  limits.block_bytes_min = 1u << (bytes[6] % 17);
  if (bytes[0] & 32)
    limits.payload_bytes_max = (1u << (bytes[7] % 26)) - 1 + bytes[8];
  return limits;
}

// `encode` gets memory of exactly `capacity` bytes and says how much of it is the reply.
template <class Encode>
std::vector<std::byte> reply(std::size_t capacity, Encode&& encode) {
  std::vector<std::byte> memory(capacity);
  const std::size_t n = encode(memory.data());
  CHECK(n <= capacity);
  memory.resize(n);
  return memory;
}

void check_chunk(const std::vector<std::byte>& bytes, const nbd::request& r, std::size_t data_bytes) {
  CHECK(nbd::load<std::uint32_t>(bytes.data()) == nbd::magic_structured_reply);
  CHECK(nbd::load<std::uint64_t>(bytes.data() + 8) == r.cookie);
  CHECK(nbd::load<std::uint32_t>(bytes.data() + 16) == bytes.size() - nbd::chunk_header_bytes + data_bytes);
}
void check_extended_chunk(const std::vector<std::byte>& bytes, const nbd::request& r, std::size_t data_bytes) {
  CHECK(nbd::load<std::uint32_t>(bytes.data()) == nbd::magic_extended_reply);
  CHECK(nbd::load<std::uint64_t>(bytes.data() + 8) == r.cookie);
  CHECK(nbd::load<std::uint64_t>(bytes.data() + 16) == r.offset);
  CHECK(nbd::load<std::uint64_t>(bytes.data() + 24) == bytes.size() - nbd::extended::chunk_header_bytes + data_bytes);
}

void answer(const nbd::request& r, const nbd::verdict& v) {
  namespace x = nbd::extended;
  const std::size_t room = r.cookie % 200; // for the text
  check_chunk(reply(nbd::error_chunk_bytes_min + room,
                    [&](std::byte* to) {
                      return nbd::encode_error_chunk(to, nbd::error_chunk_bytes_min + room, r.cookie, v.error,
                                                     v.text);
                    }),
              r, 0);
  check_extended_chunk(reply(x::error_chunk_bytes_min + 8 + room,
                             [&](std::byte* to) {
                               return x::encode_error_offset_chunk(to, x::error_chunk_bytes_min + 8 + room, r.cookie,
                                                                   r.offset, v.error, v.text, r.offset, true);
                             }),
                       r, 0);
  if (v.error != nbd::error::none || r.length == 0)
    return;
  const auto length = static_cast<std::uint32_t>(r.length);
  if (r.type == nbd::command::read) {
    check_chunk(reply(nbd::data_chunk_header_bytes,
                      [&](std::byte* to) { return nbd::encode_data_header(to, r.cookie, r.offset, length, true); }),
                r, length);
    check_extended_chunk(
        reply(x::hole_chunk_bytes,
              [&](std::byte* to) { return x::encode_hole(to, r.cookie, r.offset, r.offset, length, true); }),
        r, 0);
  }
  if (r.type == nbd::command::block_status) {
    const std::vector<extent> extents{{r.length, r.cookie % 2 == 0, true}, {1 + r.cookie % (1ull << 33), true, true}};
    check_chunk(reply(nbd::block_status_bytes(2),
                      [&](std::byte* to) { return nbd::encode_block_status(to, r.cookie, 1, extents); }),
                r, 0);
    check_extended_chunk(
        reply(x::block_status_bytes(2),
              [&](std::byte* to) { return x::encode_block_status(to, r.cookie, r.offset, 1, extents); }),
        r, 0);
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < limits_bytes)
    return 0;
  const nbd::export_limits limits = limits_from(data);
  auto left = std::as_bytes(std::span(data + limits_bytes, size - limits_bytes));
  const std::size_t header = limits.extended_headers ? nbd::extended_request_bytes : nbd::request_bytes;
  while (left.size() >= header) {
    const std::vector<std::byte> bytes(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(header));
    left = left.subspan(header);
    auto r = limits.extended_headers ? nbd::decode_extended_request(bytes.data()) : nbd::decode_request(bytes.data());
    if (!r)
      break;
    if (nbd::carries_filter(*r, limits)) {
      const std::vector<std::byte> filter(
          left.begin(),
          left.begin() + static_cast<std::ptrdiff_t>(std::min(left.size(), nbd::block_status_filter_bytes)));
      if (filter.size() < nbd::block_status_filter_bytes)
        break;
      left = left.subspan(filter.size());
      nbd::apply_filter(*r, filter.data());
    }
    const nbd::verdict v = nbd::validate(*r, limits);
    CHECK(v.text.empty() == (v.error == nbd::error::none));
    CHECK(!v.drop || v.error != nbd::error::none);
    if (v.drop)
      break;
    answer(*r, v);
    const std::uint64_t payload = nbd::payload_bytes(*r, limits);
    if (v.error == nbd::error::none) {
      CHECK(v.skip_bytes == 0);
      CHECK(static_cast<unsigned>(r->type) <= static_cast<unsigned>(nbd::command::block_status));
      if (r->type == nbd::command::disconnect)
        break;
      if (r->type != nbd::command::flush) {
        CHECK(r->length > 0 && r->offset < limits.size && r->length <= limits.size - r->offset);
        CHECK(((r->offset | r->length) & (limits.block_bytes_min - 1)) == 0);
      }
      CHECK(payload == 0 ||
            (r->type == nbd::command::write && payload == r->length && payload <= limits.payload_bytes_max));
      CHECK(r->type != nbd::command::read || r->length <= limits.payload_bytes_max);
      CHECK(!limits.read_only || (r->type != nbd::command::write && r->type != nbd::command::trim &&
                                  r->type != nbd::command::write_zeroes));
    } else {
      CHECK(v.skip_bytes == payload);
      CHECK(payload <= nbd::skipped_payload_bytes_max);
    }
    left = left.subspan(static_cast<std::size_t>(std::min<std::uint64_t>(payload, left.size())));
  }
  return 0;
}
