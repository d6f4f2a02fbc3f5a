// Events as they come over HTTP: strict, all problems at once, and what is written reads back.
#include "config/event_json.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "config/times.hpp"

using namespace gnomon;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(event_json_test)
namespace {

const wall_time now{1'700'000'000s};
constexpr std::string_view good =
    R"({"type":"deployment","target":"volume:db","start":"2023-11-14T22:13:20Z","duration":"10m","note":"v42"})";

// "POINTER: NEAREST" of each problem.
std::vector<std::string> problems(std::string_view text) {
  std::vector<std::string> out;
  for (const auto& problem : parse_events(text, now).problems)
    out.push_back(problem.pointer + ": " + problem.suggestion);
  std::sort(out.begin(), out.end());
  return out;
}
using lines = std::vector<std::string>;

} // namespace

BOOST_AUTO_TEST_CASE(one_event_or_several) {
  const auto one = parse_events(good, now);
  BOOST_REQUIRE(one.ok());
  BOOST_TEST(!one.is_list);
  const event_notice expected{"deployment", {event_scope::volume, "db"}, now, 10min, "v42"};
  BOOST_TEST((one.events == std::vector{expected}));
  const auto two = parse_events(fmt::format("[{},{}]", good, good), now);
  BOOST_REQUIRE(two.ok());
  BOOST_TEST(two.is_list);
  BOOST_TEST((two.events == std::vector{expected, expected}));
  const auto relative = parse_events(R"({"type":"x","target":"everything","start":"in 2h","duration":"0s"})", now);
  BOOST_REQUIRE(relative.ok());
  BOOST_TEST((relative.events[0].start == now + 2h));
}

BOOST_AUTO_TEST_CASE(everything_that_is_wrong_is_said_at_once_with_pointers_and_what_was_meant) {
  BOOST_TEST((problems("{}") == lines{"/duration: ", "/start: ", "/target: ", "/type: "}));
  BOOST_TEST((problems(R"([{"typ":"a","target":"volume:db","start":"now","duration":"10 min"},7])") ==
              lines{"/0/duration: 10m", "/0/typ: type", "/1: "}));
  BOOST_TEST((problems(R"({"type":1,"target":"db","start":"2h","duration":600})") ==
              lines{"/duration: 600s", "/start: in 2h", "/target: volume:db", "/type: "}));
  BOOST_TEST((problems(R"({"type":"a","target":"volumes:db","start":"now","duration":"400d","note":null})") ==
              lines{"/duration: ", "/note: ", "/target: volume:db"}));
  BOOST_TEST((problems(R"({"type":"a","target":"volume:","start":"now","duration":"1m"})") == lines{"/target: "}));
  BOOST_TEST((problems(R"({"type":"a\u0007","target":"all","start":"now","duration":"1m"})") ==
              lines{"/target: everything", "/type: "}));
  for (const char* broken : {"", "{", "[]", "null", "7", "\"now\"", R"({"type":"a","type":"b"})", "{} {}", "[[]]",
                             R"({"type":"\ud800"})", "[[[[[[[[[[[[[[]]]]]]]]]]]]]]"})
    BOOST_TEST(!parse_events(broken, now).ok(), broken);
}

BOOST_AUTO_TEST_CASE(limits_hold) {
  const auto many = [](std::size_t count) {
    std::string text = "[";
    for (std::size_t i = 0; i < count; ++i)
      text += std::string(i ? "," : "") + std::string(good);
    return text + "]";
  };
  BOOST_TEST(parse_events(many(event_batch_max), now).ok());
  const auto over = parse_events(many(event_batch_max + 1), now);
  BOOST_TEST(!over.ok());
  BOOST_TEST(over.too_large);
  const auto huge = parse_events(std::string(events_body_bytes_max + 1, ' '), now);
  BOOST_TEST(huge.too_large);
  std::string bad = "[";
  for (int i = 0; i < 200; ++i)
    bad += std::string(i ? "," : "") + "{}";
  const auto wrong = parse_events(bad + "]", now);
  BOOST_TEST(wrong.problems.size() == event_problems_max);
  BOOST_TEST(wrong.problems_unlisted == 800 - event_problems_max);
}

BOOST_AUTO_TEST_CASE(what_is_written_reads_back) {
  calendar_event event{
      event_id{7}, {"b\u00e9ta", {event_scope::application, "the: shop"}, now, 90min, "n"}, event_source::http, now};
  auto written = event_to_json(event, now + 2h);
  BOOST_TEST(written["id"] == 7);
  BOOST_TEST(written["end"] == "2023-11-14T23:43:20Z");
  BOOST_TEST(written["past"] == true);
  BOOST_TEST(event_to_json(event, now + 1h)["past"] == false);
  for (const char* key : {"id", "end", "past", "source", "added"})
    written.erase(key);
  const auto back = parse_events(dump_json(written), now);
  BOOST_REQUIRE(back.ok());
  BOOST_TEST((back.events[0] == event.notice));
}

BOOST_AUTO_TEST_CASE(problems_as_json) {
  const auto parsed = parse_events(R"({"typ":"a"})", now);
  const auto body = event_errors_to_json(parsed.problems, 3);
  BOOST_TEST(body["errors"].size() == parsed.problems.size());
  BOOST_TEST(body["errors"][0]["pointer"] == "/typ");
  BOOST_TEST(body["errors"][0]["nearest"] == "type");
  BOOST_TEST(body["errors"][1]["nearest"].is_null());
  BOOST_TEST(body["unlisted"] == 3);
}

BOOST_AUTO_TEST_CASE(targets) {
  for (const char* text : {"volume:db", "instance:web-1", "application:a shop: two", "everything"}) {
    const auto target = parse_event_target(text);
    BOOST_REQUIRE_MESSAGE(target.has_value(), text);
    BOOST_TEST(target->to_string() == text);
    BOOST_TEST(suggest_event_target(text).empty());
  }
  for (const char* text : {"", "volume", "volume:", "everything:x", "Volume:db", "volume:a b", "instance:-x", ":db"})
    BOOST_TEST(!parse_event_target(text).has_value(), text);
  BOOST_TEST(suggest_event_target("Volume=db") == "volume:db");
  BOOST_TEST(suggest_event_target("aplication: shop") == "application:shop");
}

BOOST_AUTO_TEST_SUITE_END()
