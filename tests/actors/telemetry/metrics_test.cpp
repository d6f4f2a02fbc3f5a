// /metrics is parsed as a Prometheus server would; /health names what is wrong.
#include "actors/telemetry/metrics.hpp"

#include <cmath>
#include <map>
#include <regex>
#include <sstream>

#include <boost/test/unit_test.hpp>

#include "actors/telemetry/health.hpp"
#include "tests/actors/actor_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::tests;

BOOST_AUTO_TEST_SUITE(metrics_test)
namespace {

struct sample_line {
  std::string name;
  std::map<std::string, std::string> labels;
  double value = 0;
};

// The exposition format's grammar, strictly: every sample belongs to a family declared before it.
std::vector<sample_line> parse(const std::string& text) {
  std::vector<sample_line> out;
  std::map<std::string, std::string> families;
  std::istringstream lines(text);
  std::string line;
  const std::regex sample(R"re(([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+))re");
  const std::regex label(R"re(([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)",?)re");
  while (std::getline(lines, line)) {
    if (line.starts_with("# HELP "))
      continue;
    if (line.starts_with("# TYPE ")) {
      std::istringstream words(line);
      std::string hash, type_word, name, type;
      words >> hash >> type_word >> name >> type;
      BOOST_TEST(families.emplace(name, type).second, "declared twice: " << name);
      continue;
    }
    std::smatch parts;
    BOOST_REQUIRE_MESSAGE(std::regex_match(line, parts, sample), "not a sample: " << line);
    sample_line one;
    one.name = parts[1];
    one.value = std::stod(parts[3] == "+Inf" ? "inf" : parts[3].str());
    std::string rest = parts[2];
    std::smatch pair;
    while (!rest.empty()) {
      BOOST_REQUIRE_MESSAGE(std::regex_search(rest, pair, label, std::regex_constants::match_continuous),
                            "labels: " << line);
      one.labels[pair[1]] = pair[2];
      rest = pair.suffix();
    }
    auto family = one.name;
    for (const char* suffix : {"_bucket", "_sum", "_count"})
      if (family.ends_with(suffix) && families.contains(family.substr(0, family.size() - std::strlen(suffix))))
        family = family.substr(0, family.size() - std::strlen(suffix));
    BOOST_TEST(families.contains(family), "undeclared: " << line);
    out.push_back(std::move(one));
  }
  BOOST_TEST(text.ends_with("\n"));
  return out;
}

struct fixture : store_and_engine {
  node_context node;
  volume_uuid uuid;

  fixture() {
    node.engine = engine.get();
    node.catalogue = catalogue.get();
    node.state = node_state::serving;
    store::volume_request request;
    request.name = volume_name{"db"};
    request.size = byte_count{1 << 20};
    uuid = value(catalogue->create(request)).uuid;
  }
  void open(std::string name = "db") {
    std::atomic<bool> done{false};
    engine->open_volume({.uuid = uuid, .name = volume_name{std::move(name)}, .size = byte_count{1 << 20}},
                        [&](auto) { done = true; });
    BOOST_REQUIRE(eventually([&] { return done.load(); }));
  }
  std::vector<sample_line> samples() { return parse(metrics_text(node)); }
  double value_of(const std::string& name, std::map<std::string, std::string> labels = {}) {
    for (const auto& one : samples())
      if (one.name == name && one.labels == labels)
        return one.value;
    BOOST_ERROR("no sample " << name);
    return -1;
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(counters_are_per_volume_and_operation, fixture) {
  open();
  engine->count(uuid, io::operation::write, 7, 50'000);
  BOOST_TEST(value_of("gnomon_volume_requests_total", {{"volume", "db"}, {"operation", "write"}}) == 7);
  BOOST_TEST(value_of("gnomon_volume_bytes_total", {{"volume", "db"}, {"operation", "write"}}) == 7 * 4096);
  BOOST_TEST(value_of("gnomon_volume_requests_total", {{"volume", "db"}, {"operation", "read"}}) == 0);
  BOOST_TEST(value_of("gnomon_volume_size_bytes", {{"volume", "db"}}) == 1 << 20);
  BOOST_TEST(value_of("gnomon_healthy") == 1);
}

BOOST_FIXTURE_TEST_CASE(latency_buckets_are_cumulative_and_exact_at_their_bounds, fixture) {
  open();
  for (unsigned exponent = 10; exponent < 36; ++exponent) {
    engine->count(uuid, io::operation::read, 1, (1ull << exponent) - 1); // just below each bound
    engine->count(uuid, io::operation::read, 1, 1ull << exponent);       // at it
  }
  double last = -1, last_bound = 0, infinite = -1;
  for (const auto& one : samples()) {
    if (one.name != "gnomon_volume_request_duration_seconds_bucket")
      continue;
    BOOST_TEST(one.value >= last);
    last = one.value;
    if (one.labels.at("le") == "+Inf") {
      infinite = one.value;
      continue;
    }
    const double bound = std::stod(one.labels.at("le"));
    BOOST_TEST(bound > last_bound);
    last_bound = bound;
    const auto exponent = static_cast<unsigned>(std::lround(std::log2(bound * 1e9)));
    BOOST_TEST(one.value == 2.0 * (exponent - 10) + 1, "le=" << one.labels.at("le"));
  }
  BOOST_TEST(infinite == 52);
  BOOST_TEST(value_of("gnomon_volume_request_duration_seconds_count", {{"volume", "db"}, {"operation", "read"}}) ==
             52);
}

BOOST_FIXTURE_TEST_CASE(labels_are_escaped, fixture) {
  BOOST_TEST(escape_label("a\"b\\c\nd") == "a\\\"b\\\\c\\nd");
  open("odd\"name\\");
  BOOST_TEST(value_of("gnomon_volume_connections", {{"volume", "odd\\\"name\\\\"}}) == 0);
}

BOOST_FIXTURE_TEST_CASE(an_empty_node_has_well_formed_metrics_too, fixture) {
  BOOST_TEST(samples().size() > 5u);
  node_context bare;
  BOOST_TEST(parse(metrics_text(bare)).size() > 3u);
}

BOOST_FIXTURE_TEST_CASE(a_forecast_shows_its_age_and_how_good_it_was, fixture) {
  const double now = seconds_of(node.clock->wall_now());
  forecasting::load_outlook load;
  load.fitted_seconds = now - 100;
  load.horizons.resize(2);
  load.horizons[0].ahead_seconds = 300;
  load.horizons[0].load[0] = {12.5, 10, 15};
  load.horizons[0].accuracy = {0.75, 0.875, 12};
  load.horizons[0].burst = {100, 0.25, false};
  BOOST_REQUIRE(node.predictions.put({uuid, volume_name{"db"}, byte_count{1 << 20}}, load));
  node.predictions.publish(now, "alpha");
  const auto error = [&](const char* method) {
    return value_of("gnomon_forecast_error", {{"volume", "db"}, {"horizon_seconds", "300"}, {"method", method}});
  };
  BOOST_TEST(error("served") == 0.75);
  BOOST_TEST(error("naive") == 0.875);
  BOOST_TEST(value_of("gnomon_forecast_age_seconds", {{"volume", "db"}}) >= 100);
  BOOST_TEST(value_of("gnomon_forecast_requests_per_second", {{"volume", "db"}, {"horizon_seconds", "300"}}) == 12.5);
  BOOST_TEST(value_of("gnomon_forecast_burst_chance", {{"volume", "db"}, {"horizon_seconds", "300"}}) == 0.25);
  BOOST_TEST(value_of("gnomon_board_volumes") == 1);
  node.predictions.set_volumes({}); // it was deleted
  node.predictions.publish(now, "alpha");
  BOOST_TEST(value_of("gnomon_board_volumes") == 0);
  for (const auto& one : samples())
    BOOST_TEST(!one.name.starts_with("gnomon_forecast"), one.name);
}

BOOST_FIXTURE_TEST_CASE(a_volume_that_is_not_served_makes_the_node_unhealthy, fixture) {
  const auto problems = health_problems(node);
  BOOST_REQUIRE(problems.size() == 1u);
  BOOST_TEST(problems[0] == "volume db is not served");
  open();
  BOOST_TEST(health_problems(node).empty());
}

BOOST_FIXTURE_TEST_CASE(failed_writes_and_states_are_named, fixture) {
  open();
  (void)value(catalogue->mark_write_failure(uuid, EIO));
  BOOST_TEST(health_problems(node).at(0).find("gnomon volume clear db") != std::string::npos);
  (void)value(catalogue->clear_write_failure(uuid));
  node.state = node_state::stopping;
  BOOST_TEST(health_problems(node).at(0) == "the node is stopping");
  BOOST_TEST(value_of("gnomon_healthy") == 0);
}

BOOST_FIXTURE_TEST_CASE(long_lists_of_problems_are_cut, fixture) {
  node.set_refused(std::vector<std::string>(500, "a problem"));
  const auto problems = health_problems(node);
  BOOST_TEST(problems.size() == problems_shown_max + 1);
  BOOST_TEST(problems.back() == "and 401 more");
}

BOOST_AUTO_TEST_SUITE_END()
