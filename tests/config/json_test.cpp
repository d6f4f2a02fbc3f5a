// What the strict JSON reader lets in, what it refuses and where it says the mistake is.
#include "config/json.hpp"

#include <boost/test/unit_test.hpp>

using gnomon::dump_json;
using gnomon::errc;
using gnomon::json;
using gnomon::json_style;
using gnomon::parse_json;

BOOST_AUTO_TEST_SUITE(json_test)

BOOST_AUTO_TEST_CASE(a_document_keeps_its_values_and_the_order_of_its_keys) {
  const std::string text = R"({"z":1,"a":[true,false,null,-7,2.5,"x\n\u00e9"],"m":{"k":18446744073709551615,"":{}}})";
  const auto parsed = parse_json(text);
  BOOST_REQUIRE(parsed);
  BOOST_TEST(dump_json(*parsed) ==
             R"({"z":1,"a":[true,false,null,-7,2.5,"x\né"],"m":{"k":18446744073709551615,"":{}}})");
  BOOST_TEST(dump_json(*parse_json(dump_json(*parsed, json_style::pretty))) == dump_json(*parsed));
}

BOOST_AUTO_TEST_CASE(a_scalar_is_a_document_and_a_byte_order_mark_is_skipped) {
  BOOST_TEST(parse_json(" 7 ")->get<int>() == 7);
  BOOST_TEST(parse_json("\xEF\xBB\xBF{}")->is_object());
}

BOOST_AUTO_TEST_CASE(what_is_not_strict_json_is_refused_with_its_line_and_column) {
  struct refusal {
    std::string text, where, what;
  };
  const refusal table[] = {
      {"", "line 1, column 1:", "unexpected end of input"},
      {"{\n  \"a\": 1,\n  \"b\": 2,\n  \"a\": 3\n}", "line 4, column 3:", "'a' appears twice"},
      {"{\"a\\\"\": 1, \"a\\\"\": 2}", "line 1, column 12:", "appears twice"},
      {"{\"\\u0061\": 1, \"a\": 2}", "line 1, column 15:", "'a' appears twice"},
      {"{} {}", "line 1, column 4:", "expected end of input"},
      {"{}\n]", "line 2, column 1:", "expected end of input"},
      {"[1,]", "line 1, column 4:", "unexpected ']'"},
      {"{\"a\":1,}", "line 1, column 8:", "object key"},
      {"{'a':1}", "line 1, column 2:", "invalid literal"},
      {"[01]", "line 1, column 3:", "number literal"},
      {"[+1]", "line 1, column 2:", "invalid literal"},
      {"[NaN]", "line 1, column 2:", "invalid literal"},
      {"[Infinity]", "line 1, column 2:", "invalid literal"},
      {"[\n 1e999]", "line 2, column", "number overflow"},
      {"[-1e999]", "line 1, column", "number overflow"},
      {"// note\n{}", "line 1, column 1:", "comments are not JSON"},
      {"{\n  /* note */ \"a\": 1}", "line 2, column 3:", "comments are not JSON"},
      {"\"\xff\"", "line 1, column 2:", "ill-formed UTF-8"},
      {"\"\xc0\xaf\"", "line 1, column 2:", "ill-formed UTF-8"},
      {"\"\xed\xa0\x80\"", "line 1, column 3:", "ill-formed UTF-8"},
      {"\"\\ud800\"", "line 1, column", "surrogate"},
      {"\"a\tb\"", "line 1, column 3:", "control character"},
      {std::string("{}\0{}", 5), "line 1, column 3:", "NUL byte"},
      {std::string("{\n\"a\":\0 1}", 10), "line 2, column 5:", "NUL byte"},
      {"[1, 2", "line 1, column 6:", "unexpected end of input"},
  };
  for (const auto& [text, where, what] : table) {
    const auto parsed = parse_json(text);
    BOOST_TEST_CONTEXT(text) {
      BOOST_REQUIRE(!parsed);
      BOOST_TEST((parsed.error().code == errc::invalid_argument));
      BOOST_TEST(parsed.error().message.starts_with(where), parsed.error().message);
      BOOST_TEST((parsed.error().message.find(what) != std::string::npos), parsed.error().message);
      BOOST_TEST((parsed.error().message.find("json.exception") == std::string::npos), parsed.error().message);
    }
  }
}

BOOST_AUTO_TEST_CASE(depth_is_limited_to_64_levels) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  BOOST_TEST(parse_json(nested(64)).has_value());
  const auto refused = parse_json(nested(65));
  BOOST_REQUIRE(!refused);
  BOOST_TEST(refused.error().message == "line 1, column 65: more than 64 levels of objects and arrays");
  BOOST_TEST(!parse_json(std::string(1u << 20, '[')));
}

BOOST_AUTO_TEST_CASE(size_is_limited_to_4_mib) {
  const std::string fits = '"' + std::string((4u << 20) - 2, 'x') + '"';
  BOOST_TEST(parse_json(fits).has_value());
  const auto refused = parse_json(fits + ' ');
  BOOST_REQUIRE(!refused);
  BOOST_TEST((refused.error().code == errc::limit_reached));
  BOOST_TEST(!parse_json("[1]", {.bytes_max = 2}));
}

BOOST_AUTO_TEST_CASE(an_object_of_very_many_keys_is_read_in_linear_time) {
  // With a builder that compares every key with all before it this takes hours, and ctest's own limit ends it.
  std::string text = "{";
  for (int i = 0; i < 300'000; ++i)
    text += (i ? ",\"" : "\"") + std::to_string(i) + "\":0";
  const auto parsed = parse_json(text + "}");
  BOOST_REQUIRE(parsed);
  BOOST_TEST(parsed->size() == 300'000u);
}

BOOST_AUTO_TEST_CASE(dumping_never_throws_on_invalid_utf8_or_non_finite_numbers) {
  const json value = {{"text", "a\xff z"}, {"number", std::numeric_limits<double>::infinity()}};
  BOOST_TEST(dump_json(value) == "{\"text\":\"a\xEF\xBF\xBD z\",\"number\":null}");
}

BOOST_AUTO_TEST_CASE(json_pointers_escape_what_rfc_6901_says) {
  BOOST_TEST(gnomon::json_pointer_child("/volumes/0", "a/b~c") == "/volumes/0/a~1b~0c");
}

BOOST_AUTO_TEST_SUITE_END()
