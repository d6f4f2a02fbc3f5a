#include "io/session/frame.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "config/names.hpp"

namespace gnomon::io::session {

static_assert(std::endian::native == std::endian::little);

namespace {

struct body_bounds {
  std::size_t least, most;
};

constexpr body_bounds body_bounds_of(frame_type type) {
  switch (type) {
  case frame_type::hello:
    return {nonce_bytes + 1, nonce_bytes + node_name_length_max};
  case frame_type::challenge:
    return {nonce_bytes + proof_bytes + 1, nonce_bytes + proof_bytes + node_name_length_max};
  case frame_type::response:
    return {proof_bytes, proof_bytes};
  case frame_type::opened:
  case frame_type::refused:
  case frame_type::shadow_dropped:
    return {0, frame_text_bytes_max};
  case frame_type::volume:
    return {1, volume_name_length_max};
  case frame_type::directory:
    return {0, frame_body_bytes_max};
  default:
    return {0, 0};
  }
}

template <class Integer>
Integer take(const std::byte*& from) {
  Integer value;
  std::memcpy(&value, from, sizeof value);
  from += sizeof value;
  return value;
}

template <class Integer>
void put(std::vector<std::byte>& to, Integer value) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&value);
  to.insert(to.end(), bytes, bytes + sizeof value);
}

decoded bad(std::string_view why) {
  decoded d;
  d.what = decoded::outcome::bad;
  d.why = why;
  return d;
}

std::string_view check_fields(const frame& f) {
  if (f.run.first.value > granules_max || f.run.count > granules_max - f.run.first.value)
    return "a run of granules beyond the largest volume";
  if (f.lease < nanoseconds::zero())
    return "a negative lease";
  if (f.type == frame_type::directory && !f.bits.empty() && f.bits.size() != (f.run.count + 7) / 8)
    return "a directory piece whose bits do not match its run";
  if ((f.type == frame_type::hello || f.type == frame_type::challenge) && !parse_node_name(f.text))
    return "a node name that is none";
  if (f.type == frame_type::volume && !parse_volume_name(f.text))
    return "a volume name that is none";
  return {};
}

} // namespace

std::string_view to_string(frame_type type) noexcept {
  switch (type) {
  case frame_type::hello:
    return "hello";
  case frame_type::challenge:
    return "challenge";
  case frame_type::response:
    return "response";
  case frame_type::opened:
    return "opened";
  case frame_type::refused:
    return "refused";
  case frame_type::renew:
    return "renew";
  case frame_type::renewed:
    return "renewed";
  case frame_type::goodbye:
    return "goodbye";
  case frame_type::invalidate:
    return "invalidate";
  case frame_type::ack:
    return "ack";
  case frame_type::shadow_add:
    return "shadow_add";
  case frame_type::shadow_drop:
    return "shadow_drop";
  case frame_type::shadow_dropped:
    return "shadow_dropped";
  case frame_type::directory:
    return "directory";
  case frame_type::directory_end:
    return "directory_end";
  case frame_type::volume:
    return "volume";
  case frame_type::volume_gone:
    return "volume_gone";
  case frame_type::expect:
    return "expect";
  }
  return "unknown";
}

void encode(const frame& f, std::vector<std::byte>& to) {
  const auto bounds = body_bounds_of(f.type);
  const bool salted = f.type == frame_type::hello || f.type == frame_type::challenge;
  const bool proven = f.type == frame_type::challenge || f.type == frame_type::response;
  const std::size_t fixed = (salted ? nonce_bytes : 0) + (proven ? proof_bytes : 0);
  const std::size_t text = f.type == frame_type::directory ? 0 : std::min(f.text.size(), bounds.most - fixed);
  const std::size_t bits = f.type == frame_type::directory ? std::min(f.bits.size(), bounds.most) : 0;

  put(to, frame_magic);
  put(to, frame_version);
  put(to, static_cast<std::uint8_t>(f.type));
  put(to, static_cast<std::uint32_t>(fixed + text + bits));
  put(to, f.number);
  put(to, f.start.value);
  put(to, f.session.value);
  put(to, static_cast<std::int64_t>(f.lease.count()));
  const auto* uuid = reinterpret_cast<const std::byte*>(f.volume.bytes.data());
  to.insert(to.end(), uuid, uuid + f.volume.bytes.size());
  put(to, f.run.first.value);
  put(to, f.run.count);
  if (salted)
    to.insert(to.end(), f.salt.begin(), f.salt.end());
  if (proven)
    to.insert(to.end(), f.proven.begin(), f.proven.end());
  const auto* words = reinterpret_cast<const std::byte*>(f.text.data());
  to.insert(to.end(), words, words + text);
  to.insert(to.end(), f.bits.begin(), f.bits.begin() + static_cast<std::ptrdiff_t>(bits));
}

decoded decode(std::span<const std::byte> from) {
  if (from.size() < frame_head_bytes)
    return {};
  const std::byte* at = from.data();
  if (take<std::uint16_t>(at) != frame_magic)
    return bad("not a session frame");
  if (take<std::uint8_t>(at) != frame_version)
    return bad("another version of the session protocol");
  const auto type = take<std::uint8_t>(at);
  if (type == 0 || type > static_cast<std::uint8_t>(frame_type_last))
    return bad("an unknown type of frame");
  decoded d;
  frame& f = d.value;
  f.type = static_cast<frame_type>(type);
  const std::size_t body = take<std::uint32_t>(at);
  const auto bounds = body_bounds_of(f.type);
  if (body < bounds.least || body > bounds.most)
    return bad("a frame whose body has the wrong length");
  if (from.size() - frame_head_bytes < body)
    return {};
  f.number = take<std::uint64_t>(at);
  f.start.value = take<std::uint64_t>(at);
  f.session.value = take<std::uint64_t>(at);
  f.lease = nanoseconds{take<std::int64_t>(at)};
  std::memcpy(f.volume.bytes.data(), at, f.volume.bytes.size());
  at += f.volume.bytes.size();
  f.run.first.value = take<std::uint64_t>(at);
  f.run.count = take<std::uint64_t>(at);

  const std::byte* const end = from.data() + frame_head_bytes + body;
  if (f.type == frame_type::hello || f.type == frame_type::challenge) {
    std::memcpy(f.salt.data(), at, nonce_bytes);
    at += nonce_bytes;
  }
  if (f.type == frame_type::challenge || f.type == frame_type::response) {
    std::memcpy(f.proven.data(), at, proof_bytes);
    at += proof_bytes;
  }
  if (f.type == frame_type::directory)
    f.bits.assign(at, end);
  else
    f.text.assign(reinterpret_cast<const char*>(at), static_cast<std::size_t>(end - at));
  if (const auto why = check_fields(f); !why.empty())
    return bad(why);
  d.what = decoded::outcome::whole;
  d.bytes = frame_head_bytes + body;
  return d;
}

} // namespace gnomon::io::session
