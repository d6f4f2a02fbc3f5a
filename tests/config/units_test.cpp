// One spelling per quantity, the way there and back is exact, and mistakes get the spelling that was meant.
#include "config/units.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <limits>
#include <random>

using namespace gnomon;
using std::chrono::microseconds;

BOOST_AUTO_TEST_SUITE(units_test)
namespace {

// GNOMON_TEST_SEED reruns a failure.
std::uint64_t test_seed() {
  const char* given = std::getenv("GNOMON_TEST_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  BOOST_TEST_MESSAGE("GNOMON_TEST_SEED=" << seed);
  return seed;
}

struct refused {
  std::string text, meant;
};

} // namespace

BOOST_AUTO_TEST_CASE(sizes_are_whole_numbers_of_1024_based_units) {
  struct row {
    std::string text;
    std::uint64_t bytes;
  };
  for (const auto& [text, bytes] :
       {row{"0B", 0}, row{"1B", 1}, row{"512KiB", 512ull << 10}, row{"64MiB", 64ull << 20}, row{"8GiB", 8ull << 30},
        row{"2TiB", 2ull << 40}, row{"1PiB", 1ull << 50}, row{"18446744073709551615B", ~0ull}}) {
    BOOST_TEST_CONTEXT(text) {
      BOOST_REQUIRE(parse_size(text));
      BOOST_TEST(parse_size(text)->value == bytes);
      BOOST_TEST(format_size(byte_count{bytes}) == text);
      BOOST_TEST(suggest_size(text) == "");
    }
  }
  BOOST_TEST(parse_size("1024KiB")->value == 1ull << 20);
  BOOST_TEST(format_size(byte_count{3ull << 29}) == "1536MiB");
}

BOOST_AUTO_TEST_CASE(other_spellings_of_sizes_are_refused_with_the_right_one) {
  const refused table[] = {{"1G", "1GiB"},
                           {"1 GiB", "1GiB"},
                           {"1gib", "1GiB"},
                           {"64MB", "64MiB"},
                           {"1 gig", "1GiB"},
                           {"1.5GiB", "1536MiB"},
                           {"4096", "4096B"},
                           {"010KiB", "10KiB"},
                           {"1_024MiB", "1024MiB"},
                           {"1,024MiB", "1024MiB"},
                           {"", ""},
                           {"GiB", ""},
                           {"-1GiB", ""},
                           {"+1GiB", ""},
                           {"1GiBx", ""},
                           {"0.3B", ""},
                           {"1..5GiB", ""},
                           {"0x10B", ""},
                           {"1e3B", ""},
                           {"nan", ""},
                           {"1EiB", ""},
                           {std::string(5000, '1') + "B", ""}};
  for (const auto& [text, meant] : table) {
    BOOST_TEST_CONTEXT(text) {
      const auto parsed = parse_size(text);
      BOOST_REQUIRE(!parsed);
      BOOST_TEST((parsed.error().code == errc::invalid_argument));
      BOOST_TEST(suggest_size(text) == meant);
      if (!meant.empty())
        BOOST_TEST(parsed.error().message.ends_with("did you mean \"" + meant + "\"?"));
    }
  }
}

BOOST_AUTO_TEST_CASE(sizes_and_durations_that_overflow_are_refused) {
  for (const std::string text :
       {"18446744073709551616B", "18014398509481984KiB", "16384PiB", "99999999999999999999999PiB"})
    BOOST_TEST(!parse_size(text), text);
  BOOST_TEST(parse_size("16383PiB").has_value());
  for (const std::string text : {"9223372036854775808us", "106751992d", "99999999999999999999999s"})
    BOOST_TEST(!parse_duration(text), text);
  BOOST_TEST(parse_duration("9223372036854775807us")->count() == std::numeric_limits<std::int64_t>::max());
}

BOOST_AUTO_TEST_CASE(durations_are_whole_numbers_of_one_unit) {
  struct row {
    std::string text;
    std::int64_t us;
  };
  for (const auto& [text, us] : {row{"0s", 0}, row{"250us", 250}, row{"5ms", 5'000}, row{"5s", 5'000'000},
                                 row{"5m", 300'000'000}, row{"23h", 82'800'000'000}, row{"30d", 2'592'000'000'000}}) {
    BOOST_TEST_CONTEXT(text) {
      BOOST_REQUIRE(parse_duration(text));
      BOOST_TEST(parse_duration(text)->count() == us);
      BOOST_TEST(format_duration(microseconds{us}) == text);
      BOOST_TEST(suggest_duration(text) == "");
    }
  }
  BOOST_TEST((*parse_duration("24h") == *parse_duration("1d")));
  BOOST_TEST(format_duration(microseconds{90 * 60'000'000ll}) == "90m");
  BOOST_TEST(format_duration(microseconds{-1500}) == "-1500us");
  BOOST_TEST(format_duration(microseconds::min()) == "-9223372036854775808us");
}

BOOST_AUTO_TEST_CASE(other_spellings_of_durations_are_refused_with_the_right_one) {
  const refused table[] = {{"5", "5s"},
                           {"5 s", "5s"},
                           {"5sec", "5s"},
                           {"5min", "5m"},
                           {"1.5h", "90m"},
                           {"2 weeks", "14d"},
                           {"10Minutes", "10m"},
                           {"3\xC2\xB5s", "3us"},
                           {"5M", "5m"},
                           {"007s", "7s"},
                           {"", ""},
                           {"s", ""},
                           {"-5s", ""},
                           {"5y", ""},
                           {"1h30m", ""},
                           {"0.1us", ""}};
  for (const auto& [text, meant] : table) {
    BOOST_TEST_CONTEXT(text) {
      const auto parsed = parse_duration(text);
      BOOST_REQUIRE(!parsed);
      BOOST_TEST(suggest_duration(text) == meant);
      if (!meant.empty())
        BOOST_TEST(parsed.error().message.ends_with("did you mean \"" + meant + "\"?"));
    }
  }
}

BOOST_AUTO_TEST_CASE(percentages_are_the_nearest_fraction) {
  struct row {
    std::string text;
    double fraction;
  };
  for (const auto& [text, fraction] :
       {row{"0%", 0}, row{"30%", 0.3}, row{"7%", 0.07}, row{"12.5%", 0.125}, row{"100%", 1}, row{"250%", 2.5},
        row{"0.1%", 0.001}, row{"0.07%", 0.0007}, row{"33.3%", 0.333}}) {
    BOOST_TEST_CONTEXT(text) {
      BOOST_REQUIRE(parse_percentage(text));
      BOOST_TEST((*parse_percentage(text) == fraction));
      BOOST_TEST(format_percentage(fraction) == text);
    }
  }
  BOOST_TEST(format_percentage(std::numeric_limits<double>::quiet_NaN()) == "0%");
  BOOST_TEST(format_percentage(-1) == "0%");
  const refused table[] = {{"30", "30%"}, {"30 %", "30%"}, {"0.3", "0.3%"}, {"", ""},     {"%", ""},    {"-1%", ""},
                           {".5%", ""},   {"5.%", ""},     {"05%", ""},     {"1e2%", ""}, {"nan%", ""}, {"1%%", ""}};
  for (const auto& [text, meant] : table) {
    BOOST_TEST(!parse_percentage(text), text);
    BOOST_TEST(suggest_percentage(text) == meant, text);
  }
}

BOOST_AUTO_TEST_CASE(what_is_printed_parses_back_to_the_same_value) {
  std::mt19937_64 random(test_seed());
  for (int i = 0; i < 200'000; ++i) {
    // Bits at random places, so that every unit is met.
    const std::uint64_t bits = random() >> (random() % 64), shifted = bits << (random() % 64);
    for (const auto value : {bits, shifted}) {
      BOOST_REQUIRE(parse_size(format_size(byte_count{value})) == byte_count{value});
      const microseconds duration(static_cast<std::int64_t>(value >> 1));
      BOOST_REQUIRE(parse_duration(format_duration(duration)) == duration);
    }
    const auto whole = static_cast<std::int64_t>(random() % 100'000);
    const microseconds unit(
        std::array<std::int64_t, 5>{1'000, 1'000'000, 60'000'000, 3'600'000'000, 86'400'000'000}[random() % 5]);
    BOOST_REQUIRE(parse_duration(format_duration(whole * unit)) == whole * unit);

    const std::string percentage =
        std::to_string(random() % 1'000) + '.' + std::to_string(random() % 1'000'000'000'000) + '%';
    const auto fraction = parse_percentage(percentage);
    BOOST_REQUIRE_MESSAGE(fraction, percentage);
    BOOST_REQUIRE_MESSAGE(parse_percentage(format_percentage(*fraction)) == *fraction, percentage);
  }
}

BOOST_AUTO_TEST_SUITE_END()
