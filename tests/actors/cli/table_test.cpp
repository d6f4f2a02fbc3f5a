// Tables fit a terminal: the details move below their row, the widest texts lose their middle, numbers never do.
#include "actors/cli/terminal/terminal.hpp"

#include <sstream>

#include <boost/test/unit_test.hpp>

using namespace gnomon::actors::cli;

BOOST_AUTO_TEST_SUITE(table_test)
namespace {

std::size_t widest_line(const std::string& text) {
  std::size_t widest = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    widest = std::max(widest, display_width(line));
  return widest;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_narrow_table_is_left_alone) {
  table t({{"NAME"}, {"SIZE", table::align::right}, {""}});
  t.row({"db", "8GiB", "fine"});
  BOOST_TEST(t.to_string() == "NAME  SIZE\ndb    8GiB  fine\n");
}

BOOST_AUTO_TEST_CASE(a_wide_one_fits_and_keeps_numbers_and_details) {
  table t({{"ID", table::align::right}, {"INSTANCE"}, {"PEER"}, {"REQUESTS", table::align::right}, {""}});
  const std::string number(20, '7'), problem = "the data plane has not opened it because the disk does not answer any more";
  t.row({number, "anonymous:unix:/run/gnomon/a/very/long/path/to/nbd.sock", "unix:pid=4242,uid=1000", number, problem});
  const auto text = t.to_string();
  BOOST_TEST(widest_line(text) <= 80u);
  BOOST_TEST(text.find(number) != std::string::npos);
  BOOST_TEST(text.find("anonym") != std::string::npos);
  BOOST_TEST(text.find("…") != std::string::npos);
  BOOST_TEST(text.find("does not answer") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(texts_of_other_alphabets_are_cut_between_their_letters) {
  table t({{"NAME"}});
  std::string name;
  for (int i = 0; i < 100; ++i)
    name += "ü";
  t.row({name});
  BOOST_TEST(widest_line(t.to_string()) == 80u);
  BOOST_TEST(t.to_string().find("ü…ü") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
