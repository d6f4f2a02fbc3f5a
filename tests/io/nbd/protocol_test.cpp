#include "io/nbd/protocol.hpp"

#include <array>
#include <cerrno>
#include <limits>
#include <string>

#include <boost/test/unit_test.hpp>

#include "tests/io/nbd/bytes.hpp"
#include "tests/support/seeded.hpp"

namespace gnomon::io {
namespace nbd {
static std::ostream& operator<<(std::ostream& out, error e) { return out << static_cast<std::uint32_t>(e); }
} // namespace nbd

BOOST_AUTO_TEST_SUITE(protocol_test)
namespace {

using nbd::command;

constexpr std::uint64_t volume_bytes = 1ull << 40;
constexpr std::uint64_t cookie = 0x0123456789abcdef;
constexpr auto u64_max = std::numeric_limits<std::uint64_t>::max();

nbd::export_limits structured() {
  nbd::export_limits limits;
  limits.size = volume_bytes;
  limits.structured_replies = true;
  limits.has_base_allocation = true;
  return limits;
}
nbd::export_limits extended() {
  nbd::export_limits limits = structured();
  limits.structured_replies = false;
  limits.extended_headers = true;
  return limits;
}

nbd::request make(command type, std::uint64_t offset, std::uint64_t length, std::uint16_t flags = 0) {
  return {flags, type, cookie, offset, length};
}
nbd::error refusal(const nbd::request& r, const nbd::export_limits& limits = structured()) {
  const nbd::verdict v = nbd::validate(r, limits);
  BOOST_TEST(v.text.empty() == (v.error == nbd::error::none)); // a refusal says why
  return v.error;
}

// What an encoder wrote into memory filled with 0xa5; what lies behind must be untouched.
template <class Encode>
wire encoded(Encode&& encode) {
  std::array<std::byte, 8192> memory;
  memory.fill(std::byte{0xa5});
  const std::size_t n = encode(memory.data());
  BOOST_REQUIRE(n <= memory.size());
  for (std::size_t i = n; i < memory.size(); ++i)
    if (memory[i] != std::byte{0xa5})
      BOOST_FAIL("wrote beyond its length at " << i);
  return {{memory.begin(), memory.begin() + static_cast<std::ptrdiff_t>(n)}};
}

} // namespace

// --- requests

BOOST_AUTO_TEST_CASE(a_request_header_is_read_field_by_field) {
  const wire w = wire{}.u32(0x25609513).u16(0x8001).u16(6).u64(cookie).u64(0x1122334455667788).u32(0xfffffe00);
  BOOST_TEST(w.bytes.size() == nbd::request_bytes);
  const auto r = nbd::decode_request(w.bytes.data());
  BOOST_REQUIRE(r.has_value());
  BOOST_TEST(r->flags == 0x8001);
  BOOST_TEST((r->type == command::write_zeroes));
  BOOST_TEST(r->cookie == cookie);
  BOOST_TEST(r->offset == 0x1122334455667788u);
  BOOST_TEST(r->length == 0xfffffe00u);
}

BOOST_AUTO_TEST_CASE(an_extended_request_header_has_a_64_bit_length) {
  const wire w = wire{}.u32(0x21e41c71).u16(0x20).u16(1).u64(cookie).u64(4096).u64(0x8877665544332211);
  BOOST_TEST(w.bytes.size() == nbd::extended_request_bytes);
  const auto r = nbd::decode_extended_request(w.bytes.data());
  BOOST_REQUIRE(r.has_value());
  BOOST_TEST(r->flags == nbd::flag_payload_length);
  BOOST_TEST((r->type == command::write));
  BOOST_TEST(r->cookie == cookie);
  BOOST_TEST(r->offset == 4096u);
  BOOST_TEST(r->length == 0x8877665544332211u);
}

BOOST_AUTO_TEST_CASE(each_header_takes_its_own_magic_only) {
  for (const std::uint64_t magic :
       {0x25609513ull, 0x21e41c71ull, 0x12560953ull, 0x13956025ull, 0ull, 0xdeadbeefull}) {
    const wire w = wire{}.u32(magic).zeroes(28);
    BOOST_TEST(nbd::decode_request(w.bytes.data()).has_value() == (magic == 0x25609513));
    BOOST_TEST(nbd::decode_extended_request(w.bytes.data()).has_value() == (magic == 0x21e41c71));
  }
}

BOOST_AUTO_TEST_CASE(a_request_without_faults_passes) {
  for (const auto& limits : {structured(), extended()}) {
    const auto payload = limits.extended_headers ? nbd::flag_payload_length : std::uint16_t{0};
    BOOST_TEST(refusal(make(command::read, 0, 512), limits) == nbd::error::none);
    BOOST_TEST(refusal(make(command::read, volume_bytes - 1, 1), limits) == nbd::error::none);
    BOOST_TEST(refusal(make(command::read, 0, 32 << 20, nbd::flag_dont_fragment), limits) == nbd::error::none);
    BOOST_TEST(refusal(make(command::write, 4096, 32 << 20, payload | nbd::flag_fua), limits) == nbd::error::none);
    BOOST_TEST(refusal(make(command::flush, 0, 0), limits) == nbd::error::none);
    BOOST_TEST(refusal(make(command::disconnect, 0, 0), limits) == nbd::error::none);
    BOOST_TEST(refusal(make(command::trim, 0, 0xffffffff, nbd::flag_fua), limits) == nbd::error::none);
    BOOST_TEST(refusal(make(command::cache, 0, 0xffffffff), limits) == nbd::error::none);
    BOOST_TEST(
        refusal(make(command::write_zeroes, 0, 0xfffff000, nbd::flag_fua | nbd::flag_no_hole | nbd::flag_fast_zero),
                limits) == nbd::error::none);
    BOOST_TEST(refusal(make(command::block_status, 0, 0xffffffff, nbd::flag_request_one), limits) ==
               nbd::error::none);
  }
  BOOST_TEST(refusal(make(command::write_zeroes, 0, volume_bytes), extended()) == nbd::error::none);
}

BOOST_AUTO_TEST_CASE(unknown_commands_are_invalid_and_leave_the_stream_in_step) {
  for (const std::uint32_t type : {8u, 9u, 100u, 255u, 32768u, 65535u}) {
    const nbd::verdict v = nbd::validate(make(static_cast<command>(type), 0, 512), structured());
    BOOST_TEST(v.error == nbd::error::inval);
    BOOST_TEST(!v.drop);
    BOOST_TEST(v.skip_bytes == 0u);
  }
}

BOOST_AUTO_TEST_CASE(each_command_takes_only_the_flags_that_belong_to_it) {
  const std::array<std::uint16_t, 8> allowed{nbd::flag_fua | nbd::flag_dont_fragment,
                                             nbd::flag_fua,
                                             0xffff,
                                             nbd::flag_fua,
                                             nbd::flag_fua,
                                             nbd::flag_fua,
                                             nbd::flag_fua | nbd::flag_no_hole | nbd::flag_fast_zero,
                                             nbd::flag_fua | nbd::flag_request_one};
  for (std::uint16_t type = 0; type < 8; ++type)
    for (unsigned bit = 0; bit < 16; ++bit) {
      const auto flag = static_cast<std::uint16_t>(1u << bit);
      const nbd::error expected = allowed[type] & flag ? nbd::error::none : nbd::error::inval;
      BOOST_TEST_INFO("command " << type << " flag bit " << bit);
      BOOST_TEST(refusal(make(static_cast<command>(type), 0, 4096, flag)) == expected);
    }
}

BOOST_AUTO_TEST_CASE(what_was_not_agreed_on_is_refused) {
  nbd::export_limits simple = structured();
  simple.structured_replies = simple.has_base_allocation = false;
  BOOST_TEST(refusal(make(command::read, 0, 512, nbd::flag_dont_fragment), simple) == nbd::error::inval);
  BOOST_TEST(refusal(make(command::block_status, 0, 512), simple) == nbd::error::inval);
  nbd::export_limits without = structured();
  without.transmission_flags = nbd::has_flags;
  BOOST_TEST(refusal(make(command::read, 0, 512), without) == nbd::error::none);
  BOOST_TEST(refusal(make(command::write, 0, 512), without) == nbd::error::none);
  BOOST_TEST(refusal(make(command::write, 0, 512, nbd::flag_fua), without) == nbd::error::inval);
  for (const command type : {command::flush, command::trim, command::cache, command::write_zeroes})
    BOOST_TEST(refusal(make(type, 0, 512), without) == nbd::error::inval);
  nbd::export_limits slow = structured();
  slow.transmission_flags &= static_cast<std::uint16_t>(~nbd::send_fast_zero);
  BOOST_TEST(refusal(make(command::write_zeroes, 0, 512), slow) == nbd::error::none);
  BOOST_TEST(refusal(make(command::write_zeroes, 0, 512, nbd::flag_fast_zero), slow) == nbd::error::inval);
}

BOOST_AUTO_TEST_CASE(a_read_only_export_permits_no_change_however_it_became_so) {
  nbd::export_limits by_now = structured(), from_the_start = structured();
  by_now.read_only = true;
  from_the_start.transmission_flags = nbd::has_flags | nbd::is_read_only | nbd::send_flush | nbd::send_cache;
  for (const auto& limits : {by_now, from_the_start}) {
    for (const command type : {command::write, command::trim, command::write_zeroes})
      BOOST_TEST(refusal(make(type, 0, 512), limits) == nbd::error::perm);
    for (const command type : {command::read, command::flush, command::cache, command::block_status})
      BOOST_TEST(refusal(make(type, 0, 512), limits) == nbd::error::none);
  }
  BOOST_TEST(nbd::validate(make(command::write, 0, 512), by_now).skip_bytes == 512u);
}

BOOST_AUTO_TEST_CASE(nothing_reaches_beyond_the_end_and_no_sum_wraps) {
  const std::array<std::pair<std::uint64_t, std::uint64_t>, 9> ranges{{{volume_bytes, 1},
                                                                       {volume_bytes - 256, 512},
                                                                       {volume_bytes + 1, 1},
                                                                       {1ull << 62, 512},
                                                                       {(1ull << 63) - 1, 1},
                                                                       {u64_max - 511, 1024},
                                                                       {u64_max, 1},
                                                                       {u64_max, 0xffffffff},
                                                                       {volume_bytes - 1, 2}}};
  for (const auto& [offset, length] : ranges) {
    BOOST_TEST_INFO("offset " << offset << " length " << length);
    for (const command type : {command::trim, command::cache, command::block_status})
      BOOST_TEST(refusal(make(type, offset, length)) == nbd::error::inval);
    BOOST_TEST(refusal(make(command::write_zeroes, offset, length)) == nbd::error::nospc);
    if (length > nbd::payload_bytes_max)
      continue;
    BOOST_TEST(refusal(make(command::read, offset, length)) == nbd::error::inval);
    BOOST_TEST(refusal(make(command::write, offset, length)) == nbd::error::nospc);
  }
  for (const std::uint64_t length : {u64_max, u64_max - 4095, volume_bytes + 1})
    for (const command type : {command::trim, command::cache, command::block_status})
      BOOST_TEST(refusal(make(type, 4096, length), extended()) == nbd::error::inval);
}

BOOST_AUTO_TEST_CASE(zero_length_is_refused_where_a_length_means_something) {
  for (const command type :
       {command::read, command::write, command::trim, command::cache, command::write_zeroes, command::block_status})
    BOOST_TEST(refusal(make(type, 0, 0)) == nbd::error::inval);
  BOOST_TEST(refusal(make(command::flush, 0, 0)) == nbd::error::none);
}

BOOST_AUTO_TEST_CASE(a_minimum_block_size_is_enforced_on_both_ends) {
  nbd::export_limits limits = structured();
  limits.block_bytes_min = 512;
  BOOST_TEST(refusal(make(command::read, 512, 1024), limits) == nbd::error::none);
  BOOST_TEST(refusal(make(command::read, 511, 1024), limits) == nbd::error::inval);
  BOOST_TEST(refusal(make(command::write, 512, 1), limits) == nbd::error::inval);
  BOOST_TEST(refusal(make(command::flush, 0, 0), limits) == nbd::error::none);
}

BOOST_AUTO_TEST_CASE(a_read_above_the_maximum_payload_is_refused_and_the_connection_lives) {
  for (const std::uint64_t length : {std::uint64_t{nbd::payload_bytes_max} + 1, std::uint64_t{0xffffffff}}) {
    const nbd::verdict v = nbd::validate(make(command::read, 0, length), structured());
    BOOST_TEST(v.error == nbd::error::inval);
    BOOST_TEST(!v.drop);
    BOOST_TEST(v.skip_bytes == 0u);
  }
}

BOOST_AUTO_TEST_CASE(a_refused_write_is_skipped_while_that_is_reasonable_else_the_connection_ends) {
  const auto judge = [](std::uint64_t length) {
    return nbd::validate(make(command::write, 0, length), structured());
  };
  BOOST_TEST(judge(nbd::payload_bytes_max + 1ull).error == nbd::error::inval);
  BOOST_TEST(judge(nbd::payload_bytes_max + 1ull).skip_bytes == nbd::payload_bytes_max + 1ull);
  BOOST_TEST(!judge(nbd::skipped_payload_bytes_max).drop);
  BOOST_TEST(judge(nbd::skipped_payload_bytes_max + 1ull).drop);
  BOOST_TEST(judge(0xffffffff).drop);
  BOOST_TEST(!judge(4096).drop);
  BOOST_TEST(judge(4096).skip_bytes == 0u); // accepted: its payload is to be written, not skipped
}

BOOST_AUTO_TEST_CASE(under_extended_headers_the_flag_alone_says_whether_a_payload_follows) {
  // A write that does not announce its payload may or may not be followed by one: taking it for requests is not an
  // option.
  const nbd::verdict silent = nbd::validate(make(command::write, 0, 4096), extended());
  BOOST_TEST(silent.error == nbd::error::inval);
  BOOST_TEST(silent.drop);
  for (const command type : {command::read, command::flush, command::block_status, static_cast<command>(77)}) {
    const nbd::verdict v = nbd::validate(make(type, 0, 4096, nbd::flag_payload_length), extended());
    BOOST_TEST(v.error == nbd::error::inval);
    BOOST_TEST(!v.drop);
    BOOST_TEST(v.skip_bytes == 4096u);
  }
  BOOST_TEST(nbd::validate(make(command::read, 0, (32ull << 20) + 1, nbd::flag_payload_length), extended()).drop);
  BOOST_TEST(nbd::validate(make(command::write, 0, u64_max, nbd::flag_payload_length), extended()).drop);
  BOOST_TEST(refusal(make(command::write, 0, 512, nbd::flag_payload_length), structured()) == nbd::error::inval);
  // no payload, any length: refused, nothing to skip
  const nbd::verdict longer = nbd::validate(make(command::trim, 0, u64_max), extended());
  BOOST_TEST(!longer.drop);
  BOOST_TEST(longer.skip_bytes == 0u);
}

BOOST_AUTO_TEST_CASE(a_block_status_may_say_in_a_payload_which_context_it_is_about) {
  nbd::export_limits limits = extended();
  const auto asked = [&](std::uint64_t payload) {
    return make(command::block_status, 4096, payload, nbd::flag_payload_length | nbd::flag_request_one);
  };
  BOOST_TEST(!nbd::carries_filter(asked(12), limits)); // not offered
  BOOST_TEST(nbd::validate(asked(12), limits).skip_bytes == 12u);
  limits.transmission_flags |= nbd::block_status_payload;
  BOOST_TEST(nbd::carries_filter(asked(12), limits));
  BOOST_TEST(!nbd::carries_filter(make(command::block_status, 4096, 12), limits)); // a range of 12 bytes
  BOOST_TEST(!nbd::carries_filter(make(command::read, 4096, 12, nbd::flag_payload_length), limits));
  for (const std::uint64_t payload : {0ull, 4ull, 8ull, 11ull, 13ull, 16ull, 20ull}) { // none, or one twice
    BOOST_TEST(!nbd::carries_filter(asked(payload), limits));
    BOOST_TEST(refusal(asked(payload), limits) == nbd::error::inval);
    BOOST_TEST(nbd::validate(asked(payload), limits).skip_bytes == payload);
  }
  const auto filtered = [&](std::uint64_t length, std::uint32_t id) {
    nbd::request r = asked(12);
    nbd::apply_filter(r, wire{}.u64(length).u32(id).bytes.data());
    return r;
  };
  const nbd::request good = filtered(volume_bytes - 4096, 1);
  BOOST_TEST(good.length == volume_bytes - 4096);
  BOOST_TEST(good.flags == nbd::flag_request_one);
  BOOST_TEST(refusal(good, limits) == nbd::error::none);
  BOOST_TEST(refusal(filtered(volume_bytes, 1), limits) == nbd::error::inval);
  BOOST_TEST(refusal(filtered(0, 1), limits) == nbd::error::inval);
  BOOST_TEST(refusal(filtered(u64_max, 1), limits) == nbd::error::inval);
  for (const std::uint32_t id : {0u, 2u, 0xffffffffu}) {
    BOOST_TEST(refusal(filtered(4096, id), limits) == nbd::error::inval);
    BOOST_TEST(nbd::validate(filtered(4096, id), limits).skip_bytes == 0u); // it has been taken
  }
}

BOOST_AUTO_TEST_CASE(whatever_passes_lies_inside_the_export_and_the_limits) {
  test::random_source random(test::seed_for("whatever_passes_lies_inside_the_export_and_the_limits"));
  constexpr std::uint64_t edges[] = {0,        1,          511,          512,        4096,   1 << 20,
                                     32 << 20, 0xffffffff, volume_bytes, 1ull << 63, u64_max};
  const auto any = [&] {
    return random.one_in(4) ? random.below(u64_max) : edges[random.below(std::size(edges))] + random.below(3) - 1;
  };
  const auto any_flags = [&] { return static_cast<std::uint16_t>(random.below(1 << 16)); };
  std::uint64_t passed = 0;
  for (int i = 0; i < 200'000; ++i) {
    nbd::export_limits limits = random.one_in(2) ? structured() : extended();
    limits.size = any();
    limits.read_only = random.one_in(4);
    limits.block_bytes_min = 1u << random.below(17);
    limits.transmission_flags = any_flags();
    nbd::request r = make(static_cast<command>(random.below(10)), any(), any(),
                          random.one_in(2) ? 0 : static_cast<std::uint16_t>(any_flags() & any_flags() & any_flags()));
    if (!limits.extended_headers)
      r.length &= 0xffffffff;
    const nbd::verdict v = nbd::validate(r, limits);
    BOOST_REQUIRE(v.text.empty() == (v.error == nbd::error::none));
    if (v.error != nbd::error::none) {
      BOOST_REQUIRE(v.drop || v.skip_bytes == nbd::payload_bytes(r, limits));
      BOOST_REQUIRE(v.drop || v.skip_bytes <= nbd::skipped_payload_bytes_max);
      continue;
    }
    ++passed;
    BOOST_REQUIRE(!v.drop && v.skip_bytes == 0);
    BOOST_REQUIRE(static_cast<unsigned>(r.type) < 8);
    if (r.type == command::flush || r.type == command::disconnect)
      continue;
    BOOST_REQUIRE(r.length > 0 && r.length <= limits.size && r.offset <= limits.size - r.length);
    BOOST_REQUIRE(r.offset % limits.block_bytes_min == 0 && r.length % limits.block_bytes_min == 0);
    if (r.type == command::read || r.type == command::write)
      BOOST_REQUIRE(r.length <= nbd::payload_bytes_max);
    if (r.type == command::write || r.type == command::trim || r.type == command::write_zeroes)
      BOOST_REQUIRE(!limits.read_only);
  }
  BOOST_TEST(passed > 1000u); // the check does not refuse everything
}

// --- errors and strings

BOOST_AUTO_TEST_CASE(errno_becomes_the_error_numbers_of_the_protocol) {
  const std::pair<int, std::uint32_t> table[] = {
      {0, 0},           {EPERM, 1},   {EACCES, 1},  {EROFS, 1},     {EIO, 5},        {ENOMEM, 12},
      {EINVAL, 22},     {ENOSPC, 28}, {EDQUOT, 28}, {EFBIG, 28},    {EOVERFLOW, 75}, {EOPNOTSUPP, 95},
      {ESHUTDOWN, 108}, {ENOENT, 5},  {EBADF, 5},   {ETIMEDOUT, 5}, {-1, 5}};
  for (const auto& [from, to] : table)
    BOOST_TEST(static_cast<std::uint32_t>(nbd::error_from_errno(from)) == to);
}

BOOST_AUTO_TEST_CASE(strings_are_utf8_without_nul_of_at_most_4096_bytes) {
  using namespace std::string_view_literals;
  for (const auto good :
       {""sv, "db"sv, "größe"sv, "数据"sv, "\xf0\x9f\x98\x80"sv, "\xf4\x8f\xbf\xbf"sv, "\xed\x9f\xbf"sv,
        "\xee\x80\x80"sv, "\x7f"sv, "\xc2\x80"sv, "\xe0\xa0\x80"sv, "\xf0\x90\x80\x80"sv})
    BOOST_TEST(nbd::is_string(good), good);
  for (const auto bad :
       {"\0"sv, "a\0b"sv, "\xff\xfe\xfd"sv, "\x80"sv, "\xc0\xaf"sv, "\xc1\xbf"sv, "\xc3"sv, "\xe0\x80\x80"sv,
        "\xe0\x9f\xbf"sv, "\xed\xa0\x80"sv, "\xed\xbf\xbf"sv, "\xf0\x8f\xbf\xbf"sv, "\xf4\x90\x80\x80"sv,
        "\xf5\x80\x80\x80"sv, "\xf0\x9f\x98"sv, "\xe6\x95"sv, "a\xc3("sv, "\xe6\x95\xc3"sv})
    BOOST_TEST(!nbd::is_string(bad));
  BOOST_TEST(nbd::is_string(std::string(4096, 'a')));
  BOOST_TEST(!nbd::is_string(std::string(4097, 'a')));
}

// --- replies

BOOST_AUTO_TEST_CASE(simple_replies_are_16_bytes) {
  BOOST_TEST(encoded([](std::byte* to) { return nbd::encode_simple(to, nbd::error::none, cookie); }) ==
             wire{}.u32(0x67446698).u32(0).u64(cookie));
  BOOST_TEST(encoded([](std::byte* to) { return nbd::encode_simple(to, nbd::error::nospc, cookie); }) ==
             wire{}.u32(0x67446698).u32(28).u64(cookie));
}

BOOST_AUTO_TEST_CASE(structured_chunks_are_byte_exact) {
  const std::uint64_t at = 0x0000001122334455;
  BOOST_TEST(encoded([](std::byte* to) { return nbd::encode_done(to, cookie); }) ==
             wire{}.u32(0x668e33ef).u16(1).u16(0).u64(cookie).u32(0));
  BOOST_TEST(encoded([&](std::byte* to) { return nbd::encode_data_header(to, cookie, at, 4096, false); }) ==
             wire{}.u32(0x668e33ef).u16(0).u16(1).u64(cookie).u32(4104).u64(at));
  BOOST_TEST(encoded([&](std::byte* to) { return nbd::encode_data_header(to, cookie, at, 1, true); }) ==
             wire{}.u32(0x668e33ef).u16(1).u16(1).u64(cookie).u32(9).u64(at));
  BOOST_TEST(encoded([&](std::byte* to) { return nbd::encode_hole(to, cookie, at, 65536, true); }) ==
             wire{}.u32(0x668e33ef).u16(1).u16(2).u64(cookie).u32(12).u64(at).u32(65536));
  BOOST_TEST(encoded([](std::byte* to) {
               return nbd::encode_error_chunk(to, 160, cookie, nbd::error::io, "disk");
             }) == wire{}.u32(0x668e33ef).u16(1).u16(0x8001).u64(cookie).u32(10).u32(5).u16(4).text("disk"));
  BOOST_TEST(encoded([&](std::byte* to) {
               return nbd::encode_error_offset_chunk(to, 160, cookie, nbd::error::io, "disk", at, false);
             }) == wire{}.u32(0x668e33ef).u16(0).u16(0x8002).u64(cookie).u32(18).u32(5).u16(4).text("disk").u64(at));
}

BOOST_AUTO_TEST_CASE(extended_chunks_repeat_the_offset_of_the_request) {
  using namespace nbd::extended;
  const std::uint64_t asked = 0x99, at = 0x1099;
  const auto header = [&](unsigned flags, unsigned type, std::uint64_t payload) {
    return wire{}.u32(0x6e8a278c).u16(flags).u16(type).u64(cookie).u64(asked).u64(payload);
  };
  BOOST_TEST(encoded([&](std::byte* to) { return encode_done(to, cookie, asked); }) == header(1, 0, 0));
  BOOST_TEST(encoded([&](std::byte* to) { return encode_data_header(to, cookie, asked, at, 4096, false); }) ==
             header(0, 1, 4104).u64(at));
  BOOST_TEST(encoded([&](std::byte* to) { return encode_hole(to, cookie, asked, at, 512, true); }) ==
             header(1, 2, 12).u64(at).u32(512));
  BOOST_TEST(encoded([&](std::byte* to) {
               return encode_error_chunk(to, 160, cookie, asked, nbd::error::inval, "no");
             }) == header(1, 0x8001, 8).u32(22).u16(2).text("no"));
  BOOST_TEST(encoded([&](std::byte* to) {
               return encode_error_offset_chunk(to, 160, cookie, asked, nbd::error::io, "no", at, true);
             }) == header(1, 0x8002, 16).u32(5).u16(2).text("no").u64(at));
  const std::array<extent, 2> extents{{{6ull << 32, true, true}, {4096, false, false}}};
  BOOST_TEST(encoded([&](std::byte* to) { return encode_block_status(to, cookie, asked, 1, extents); }) ==
             header(1, 6, 8 + 32).u32(1).u32(2).u64(6ull << 32).u64(3).u64(4096).u64(0));
}

BOOST_AUTO_TEST_CASE(error_text_is_cut_to_the_room_there_is_and_never_inside_a_character) {
  const std::string text = "größe"; // 7 bytes: g r ö(2) ß(2) e
  for (std::size_t capacity = nbd::error_chunk_bytes_min; capacity < 40; ++capacity) {
    const wire w =
        encoded([&](std::byte* to) { return nbd::encode_error_chunk(to, capacity, cookie, nbd::error::io, text); });
    BOOST_TEST(w.bytes.size() <= capacity);
    const auto length = nbd::load<std::uint16_t>(w.bytes.data() + 24);
    BOOST_TEST(w.bytes.size() == nbd::error_chunk_bytes_min + length);
    BOOST_TEST(nbd::is_string({reinterpret_cast<const char*>(w.bytes.data()) + 26, length}));
  }
  const wire full = encoded([&](std::byte* to) {
    return nbd::encode_error_chunk(to, 8192, cookie, nbd::error::io, std::string(6000, 'x'));
  });
  BOOST_TEST(full.bytes.size() == nbd::error_chunk_bytes_min + 4096);
}

BOOST_AUTO_TEST_CASE(block_status_lists_extents_with_their_state) {
  const std::array<extent, 3> extents{{{4096, false, false}, {65536, true, true}, {512, false, true}}};
  BOOST_TEST(encoded([&](std::byte* to) { return nbd::encode_block_status(to, cookie, 7, extents); }) ==
             wire{}
                 .u32(0x668e33ef)
                 .u16(1)
                 .u16(5)
                 .u64(cookie)
                 .u32(4 + 24)
                 .u32(7)
                 .u32(4096)
                 .u32(0)
                 .u32(65536)
                 .u32(3)
                 .u32(512)
                 .u32(2));
}

BOOST_AUTO_TEST_CASE(an_extent_beyond_32_bits_is_reported_shorter_and_ends_the_compact_reply) {
  const std::array<extent, 3> extents{{{512, false, false}, {1ull << 32, true, true}, {4096, false, false}}};
  BOOST_TEST(
      encoded([&](std::byte* to) { return nbd::encode_block_status(to, cookie, 1, extents); }) ==
      wire{}.u32(0x668e33ef).u16(1).u16(5).u64(cookie).u32(4 + 16).u32(1).u32(512).u32(0).u32(0xffff0000).u32(3));
  const std::array<extent, 1> longest{{{0xffffffff, true, true}}};
  BOOST_TEST(encoded([&](std::byte* to) { return nbd::encode_block_status(to, cookie, 1, longest); }) ==
             wire{}.u32(0x668e33ef).u16(1).u16(5).u64(cookie).u32(4 + 8).u32(1).u32(0xffffffff).u32(3));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace gnomon::io
