// `gnomon simulate --topology`, `--snapshots` and `--plan`: the words, the topology file with the place of every
// mistake, and reports in which every number has its place.
#include <filesystem>
#include <fstream>

#include <boost/test/unit_test.hpp>
#include <unistd.h>

#include "actors/cli/grammar/command_learning.hpp"
#include "actors/cli/import/topology_file.hpp"
#include "actors/cli/view/placement_report.hpp"
#include "config/json.hpp"
#include "forecasting/planner/planner_text.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::actors::cli;

BOOST_AUTO_TEST_SUITE(cli_placement_test)
namespace {

struct written {
  explicit written(const std::string& text) {
    static int number = 0;
    path = std::filesystem::temp_directory_path() /
           ("gnomon-placement-test." + std::to_string(::getpid()) + "." + std::to_string(++number));
    std::ofstream(path) << text;
  }
  ~written() { std::filesystem::remove(path); }
  std::string path;
};

// Six days of two volumes, read by turns all over a few MiB, with a quiet night.
std::string days_of_reads() {
  std::string out = "time_us,volume,op,offset_bytes,length_bytes\n";
  std::uint64_t random = 7;
  for (std::uint64_t minute = 0; minute < 6 * 24 * 60; minute += 2) {
    const bool night = minute / 60 % 24 < 6;
    for (int k = 0; k < (night ? 1 : 4); ++k) {
      random = random * 6364136223846793005ull + 1442695040888963407ull;
      out += std::to_string((minute * 60 + static_cast<std::uint64_t>(k)) * 1'000'000) + "," +
             (k % 2 == 0 ? "a" : "b") + "," + (k == 3 ? "W" : "R") + "," +
             std::to_string((random >> 40) % 512 * 65536) + ",4096\n";
    }
  }
  return out;
}

constexpr const char* two_nodes = R"({ "nodes": [ { "node": "alpha" }, { "node": "beta", "space": 3 } ],
  "round_trip": "1ms", "paths": [ { "between": ["alpha", "beta"], "round_trip": "4ms" } ],
  "volumes": [ { "volume": "a", "home": "alpha", "gateway": "beta" }, { "volume": "b", "home": "beta", "gateway": "beta" } ] })";

simulate_command words(std::vector<std::string> said) {
  said.insert(said.begin(), "simulate");
  const auto parsed = parse_command(said);
  BOOST_REQUIRE_MESSAGE(std::holds_alternative<invocation>(parsed),
                        (std::holds_alternative<parse_stop>(parsed) ? std::get<parse_stop>(parsed).text : ""));
  return std::get<simulate_command>(std::get<invocation>(parsed).what);
}

} // namespace

BOOST_AUTO_TEST_CASE(the_words_choose_what_is_simulated) {
  BOOST_TEST((words({"t.csv"}).subject == simulate_subject::forecasts));
  const auto placement = words({"t.csv", "--topology", "f.json", "--space", "1%,12.5%"});
  BOOST_TEST((placement.subject == simulate_subject::placement));
  BOOST_TEST(placement.topology == "f.json");
  BOOST_TEST((placement.space == std::vector<double>{0.01, 0.125}));
  BOOST_TEST((words({"t.csv", "--snapshots"}).subject == simulate_subject::snapshots));
  BOOST_TEST((words({"t.txt", "--plan"}).subject == simulate_subject::plan));
  for (const auto& wrong : {std::vector<std::string>{"simulate", "t", "--snapshots", "--topology", "f"},
                            {"simulate", "t", "--space", "5%"},
                            {"simulate", "t", "--topology", "f", "--space", "0%"},
                            {"simulate", "t", "--topology", "f", "--space", "5"},
                            {"simulate", "t", "--plan", "--snapshots"}})
    BOOST_TEST(std::holds_alternative<parse_stop>(parse_command(wrong)));
}

BOOST_AUTO_TEST_CASE(a_topology_says_who_reads_what_through_whom) {
  const auto t = topology_from(two_nodes);
  BOOST_REQUIRE(t.has_value());
  BOOST_TEST(t->nodes.size() == 2u);
  const auto a = t->place_of("a", 0);
  BOOST_TEST(a.gateway == 1u);
  BOOST_TEST(t->far_seconds(a) == 0.0042);
  BOOST_TEST(t->far_seconds(t->place_of("b", 1)) == 0.0002); // at its home
  const auto elsewhere = t->place_of("not-listed", 0);
  BOOST_TEST(elsewhere.home != elsewhere.gateway);
}

BOOST_AUTO_TEST_CASE(a_mistake_in_a_topology_is_named_by_its_place) {
  const std::pair<const char*, const char*> mistakes[] = {
      {R"({ "nodes": [] })", "/nodes"},
      {R"({ "nodes": [ { "node": "a" }, { "node": "a" } ] })", "/nodes/1/node"},
      {R"({ "nodes": [ { "node": "a", "spce": 1 } ] })", "did you mean space"},
      {R"({ "nodes": [ { "node": "a", "space": -1 } ] })", "/nodes/0/space"},
      {R"({ "nodes": [ { "node": "a" } ], "round_trip": 5 })", "/round_trip"},
      {R"({ "nodes": [ { "node": "a" } ], "bandwidth": "0B" })", "/bandwidth"},
      {R"({ "nodes": [ { "node": "a" } ], "paths": [ { "between": ["a", "b"], "round_trip": "1ms" } ] })",
       "there is no node \"b\""},
      {R"({ "nodes": [ { "node": "a" } ], "volumes": [ { "volume": "v", "home": "a" } ] })", "/volumes/0/gateway"},
      {R"([])", "expected an object"}};
  for (const auto& [text, said] : mistakes) {
    const auto t = topology_from(text);
    BOOST_REQUIRE_MESSAGE(!t.has_value(), text);
    BOOST_TEST(t.error().message.find(said) != std::string::npos, t.error().message << " lacks " << said);
  }
}

BOOST_AUTO_TEST_CASE(placements_are_reported_with_the_best_baseline_and_the_oracle) {
  const written trace(days_of_reads()), nodes(two_nodes);
  auto wanted = words({trace.path, "--topology", nodes.path, "--space", "20%"});
  const auto report = simulate_placements(wanted, {});
  BOOST_REQUIRE(report.has_value());
  BOOST_TEST(report->nodes == 2u);
  BOOST_TEST(report->volumes == 2u);
  BOOST_REQUIRE_EQUAL(report->sizes.size(), 1u);
  const auto& size = report->sizes[0];
  BOOST_REQUIRE(size.best_baseline() != nullptr);
  BOOST_TEST(size.of(forecasting::placement_method::oracle)->near >= size.best_baseline()->near);
  for (const auto& o : size.outcomes)
    BOOST_TEST(o.reads == report->reads);
  const auto text = report_text(*report);
  for (const auto* expected : {"Gnomon", "oracle", "S3-FIFO, chunks", "Best baseline: ", "20.0 % of space"})
    BOOST_TEST(text.find(expected) != std::string::npos, expected);
  const auto parsed = parse_json(report_json(*report));
  BOOST_REQUIRE(parsed.has_value());
  BOOST_TEST((*parsed)["sizes"][0]["outcomes"].size() == size.outcomes.size());
  BOOST_TEST((*parsed)["sizes"][0]["gap_closed"].get<double>() == size.gap_closed());
  int steps = 0;
  const auto stopped = simulate_placements(wanted, [&](const std::string&) { return ++steps < 4; });
  BOOST_REQUIRE(stopped.has_value());
  BOOST_TEST(stopped->interrupted);
}

BOOST_AUTO_TEST_CASE(snapshot_times_are_reported_beside_other_ways_to_choose) {
  const written trace(days_of_reads());
  const auto report = simulate_snapshot_times(words({trace.path, "--snapshots"}), {});
  BOOST_REQUIRE(report.has_value());
  BOOST_TEST(report->volumes.size() == 2u);
  const auto text = report_text(*report);
  for (const auto* expected : {"planned", "yesterday's quietest", "oracle", "bound 48 h"})
    BOOST_TEST(text.find(expected) != std::string::npos, expected);
  BOOST_TEST(parse_json(report_json(*report)).has_value());
  const written brief("0,a,R,0,4096\n");
  BOOST_TEST(!simulate_snapshot_times(words({brief.path, "--snapshots"}), {}).has_value());
}

BOOST_AUTO_TEST_CASE(a_planners_input_is_decided_as_it_was) {
  forecasting::planner_input in;
  in.now_seconds = 1000;
  in.options.move_requests_min = 1000; // homes are another suite's subject
  in.nodes = {{"alpha", "", 1e9, 1e8, 0.0001, forecasting::planner_mode::act},
              {"beta", "", 1e9, 1e8, 0.0001, forecasting::planner_mode::act}};
  forecasting::planner_volume v;
  v.name = "db";
  in.volumes = {v};
  forecasting::planner_chunk c;
  c.node = 1, c.chunk = 5, c.reads_per_second = 20;
  in.chunks = {c};
  const written file(forecasting::to_text(in));
  const auto decided = plan_file(file.path);
  BOOST_REQUIRE(decided.has_value());
  BOOST_TEST(decided->starts_with("create db chunks 5-5 on beta: demand: 20.0000 reads/s"), *decided);
  const written damaged("gnomon planner input 1\nnode x\n");
  const auto refused = plan_file(damaged.path);
  BOOST_REQUIRE(!refused.has_value());
  BOOST_TEST(refused.error().message.find("line 2") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
