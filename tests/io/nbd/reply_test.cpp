// The bytes of a reply in each form, read back as a client would read them.
#include "io/nbd/reply.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "tests/io/nbd/bytes.hpp"
#include "tests/support/seeded.hpp"

namespace gnomon::io {
static std::ostream& operator<<(std::ostream& out, reply_form form) { return out << static_cast<int>(form); }

BOOST_AUTO_TEST_SUITE(reply_test)
namespace {

constexpr std::uint64_t cookie = 0x0123456789abcdef;
constexpr std::uint64_t asked_at = 0x0000aabbccdd0000;
const reply_form chunked[] = {reply_form::structured, reply_form::extended};

// A request that is over, with room before its data like a buffer of the pool has.
struct finished {
  std::vector<std::byte> memory;
  nbd_request r;

  explicit finished(operation op, std::size_t data_bytes = 0, int error = 0)
      : memory(buffer_pool::headroom_bytes + data_bytes, std::byte{0x5a}) {
    r.cookie = cookie;
    r.asked_at = r.io.offset = asked_at;
    r.io.op = op;
    r.io.error = error;
    r.io.length = data_bytes;
    r.io.data = memory.data() + buffer_pool::headroom_bytes;
  }
  std::span<std::byte> data() { return {r.io.data, static_cast<std::size_t>(r.io.length)}; }
  wire gathered() const {
    wire all;
    for (std::uint32_t i = 0; i < r.piece_count; ++i) {
      const auto* bytes = static_cast<const std::byte*>(r.pieces[i].iov_base);
      all.bytes.insert(all.bytes.end(), bytes, bytes + r.pieces[i].iov_len);
    }
    return all;
  }
  wire encoded(reply_form form) {
    encode_reply(r, form);
    return gathered();
  }
};

// What a client makes of the reply to a read.
struct read_back {
  std::vector<std::byte> data;
  std::size_t chunks = 0, holes = 0;
};

read_back understand(const wire& w, reply_form form, std::size_t length) {
  const bool extended = form == reply_form::extended;
  const std::size_t header = extended ? nbd::extended::chunk_header_bytes : nbd::chunk_header_bytes;
  read_back got;
  got.data.assign(length, std::byte{0xee});
  std::size_t at = 0, told = 0;
  bool done = false;
  while (at < w.bytes.size()) {
    BOOST_REQUIRE(!done && w.bytes.size() - at >= header);
    const std::byte* bytes = w.bytes.data() + at;
    BOOST_REQUIRE_EQUAL(nbd::load<std::uint32_t>(bytes),
                        extended ? nbd::magic_extended_reply : nbd::magic_structured_reply);
    done = nbd::load<std::uint16_t>(bytes + 4) & nbd::chunk_done;
    const auto type = static_cast<nbd::chunk>(nbd::load<std::uint16_t>(bytes + 6));
    BOOST_REQUIRE_EQUAL(nbd::load<std::uint64_t>(bytes + 8), cookie);
    if (extended)
      BOOST_REQUIRE_EQUAL(nbd::load<std::uint64_t>(bytes + 16), asked_at);
    const std::size_t payload =
        extended ? nbd::load<std::uint64_t>(bytes + 24) : nbd::load<std::uint32_t>(bytes + 16);
    BOOST_REQUIRE(payload >= 8 && payload <= w.bytes.size() - at - header);
    const std::uint64_t offset = nbd::load<std::uint64_t>(bytes + header) - asked_at;
    const bool hole = type == nbd::chunk::offset_hole;
    BOOST_REQUIRE(hole || type == nbd::chunk::offset_data);
    const std::size_t n = hole ? nbd::load<std::uint32_t>(bytes + header + 8) : payload - 8;
    BOOST_REQUIRE(!hole || payload == 12);
    BOOST_REQUIRE(n > 0 && offset <= length && n <= length - offset);
    if (hole)
      std::fill_n(got.data.begin() + static_cast<std::ptrdiff_t>(offset), n, std::byte{0});
    else
      std::copy_n(bytes + header + 8, n, got.data.begin() + static_cast<std::ptrdiff_t>(offset));
    told += n;
    ++got.chunks;
    got.holes += hole;
    at += header + payload;
  }
  BOOST_REQUIRE(done);
  BOOST_REQUIRE_EQUAL(told, length); // with what was read back: each byte once
  return got;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_done_reply_in_each_form) {
  BOOST_TEST(finished(operation::write).encoded(reply_form::simple) == wire{}.u32(0x67446698).u32(0).u64(cookie));
  BOOST_TEST(finished(operation::flush).encoded(reply_form::structured) ==
             wire{}.u32(0x668e33ef).u16(1).u16(0).u64(cookie).u32(0));
  BOOST_TEST(finished(operation::trim).encoded(reply_form::extended) ==
             wire{}.u32(0x6e8a278c).u16(1).u16(0).u64(cookie).u64(asked_at).u64(0));
}

BOOST_AUTO_TEST_CASE(an_extended_reply_repeats_the_offset_that_was_sent_not_where_the_work_was_done) {
  finished flush(operation::flush);
  flush.r.io.offset = 0; // a flush has no place, whatever its client wrote there
  BOOST_TEST(flush.encoded(reply_form::extended) ==
             wire{}.u32(0x6e8a278c).u16(1).u16(0).u64(cookie).u64(asked_at).u64(0));
}

BOOST_AUTO_TEST_CASE(a_simple_read_is_one_piece) {
  finished read(operation::read, 3);
  BOOST_TEST(read.encoded(reply_form::simple) == wire{}.u32(0x67446698).u32(0).u64(cookie).text("ZZZ"));
  BOOST_TEST(read.r.piece_count == 1u);
}

#ifdef GNOMON_SANITIZED
constexpr int mixtures = 600; // a sanitizer is ten times as slow
#else
constexpr int mixtures = 3000;
#endif

BOOST_DATA_TEST_CASE(any_mixture_of_data_and_zeros_comes_out_as_it_went_in, boost::unit_test::data::make(chunked),
                     form) {
  test::random_source random(test::seed_for("any_mixture_of_data_and_zeros_comes_out_as_it_went_in"));
  constexpr std::size_t unit = granule_bytes;
  for (int i = 0; i < mixtures; ++i) {
    const std::size_t length = random.one_in(3) ? 1 + random.below(3 * unit) : unit * (1 + random.below(12));
    finished read(operation::read, length);
    for (std::size_t at = 0; at < length; at += unit)
      if (random.one_in(2))
        std::fill_n(read.data().begin() + static_cast<std::ptrdiff_t>(at), std::min(unit, length - at), std::byte{0});
    if (random.one_in(4)) // zeros that begin and end anywhere
      std::fill_n(read.data().begin() + static_cast<std::ptrdiff_t>(random.below(length)), 1, std::byte{0});
    read.r.dont_fragment = random.one_in(4);
    const std::vector<std::byte> before(read.data().begin(), read.data().end());
    const read_back got = understand(read.encoded(form), form, length);
    BOOST_REQUIRE(got.data == before);
    BOOST_REQUIRE(!read.r.dont_fragment || got.chunks == 1);
  }
}

BOOST_DATA_TEST_CASE(zeros_are_told_not_sent, boost::unit_test::data::make(chunked), form) {
  finished read(operation::read, 1 << 20);
  std::ranges::fill(read.data(), std::byte{0});
  const wire w = read.encoded(form);
  BOOST_TEST(w.bytes.size() < 100u);
  BOOST_TEST(understand(w, form, 1 << 20).holes == 1u);
}

BOOST_DATA_TEST_CASE(an_error_says_why, boost::unit_test::data::make(chunked), form) {
  finished read(operation::read, 4096, ENOSPC);
  const wire w = read.encoded(form);
  const std::string text = std::strerror(ENOSPC);
  const std::size_t header = form == reply_form::extended ? 32 : 20;
  BOOST_TEST(nbd::load<std::uint16_t>(w.bytes.data() + 6) == 0x8001);
  BOOST_TEST(nbd::load<std::uint32_t>(w.bytes.data() + header) == 28u);
  BOOST_TEST(nbd::load<std::uint16_t>(w.bytes.data() + header + 4) == text.size());
  BOOST_TEST(w.bytes.size() == header + 6 + text.size());
}

BOOST_DATA_TEST_CASE(long_texts_come_whole_up_to_the_limit_and_end_at_a_whole_character,
                     boost::unit_test::data::make(chunked), form) {
  const auto told = [form](const std::string& text) {
    finished read(operation::read);
    encode_error(read.r, form, nbd::error::inval, text);
    const wire w = read.gathered();
    const std::size_t header = form == reply_form::extended ? 32 : 20;
    const auto length = nbd::load<std::uint16_t>(w.bytes.data() + header + 4);
    BOOST_REQUIRE_EQUAL(w.bytes.size(), header + 6 + length);
    return std::string(reinterpret_cast<const char*>(w.bytes.data()) + header + 6, length);
  };
  for (const std::size_t n : {0u, 1u, 121u, 122u, 123u, 134u, 135u, 500u, 1023u, 1024u})
    BOOST_TEST(told(std::string(n, 'x')) == std::string(n, 'x'));
  std::string umlauts; // two bytes each, the last one across the limit
  for (int i = 0; i < 600; ++i)
    umlauts += "\xc3\xa4";
  const std::string shown = told("x" + umlauts);
  BOOST_TEST(shown.size() <= error_text_bytes_max + 12); // the compact header leaves a little more room
  BOOST_TEST(shown.size() >= error_text_bytes_max - 1);
  BOOST_TEST(nbd::is_string(shown));
  BOOST_TEST(shown == ("x" + umlauts).substr(0, shown.size()));
}

BOOST_AUTO_TEST_CASE(simple_errors_have_no_text) {
  finished write(operation::write, 0, EIO);
  BOOST_TEST(write.encoded(reply_form::simple) == wire{}.u32(0x67446698).u32(5).u64(cookie));
}

BOOST_AUTO_TEST_CASE(block_status_in_either_form) {
  finished status(operation::block_status);
  status.r.io.extents = {{8192, false, false}, {(1ull << 40), true, true}};
  BOOST_TEST(status.encoded(reply_form::structured) ==
             wire{}.u32(0x668e33ef).u16(1).u16(5).u64(cookie).u32(20).u32(1).u32(8192).u32(0).u32(0xffff0000).u32(3));
  status.r.piece_count = 0;
  BOOST_TEST(status.encoded(reply_form::extended) == wire{}
                                                         .u32(0x6e8a278c)
                                                         .u16(1)
                                                         .u16(6)
                                                         .u64(cookie)
                                                         .u64(asked_at)
                                                         .u64(40)
                                                         .u32(1)
                                                         .u32(2)
                                                         .u64(8192)
                                                         .u64(0)
                                                         .u64(1ull << 40)
                                                         .u64(3));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace gnomon::io
