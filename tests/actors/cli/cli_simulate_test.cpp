// A trace through the simulation, and its report: every record in its place, honest words where nothing was scored.
#include <cmath>
#include <filesystem>
#include <fstream>

#include <boost/test/unit_test.hpp>
#include <unistd.h>

#include "actors/cli/grammar/command_learning.hpp"
#include "actors/cli/shell/completion.hpp"
#include "actors/cli/view/simulate_report.hpp"
#include "config/json.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::actors::cli;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(cli_simulate_test)
namespace {
constexpr std::uint64_t MiB = 1u << 20;

struct temporary {
  explicit temporary(const std::string& text) {
    static int number = 0;
    path = std::filesystem::temp_directory_path() /
           ("gnomon-simulate-test." + std::to_string(::getpid()) + "." + std::to_string(++number) + ".csv");
    std::ofstream(path) << text;
  }
  ~temporary() { std::filesystem::remove(path); }
  std::string path;
};

// Ten hours of a minutely tide on two volumes: `a` on two chunks of 16 MiB, `b` on one; and flushes, which move no
// data.
std::string tide() {
  std::string out = "time_us,volume,op,offset_bytes,length_bytes\n";
  const auto add = [&](std::uint64_t s, const char* volume, char op, std::uint64_t offset, std::uint64_t length) {
    out += std::to_string(s * 1'000'000) + "," + volume + "," + op + "," + std::to_string(offset) + "," +
           std::to_string(length) + "\n";
  };
  for (std::uint64_t s = 0; s < 36'000; s += 10) {
    const auto n = static_cast<int>(3 + 2 * std::sin(static_cast<double>(s) / 600));
    for (int i = 0; i < n; ++i)
      add(s, "a", i % 2 == 0 ? 'R' : 'W', i % 2 == 0 ? 0 : 40 * MiB, 4096);
    if (s % 60 == 0)
      add(s, "b", 'T', 16 * MiB, 16 * MiB), add(s, "b", 'F', 0, 0);
  }
  return out;
}

simulate_command of(const std::string& path) {
  simulate_command wanted;
  wanted.trace = path;
  wanted.horizons = {5min, 30min};
  wanted.set_sizes = {1, 2};
  return wanted;
}
std::variant<invocation, parse_stop> parse(const std::vector<std::string>& words) { return parse_command(words); }
} // namespace

BOOST_AUTO_TEST_CASE(words_become_the_command_or_are_refused) {
  const auto out = parse({"simulate", "t.csv", "--horizons", "10s,2h", "--set-sizes", "4", "--forecast-every", "0s",
                          "--size", "1GiB", "--volume", "db"});
  const auto& wanted = std::get<simulate_command>(std::get<invocation>(out).what);
  BOOST_TEST(wanted.trace == "t.csv");
  BOOST_TEST((wanted.horizons == std::vector<std::chrono::microseconds>{10s, 2h}));
  BOOST_TEST(wanted.set_sizes == std::vector<std::size_t>{4}, boost::test_tools::per_element());
  BOOST_TEST(wanted.forecast_every.count() == 0);
  BOOST_TEST(wanted.size.value == 1024 * MiB);
  for (const std::vector<std::string>& bad : {std::vector<std::string>{"simulate"},
                                              {"simulate", "t", "--horizons", ""},
                                              {"simulate", "t", "--horizons", "5m,"},
                                              {"simulate", "t", "--horizons", "0s"},
                                              {"simulate", "t", "--set-sizes", "0"},
                                              {"simulate", "t", "--set-sizes", "8;32"},
                                              {"simulate", "t", "--size", "much"}})
    BOOST_TEST(std::get<parse_stop>(parse(bad)).exit_code == 2);
  const std::vector<std::string> before{"simulate"};
  BOOST_TEST(complete(before, "", [](name_kind) { return std::vector<std::string>(); }).is_path);
}

BOOST_AUTO_TEST_CASE(a_trace_is_scored_volume_by_volume) {
  const temporary file(tide());
  double now = 0;
  simulation_hooks hooks;
  hooks.stopwatch_seconds = [&] { return now += 1e-6; };
  double last = 0;
  std::uint64_t told = 0;
  hooks.progress = [&](double part, std::uint64_t requests, std::uint64_t) {
    BOOST_TEST((part >= 0 && part <= 1));
    last = part, told = requests;
    return true;
  };
  const auto out = simulate_trace(of(file.path), hooks);
  BOOST_REQUIRE_MESSAGE(out.has_value(), (out ? std::string() : out.error().to_string()));
  BOOST_TEST(!out->interrupted);
  BOOST_TEST(out->skipped == 600u); // the flushes
  BOOST_TEST(out->scores.requests == static_cast<double>(out->records - out->skipped));
  BOOST_TEST(told == out->records - out->skipped);
  BOOST_TEST(last == 1);
  BOOST_REQUIRE(out->volumes.size() == 2u);
  BOOST_TEST(out->volumes[0].name == "a");
  BOOST_TEST(out->volumes[0].size.value == 40 * MiB + 4096);
  BOOST_TEST(out->volumes[1].size.value == 32 * MiB);
  BOOST_REQUIRE(out->scores.horizons.size() == 2u);
  const auto& near = out->scores.horizons[0];
  BOOST_TEST(near.load.forecasts > 10);
  BOOST_TEST(near.load.mase > 0);
  // Two chunks of `a` and one of `b` are all there is: two named ones are all the hot ones.
  BOOST_TEST(near.hot[1].recall > 0.95);
  BOOST_TEST(near.hot[1].captured > 0.95);
  BOOST_TEST(out->scores.observe_spent_seconds > 0);

  auto only = of(file.path);
  only.volume = "b";
  const auto one = simulate_trace(only);
  BOOST_REQUIRE(one.has_value());
  BOOST_TEST(one->scores.requests == 600);
  BOOST_TEST(one->scores.observe_spent_seconds == 0);
  only.volume = "c";
  BOOST_TEST((simulate_trace(only).error().code == errc::invalid_argument));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_simulated_says_so) {
  BOOST_TEST((simulate_trace(of("/nonexistent/trace.csv")).error().code == errc::not_found));
  const temporary empty("time_us,volume,op,offset_bytes,length_bytes\n"), broken("1,a,R,0,4096\n2,a,X,0,4096\n");
  BOOST_TEST((simulate_trace(of(empty.path)).error().code == errc::invalid_argument));
  BOOST_TEST((simulate_trace(of(broken.path)).error().code == errc::corrupt));
  const temporary far("1,a,R,4611686018427387000,4096\n");
  auto wanted = of(far.path);
  wanted.chunk_size = byte_count{16 * MiB};
  BOOST_TEST((simulate_trace(wanted).error().code == errc::limit_reached));
  wanted.horizons = {7s};
  wanted.chunk_size = {};
  BOOST_TEST((simulate_trace(wanted).error().code == errc::invalid_argument));
}

BOOST_AUTO_TEST_CASE(an_interruption_gives_the_scores_so_far) {
  const temporary file(tide());
  simulation_hooks hooks;
  hooks.progress = [](double, std::uint64_t requests, std::uint64_t) { return requests < 5000; };
  const auto out = simulate_trace(of(file.path), hooks);
  BOOST_REQUIRE(out.has_value());
  BOOST_TEST(out->interrupted);
  BOOST_TEST((out->scores.requests >= 5000 && out->scores.requests < 9500));
  BOOST_TEST(report_text(*out).find("interrupted") != std::string::npos);
  hooks.progress = [](double, std::uint64_t, std::uint64_t) { return false; };
  BOOST_TEST((simulate_trace(of(file.path), hooks).error().code == errc::unavailable));
}

BOOST_AUTO_TEST_CASE(reports_say_what_was_scored_and_what_was_not) {
  const temporary file(tide());
  auto wanted = of(file.path);
  wanted.horizons = {5min, 24h}; // no day passes: nothing to score there
  const auto out = simulate_trace(wanted);
  BOOST_REQUIRE(out.has_value());
  const auto text = report_text(*out);
  for (const char* part : {"2 volumes", "600 records skipped", "5m00s", "1d00h", "MASE", "last value (naive)",
                           "THE 2 HOTTEST CHUNKS", "learned", "conformal", "time spent"})
    BOOST_TEST(text.find(part) != std::string::npos, part << " is missing in\n" << text);
  const auto parsed = parse_json(report_json(*out));
  BOOST_REQUIRE(parsed.has_value());
  const auto& near = (*parsed)["horizons"][0];
  BOOST_TEST(near["horizon_s"].get<double>() == 300);
  BOOST_TEST(near["load"]["mase"].get<double>() == out->scores.horizons[0].load.mase);
  BOOST_TEST(near["load"]["methods_mase"].size() == forecasting::method_count);
  BOOST_TEST(near["hot_chunks"][1]["methods"].size() == forecasting::hot_method_count);
  BOOST_TEST((*parsed)["horizons"][1]["load"]["mase"].is_null());
  BOOST_TEST((*parsed)["horizons"][1]["hot_chunks"][0]["recall"].is_null());
}

BOOST_AUTO_TEST_SUITE_END()
