#include "store/lmdb/codec.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/store/support.hpp"

using namespace gnomon;
using namespace gnomon::store;
using namespace gnomon::store::testing;

BOOST_AUTO_TEST_SUITE(codec_test)

BOOST_AUTO_TEST_CASE(fields_come_back_as_they_were) {
  field_writer w;
  w.u8(7);
  w.u16(0xabcd);
  w.u32(0xdeadbeef);
  w.u64(~0ull);
  w.i64(-5);
  w.boolean(true);
  w.string("text");
  for (const auto v : {0ull, 127ull, 128ull, 1ull << 63, ~0ull})
    w.varint(v);
  for (const auto v : {std::int64_t{0}, std::int64_t{-1}, INT64_MIN, INT64_MAX})
    w.zigzag(v);
  field_reader r(w.payload());
  BOOST_TEST(r.u8() == 7);
  BOOST_TEST(r.u16() == 0xabcd);
  BOOST_TEST(r.u32() == 0xdeadbeef);
  BOOST_TEST(r.u64() == ~0ull);
  BOOST_TEST(r.i64() == -5);
  BOOST_TEST(r.boolean());
  BOOST_TEST(r.string(4) == "text");
  for (const auto v : {0ull, 127ull, 128ull, 1ull << 63, ~0ull})
    BOOST_TEST(r.varint() == v);
  for (const auto v : {std::int64_t{0}, std::int64_t{-1}, INT64_MIN, INT64_MAX})
    BOOST_TEST(r.zigzag() == v);
  REQUIRE_OK(r.finish("fields"));
}

BOOST_AUTO_TEST_CASE(the_first_violation_sticks) {
  field_writer w;
  w.string("too long");
  w.u8(1);
  field_reader r(w.payload());
  BOOST_TEST(r.string(3).empty());
  BOOST_TEST(r.u8() == 0);
  CHECK_ERROR(r.finish("x"), errc::corrupt);

  field_writer endless;
  for (int i = 0; i < 11; ++i)
    endless.u8(0xff);
  field_reader r2(endless.payload());
  BOOST_TEST(r2.varint() == 0u);
  BOOST_TEST(!r2.ok());

  field_reader r3(as_bytes("\x02"));
  r3.boolean();
  BOOST_TEST(!r3.ok());

  field_reader left_over(as_bytes("ab"));
  left_over.u8();
  CHECK_ERROR(left_over.finish("x"), errc::corrupt);
}

BOOST_AUTO_TEST_CASE(a_value_opens_only_as_what_it_is) {
  const auto value = seal_value(value_type::test, 2, as_bytes("payload"));
  auto opened = open_value(value, value_type::test, 3, "key");
  REQUIRE_OK(opened);
  BOOST_TEST(opened->version == 2);
  BOOST_TEST(as_text(opened->payload) == "payload");
  CHECK_ERROR(open_value(value, value_type::volume, 3, "key"), errc::corrupt);
  auto newer = open_value(value, value_type::test, 1, "volume 17");
  CHECK_ERROR(newer, errc::unsupported);
  BOOST_TEST(newer.error().message.find("volume 17") != std::string::npos);
  CHECK_ERROR(open_value(seal_value(value_type::test, 0, {}), value_type::test, 1, "key"), errc::corrupt);
}

BOOST_AUTO_TEST_CASE(every_truncation_and_every_flipped_bit_is_noticed) {
  const auto value = seal_value(value_type::test, 1, as_bytes("some payload of a few bytes"));
  for (std::size_t length = 0; length < value.size(); ++length)
    CHECK_ERROR(open_value(bytes_view(value).first(length), value_type::test, 1, "key"), errc::corrupt);
  for (std::size_t bit = 0; bit < value.size() * 8; ++bit) {
    auto damaged = value;
    damaged[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    BOOST_TEST(!open_value(damaged, value_type::test, 1, "key").has_value());
  }
  auto longer = value;
  longer.push_back(std::byte{0});
  CHECK_ERROR(open_value(longer, value_type::test, 1, "key"), errc::corrupt);
}

BOOST_AUTO_TEST_CASE(hostile_bytes_are_errors_not_crashes) {
  auto random = seeded("hostile_bytes");
  for (int round = 0; round < 20'000; ++round) {
    bytes junk(below(random, 64));
    for (auto& b : junk)
      b = static_cast<std::byte>(random());
    BOOST_REQUIRE(!open_value(junk, value_type::test, 1, "junk").has_value());
    field_reader r(junk);
    for (int field = 0; field < 12; ++field)
      switch (below(random, 7)) {
      case 0:
        r.u64();
        break;
      case 1:
        r.varint();
        break;
      case 2:
        r.string(16);
        break;
      case 3:
        r.boolean();
        break;
      case 4:
        r.blob(1 << 30);
        break;
      case 5:
        r.zigzag();
        break;
      default:
        r.raw(below(random, 8));
      }
    BOOST_REQUIRE(r.remaining() <= junk.size());
  }
}

BOOST_AUTO_TEST_CASE(keys_sort_like_their_numbers) {
  auto random = seeded("keys_sort");
  for (int round = 0; round < 1000; ++round) {
    const auto a = random() >> below(random, 64), b = random() >> below(random, 64);
    std::string ka, kb;
    append_key_u64(ka, a);
    append_key_u64(kb, b);
    BOOST_REQUIRE((a < b) == (ka < kb));
    BOOST_REQUIRE(key_u64(ka, 0) == a);
  }
  BOOST_TEST(key_u64("short", 0) == 0u);
  BOOST_TEST(key_u32("abc", 2) == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
