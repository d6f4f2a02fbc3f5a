#include "io/nbd/protocol.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

namespace gnomon::io::nbd {

error error_from_errno(int os_errno) noexcept {
  switch (os_errno) {
  case 0:
    return error::none;
  case EPERM:
  case EACCES:
  case EROFS:
    return error::perm;
  case ENOMEM:
    return error::nomem;
  case EINVAL:
    return error::inval;
  case ENOSPC:
  case EDQUOT:
  case EFBIG:
    return error::nospc;
  case EOVERFLOW:
    return error::overflow;
  case EOPNOTSUPP:
    return error::notsup;
  case ESHUTDOWN:
    return error::shutdown;
  default:
    return error::io;
  }
}

bool is_string(std::string_view text) noexcept {
  if (text.size() > name_bytes_max)
    return false;
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = at + text.size();
  while (at != end) {
    const unsigned char lead = *at++;
    if (lead == 0)
      return false;
    if (lead < 0x80)
      continue;
    std::size_t more = 0;
    unsigned char low = 0x80,
                  high = 0xbf; // of the second byte: no overlong form, no surrogate, nothing past U+10FFFF
    if (lead >= 0xc2 && lead <= 0xdf)
      more = 1;
    else if (lead >= 0xe0 && lead <= 0xef) {
      more = 2;
      if (lead == 0xe0)
        low = 0xa0;
      if (lead == 0xed)
        high = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      more = 3;
      if (lead == 0xf0)
        low = 0x90;
      if (lead == 0xf4)
        high = 0x8f;
    } else
      return false;
    if (static_cast<std::size_t>(end - at) < more)
      return false;
    for (; more != 0; --more, ++at, low = 0x80, high = 0xbf)
      if (*at < low || *at > high)
        return false;
  }
  return true;
}

// --- the check

namespace {

struct command_rule {
  std::uint16_t flags;      // that make sense with it
  std::uint16_t advertised; // transmission flag without which clients must not send it; 0: always there
  bool writes, has_range;
};

// FUA means nothing on commands that write nothing, but the protocol wants it accepted there too.
constexpr std::array<command_rule, 8> rules{{
    {flag_fua | flag_dont_fragment, 0, false, true},                           // read
    {flag_fua, 0, true, true},                                                 // write
    {flag_fua, 0, false, false},                                               // disconnect
    {flag_fua, send_flush, false, false},                                      // flush
    {flag_fua, send_trim, true, true},                                         // trim
    {flag_fua, send_cache, false, true},                                       // cache
    {flag_fua | flag_no_hole | flag_fast_zero, send_write_zeroes, true, true}, // write zeroes
    {flag_fua | flag_request_one, 0, false, true},                             // block status
}};

std::uint16_t usable_flags(const command_rule& rule, command type, const export_limits& limits) noexcept {
  std::uint16_t usable = rule.flags;
  if (!(limits.transmission_flags & send_fua))
    usable &= static_cast<std::uint16_t>(~flag_fua);
  if (!(limits.transmission_flags & send_fast_zero))
    usable &= static_cast<std::uint16_t>(~flag_fast_zero);
  if (!limits.structured_replies && !limits.extended_headers)
    usable &= static_cast<std::uint16_t>(~flag_dont_fragment);
  if (limits.extended_headers && type == command::write)
    usable |= flag_payload_length;
  return usable;
}

verdict refused(error e, std::string_view text) noexcept { return {e, false, text, 0}; }

verdict check(const request& r, const export_limits& limits) noexcept {
  const auto number = static_cast<std::size_t>(r.type);
  if (number >= rules.size())
    return refused(error::inval, "unknown command");
  const command_rule& rule = rules[number];
  if (r.type == command::disconnect)
    return {};
  if ((r.flags & ~usable_flags(rule, r.type, limits)) != 0)
    return refused(error::inval, "unknown command flag, or one that does not belong to this command");
  if (rule.writes && (limits.read_only || (limits.transmission_flags & is_read_only)))
    return refused(error::perm, "the export is read-only");
  if ((rule.advertised & ~limits.transmission_flags) != 0)
    return refused(error::inval, "the export does not offer this command");
  if (!rule.has_range)
    return {};
  if (r.type == command::block_status && !limits.has_base_allocation)
    return refused(error::inval, "no metadata context was negotiated");
  if (r.type == command::block_status && r.context != base_allocation_id)
    return refused(error::inval, "the metadata context asked for was not negotiated");
  if (r.length == 0)
    return refused(error::inval, "length is 0");
  if ((r.type == command::read || r.type == command::write) && r.length > limits.payload_bytes_max)
    return refused(error::inval, "more than the maximum payload in one request");
  if (r.offset > limits.size || r.length > limits.size - r.offset)
    return refused(r.type == command::write || r.type == command::write_zeroes ? error::nospc : error::inval,
                   "beyond the end of the export");
  if (((r.offset | r.length) & (limits.block_bytes_min - 1)) != 0)
    return refused(error::inval, "not aligned to the minimum block size");
  return {};
}

} // namespace

verdict validate(const request& r, const export_limits& limits) noexcept {
  verdict v = check(r, limits);
  if (limits.extended_headers && r.type == command::write && !(r.flags & flag_payload_length))
    // Whether the data follows all the same cannot be known, and taking it for requests would be worst.
    return {error::inval, true, "a write must announce its payload", 0};
  if (v.error == error::none)
    return v;
  v.skip_bytes = payload_bytes(r, limits);
  v.drop = v.skip_bytes > (limits.extended_headers ? limits.payload_bytes_max : skipped_payload_bytes_max);
  return v;
}

// --- replies

namespace {

std::string_view fitting(std::string_view text, std::size_t room) noexcept {
  std::size_t n = std::min({text.size(), room, name_bytes_max});
  if (n < text.size())
    while (n != 0 && (static_cast<unsigned char>(text[n]) & 0xc0) == 0x80)
      --n; // keep characters whole
  return text.substr(0, n);
}

std::byte* store_error(std::byte* to, error e, std::string_view text) noexcept {
  to = store(to, static_cast<std::uint32_t>(e));
  to = store(to, static_cast<std::uint16_t>(text.size()));
  if (!text.empty())
    std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

std::uint32_t state_of(const extent& e) noexcept { return (e.hole ? state_hole : 0) | (e.zero ? state_zero : 0); }

} // namespace

std::size_t encode_error_chunk(std::byte* to, std::size_t capacity, std::uint64_t cookie, error e,
                               std::string_view text) noexcept {
  text = fitting(text, capacity - error_chunk_bytes_min);
  const auto payload = static_cast<std::uint32_t>(6 + text.size());
  store_error(encode_chunk_header(to, chunk_done, chunk::error, cookie, payload), e, text);
  return chunk_header_bytes + payload;
}

std::size_t encode_error_offset_chunk(std::byte* to, std::size_t capacity, std::uint64_t cookie, error e,
                                      std::string_view text, std::uint64_t offset, bool last) noexcept {
  text = fitting(text, capacity - error_chunk_bytes_min - 8);
  const auto payload = static_cast<std::uint32_t>(14 + text.size());
  store(store_error(encode_chunk_header(to, last ? chunk_done : 0, chunk::error_offset, cookie, payload), e, text),
        offset);
  return chunk_header_bytes + payload;
}

std::size_t encode_block_status(std::byte* to, std::uint64_t cookie, std::uint32_t context,
                                std::span<const extent> extents) noexcept {
  constexpr std::uint64_t longest = 0xffff0000; // a multiple of every block size the protocol allows
  std::byte* at = store(to + chunk_header_bytes, context);
  std::size_t count = 0;
  for (const extent& e : extents) {
    const bool fits = e.length_bytes <= 0xffffffff;
    at = store(at, static_cast<std::uint32_t>(fits ? e.length_bytes : longest));
    at = store(at, state_of(e));
    ++count;
    if (!fits)
      break;
  }
  encode_chunk_header(to, chunk_done, chunk::block_status, cookie, static_cast<std::uint32_t>(4 + 8 * count));
  return block_status_bytes(count);
}

namespace extended {

std::size_t encode_error_chunk(std::byte* to, std::size_t capacity, std::uint64_t cookie, std::uint64_t asked_at,
                               error e, std::string_view text) noexcept {
  text = fitting(text, capacity - error_chunk_bytes_min);
  const std::size_t payload = 6 + text.size();
  store_error(encode_chunk_header(to, chunk_done, chunk::error, cookie, asked_at, payload), e, text);
  return chunk_header_bytes + payload;
}

std::size_t encode_error_offset_chunk(std::byte* to, std::size_t capacity, std::uint64_t cookie,
                                      std::uint64_t asked_at, error e, std::string_view text, std::uint64_t offset,
                                      bool last) noexcept {
  text = fitting(text, capacity - error_chunk_bytes_min - 8);
  const std::size_t payload = 14 + text.size();
  store(store_error(encode_chunk_header(to, last ? chunk_done : 0, chunk::error_offset, cookie, asked_at, payload), e,
                    text),
        offset);
  return chunk_header_bytes + payload;
}

std::size_t encode_block_status(std::byte* to, std::uint64_t cookie, std::uint64_t asked_at, std::uint32_t context,
                                std::span<const extent> extents) noexcept {
  const std::size_t bytes = block_status_bytes(extents.size());
  std::byte* at =
      encode_chunk_header(to, chunk_done, chunk::block_status_extended, cookie, asked_at, bytes - chunk_header_bytes);
  at = store(at, context);
  at = store(at, static_cast<std::uint32_t>(extents.size()));
  for (const extent& e : extents) {
    at = store(at, e.length_bytes);
    at = store(at, std::uint64_t{state_of(e)});
  }
  return bytes;
}

} // namespace extended

} // namespace gnomon::io::nbd
