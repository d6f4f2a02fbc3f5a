#include "config/times.hpp"

#include <random>

#include <boost/test/unit_test.hpp>

using namespace gnomon;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(times_test)
namespace {
const wall_time now{1'700'000'000s};
std::int64_t us(std::string_view text) {
  const auto time = parse_time(text, now);
  BOOST_REQUIRE_MESSAGE(time.has_value(), text << ": " << (time ? "" : time.error().message));
  return time->time_since_epoch().count();
}
} // namespace

BOOST_AUTO_TEST_CASE(calendar_times_with_their_zone) {
  BOOST_TEST(us("1970-01-01T00:00:00Z") == 0);
  BOOST_TEST(us("2023-11-14T22:13:20Z") == 1'700'000'000'000'000);
  BOOST_TEST(us("2023-11-14T22:13Z") == 1'699'999'980'000'000);
  BOOST_TEST(us("2023-11-14T23:13:20+01:00") == 1'700'000'000'000'000);
  BOOST_TEST(us("2023-11-14T18:43:20-03:30") == 1'700'000'000'000'000);
  BOOST_TEST(us("2023-11-14T22:13:20.000001Z") == 1'700'000'000'000'001);
  BOOST_TEST(us("2023-11-14T22:13:20.5Z") == 1'700'000'000'500'000);
  BOOST_TEST(us("2023-11-14T22:13:20.123456789Z") == 1'700'000'000'123'456);
  BOOST_TEST(us("2023-11-14T23:13:20.000001999+01:00") == 1'700'000'000'000'001);
  BOOST_TEST(us("2024-02-29T00:00Z") == 1'709'164'800'000'000);
  BOOST_TEST(us("9999-12-31T23:59:59.999999Z") == time_max.time_since_epoch().count());
}

BOOST_AUTO_TEST_CASE(times_relative_to_now) {
  BOOST_TEST(us("now") == 1'700'000'000'000'000);
  BOOST_TEST(us("in 2h") == 1'700'007'200'000'000);
  BOOST_TEST(us("90m ago") == 1'699'994'600'000'000);
  BOOST_TEST(us("in 0s") == 1'700'000'000'000'000);
}

BOOST_AUTO_TEST_CASE(what_is_no_time_is_refused) {
  for (const char* text : {"",
                           "2h",
                           "tomorrow",
                           "in",
                           "in ",
                           " ago",
                           "in 2h ago",
                           "2023-11-14",
                           "2023-11-14T22:13:20",
                           "2023-02-29T00:00Z",
                           "2023-13-01T00:00Z",
                           "2023-00-01T00:00Z",
                           "2023-01-00T00:00Z",
                           "2023-01-01T24:00Z",
                           "2023-01-01T00:60Z",
                           "2023-01-01T00:00:60Z",
                           "2023-01-01T00:00Zx",
                           "2023-01-01t00:00Z",
                           "2023-01-01 00:00Z",
                           "23-01-01T00:00Z",
                           "2023-01-01T00:00:00.Z",
                           "2023-01-01T00:00:00.1234567891Z",
                           "2023-01-01T00:00+1:00",
                           "2023-01-01T00:00+24:00",
                           "2023-01-01T00:00+0100",
                           "1969-12-31T23:59:59Z",
                           "1970-01-01T00:00+01:00",
                           "10000-01-01T00:00Z",
                           "9999-12-31T23:59:59.999999-00:01",
                           "+2023-01-01T00:00Z",
                           "-023-01-01T00:00Z",
                           "in 292000000000d",
                           "106751991d ago",
                           "in -2h",
                           "1700000000"}) {
    const auto time = parse_time(text, now);
    BOOST_TEST(!time.has_value(), "taken: " << text);
    if (!time)
      BOOST_TEST((time.error().code == errc::invalid_argument));
  }
  BOOST_TEST(!parse_time(std::string(10'000, '2'), now).has_value());
  BOOST_TEST(!parse_time(std::string("now\0", 4), now).has_value());
}

BOOST_AUTO_TEST_CASE(what_was_probably_meant) {
  BOOST_TEST(suggest_time("2h") == "in 2h");
  BOOST_TEST(suggest_time("-2 hours") == "2h ago");
  BOOST_TEST(suggest_time("2 hours ago") == "2h ago");
  BOOST_TEST(suggest_time("Now") == "now");
  BOOST_TEST(suggest_time("2023-11-14") == "2023-11-14T00:00:00Z");
  BOOST_TEST(suggest_time("2023-11-14 22:13:20") == "2023-11-14T22:13:20Z");
  BOOST_TEST(suggest_time("2023-11-14t22:13z") == "2023-11-14T22:13Z");
  BOOST_TEST(suggest_time("2023-11-14T22:13+01") == "2023-11-14T22:13+01:00");
  for (const char* none : {"now", "in 2h", "2023-11-14T22:13Z", "", "soon", "1700000000", "\xff\xff"})
    BOOST_TEST(suggest_time(none).empty(), none);
}

BOOST_AUTO_TEST_CASE(every_time_prints_and_reads_back) {
  std::mt19937_64 random(11);
  std::uniform_int_distribution<std::int64_t> any(0, time_max.time_since_epoch().count());
  for (int round = 0; round < 20'000; ++round) {
    const wall_time time{microseconds{round % 3 == 0 ? any(random) / 1'000'000 * 1'000'000 : any(random)}};
    const auto text = format_time(time);
    const auto back = parse_time(text, now);
    BOOST_REQUIRE_MESSAGE(back && *back == time, text);
  }
  BOOST_TEST(format_time(wall_time{1'700'000'000s}) == "2023-11-14T22:13:20Z");
  BOOST_TEST(format_time(wall_time{-1s}) == "1970-01-01T00:00:00Z");
  BOOST_TEST(format_time(wall_time::max()) == "9999-12-31T23:59:59.999999Z");
}

BOOST_AUTO_TEST_SUITE_END()
