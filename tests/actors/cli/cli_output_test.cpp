// What operators and programs read: quantities, tables, the supervision tree, reports, the order of recorded requests.
#include <boost/test/unit_test.hpp>

#include "actors/cli/replay/trace_order.hpp"
#include "actors/cli/terminal/terminal.hpp"
#include "actors/cli/view/json_output.hpp"
#include "actors/cli/view/node_views.hpp"
#include "actors/cli/view/replay_report.hpp"
#include "config/json.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::actors::cli;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(cli_output_test)
namespace {
actor_info actor(std::string name, std::string parent, actor_state state = actor_state::running) {
  actor_info a;
  a.name = std::move(name);
  a.parent = std::move(parent);
  a.state = state;
  a.answered = true;
  return a;
}
} // namespace

BOOST_AUTO_TEST_CASE(quantities_are_short_and_have_units) {
  BOOST_TEST(human_bytes(0) == "0B");
  BOOST_TEST(human_bytes(1023) == "1023B");
  BOOST_TEST(human_bytes(1536.0 * (1 << 20)) == "1.5GiB");
  BOOST_TEST(human_bytes(1024.0 * 1024 - 1) == "1MiB");
  BOOST_TEST(human_count(0) == "0");
  BOOST_TEST(human_count(999.4) == "999");
  BOOST_TEST(human_count(999.6) == "1.00k");
  BOOST_TEST(human_count(12'345) == "12.3k");
  BOOST_TEST(human_time_us(0) == "0");
  BOOST_TEST(human_time_us(13.2) == "13us");
  BOOST_TEST(human_time_us(1250) == "1.25ms");
  BOOST_TEST(human_time_us(3.2e6) == "3.20s");
  BOOST_TEST(human_span(185s) == "3m05s");
  BOOST_TEST(human_span(-1s) == "0s");
  BOOST_TEST(human_date(0) == "never");
  BOOST_TEST(human_date(1'772'373'909'000'000) == "2026-03-01 14:05:09 UTC");
  BOOST_TEST(counted(1, "volume") == "1 volume");
  BOOST_TEST(counted(0, "volume") == "0 volumes");
}

BOOST_AUTO_TEST_CASE(tables_align_by_code_points_and_defuse_control_characters) {
  table t({{"NAME"}, {"N", table::align::right}, {"LAST"}});
  t.row({"└─ a", "7", ""});
  t.row({"bbbbbb", "123", "x\033[31m"});
  BOOST_TEST(t.to_string() == "NAME      N  LAST\n└─ a      7\nbbbbbb  123  x\\u001b[31m\n");
}

BOOST_AUTO_TEST_CASE(colour_only_where_wanted) {
  BOOST_TEST(styled("x", style::red, false) == "x");
  BOOST_TEST(styled("x", style::red, true) == "\033[31mx\033[0m");
  node_status status;
  status.problems = {"a disk is full"};
  BOOST_TEST(status_text(status, 0, false).find('\033') == std::string::npos);
  BOOST_TEST(status_text(status, 0, true).find('\033') != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_supervision_tree_is_drawn_whole) {
  auto stuck = actor("volume/db", "volumes");
  stuck.answered = false;
  stuck.last_error = "killed";
  const auto text = actors_text({actor("node", ""), actor("control", "node"), actor("volumes", "node"), stuck,
                                 actor("lost", "gone"), actor("x", "y"), actor("y", "x")},
                                0, false);
  BOOST_TEST(text.find("\n├─ control ") != std::string::npos, text);
  BOOST_TEST(text.find("\n└─ volumes ") != std::string::npos, text);
  BOOST_TEST(text.find("\n   └─ volume/db ") != std::string::npos, text);
  BOOST_TEST(text.find("no answer: busy or stuck; last ended: killed") != std::string::npos, text);
  for (const auto* name : {"\nlost ", "\nx ", "└─ y "}) // an orphan and a circle are shown, too
    BOOST_TEST(text.find(name) != std::string::npos, text);
}

BOOST_AUTO_TEST_CASE(json_keeps_names_that_are_not_utf8_and_whole_numbers) {
  volume_summary v;
  v.name = volume_name("db");
  v.size = byte_count{(1ull << 53) + 1};
  v.problem = "bad \xff byte";
  const auto read = parse_json(json_of(v));
  BOOST_REQUIRE(read.has_value());
  BOOST_TEST((*read)["size_bytes"].get<std::uint64_t>() == (1ull << 53) + 1);
  BOOST_TEST(parse_json(json_of(std::vector<volume_summary>{v, v}))->size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_report_tells_good_from_bad) {
  replay_outcome o;
  o.speed = 1;
  o.main.elapsed = 1s;
  o.main.by_operation[0].requests = 1;
  o.main.by_operation[0].service.record(100us);
  o.main.by_operation[0].response.record(300us);
  o.main.lateness.record(200us);
  BOOST_TEST(o.good());
  auto read = parse_json(report_json(o));
  BOOST_REQUIRE(read.has_value());
  BOOST_TEST((*read)["good"].get<bool>());
  const auto& op = (*read)["operations"]["read"];
  BOOST_TEST(op["latency"]["max_us"].get<double>() == 100.0);
  BOOST_TEST(op["latency_from_intended"]["p99.9_us"].get<double>() <= 300.0);
  BOOST_TEST(op["latency_from_intended"]["p50_us"].get<double>() > 200.0);
  o.read_back.emplace();
  o.read_back->mismatched_requests = 1;
  o.read_back->mismatches = {"offset 0: expected zeros, found foreign data"};
  BOOST_TEST(!o.good());
  BOOST_TEST(report_text(o).find("1 read WRONG\n  offset 0") != std::string::npos);
  o.read_back.reset();
  o.main.by_operation[0].errors = 1;
  BOOST_TEST(!o.good());
}

BOOST_AUTO_TEST_CASE(progress_is_a_bar_with_the_time_left) {
  const auto line = progress_line(0.5, 1000, 4'000'000, 2s);
  BOOST_TEST(line.find(" 50%") != std::string::npos);
  BOOST_TEST(line.find("500 requests/s") != std::string::npos);
  BOOST_TEST(line.find("  2 MB/s") != std::string::npos);
  BOOST_TEST(line.find("ETA 2s") != std::string::npos);
  BOOST_TEST(progress_line(0, 0, 0, 0s).find("ETA ?") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(records_of_several_rings_come_out_in_order_of_time) {
  trace_order order;
  const auto at = [](std::uint64_t ms) {
    trace_record r;
    r.time_ns = ms * 1'000'000;
    return r;
  };
  std::vector<trace_record> all;
  const auto take = [&](std::vector<trace_record> some) { all.insert(all.end(), some.begin(), some.end()); };
  take(order.add({at(100), at(900), at(150), at(800)}));
  BOOST_TEST(all.empty()); // a ring may still bring older ones
  take(order.add({at(3000), at(120)}));
  BOOST_TEST(all.size() == 5u);
  take(order.drain());
  BOOST_REQUIRE(all.size() == 6u);
  BOOST_TEST(std::is_sorted(all.begin(), all.end(), [](auto& a, auto& b) { return a.time_ns < b.time_ns; }));
}

BOOST_AUTO_TEST_SUITE_END()
