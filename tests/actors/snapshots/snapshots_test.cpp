// The snapshot service and the group actors: they ask and answer, their death ends no work, hostile messages are refused.
#include "actors/snapshots/snapshots.hpp"

#include <boost/test/unit_test.hpp>

#include "actors/snapshots/group.hpp"
#include "tests/actors/snapshots/works_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::tests;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(snapshots_test)
namespace {

struct service_fixture : works_fixture {
  node_context node;
  system_config config{networking::none};
  caf::actor_system system{config};
  snapshots_actor service;

  service_fixture() {
    node.engine = engine.get();
    node.catalogue = catalogue.get();
    node.snapshots = works.get();
    node.state = node_state::serving;
    service = spawn();
  }
  ~service_fixture() {
    works->stop(); // before the actor system that its callbacks send to
    caf::anon_send_exit(service, caf::exit_reason::user_shutdown);
    service = nullptr;
  }
  snapshots_actor spawn() { return caf::actor_cast<snapshots_actor>(spawn_snapshots(system, &node)); }
  result<group_info> make_group(std::vector<std::string> volumes, const std::string& name = "nightly") {
    group_request request;
    request.name = group_name{name};
    for (auto& volume : volumes)
      request.volumes.push_back({std::move(volume)});
    return tests::ask<group_info>(system, service, atom::create_v, request);
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(a_snapshot_is_taken_listed_checked_restored_and_deleted, service_fixture) {
  const auto db = volume("db", 1 << 20);
  write(db.uuid, 0, 1);
  const auto begun = tests::ask<snapshot_info>(system, service, atom::create_v, snapshot_request{{"db"}, "a note"});
  BOOST_REQUIRE(begun.has_value());
  const auto taken = finished(begun->id);
  BOOST_TEST(taken->note == "a note");
  const auto all = tests::ask<std::vector<snapshot_info>>(system, service, atom::list_v, snapshot_query{"db", ""});
  BOOST_REQUIRE(all->size() == 1u);
  const snapshot_ref ref{taken->id.substr(0, 8)};
  BOOST_TEST(tests::ask<snapshot_info>(system, service, atom::show_v, ref)->id == taken->id);
  BOOST_TEST(tests::ask<snapshot_check>(system, service, atom::verify_v, ref)->findings == 0u);
  const auto copy =
      tests::ask<restore_info>(system, service, atom::restore_v, restore_request{ref, volume_name{"copy"}});
  BOOST_REQUIRE(copy.has_value());
  BOOST_TEST((when_restored(copy->volume).value() == model[db.uuid]));
  BOOST_TEST(tests::ask<snapshot_info>(system, service, atom::erase_v, ref).has_value());
  BOOST_TEST(layer_files().empty());
}

BOOST_FIXTURE_TEST_CASE(what_makes_no_sense_is_refused, service_fixture) {
  const auto code = [](const auto& outcome) { return outcome ? errc::internal : outcome.error().code; };
  volume("db", 1 << 20);
  BOOST_TEST((code(tests::ask<snapshot_info>(system, service, atom::create_v, snapshot_request{{"no"}, ""})) ==
              errc::not_found));
  BOOST_TEST((code(tests::ask<snapshot_info>(system, service, atom::create_v,
                                             snapshot_request{{"db"}, std::string(5000, 'x')})) ==
              errc::invalid_argument));
  for (const auto* text : {"", "0", "xyz", "ffffffff"})
    BOOST_TEST((code(tests::ask<snapshot_info>(system, service, atom::show_v, snapshot_ref{text})) == errc::not_found));
  BOOST_TEST((code(tests::ask<restore_info>(system, service, atom::restore_v,
                                            restore_request{{"ffffffff"}, volume_name{"-x"}})) ==
              errc::invalid_argument));
  BOOST_TEST((code(make_group({})) == errc::invalid_argument));
  BOOST_TEST((code(make_group({"db", "db"})) == errc::invalid_argument));
  BOOST_TEST((code(make_group({"db"}, "@")) == errc::invalid_argument));
  BOOST_TEST(make_group({"db"}).has_value());
  BOOST_TEST((code(make_group({"db"})) == errc::already_exists));
  BOOST_TEST((code(make_group({"db"}, "other")) == errc::already_exists));
  BOOST_TEST((code(tests::ask<group_info>(system, service, atom::erase_v, group_ref{group_name{"no"}})) ==
              errc::not_found));
}

BOOST_FIXTURE_TEST_CASE(the_death_of_the_service_ends_no_capture, service_fixture) {
  const auto db = volume("db", 1 << 20);
  write(db.uuid, 0, 1);
  const auto begun = tests::ask<snapshot_info>(system, service, atom::create_v, snapshot_request{{"db"}, ""});
  BOOST_REQUIRE(begun.has_value());
  caf::anon_send_exit(service, caf::exit_reason::kill);
  service = spawn();
  BOOST_TEST((finished(begun->id)->state == snapshot_state::complete));
  BOOST_TEST(tests::ask<std::vector<snapshot_info>>(system, service, atom::list_v, snapshot_query{})->size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(a_group_actor_takes_a_cut_and_tells_of_it, service_fixture) {
  volume("a", 1 << 20);
  volume("b", 1 << 20);
  BOOST_REQUIRE(make_group({"a", "b"}).has_value());
  const auto group = caf::actor_cast<group_actor>(spawn_group(system, &node, group_name{"nightly"}));
  const auto cut = tests::ask<group_info>(system, group, atom::snapshot_v);
  BOOST_REQUIRE(cut.has_value());
  BOOST_TEST(cut->members.size() == 2u);
  auto info = tests::ask<group_info>(system, group, atom::status_v);
  while (info && info->complete == 0) {
    std::this_thread::sleep_for(1ms);
    info = tests::ask<group_info>(system, group, atom::status_v);
  }
  BOOST_TEST(info->cut == cut->cut);
  BOOST_TEST(info->next_us == 0);
  caf::anon_send_exit(group, caf::exit_reason::user_shutdown);
}

BOOST_FIXTURE_TEST_CASE(a_rule_that_contradicts_itself_is_refused_and_changes_nothing, service_fixture) {
  volume("db", 1 << 20);
  BOOST_REQUIRE(make_group({"db"}).has_value());
  group_change change;
  change.name = group_name{"nightly"};
  change.every_s = 3600, change.latest_by_s = 7200, change.daily = 7;
  const auto changed = tests::ask<group_info>(system, service, atom::describe_v, change);
  BOOST_REQUIRE(changed.has_value());
  BOOST_TEST(changed->rule.every_s == 3600);
  BOOST_TEST(changed->rule.daily == 7u);
  BOOST_TEST(changed->bound_s == 7200);
  for (const auto wrong : {60, 1}) { // less than the interval, less than any
    group_change bad;
    bad.name = change.name;
    bad.latest_by_s = wrong;
    BOOST_TEST(!tests::ask<group_info>(system, service, atom::describe_v, bad).has_value());
  }
  BOOST_TEST((book->find(group_name{"nightly"})->latest_by == 7200s));
  change.name = group_name{"nobody"};
  BOOST_TEST(!tests::ask<group_info>(system, service, atom::describe_v, change).has_value());
}

BOOST_FIXTURE_TEST_CASE(prediction_alone_brings_an_interval_with_it, service_fixture) {
  volume("db", 1 << 20);
  group_request request;
  request.name = group_name{"nightly"};
  request.volumes = {{"db"}};
  request.rule.prediction = true;
  const auto made = tests::ask<group_info>(system, service, atom::create_v, request);
  BOOST_REQUIRE(made.has_value());
  BOOST_TEST(made->rule.every_s == 3600);
  BOOST_TEST(made->rule.baseline_every_s == 86400);
  BOOST_TEST(!made->fallback.empty()); // nothing was learned yet, and it says so
  BOOST_TEST(made->next_us != 0);
}

BOOST_AUTO_TEST_SUITE_END()
