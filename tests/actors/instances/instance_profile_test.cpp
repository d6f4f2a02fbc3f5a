// What is said of an instance: whose word counts, what the history tells of its load and its chunks, and how that is
// shown.
#include "actors/instances/instance_profile.hpp"
#include "actors/runtime/instance_summary.hpp"

#include <boost/test/unit_test.hpp>

#include "actors/cli/grammar/command.hpp"
#include "actors/cli/shell/completion.hpp"
#include "actors/cli/view/instance_view.hpp"
#include "actors/cli/view/json_output.hpp"
#include "config/json.hpp"
#include "tests/actors/actor_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::actors::cli;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

BOOST_AUTO_TEST_SUITE(instance_profile_test)
namespace {

const wall_time now{seconds(1'700'000'001)}; // that of shared_clock

struct fixture {
  tests::shared_clock clock;
  tests::temporary_history past{clock};
  store::history* history = past.history.get();
  watched_volume db{volume_uuid::random(), volume_name("db"), {byte_count{16ull << 20}, 64, {300.0}}};
  watched_volume idle{volume_uuid::random(), volume_name("idle"), {byte_count{16ull << 20}, 64, {300.0}}};
  store::instance_index web, batch;

  fixture() {
    web = history->intern(instance_id("web-1")).value();
    batch = history->intern(instance_id("batch")).value();
  }
  void add(wall_time when, std::uint64_t chunk, store::instance_index who, std::uint64_t reads,
           std::uint64_t writes) {
    store::history_batch b;
    b.volume = db.uuid, b.time = when;
    b.rows.push_back({chunk_index{chunk}, who, {reads, writes, reads * 4096, writes * 4096, 0}});
    BOOST_REQUIRE(history->append(std::move(b)).has_value());
  }
  std::optional<instance_summary> load(store::instance_index who) {
    for (const auto& [index, summary] : recent_load(*history, {db, idle}, now))
      if (index == who)
        return summary;
    return std::nullopt;
  }
};

instance_settings configured() {
  instance_settings s;
  s.id = instance_id("web-1");
  s.application = "postgresql";
  s.level = criticality::high;
  s.sla = {std::chrono::microseconds(2000), seconds(3600)};
  return s;
}

} // namespace

BOOST_AUTO_TEST_CASE(what_was_set_goes_over_the_configuration_and_only_where_it_was_set) {
  const auto config = configured();
  const auto plain = metadata_of(&config, nullptr);
  BOOST_TEST((plain == instance_metadata{"postgresql", criticality::high, 2000, 3'600'000'000, ""}));
  BOOST_TEST((metadata_of(nullptr, nullptr) == instance_metadata{}));
  instance_change change;
  change.level = {true, criticality::low};
  change.host = {true, "rack 7"};
  change.read_p99_us = {true, 0};
  const auto record = changed_by(change, std::nullopt, config.id, now);
  BOOST_REQUIRE(record.has_value());
  BOOST_TEST((metadata_of(&config, &*record) ==
              instance_metadata{"postgresql", criticality::low, 0, 3'600'000'000, "rack 7"}));
  instance_change more;
  more.application = {true, "redis"};
  const auto both = changed_by(more, *record, config.id, now);
  BOOST_REQUIRE(both.has_value());
  BOOST_TEST((both->level == criticality::low && both->application == "redis"));
  BOOST_TEST(!says_nothing(*both));
  more.reset = true;
  const auto fresh = changed_by(more, *both, config.id, now);
  BOOST_TEST((fresh->application == "redis" && !fresh->level && !fresh->host));
  instance_change reset;
  reset.reset = true;
  BOOST_TEST(says_nothing(*changed_by(reset, *both, config.id, now)));
}

BOOST_AUTO_TEST_CASE(what_is_no_text_or_too_long_is_refused) {
  instance_change control, length, negative;
  control.application = {true, "a\nb"};
  length.host = {true, std::string(store::instance_text_length_max + 1, 'x')};
  negative.rpo_us = {true, -2'000'000};
  for (const auto& wrong : {control, length, negative}) {
    const auto refused = changed_by(wrong, std::nullopt, instance_id("web-1"), now);
    BOOST_REQUIRE(!refused.has_value());
    BOOST_TEST((refused.error().code == errc::invalid_argument));
  }
}

BOOST_FIXTURE_TEST_CASE(load_is_told_apart_by_instance_and_by_age, fixture) {
  add(now - seconds(30), 3, web, 700, 0);
  add(now - minutes(30), 3, web, 100, 0);
  add(now - hours(5), 3, web, 1000, 0);
  add(now - hours(3), 9, batch, 0, 50);
  add(now - hours(30), 9, batch, 0, 50);
  const auto w = load(web);
  BOOST_REQUIRE(w.has_value());
  BOOST_TEST(double(w->requests_per_second) == 10.0); // 700 over 70 s
  BOOST_TEST(double(w->bytes_per_second) == 40'960.0);
  BOOST_TEST(double(w->requests_last_hour) == 800.0);
  BOOST_TEST(w->volumes == 1u);
  BOOST_TEST(w->last_us <= now.time_since_epoch().count());
  BOOST_TEST(w->last_us >= (now - seconds(40)).time_since_epoch().count());
  const auto b = load(batch);
  BOOST_REQUIRE(b.has_value());
  BOOST_TEST(double(b->requests_per_second) == 0.0);
  BOOST_TEST(double(b->requests_last_hour) == 0.0);
  BOOST_TEST(b->volumes == 0u);
  BOOST_TEST(b->last_us > (now - hours(4)).time_since_epoch().count());
}

BOOST_FIXTURE_TEST_CASE(a_profile_names_the_chunks_and_the_share_of_each, fixture) {
  for (int hour = 20; hour >= 1; --hour) {
    add(now - hours(hour), 3, web, 60, 0);
    add(now - hours(hour), 3, batch, 20, 0);
    add(now - hours(hour), 9, batch, 0, 100);
    add(now - hours(hour), 40, web, 0, 20);
  }
  add(now - hours(30), 50, web, 10'000, 0); // beyond the day
  instance_details details;
  read_profile(*history, web, {idle, db}, now, details);
  BOOST_REQUIRE(details.volumes.size() == 1u);
  const auto& v = details.volumes[0];
  BOOST_TEST(v.name.value == "db");
  BOOST_TEST(double(v.requests) == 20.0 * 80);
  BOOST_TEST(double(v.share) == 80.0 / 200.0);
  BOOST_TEST(double(v.write_share) == 0.25);
  BOOST_TEST(v.chunk_count == 2u);
  BOOST_REQUIRE(v.chunks.size() == 2u);
  BOOST_TEST(v.chunks[0].chunk.value == 3u);
  BOOST_TEST(double(v.chunks[0].share) == 0.75);
  BOOST_TEST(v.chunks[1].chunk.value == 40u);
  BOOST_TEST(double(v.chunks[1].share) == 1.0);
  BOOST_REQUIRE(v.hot_sets.size() == 1u);
  BOOST_TEST(!v.hot_sets[0].chunks.empty());
  for (const auto& c : v.hot_sets[0].chunks) // never one that only another instance touches
    BOOST_TEST(c.chunk.value != 9u);
  BOOST_REQUIRE(details.past.size() == profile_slots);
  double requests = 0;
  for (const double per_second : details.past)
    requests += per_second * 86'400.0 / profile_slots;
  BOOST_TEST(requests == 20.0 * 80, boost::test_tools::tolerance(1e-9));
  instance_details nobody;
  read_profile(*history, store::instance_index{99}, {idle, db}, now, nobody);
  BOOST_TEST(nobody.volumes.empty());
}

BOOST_AUTO_TEST_CASE(load_ahead_is_the_mean_up_to_each_horizon_the_forecast_reaches) {
  forecast_view f;
  f.step_us = 60'000'000;
  for (int i = 0; i < 30; ++i) {
    f.ahead.emplace_back(i < 5 ? 10.0 : 40.0);
    f.low.emplace_back(1.0);
    f.high.emplace_back(100.0);
  }
  const auto ahead = load_ahead(f, {minutes(5), minutes(30), hours(2)});
  BOOST_REQUIRE(ahead.size() == 2u); // two hours are beyond it
  BOOST_TEST(double(ahead[0].expected) == 10.0);
  BOOST_TEST(double(ahead[1].expected) == 35.0);
  BOOST_TEST(double(ahead[1].low) == 1.0);
  f.step_us = 0;
  BOOST_TEST(load_ahead(f, {minutes(5)}).empty());
  f.step_us = 60'000'000, f.high.clear(); // a forecast cut short is no forecast
  BOOST_TEST(load_ahead(f, {minutes(5)}).empty());
}

BOOST_AUTO_TEST_CASE(profiles_are_shown_to_people_and_to_programs) {
  instance_details d;
  d.summary = {instance_id("web\033[31m"),
               true,
               true,
               {"postgresql", criticality::high, 2000, 3'600'000'000, "rack 7"},
               2,
               12.5,
               51'200.0,
               800.0,
               3e6,
               1,
               1'000'000};
  d.allowed = {volume_name("db")};
  d.volumes = {{volume_name("db"),
                {},
                1600.0,
                6e6,
                0.25,
                0.4,
                2,
                {{chunk_index{3}, 1200.0, 0.75}},
                {{300'000'000, "EWMA", 0.5, 4.0, {{chunk_index{3}, 1e6, 100.0, false}}}}}};
  d.from_us = 0, d.to_us = 86'400'000'000, d.past = {0.0, 1.0, 8.0};
  d.predicted = {{300'000'000, 10.0, 5.0, 20.0}};
  const auto text = instance_text(d, 61'000'000, false);
  BOOST_TEST(text.find('\033') == std::string::npos);
  for (const auto* part : {"postgresql", "high", "99% of reads within 2ms", "at most 1h of data lost", "rack 7",
                           "config, set", "1m00s ago", "│ ▁█│", "3 (75%)",
                           "next 5m00s   10 requests/s, between 5 and 20", "12.5 requests/s, 50KiB/s", "EWMA"})
    BOOST_TEST(text.find(part) != std::string::npos, part << " is missing in\n" << text);
  const auto list = instances_text({d.summary}, 61'000'000);
  BOOST_TEST(list.find('\033') == std::string::npos);
  BOOST_TEST(instances_text({}, 0).find("no instance is known") == 0u);
  const auto read = parse_json(json_of(d));
  BOOST_REQUIRE(read.has_value());
  BOOST_TEST((*read)["criticality"].get<std::string>() == "high");
  BOOST_TEST((*read)["touched_volumes"][0]["chunks"][0]["share"].get<double>() == 0.75);
  BOOST_TEST((*read)["past"]["requests_per_second"].size() == 3u);
  d.predicted.clear(), d.why_not_predicted = "too little past";
  BOOST_TEST(instance_text(d, 0, false).find("none: too little past") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(words_become_changes) {
  const auto parsed = [](std::vector<std::string> words) { return parse_command(words); };
  const auto out = parsed({"instance", "set", "web-1", "--application", "redis", "--criticality", "high",
                           "--read-p99", "2ms", "--rpo", "1h"});
  const auto* got = std::get_if<invocation>(&out);
  BOOST_REQUIRE(got != nullptr);
  const auto& set = std::get<instance_set_command>(got->what);
  BOOST_TEST(set.instance.value == "web-1");
  BOOST_TEST((set.change.application == perhaps<std::string>{true, "redis"}));
  BOOST_TEST((set.change.level == perhaps<criticality>{true, criticality::high}));
  BOOST_TEST((set.change.read_p99_us == perhaps<std::int64_t>{true, 2000}));
  BOOST_TEST((set.change.rpo_us == perhaps<std::int64_t>{true, 3'600'000'000}));
  BOOST_TEST(!set.change.host.given);
  BOOST_TEST(!set.change.reset);
  for (const auto& wrong : std::vector<std::vector<std::string>>{{"instance"},
                                                                 {"instance", "show"},
                                                                 {"instance", "set", "web-1"},
                                                                 {"instance", "set", "x", "--criticality", "huge"},
                                                                 {"instance", "set", "x", "--rpo", "1 hour"},
                                                                 {"instance", "sho"}}) {
    const auto stop = parsed(wrong);
    BOOST_REQUIRE(std::holds_alternative<parse_stop>(stop));
    BOOST_TEST(std::get<parse_stop>(stop).exit_code == 2);
  }
  const name_lookup names = [](name_kind kind) {
    return kind == name_kind::instances ? std::vector<std::string>{"web-1", "web-2"} : std::vector<std::string>{};
  };
  const std::vector<std::string> show{"instance", "show"}, set_words{"instance", "set", "web-1"};
  BOOST_TEST(complete(show, "web", names).candidates.size() == 2u);
  BOOST_TEST(complete(std::vector<std::string>{"instance"}, "s", names).candidates.size() == 2u);
  BOOST_TEST(complete(set_words, "--app", names).candidates == std::vector<std::string>{"--application"});
}

BOOST_AUTO_TEST_SUITE_END()
