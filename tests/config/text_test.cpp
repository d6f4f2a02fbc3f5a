// Quoting what came from outside, and finding the word somebody meant.
#include "config/text.hpp"

#include <boost/test/unit_test.hpp>

#include <vector>

using gnomon::edit_distance;
using gnomon::nearest;
using gnomon::quote;

BOOST_AUTO_TEST_SUITE(text_test)

BOOST_AUTO_TEST_CASE(quoted_text_cannot_steer_a_terminal_or_break_a_log_line) {
  BOOST_TEST(quote("plain \xC3\xA9") == "\"plain \xC3\xA9\"");
  BOOST_TEST(quote("a\nb\x1b[31m") == R"("a\nb\u001b[31m")");
  BOOST_TEST(quote("\x7f\xC2\x9b") == R"("\u007f\u009b")");
  BOOST_TEST(quote("\xff") == "\"\xEF\xBF\xBD\"");
  BOOST_TEST(quote("\xC2") == "\"\xEF\xBF\xBD\"");
  BOOST_TEST(gnomon::printable("say \"hi\"") == R"(say \"hi\")");
}

BOOST_AUTO_TEST_CASE(long_text_is_cut_between_characters) {
  BOOST_TEST(quote("abcdef", 3) == "\"abc\"...");
  BOOST_TEST(quote("ab\xE2\x82\xAC", 4) == "\"ab\"..."); // not in the middle of the euro sign
  BOOST_TEST(gnomon::printable("abcdef", 3) == "abc...");
}

BOOST_AUTO_TEST_CASE(edits_are_counted_without_case_and_with_swaps) {
  struct row {
    const char *a, *b;
    std::size_t edits;
  };
  for (const auto& [a, b, edits] :
       {row{"", "", 0}, row{"", "abc", 3}, row{"size", "size", 0}, row{"Size", "sIZE", 0}, row{"sise", "size", 1},
        row{"szie", "size", 1}, row{"siz", "size", 1}, row{"kitten", "sitting", 3}, row{"abc", "xyz", 3}}) {
    BOOST_TEST(edit_distance(a, b) == edits, a << " -> " << b);
    BOOST_TEST(edit_distance(b, a) == edits, b << " -> " << a);
  }
}

BOOST_AUTO_TEST_CASE(words_too_long_to_be_meant_are_unrelated) {
  BOOST_TEST(edit_distance(std::string(1'000'000, 'a'), "size") == 1'000'000u);
}

BOOST_AUTO_TEST_CASE(the_nearest_candidate_is_found_unless_none_was_meant) {
  const std::vector<std::string_view> keys{"name", "size", "shared", "path", "read_only"};
  BOOST_TEST(nearest("shard", keys) == "shared");
  BOOST_TEST(nearest("readonly", keys) == "read_only");
  BOOST_TEST(nearest("Size", keys) == "size");
  BOOST_TEST(nearest("zzzz", keys) == "");
  BOOST_TEST(nearest("", keys) == "");
}

BOOST_AUTO_TEST_CASE(text_for_one_line_is_told_from_what_is_not) {
  for (const char* good : {"", "orders of the shop", "\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80", "a\"b\\c"})
    BOOST_TEST(is_printable_text(good), good);
  for (const char* bad : {"\x1b[31m", "a\nb", "\x7f", "\xc2\x9b", "\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80",
                          "\xe2\x80\xae", "\xe2\x80\xa8", "\xe2\x81\xa6"})
    BOOST_TEST(!is_printable_text(bad), quote(bad));
}

BOOST_AUTO_TEST_SUITE_END()
