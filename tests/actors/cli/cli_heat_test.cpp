// The heat map as operators and programs read it: what is drawn where, what fits, what is said when there is nothing.
#include "actors/cli/view/heat_view.hpp"

#include <boost/test/unit_test.hpp>

#include "actors/cli/grammar/command.hpp"
#include "actors/cli/shell/completion.hpp"
#include "actors/cli/terminal/terminal.hpp"
#include "actors/cli/view/json_output.hpp"
#include "config/json.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::actors::cli;

BOOST_AUTO_TEST_SUITE(cli_heat_test)
namespace {
constexpr std::int64_t second_us = 1'000'000;
constexpr std::int64_t noon_us = 1'772'366'400 * second_us; // 2026-03-01 12:00:00 UTC

// 4 rows of 16 chunks each, 32 columns of one minute; one hot cell, one that is barely warm.
heat_view some_view() {
  heat_view v;
  v.name = volume_name("db");
  v.size = byte_count{1ull << 30};
  v.chunk_size = byte_count{16ull << 20};
  v.chunk_count = 64, v.known_chunks = 2;
  v.from_us = noon_us, v.to_us = noon_us + 32 * 60 * second_us;
  v.rows = 4, v.columns = 32;
  v.chart.assign(std::size_t{4} * 32, 0.0);
  v.chart[1 * 32 + 5] = 10'000;
  v.chart[3 * 32 + 31] = 1;
  v.requests = 10'001, v.bytes = 10'001 * 4096.0;
  v.kinds = {{"rising", 1}, {"rare", 1}, {"cold", 0}};
  v.hottest = {{chunk_index{20}, "rising", 30.0, 5.0, 0.1, 20'480.0, 0.25, v.to_us - 90 * second_us}};
  v.localities = {{instance_id("web-1"), 9000.0, 0.9, {chunk_index{20}, chunk_index{63}}},
                  {instance_id(), 1001.0, 0.1, {chunk_index{63}}}};
  v.hot_sets = {{300 * second_us, "learned", 0.87, 12.0, {{chunk_index{20}, 4096.0 * 100, 100.0, false}}},
                {7200 * second_us, "recent", 0.0, 0.0, {}}};
  return v;
}
std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t from = 0, end = 0; (end = text.find('\n', from)) != std::string::npos; from = end + 1)
    lines.push_back(text.substr(from, end - from));
  return lines;
}
std::string without_escapes(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\033')
      i = text.find('m', i);
    else
      out += text[i];
  }
  return out;
}
} // namespace

BOOST_AUTO_TEST_CASE(levels_are_logarithmic_and_only_nothing_is_nothing) {
  BOOST_TEST(heat_level(0, 100, 9) == 0u);
  BOOST_TEST(heat_level(-1, 100, 9) == 0u);
  BOOST_TEST(heat_level(1e-9, 100, 9) == 1u);
  BOOST_TEST(heat_level(100, 100, 9) == 9u);
  BOOST_TEST(heat_level(1e300, 100, 9) == 9u);
  BOOST_TEST(heat_level(9, 99, 4) == 2u); // a tenth is halfway
  BOOST_TEST(heat_level(5, 0, 9) == 0u);
  std::size_t before = 0;
  for (double requests = 0.1; requests <= 1e6; requests *= 1.5) {
    const auto level = heat_level(requests, 1e6, 12);
    BOOST_TEST(level >= before);
    before = level;
  }
  BOOST_TEST(before >= 11u);
}

BOOST_AUTO_TEST_CASE(a_cell_is_drawn_where_it_belongs) {
  const auto lines = lines_of(heat_text(some_view(), {80, ink::ascii}));
  std::vector<std::string> rows;
  for (const auto& line : lines)
    if (line.size() > 10 && line[10] == '|')
      rows.push_back(line.substr(11));
  BOOST_REQUIRE(rows.size() == 4u);
  BOOST_TEST(rows[0].empty());
  BOOST_TEST(rows[1] == std::string(5, ' ') + '@');
  BOOST_TEST(rows[2].empty());
  BOOST_TEST(rows[3] == std::string(31, ' ') + '.');
}

BOOST_AUTO_TEST_CASE(axes_say_where_and_when) {
  const auto text = heat_text(some_view(), {80, ink::shades});
  for (const auto* part :
       {"       0B ┤", "   512MiB ┤", "12:00", "12:16", "└┬───────────────┬", "2026-03-01 12:00:00 UTC",
        "10.0k requests in 1m00s of 256MiB", "64 chunks of 16MiB, 2 seen"})
    BOOST_TEST(text.find(part) != std::string::npos, part << " is missing in\n" << text);
}

BOOST_AUTO_TEST_CASE(colour_puts_two_rows_in_a_line_and_ends_every_line_plain) {
  const auto text = heat_text(some_view(), {80, ink::colour});
  std::size_t drawn = 0;
  for (const auto& line : lines_of(text)) {
    if (line.find("▀") == std::string::npos)
      continue;
    ++drawn;
    BOOST_TEST(line.ends_with("\033[0m"));
    BOOST_TEST(display_width(without_escapes(line)) == 11u + 32u);
  }
  BOOST_TEST(drawn == 2u);
  auto odd = some_view(); // the last line has an upper half only
  odd.rows = 3;
  odd.chart.resize(std::size_t{3} * 32);
  BOOST_TEST(heat_text(odd, {80, ink::colour}).find("\033[49m") != std::string::npos);
  for (const auto with : {ink::ascii, ink::shades})
    BOOST_TEST(heat_text(some_view(), {80, with}).find('\033') == std::string::npos);
}

BOOST_AUTO_TEST_CASE(ascii_is_ascii) {
  for (const char c : heat_text(some_view(), {80, ink::ascii}))
    BOOST_TEST((c == '\n' || (c >= 32 && c < 127)));
}

BOOST_AUTO_TEST_CASE(tables_name_chunks_instances_and_predictions) {
  const auto text = heat_text(some_view(), {100, ink::shades});
  for (const auto* part : {"▲ rising", "320MiB", "20KiB", "25%", "1m30s ago", "web-1", "anonymous", "20 63",
                           "learned", "87%", "not known yet", "none", "5m00s", "2h00m", "1 rising, 1 rare\n"})
    BOOST_TEST(text.find(part) != std::string::npos, part << " is missing in\n" << text);
}

BOOST_AUTO_TEST_CASE(nothing_is_wider_than_the_terminal) {
  auto v = some_view();
  for (std::uint64_t chunk = 0; chunk < 400; ++chunk) {
    v.localities[0].chunks.push_back(chunk_index{1'000'000 + chunk});
    v.hot_sets[0].chunks.push_back({chunk_index{1'000'000 + chunk}, 1.0, 1.0, false});
  }
  for (const std::size_t width : {80u, 100u, 132u, 250u}) {
    v.columns = heat_columns(width);
    v.chart.assign(std::size_t{v.rows} * v.columns, 3.0);
    for (const auto with : {ink::ascii, ink::shades, ink::colour})
      for (const auto& line : lines_of(heat_text(v, {width, with})))
        BOOST_TEST(display_width(without_escapes(line)) <= width, line << " in " << width);
  }
  BOOST_TEST(heat_columns(0) == 1u);
  BOOST_TEST(heat_columns(1'000'000) == chart_columns_max);
}

BOOST_AUTO_TEST_CASE(an_empty_chart_says_why) {
  heat_view v;
  v.name = volume_name("db");
  BOOST_TEST(heat_text(v, {}).find("nothing was read or written yet") != std::string::npos);
  v.known_chunks = 3, v.from_us = noon_us, v.to_us = noon_us + second_us;
  BOOST_TEST(heat_text(v, {}).find("--since looks further back") != std::string::npos);
  v.rows = 4, v.columns = 4, v.requests = 1.0; // fewer cells than announced are drawn as nothing
  BOOST_TEST(!heat_text(v, {80, ink::colour}).empty());
}

BOOST_AUTO_TEST_CASE(hostile_names_are_printed_as_escapes) {
  auto v = some_view();
  v.localities[0].instance.value = "\033[2Jx";
  v.hottest[0].kind = "\033[31m";
  v.hot_sets[0].method = "a\nb";
  for (const char c : heat_text(v, {80, ink::shades}))
    BOOST_TEST(c != '\033');
}

BOOST_AUTO_TEST_CASE(json_has_the_chart_row_by_row) {
  const auto read = parse_json(json_of(some_view()));
  BOOST_REQUIRE(read.has_value());
  const auto& j = *read;
  BOOST_REQUIRE(j["picture_requests"].size() == 4u);
  BOOST_REQUIRE(j["picture_requests"][1].size() == 32u);
  BOOST_TEST(j["picture_requests"][1][5].get<double>() == 10'000.0);
  BOOST_TEST(j["kinds"]["rising"].get<int>() == 1);
  BOOST_TEST(j["hottest"][0]["chunk"].get<int>() == 20);
  BOOST_TEST(j["localities"][0]["instance"].get<std::string>() == "web-1");
  BOOST_TEST(j["hot_sets"][0]["chunks"][0]["expected_requests"].get<double>() == 100.0);
  BOOST_TEST(j["hot_sets"][0]["recall"].get<double>() == 0.87);
}

BOOST_AUTO_TEST_CASE(words_become_a_request) {
  const std::vector<std::string> all{"heat", "db",        "--since", "2h",        "--rows",
                                     "8",    "--columns", "40",      "--hottest", "0"};
  const auto out = parse_command(all);
  const auto* got = std::get_if<invocation>(&out);
  BOOST_REQUIRE(got != nullptr);
  const auto& heat = std::get<heat_command>(got->what);
  BOOST_TEST(heat.volume.text == "db");
  BOOST_TEST((heat.since == std::chrono::hours(2)));
  BOOST_TEST((heat.rows == 8u && heat.columns == 40u && heat.hottest == 0u));
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"heat"},
                                                {"heat", "db", "--rows", "0"},
                                                {"heat", "db", "--columns", "1025"},
                                                {"heat", "db", "--since", "0s"},
                                                {"heat", "db", "--since", "2 hours"}}) {
    const auto stop = parse_command(wrong);
    BOOST_REQUIRE(std::holds_alternative<parse_stop>(stop));
    BOOST_TEST(std::get<parse_stop>(stop).exit_code == 2);
  }
  const name_lookup names = [](name_kind) { return std::vector<std::string>{"db", "web"}; };
  const std::vector<std::string> before{"heat"};
  BOOST_TEST(complete(before, "d", names).candidates == std::vector<std::string>{"db"});
  BOOST_TEST(complete(before, "--si", names).candidates == std::vector<std::string>{"--since"});
}

BOOST_AUTO_TEST_SUITE_END()
