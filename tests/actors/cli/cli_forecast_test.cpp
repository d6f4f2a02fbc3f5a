// `gnomon forecast`: its words, its chart, what the page says, and what it does with answers nobody should send.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <sstream>

#include "actors/cli/grammar/command.hpp"
#include "actors/cli/shell/completion.hpp"
#include "actors/cli/terminal/terminal.hpp"
#include "actors/cli/view/forecast_plot.hpp"
#include "actors/cli/view/forecast_text.hpp"
#include "actors/cli/view/json_output.hpp"
#include "config/json.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::actors::cli;

BOOST_AUTO_TEST_SUITE(cli_forecast_test)
namespace {

constexpr std::int64_t second_us = 1'000'000, minute_us = 60 * second_us, hour_us = 60 * minute_us;
constexpr std::int64_t noon_us = 1'772'366'400 * second_us; // 2026-03-01 12:00:00 UTC

std::vector<actors::finite> loads(std::size_t count, double load) { return std::vector<actors::finite>(count, load); }

horizon_score score(std::int64_t ahead_us, double served, double naive, std::uint64_t origins = 96) {
  horizon_score h;
  h.ahead_us = ahead_us;
  h.origins = origins;
  h.served_mase = served;
  h.best_naive = "EWMA";
  h.best_naive_mase = naive;
  h.methods = {{"last value", true, 1.25, 0.25}, {"EWMA", true, naive, 0.25}, {"prophet", false, 0.75, 0.5}};
  return h;
}

// A day of past in minutes at `load`, six hours ahead at the same.
forecast_view steady(double load = 100) {
  forecast_view v;
  v.subject = "db";
  v.start_us = noon_us;
  v.step_us = minute_us;
  v.past = loads(24 * 60, load);
  v.ahead = loads(6 * 60, load);
  v.low = loads(6 * 60, load / 2);
  v.high = loads(6 * 60, load * 2);
  v.interval = 0.9;
  v.horizons = {score(5 * minute_us, 0.5, 1.0), score(2 * hour_us, 0.9, 0.9)};
  v.past_slots = v.observed_slots = v.past.size();
  v.fitted_us = noon_us;
  v.fit_seconds = 0.085;
  return v;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);)
    out.push_back(line);
  return out;
}
bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }
std::size_t times(const std::string& text, std::string_view part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size()))
    ++n;
  return n;
}
// The ASCII chart as rows of cells, without the axis to the left.
std::vector<std::string> cells_of(const forecast_view& v, std::size_t width = 80) {
  std::vector<std::string> out;
  for (const auto& line : lines_of(forecast_plot(v, {width, false, false})))
    out.push_back(line.size() > 12 ? line.substr(12) : std::string());
  return out;
}

std::variant<invocation, parse_stop> parse(std::vector<std::string> words) { return parse_command(words); }
forecast_request request_of(std::vector<std::string> words) {
  const auto parsed = parse(std::move(words));
  BOOST_REQUIRE(std::holds_alternative<invocation>(parsed));
  const auto& what = std::get<invocation>(parsed).what;
  BOOST_REQUIRE(std::holds_alternative<forecast_command>(what));
  return std::get<forecast_command>(what).request;
}
std::string refusal_of(std::vector<std::string> words) {
  const auto parsed = parse(std::move(words));
  BOOST_REQUIRE(std::holds_alternative<parse_stop>(parsed));
  BOOST_TEST(std::get<parse_stop>(parsed).exit_code == 2);
  return std::get<parse_stop>(parsed).text;
}

} // namespace

// --- words

BOOST_AUTO_TEST_CASE(a_volume_an_instance_or_the_node_is_meant) {
  BOOST_TEST((request_of({"forecast", "db"}) == forecast_request{subject_kind::volume, "db", load_kind::requests}));
  BOOST_TEST((request_of({"forecast", "--instance", "web-1", "--load", "bytes"}) ==
              forecast_request{subject_kind::instance, "web-1", load_kind::bytes}));
  BOOST_TEST((request_of({"forecast", "--node", "--quantity", "write-bytes"}) ==
              forecast_request{subject_kind::node, "", load_kind::write_bytes}));
}

BOOST_AUTO_TEST_CASE(none_or_several_subjects_are_wrong_usage) {
  for (const auto& words : std::vector<std::vector<std::string>>{{"forecast"},
                                                                 {"forecast", "db", "--node"},
                                                                 {"forecast", "db", "--instance", "web-1"},
                                                                 {"forecast", "--node", "--instance", "web-1"}})
    BOOST_TEST(has(refusal_of(words), "one of VOLUME, --instance and --node"));
  BOOST_TEST(has(refusal_of({"forecast", "db", "--load", "bites"}), "did you mean bytes?"));
  refusal_of({"forecast", "--instance", "a b"});
  refusal_of({"forecast", "db", "logs"});
}

BOOST_AUTO_TEST_CASE(the_shell_completes_names_options_and_loads) {
  const name_lookup names = [](name_kind kind) {
    return kind == name_kind::volumes ? std::vector<std::string>{"db", "logs"} : std::vector<std::string>{};
  };
  using words = std::vector<std::string>;
  BOOST_TEST((complete(words{"forecast"}, "", names).candidates == words{"db", "logs"}));
  BOOST_TEST((complete(words{"forecast"}, "--l", names).candidates == words{"--load"}));
  BOOST_TEST((complete(words{"forecast", "db", "--load"}, "re", names).candidates ==
              words{"read-bytes", "reads", "requests"}));
  BOOST_TEST((complete(words{}, "fore", names).candidates == words{"forecast"}));
}

// --- scales

BOOST_AUTO_TEST_CASE(an_axis_ends_at_a_round_number_not_below_the_highest_load) {
  BOOST_TEST(round_up(100, load_kind::requests) == 100);
  BOOST_TEST(round_up(101, load_kind::requests) == 120);
  BOOST_TEST(round_up(0.034, load_kind::requests) == 0.04, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(round_up(1024, load_kind::bytes) == 1024);
  BOOST_TEST(round_up(1025, load_kind::bytes) == 1536);
  BOOST_TEST(round_up(3.0 * (1 << 20), load_kind::read_bytes) == 3.0 * (1 << 20));
  BOOST_TEST(round_up(0, load_kind::bytes) == 1);
  for (double v = 1e-6; v < 1e18; v *= 1.37)
    for (const auto load : {load_kind::requests, load_kind::bytes}) {
      BOOST_TEST(round_up(v, load) >= v * (1 - 1e-9));
      BOOST_TEST(round_up(v, load) <= v * 2.0);
    }
}

BOOST_AUTO_TEST_CASE(loads_have_their_units) {
  BOOST_TEST(load_text(12'345, load_kind::requests) == "12.3k/s");
  BOOST_TEST(load_text(0.02, load_kind::reads) == "0.02/s");
  BOOST_TEST(load_text(1.5 * (1 << 30), load_kind::bytes) == "1.5GiB/s");
  BOOST_TEST(load_text(0, load_kind::requests) == "0/s");
}

BOOST_AUTO_TEST_CASE(ticks_are_as_exact_as_their_distance) {
  BOOST_TEST(tick_text(noon_us + 70 * second_us, 10 * second_us) == "12:01:10");
  BOOST_TEST(tick_text(noon_us, 5 * minute_us) == "12:00");
  BOOST_TEST(tick_text(noon_us + 12 * hour_us, 6 * hour_us) == "Mar 02");
  BOOST_TEST(tick_text(noon_us + 12 * hour_us, 5 * minute_us) == "00:00");
}

BOOST_AUTO_TEST_CASE(a_short_past_shortens_the_future_that_is_drawn) {
  auto v = steady();
  auto span = span_of(v);
  BOOST_TEST(span.now_us == noon_us);
  BOOST_TEST(span.end_us == noon_us + 6 * hour_us);
  BOOST_TEST(span.begin_us == noon_us - 12 * hour_us); // twice the future
  v.past = loads(20, 1);
  span = span_of(v);
  BOOST_TEST(span.begin_us == noon_us - 20 * minute_us);
  BOOST_TEST(span.end_us == noon_us + 20 * minute_us);
  v.past = loads(2, 1); // shorter than the first horizon
  BOOST_TEST(span_of(v).end_us == noon_us + 5 * minute_us);
  v.past.clear();
  BOOST_TEST(span_of(v).begin_us == noon_us);
  BOOST_TEST(span_of(v).end_us == noon_us + 6 * hour_us);
}

// --- the chart

BOOST_AUTO_TEST_CASE(the_heights_of_the_chart_are_the_loads) {
  auto v = steady(100);
  v.high = loads(v.ahead.size(), 100);
  const auto rows = cells_of(v); // scale: 0 to 100; 68 columns, "now" between the first 45 and the rest
  BOOST_TEST(rows[0].substr(0, 45) == std::string(45, '#')); // the past fills all twelve rows
  BOOST_TEST(rows[11].substr(0, 45) == std::string(45, '#'));
  BOOST_TEST(rows[0].substr(46) == std::string(22, 'o')); // the forecast is a line at the top
  BOOST_TEST(rows[3].substr(46) == std::string(22, '-')); // its interval reaches down to one half
  BOOST_TEST(rows[8].find_first_of("-o") == std::string::npos);
  v.past = loads(v.past.size(), 50);
  const auto half = cells_of(v);
  BOOST_TEST(half[5].find('#') == std::string::npos);
  BOOST_TEST(half[6].substr(0, 45) == std::string(45, '#'));
}

BOOST_AUTO_TEST_CASE(an_interval_does_not_flatten_what_happened) {
  auto v = steady(100);
  v.high = loads(v.ahead.size(), 1e9);
  const auto first = lines_of(forecast_plot(v, {80, false, false}))[0];
  BOOST_TEST(has(first, "160/s"));
  BOOST_TEST(cells_of(v)[0].substr(46) == std::string(22, '-')); // cut off at the top
}

BOOST_AUTO_TEST_CASE(what_was_not_observed_is_a_gap) {
  auto v = steady(100);
  std::fill(v.past.end() - 6 * 60, v.past.end() - 3 * 60,
            actors::finite(-1)); // the second and third of the last six hours
  const auto rows = cells_of(v);
  const auto row = rows[11];
  const auto gap = row.find("    ");
  BOOST_REQUIRE(gap != std::string::npos);
  BOOST_TEST(gap > 18u);
  BOOST_TEST(gap < 27u);
  BOOST_TEST(row[44] == '#');
}

BOOST_AUTO_TEST_CASE(windows_and_events_stand_where_they_will_be) {
  auto v = steady(100);
  v.quiet = {{noon_us + 2 * hour_us, noon_us + 4 * hour_us, 1, 0.2}};
  v.busy = {{noon_us + 5 * hour_us, noon_us + 6 * hour_us, 1, 2.0}};
  v.events = {{"deployment", noon_us - 6 * hour_us, noon_us - 5 * hour_us, 1.5}};
  const auto lines = lines_of(forecast_plot(v, {80, false, false}));
  const auto line = [&](std::string_view what) {
    for (const auto& l : lines)
      if (has(l, what))
        return l.substr(12);
    return std::string();
  };
  const double per_hour = 68.0 / 18;
  const auto column = [&](double hours_from_noon) {
    return static_cast<std::size_t>(std::floor(per_hour * (12 + hours_from_noon) + 1e-9));
  };
  BOOST_TEST(line("quiet").find('_') == column(2));
  BOOST_TEST(line("quiet").size() == column(4) + (per_hour * 16 > std::floor(per_hour * 16) ? 1 : 0));
  BOOST_TEST(line("busy").find('#') == column(5));
  BOOST_TEST(line("busy").size() == 68u);
  BOOST_TEST(line("events").find('^') == column(-6));
  v.enough_past = false; // a flat line says nothing about windows
  const auto without = forecast_plot(v, {80, false, false});
  BOOST_TEST(!has(without, "quiet"));
  BOOST_TEST(!has(without, "busy"));
  BOOST_TEST(has(without, "events"));
}

BOOST_AUTO_TEST_CASE(no_line_is_wider_than_the_terminal) {
  auto v = steady(12'345);
  v.quiet = {{noon_us + 2 * hour_us, noon_us + 4 * hour_us, 1, 0.2}};
  v.periods_us = {24 * hour_us};
  for (const std::size_t width : {40u, 57u, 80u, 101u, 200u})
    for (const bool unicode : {false, true}) {
      const auto chart = forecast_plot(v, {width, unicode, false});
      BOOST_TEST(!chart.empty());
      for (const auto& line : lines_of(chart))
        BOOST_TEST(display_width(line) <= width, line);
      BOOST_TEST(has(chart, "now"));
    }
  for (const auto& line : lines_of(forecast_text(v, {80, true, false})))
    BOOST_TEST(display_width(line) <= 80u, line);
}

// Whether a label stands at the right edge depends on the clock; the line of numbers on how long they are.
BOOST_AUTO_TEST_CASE(no_hour_and_no_load_makes_a_line_wider) {
  auto v = steady();
  const auto check = [&](std::size_t width) {
    for (const auto& line : lines_of(forecast_text(v, {width, false, false})))
      if (display_width(line) > width)
        BOOST_ERROR("at " << v.start_us << ", " << width << " columns: " << line);
  };
  for (const auto step_us : {10 * second_us, minute_us})
    for (const std::size_t past : {4u, 30u, 24u * 60})
      for (std::int64_t at = 0; at < 120; ++at) {
        v.step_us = step_us;
        v.past = loads(past, 100);
        v.start_us = noon_us + at * step_us;
        check(80);
        check(97);
      }
  for (const auto kind : {load_kind::requests, load_kind::bytes})
    for (double load = 1e-3; load < 1e15; load *= 7.3) {
      v = steady(load);
      v.load = kind;
      check(80);
    }
}

BOOST_AUTO_TEST_CASE(ascii_is_ascii_and_colour_only_where_wanted) {
  const auto v = steady();
  const auto ascii = forecast_text(v, {80, false, false});
  BOOST_TEST(std::all_of(ascii.begin(), ascii.end(), [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }));
  BOOST_TEST(!has(forecast_text(v, {80, true, false}), "\033"));
  const auto coloured_page = forecast_text(v, {80, true, true});
  BOOST_TEST(has(coloured_page, "\033[38;5;75m"));
  BOOST_TEST(has(coloured_page, "\033[48;5;236m"));
  for (const auto& line : lines_of(coloured_page)) // no colour runs over into the next line
    BOOST_TEST((line.rfind("\033[0m") == std::string::npos ? !has(line, "\033")
                                                           : line.rfind("\033[") == line.rfind("\033[0m")),
               line);
}

// --- the page

BOOST_AUTO_TEST_CASE(the_page_says_what_is_expected_and_how_good_that_was) {
  auto v = steady();
  v.periods_us = {24 * hour_us, 90 * minute_us};
  v.quiet = {{noon_us + 2 * hour_us, noon_us + 4 * hour_us, 1, 0.2}};
  v.bursts = {{5 * minute_us, 150, 0.12, false}, {2 * hour_us, 150, 0.52, true}};
  v.events = {{"deployment", noon_us + hour_us, noon_us + 2 * hour_us, 1.43}, {"batch", noon_us, noon_us, 1}};
  const auto page = forecast_text(v, {100, true, false});
  BOOST_TEST(page.starts_with("volume db: requests per second, 2026-03-01 12:00:00 UTC\n"));
  BOOST_TEST(has(page, "now 100/s; in 5m 100/s (50/s to 200/s); in 2h 100/s (50/s to 200/s)\n"));
  BOOST_TEST(has(page, "this forecast  0.500       0.900\n"));
  BOOST_TEST(has(page, "  last value   1.250  25%  1.250  25%  naive\n"));
  BOOST_TEST(has(page, "  prophet      0.750  50%  0.750  50%\n"));
  BOOST_TEST(has(page, "against the best naive method: in 5m 50% better (EWMA); in 2h no better (EWMA)\n"));
  BOOST_TEST(has(page, "repeats  every 24h, 1h30m\n"));
  BOOST_TEST(has(page, "quiet    14:00 to 16:00 (2h), 20% of the mean load\n"));
  BOOST_TEST(has(page, "burst    12% chance within 5m, 52% EXPECTED within 2h (of more than 150/s)\n"));
  BOOST_TEST(has(page, "event    deployment 13:00 to 14:00, load x1.43 while it lasts\n"));
  BOOST_TEST(has(page, "batch 12:00 to 12:00, no effect known\n"));
  BOOST_TEST(has(page, "learned 2026-03-01 12:00:00 UTC in 85.0ms from 1440 slots of 1m\n"));
}

BOOST_AUTO_TEST_CASE(a_list_that_is_long_is_cut_and_says_so) {
  auto v = steady();
  for (int i = 0; i < 12; ++i)
    v.quiet.push_back({noon_us + i * 20 * minute_us, noon_us + (i * 20 + 10) * minute_us, 1, 0.2});
  const auto page = forecast_text(v, {80, true, false});
  BOOST_TEST(times(page, "20% of the mean load") == stretches_shown_max);
  BOOST_TEST(has(page, "and 7 more\n"));
}

BOOST_AUTO_TEST_CASE(too_little_past_is_said_clearly) {
  auto v = steady();
  v.enough_past = false;
  v.past = loads(14, 100);
  v.past_slots = v.observed_slots = 14;
  v.step_us = 10 * second_us;
  v.horizons = {score(5 * minute_us, 0, 0, 0)};
  v.quiet = {{noon_us, noon_us + hour_us, 1, 0.2}};
  const auto page = forecast_text(v, {80, true, false});
  BOOST_TEST(has(page, "Too little past to tell how good this is: 14 slots of 10s."));
  BOOST_TEST(!has(page, "How good it was"));
  BOOST_TEST(!has(page, "quiet"));
}

BOOST_AUTO_TEST_CASE(nothing_observed_means_no_chart) {
  auto v = steady();
  v.past.clear();
  v.past_slots = v.observed_slots = 0;
  const auto page = forecast_text(v, {80, true, false});
  BOOST_TEST(has(page, "nothing to forecast"));
  BOOST_TEST(lines_of(page).size() == 2u);
}

BOOST_AUTO_TEST_CASE(an_answer_nobody_should_send_prints_something_harmless) {
  auto v = steady();
  v.subject = "db\033[31m\n";
  v.events = {{"boom\033[2J\a", noon_us, noon_us - hour_us, -1e300}, {"x", INT64_MIN, INT64_MAX, 1e300}};
  v.quiet = {{INT64_MAX, INT64_MIN, 1e308, -1e308}, {INT64_MIN, INT64_MAX, 0, 0}};
  v.periods_us = {-5, INT64_MAX};
  v.horizons.push_back(score(INT64_MAX, -1, 1e308));
  v.horizons.push_back(score(INT64_MIN, 0, 0));
  v.horizons.back().methods.clear();
  const auto page = forecast_text(v, {80, true, false});
  BOOST_TEST(!has(page, "\033"));
  BOOST_TEST(!has(page, "\a"));
  v = steady(1e308);
  BOOST_TEST(!forecast_text(v, {0, false, false}).empty());
  v = steady(0);
  BOOST_TEST(has(forecast_text(v, {80, true, false}), "1/s")); // a scale even so
  v.low.pop_back();
  BOOST_TEST(forecast_plot(v, {}).empty());
  v = steady();
  v.step_us = 0;
  BOOST_TEST(forecast_plot(v, {}).empty());
  BOOST_TEST(!forecast_text(v, {}).empty());
  v.step_us = INT64_MAX;
  BOOST_TEST(forecast_plot(v, {}).empty());
  v = steady();
  v.start_us = INT64_MAX - 5;
  BOOST_TEST(forecast_plot(v, {}).empty());
}

BOOST_AUTO_TEST_CASE(json_has_all_of_it) {
  auto v = steady();
  v.past.back() = -1;
  v.quiet = {{noon_us, noon_us + hour_us, 7, 0.25}};
  v.bursts = {{5 * minute_us, 150, 0.5, true}};
  v.events = {{"deployment", noon_us, noon_us + hour_us, 1.5}};
  v.periods_us = {hour_us};
  const auto text = json_of(v);
  const auto parsed = parse_json(text);
  BOOST_REQUIRE(parsed.has_value());
  const auto& j = *parsed;
  BOOST_TEST(text.ends_with("\n"));
  BOOST_TEST(j["subject"] == "db");
  BOOST_TEST(j["kind"] == "volume");
  BOOST_TEST(j["load"] == "requests");
  BOOST_TEST(j["past"].size() == v.past.size());
  BOOST_TEST(j["past"].back().is_null());
  BOOST_TEST(j["past"][0] == 100.0);
  BOOST_TEST(j["ahead"].size() == v.ahead.size());
  BOOST_TEST(j["horizons"][0]["served_mase"] == 0.5);
  BOOST_TEST(j["horizons"][0]["methods"][2]["weight"] == 0.5);
  BOOST_TEST(j["quiet"][0]["fraction_of_mean"] == 0.25);
  BOOST_TEST(j["bursts"][0]["announced"] == true);
  BOOST_TEST(j["events"][0]["factor"] == 1.5);
  BOOST_TEST(j["periods_us"][0] == hour_us);
  BOOST_TEST(j["enough_past"] == true);
}

BOOST_AUTO_TEST_SUITE_END()
