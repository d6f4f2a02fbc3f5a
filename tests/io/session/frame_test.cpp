// Session frames survive their codec, in pieces too; what is none is refused.
#include <boost/test/unit_test.hpp>

#include "io/session/frame.hpp"
#include "tests/support/seeded.hpp"

using namespace gnomon;
using namespace gnomon::io::session;

namespace {

frame any_frame(gnomon::io::test::random_source& random) {
  frame f;
  f.type = static_cast<frame_type>(1 + random.below(static_cast<unsigned>(frame_type_last)));
  f.number = random.below(~std::uint64_t{0});
  f.start.value = random.below(~std::uint64_t{0});
  f.session.value = random.below(~std::uint64_t{0});
  f.lease = nanoseconds{static_cast<std::int64_t>(random.below(1ull << 60))};
  for (auto& b : f.volume.bytes)
    b = static_cast<std::uint8_t>(random.below(256));
  f.run.first.value = random.below(granules_max);
  f.run.count = random.below(granules_max - f.run.first.value + 1);
  const bool salted = f.type == frame_type::hello || f.type == frame_type::challenge;
  if (salted) {
    f.salt.fill(static_cast<std::byte>(random.below(256)));
    f.text = "node-" + std::to_string(random.below(1000));
  }
  if (f.type == frame_type::challenge || f.type == frame_type::response)
    f.proven.fill(static_cast<std::byte>(random.below(256)));
  if (f.type == frame_type::volume)
    f.text = "db";
  if (f.type == frame_type::refused || f.type == frame_type::shadow_dropped)
    f.text = std::string(random.below(frame_text_bytes_max + 1), 'x');
  if (f.type == frame_type::directory && random.one_in(2)) {
    f.run = {granule_index{random.below(1000)}, 1 + random.below(directory_bits_max)};
    f.bits.assign((f.run.count + 7) / 8, static_cast<std::byte>(random.below(256)));
  }
  return f;
}

} // namespace

BOOST_AUTO_TEST_SUITE(frame_test)

BOOST_AUTO_TEST_CASE(frames_in_a_stream_come_out_as_they_went_in) {
  gnomon::io::test::random_source random{gnomon::io::test::seed_for("frame")};
  std::vector<frame> sent;
  std::vector<std::byte> bytes;
  for (int i = 0; i < 2000; ++i) {
    sent.push_back(any_frame(random));
    encode(sent.back(), bytes);
  }
  std::span<const std::byte> left = bytes;
  for (const auto& f : sent) {
    const auto d = decode(left);
    BOOST_REQUIRE(d.what == decoded::outcome::whole);
    BOOST_REQUIRE(d.value == f);
    for (const std::size_t cut : {std::size_t{0}, std::size_t{1}, frame_head_bytes, d.bytes - 1})
      if (cut < d.bytes)
        BOOST_REQUIRE(decode(left.first(cut)).what == decoded::outcome::incomplete);
    left = left.subspan(d.bytes);
  }
  BOOST_CHECK(left.empty());
}

BOOST_AUTO_TEST_CASE(what_is_no_frame_is_refused) {
  frame f;
  f.type = frame_type::invalidate;
  f.run = {granule_index{7}, 9};
  const auto spoilt = [&](std::size_t at, std::uint8_t value) {
    std::vector<std::byte> bytes;
    encode(f, bytes);
    bytes[at] = static_cast<std::byte>(value);
    return decode(bytes).what;
  };
  BOOST_CHECK(spoilt(0, 0) == decoded::outcome::bad);    // magic
  BOOST_CHECK(spoilt(2, 99) == decoded::outcome::bad);   // version
  BOOST_CHECK(spoilt(3, 0) == decoded::outcome::bad);    // type
  BOOST_CHECK(spoilt(3, 200) == decoded::outcome::bad);  // type
  BOOST_CHECK(spoilt(4, 1) == decoded::outcome::bad);    // a body where there is none
  BOOST_CHECK(spoilt(63, 255) == decoded::outcome::bad); // a run beyond every volume
  f.type = frame_type::hello;
  f.text = "no/name";
  BOOST_CHECK(spoilt(0, 0x47) == decoded::outcome::bad);
}

BOOST_AUTO_TEST_SUITE_END()
