#include "io/nbd/handshake.hpp"

#include <algorithm>
#include <string>

#include <boost/test/unit_test.hpp>

#include "tests/io/nbd/handshake_fixture.hpp"
#include "tests/support/seeded.hpp"

namespace gnomon::io {
BOOST_AUTO_TEST_SUITE(handshake_limits_test)
namespace {

using namespace test;
using enum handshake_outcome;

} // namespace

// --- limits

BOOST_AUTO_TEST_CASE(options_above_16_kib_are_passed_over_and_refused) {
  const wire just_fits = option(99, wire{}.zeroes(handshake::option_bytes_max));
  refused(just_fits, 99, unsupported);
  refused(option(99, wire{}.zeroes(handshake::option_bytes_max + 1)), 99, too_big);
  refused(go(std::string(65536, 'a')), 7, too_big);
}

BOOST_AUTO_TEST_CASE(a_mebibyte_of_junk_is_passed_over_without_being_held) {
  fake_exports exports;
  handshake h(exports, {});
  const wire junk(option(7, wire{}.zeroes(handshake::skipped_option_bytes_max)));
  const wire input = client_flags().then(junk).then(go("db"));
  std::vector<std::byte> output;
  std::size_t most = 0;
  auto outcome = need_more;
  std::span<const std::byte> left(input.bytes);
  while (!left.empty() && outcome == need_more) {
    auto part = left.first(std::min<std::size_t>(left.size(), 1400));
    left = left.subspan(part.size());
    outcome = h.consume(part, output);
    most = std::max(most, h.held_bytes());
  }
  BOOST_TEST(outcome == transmission);
  BOOST_TEST(replies_in({output}).at(0).type == too_big);
  BOOST_TEST(most <= 64u);
}

BOOST_AUTO_TEST_CASE(an_announced_length_costs_no_memory_and_an_absurd_one_ends_the_connection) {
  for (const std::uint32_t length : {handshake::skipped_option_bytes_max + 1, 0x7fffffffu, 0xffffffffu}) {
    const conversation c = talk(client_flags().u64(0x49484156454f5054).u32(7).u32(length));
    BOOST_TEST(c.outcome == close);
    BOOST_TEST(c.output.bytes.empty());
  }
  for (const std::uint32_t length : {handshake::option_bytes_max, handshake::skipped_option_bytes_max}) {
    fake_exports exports;
    handshake h(exports, {});
    const wire input = client_flags().u64(0x49484156454f5054).u32(7).u32(length).text("few");
    std::span<const std::byte> left(input.bytes);
    std::vector<std::byte> output;
    BOOST_TEST(h.consume(left, output) == need_more);
    BOOST_TEST(left.empty());
    BOOST_TEST(h.held_bytes() <= 64u);
  }
  BOOST_TEST(talk(client_flags().u64(0x49484156454f5054).u32(1).u32(4097)).outcome == close);
}

BOOST_AUTO_TEST_CASE(one_option_too_many_is_told_and_ends_the_connection) {
  wire input = client_flags();
  for (int i = 0; i < 10'000; ++i)
    input.then(option(99));
  const conversation c = talk(input, {64, false});
  BOOST_TEST(c.outcome == close);
  const auto all = replies_in(c.output);
  BOOST_REQUIRE(all.size() == 65u);
  BOOST_TEST(all[63].type == unsupported);
  BOOST_TEST(all[64].type == policy);
  wire enough = client_flags();
  for (int i = 0; i < 63; ++i)
    enough.then(option(99));
  BOOST_TEST(talk(enough.then(go("db")), {64, false}).outcome == transmission); // the 64th is served
}

BOOST_AUTO_TEST_CASE(a_client_that_lists_may_ask_about_each_export_and_no_more) {
  fake_exports exports;
  exports.listed.clear();
  for (int i = 0; i < 16'384; ++i)
    exports.listed.push_back({"volume-" + std::to_string(i), ""});
  handshake h(exports, {64, false});
  wire output;
  const auto send = [&](const wire& input) {
    std::span<const std::byte> left(input.bytes);
    return h.consume(left, output.bytes);
  };
  BOOST_TEST(send(client_flags().then(option(3)).then(option(3))) == need_more); // twice brings no more than once
  for (int i = 0; i < 16'384 * 3; ++i)
    BOOST_REQUIRE(send(option(99)) == need_more);
  BOOST_TEST(!h.too_many_options());
  wire rest;
  for (int i = 0; i < 16'384 + 63; ++i)
    rest.then(option(99));
  BOOST_TEST(send(rest) == close);
  BOOST_TEST(h.too_many_options());
}

BOOST_AUTO_TEST_CASE(a_list_of_10000_volumes_is_served_whole) {
  fake_exports exports;
  exports.listed.clear();
  for (int i = 0; i < 10'000; ++i)
    exports.listed.push_back({"volume-" + std::to_string(i), "number " + std::to_string(i)});
  handshake h(exports, {});
  const wire input = client_flags().then(option(3));
  std::span<const std::byte> left(input.bytes);
  wire output;
  BOOST_TEST(h.consume(left, output.bytes) == need_more);
  const auto all = replies_in(output);
  BOOST_REQUIRE(all.size() == 10'001u);
  BOOST_TEST(all[9999].data.substr(4) == "volume-9999number 9999");
  BOOST_TEST(all.back().type == 1u);
}

BOOST_AUTO_TEST_CASE(long_lists_lose_their_descriptions_then_are_refused_and_all_output_is_bounded) {
  const auto listed = [](std::size_t count, std::size_t description_bytes, int times) {
    fake_exports exports;
    exports.listed.assign(count, {std::string(128, 'n'), std::string(description_bytes, 'd')});
    handshake h(exports, {});
    wire input = client_flags();
    for (int i = 0; i < times; ++i)
      input.then(option(3));
    std::span<const std::byte> left(input.bytes);
    wire output;
    BOOST_TEST(h.consume(left, output.bytes) == need_more);
    BOOST_TEST(output.bytes.size() <= handshake::list_bytes_max + std::size_t(times) * handshake::reply_bytes_max);
    return replies_in(output);
  };
  const auto described = listed(10'000, 100, 1);
  BOOST_TEST(described.size() == 10'001u);
  BOOST_TEST(described[0].data.size() == 4u + 128 + 100);
  const auto bare = listed(20'000, 1000, 1);
  BOOST_TEST(bare.size() == 20'001u);
  BOOST_TEST(bare[0].data.size() == 4u + 128);
  BOOST_TEST(bare.back().type == 1u);
  const auto none = listed(40'000, 0, 1);
  BOOST_REQUIRE(none.size() == 1u);
  BOOST_TEST(none[0].type == too_big);
  const auto again = listed(20'000, 0, 60); // asking over and over does not multiply it
  BOOST_TEST(again.size() == 20'001u + 59);
  BOOST_TEST(again.back().type == too_big);
}

BOOST_AUTO_TEST_CASE(no_reply_exceeds_its_bound_whatever_the_directory_says) {
  fake_exports exports;
  const std::string huge(100'000, 'x');
  exports.exports["db"] = {huge, huge, db_bytes, false};
  exports.exports["db"].block_bytes_min = 512;
  wire input = client_flags();
  for (int i = 0; i < 63; ++i)
    input.then(option(6, info_data("db", {1, 2, 3})));
  const conversation c = fed(input, {}, {}, exports);
  BOOST_TEST(c.output.bytes.size() <= 63 * handshake::reply_bytes_max);
  for (const told& t : replies_in(c.output))
    BOOST_TEST(t.data.size() <= 4098u);
}

// --- anything at all

BOOST_AUTO_TEST_CASE(mutated_sessions_end_in_bounds_and_do_not_depend_on_how_they_are_cut) {
  random_source random(seed_for("mutated_sessions_end_in_bounds_and_do_not_depend_on_how_they_are_cut"));
  const wire good = client_flags()
                        .then(option(3))
                        .then(structured_replies())
                        .then(option(9, context_data("db", {"base:"})))
                        .then(set_contexts("db"))
                        .then(option(6, info_data("db", {1, 2, 3})))
                        .then(option(11))
                        .then(option(5))
                        .then(go("db", {3}))
                        .text("the first request");
  unsigned served = 0, dropped = 0;
  for (int round = 0; round < 20'000; ++round) {
    wire input = good;
    for (std::uint64_t n = 1 + random.below(8); n != 0; --n) {
      auto& b = input.bytes;
      const std::size_t at = random.below(b.size());
      const auto place = b.begin() + static_cast<std::ptrdiff_t>(at);
      switch (random.below(6)) {
      case 0:
        b[at] ^= std::byte{1} << static_cast<int>(random.below(8));
        break;
      case 1:
        b[at] = std::byte{0xff};
        break;
      case 2:
        b.erase(place,
                place + static_cast<std::ptrdiff_t>(1 + random.below(std::min<std::size_t>(40, b.size() - at))));
        break;
      case 3:
        b.insert(place, 1 + random.below(40), static_cast<std::byte>(random.below(256)));
        break;
      case 4: {
        const wire copy = input;
        const std::size_t from = random.below(copy.bytes.size());
        const std::size_t count = std::min<std::size_t>(copy.bytes.size() - from, 1 + random.below(60));
        b.insert(place, copy.bytes.begin() + static_cast<std::ptrdiff_t>(from),
                 copy.bytes.begin() + static_cast<std::ptrdiff_t>(from + count));
        break;
      }
      default:
        b.resize(at);
      }
      if (b.empty())
        b.push_back(std::byte{0});
    }
    const handshake_limits limits{8, random.one_in(2)};
    std::vector<std::size_t> cuts;
    for (std::size_t at = random.below(50); at < input.bytes.size(); at += random.below(50))
      cuts.push_back(at);
    const conversation whole = fed(input, {}, limits, {}), cut = fed(input, cuts, limits, {});
    BOOST_REQUIRE(same(whole, cut));
    BOOST_REQUIRE((whole.claims == 1) == (whole.outcome == transmission));
    BOOST_REQUIRE(whole.claims <= 1);
    BOOST_REQUIRE(whole.output.bytes.size() <= 9 * handshake::reply_bytes_max);
    served += whole.outcome == transmission;
    dropped += whole.outcome == close;
  }
  BOOST_TEST(served > 100u);
  BOOST_TEST(dropped > 100u);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace gnomon::io
