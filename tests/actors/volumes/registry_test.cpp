// The registry on a real catalogue and a data plane in memory: every change ends with both agreeing, whatever fails.
#include "actors/volumes/registry.hpp"
#include "actors/volumes/volume.hpp"

#include <caf/send.hpp>

#include <boost/test/unit_test.hpp>

#include "actors/runtime/supervisor.hpp"
#include "tests/actors/actor_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::tests;

BOOST_AUTO_TEST_SUITE(registry_test)
namespace {

constexpr std::uint64_t MiB = 1 << 20;

struct fixture : store_and_engine {
  node_context node;
  system_config config{networking::none};
  caf::actor_system system{config};
  root_guard guard{system, node.tree, [] {}};

  fixture() {
    node.engine = engine.get();
    node.catalogue = catalogue.get();
    node.access = access.get();
    node.state = node_state::serving;
    auto* tree = &node.tree;
    auto* context = &node;
    add(root_name, "", [tree](auto& s) { return spawn_supervisor(s, tree, root_name); });
    node.volume_children = {{volume_kind, volumes_name, spawn_volume}};
    add(volumes_name, root_name, [tree](auto& s) { return spawn_supervisor(s, tree, volumes_name); });
    add(registry_name, root_name, [context](auto& s) { return spawn_registry(s, context); });
    (void)guard.check();
    BOOST_REQUIRE(eventually([&] { return static_cast<bool>(registry()); }));
  }
  ~fixture() {
    node.tree.begin_stop();
    for (const auto& info : node.tree.list())
      if (const auto handle = node.tree.find(info.name))
        caf::anon_send_exit(handle, caf::exit_reason::kill);
    (void)engine->stop(std::chrono::milliseconds{100});
    catalogue->stop();
    node.tree.release();
  }
  void add(std::string name, std::string parent, std::function<caf::actor(caf::actor_system&)> spawn) {
    restart_policy quick;
    quick.backoff_first = std::chrono::milliseconds{1};
    BOOST_REQUIRE(node.tree.add({std::move(name), std::move(parent), std::move(spawn), quick}).has_value());
  }
  registry_actor registry() { return node.tree.find_as<registry_actor>(registry_name); }

  result<volume_summary> create(const std::string& name, std::uint64_t size = MiB) {
    actors::volume_request request;
    request.name = volume_name{name};
    request.size = byte_count{size};
    return ask<volume_summary>(system, registry(), atom::create_v, request);
  }
  template <class... Ts>
  result<volume_summary> change(Ts... message) {
    return ask<volume_summary>(system, registry(), message...);
  }
  bool has_actor(const std::string& name) {
    return eventually([&] { return static_cast<bool>(node.tree.find("volume/" + name)); });
  }
  result<apply_report> apply(std::vector<std::pair<std::string, std::uint64_t>> volumes) {
    settings wanted;
    for (const auto& [name, size] : volumes) {
      volume_settings volume;
      volume.name = volume_name{name};
      volume.size = byte_count{size};
      wanted.volumes.push_back(volume);
    }
    node.set_settings(wanted);
    return ask<apply_report>(system, registry(), atom::apply_v);
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(a_created_volume_is_recorded_served_and_has_an_actor, fixture) {
  const auto made = create("db");
  BOOST_REQUIRE(made.has_value());
  BOOST_TEST((made->state == volume_state::serving));
  BOOST_TEST(engine->status(made->uuid).has_value());
  BOOST_TEST(!catalogue->find(made->uuid)->clean); // a crash from now on is one
  BOOST_TEST(has_actor("db"));
  BOOST_TEST((create("db").error().code == errc::already_exists));
}

BOOST_FIXTURE_TEST_CASE(resize_grows_live_and_names_who_must_reconnect, fixture) {
  const auto made = create("db");
  BOOST_REQUIRE(made.has_value());
  engine->connect(made->uuid, "web-1", "unix:pid=1");
  const auto report = ask<resize_report>(system, registry(), atom::resize_v, volume_ref{"db"}, byte_count{2 * MiB});
  BOOST_REQUIRE(report.has_value());
  BOOST_TEST(report->volume.size.value == 2 * MiB);
  BOOST_REQUIRE(report->must_reconnect.size() == 1u);
  BOOST_TEST(report->must_reconnect[0].instance.value == "web-1");
  BOOST_TEST(engine->status(made->uuid)->spec.size.value == 2 * MiB);
  const auto shrink = ask<resize_report>(system, registry(), atom::resize_v, volume_ref{"db"}, byte_count{MiB});
  BOOST_TEST((shrink.error().code == errc::invalid_argument));
}

BOOST_FIXTURE_TEST_CASE(read_only_and_description_change_live_and_stay, fixture) {
  const auto made = create("db");
  BOOST_REQUIRE(made.has_value());
  const auto closed = change(atom::access_v, volume_ref{"db"}, volume_access::read_only);
  BOOST_REQUIRE(closed.has_value());
  BOOST_TEST(closed->read_only);
  BOOST_TEST(engine->status(made->uuid)->spec.read_only);
  BOOST_TEST(catalogue->find(made->uuid)->read_only);
  BOOST_REQUIRE(change(atom::describe_v, volume_ref{"db"}, std::string("the orders")).has_value());
  BOOST_TEST(engine->status(made->uuid)->spec.description == "the orders");
  BOOST_TEST(catalogue->find(made->uuid)->description == "the orders");
  const auto opened = change(atom::access_v, volume_ref{made->uuid.to_string()}, volume_access::read_write);
  BOOST_REQUIRE(opened.has_value());
  BOOST_TEST(!opened->read_only);
  BOOST_TEST(!engine->status(made->uuid)->spec.read_only);
  for (const auto& call : engine->calls())
    BOOST_TEST(call != "close"); // all of it without ending a connection
  const auto wordy = change(atom::describe_v, volume_ref{"db"}, std::string(store::description_length_max + 1, 'd'));
  BOOST_TEST((wordy.error().code == errc::invalid_argument));
  BOOST_TEST(engine->status(made->uuid)->spec.description == "the orders");
  BOOST_TEST((change(atom::access_v, volume_ref{"nope"}, volume_access::read_only).error().code == errc::not_found));
}

BOOST_FIXTURE_TEST_CASE(what_was_served_read_only_from_the_start_is_opened_again_to_take_writes, fixture) {
  actors::volume_request request;
  request.name = volume_name{"image"};
  request.size = byte_count{MiB};
  request.read_only = true;
  const auto made = ask<volume_summary>(system, registry(), atom::create_v, request);
  BOOST_REQUIRE(made.has_value());
  BOOST_TEST(engine->status(made->uuid)->opened_read_only);
  const auto opened = change(atom::access_v, volume_ref{"image"}, volume_access::read_write);
  BOOST_REQUIRE(opened.has_value());
  BOOST_TEST(!engine->status(made->uuid)->opened_read_only);
  BOOST_TEST(!engine->status(made->uuid)->spec.read_only);
  const auto calls = engine->calls();
  BOOST_TEST(std::count(calls.begin(), calls.end(), "close") == 1);
}

BOOST_FIXTURE_TEST_CASE(a_reload_changes_read_only_and_description_of_open_volumes, fixture) {
  BOOST_REQUIRE(apply({{"db", MiB}}).has_value());
  const auto uuid = catalogue->find(volume_name{"db"})->uuid;
  settings wanted = *node.current_settings();
  wanted.volumes[0].description = "the orders";
  wanted.volumes[0].read_only = true;
  node.set_settings(wanted);
  const auto report = ask<apply_report>(system, registry(), atom::apply_v);
  BOOST_REQUIRE(report.has_value());
  BOOST_TEST(report->refused.empty());
  BOOST_TEST(report->changed == 1u);
  BOOST_TEST(engine->status(uuid)->spec.description == "the orders");
  BOOST_TEST(engine->status(uuid)->spec.read_only);
  // the config would undo what is changed by hand
  const auto by_hand = change(atom::access_v, volume_ref{"db"}, volume_access::read_write);
  BOOST_TEST((by_hand.error().code == errc::invalid_argument));
  BOOST_TEST((change(atom::describe_v, volume_ref{"db"}, std::string("x")).error().code == errc::invalid_argument));
  BOOST_TEST(engine->status(uuid)->spec.read_only);
}

BOOST_FIXTURE_TEST_CASE(a_wrong_name_is_answered_with_the_nearest_one, fixture) {
  BOOST_REQUIRE(create("orders").has_value());
  const auto shown = ask<volume_details>(system, registry(), atom::show_v, volume_ref{"ordesr"});
  BOOST_TEST((shown.error().code == errc::not_found));
  BOOST_TEST(shown.error().message == "there is no volume \"ordesr\"; did you mean orders?");
  const auto far = ask<volume_details>(system, registry(), atom::show_v, volume_ref{"zzz"});
  BOOST_TEST(far.error().message == "there is no volume \"zzz\"");
  const auto live = change(atom::purge_v, volume_ref{"orders"});
  BOOST_TEST(live.error().message == "there is no deleted volume \"orders\": orders is not deleted");
  BOOST_REQUIRE(change(atom::erase_v, volume_ref{"orders"}, deletion::if_unused).has_value());
  const auto gone = change(atom::undelete_v, volume_ref{"order"}, volume_name{});
  BOOST_TEST(gone.error().message == "there is no deleted volume \"order\"; did you mean orders?");
}

BOOST_FIXTURE_TEST_CASE(a_deleted_volume_can_be_brought_back_by_uuid_and_under_a_new_name, fixture) {
  const auto made = create("db");
  BOOST_REQUIRE(made.has_value());
  const auto gone = change(atom::erase_v, volume_ref{"db"}, deletion::if_unused);
  BOOST_REQUIRE(gone.has_value());
  BOOST_TEST((gone->state == volume_state::deleted));
  BOOST_TEST(gone->deleted_until_us > 0);
  BOOST_TEST(!engine->status(made->uuid).has_value());
  BOOST_TEST(!node.tree.contains("volume/db"));
  BOOST_TEST(create("db").has_value()); // the name is free at once
  const auto back = change(atom::undelete_v, volume_ref{made->uuid.to_string()}, volume_name{"old"});
  BOOST_REQUIRE(back.has_value());
  BOOST_TEST((back->uuid == made->uuid));
  BOOST_TEST(engine->status(made->uuid)->spec.name.value == "old");
  BOOST_TEST(has_actor("old"));
}

BOOST_FIXTURE_TEST_CASE(a_purged_volume_is_gone_for_good, fixture) {
  const auto made = create("db");
  BOOST_REQUIRE(change(atom::erase_v, volume_ref{"db"}, deletion::if_unused).has_value());
  BOOST_REQUIRE(change(atom::purge_v, volume_ref{"db"}).has_value());
  BOOST_TEST((change(atom::undelete_v, volume_ref{"db"}, volume_name{}).error().code == errc::not_found));
  BOOST_TEST(!std::filesystem::exists(directory.path + "/volumes/" + made->uuid.to_string()));
}

BOOST_FIXTURE_TEST_CASE(a_renamed_volume_keeps_its_actor, fixture) {
  const auto made = create("db");
  BOOST_REQUIRE(has_actor("db"));
  const auto id = node.tree.find("volume/db").id();
  BOOST_REQUIRE(change(atom::rename_v, volume_ref{"db"}, volume_name{"sales"}).has_value());
  BOOST_TEST(engine->status(made->uuid)->spec.name.value == "sales");
  BOOST_REQUIRE(has_actor("sales"));
  BOOST_TEST(node.tree.find("volume/sales").id() == id);
  BOOST_TEST(!node.tree.contains("volume/db"));
}

using connections = std::vector<connection_info>;

BOOST_FIXTURE_TEST_CASE(fencing_ends_one_instance_or_all_and_keeps_them_out, fixture) {
  const auto made = create("db");
  for (const char* instance : {"a", "b", "c"})
    engine->connect(made->uuid, instance, "peer");
  const auto fence = [&](const char* who, const char* heir = "") {
    return ask<connections>(system, registry(), atom::fence_v, volume_ref{"db"}, instance_id{who}, instance_id{heir});
  };
  const auto one = fence("b");
  BOOST_REQUIRE(one.has_value());
  BOOST_TEST(one->size() == 1u);
  BOOST_TEST(ask<connections>(system, registry(), atom::who_v, volume_ref{"db"})->size() == 2u);
  BOOST_TEST(!engine->status(made->uuid)->spec.fences.admits(instance_id{"b"}));
  BOOST_TEST(engine->status(made->uuid)->spec.fences.admits(instance_id{"d"}));
  BOOST_TEST(fence("")->size() == 2u);
  BOOST_TEST(ask<connections>(system, registry(), atom::who_v, volume_ref{"db"})->empty());
  BOOST_TEST(!engine->status(made->uuid)->spec.fences.admits(instance_id{"d"}));
  BOOST_REQUIRE(fence("", "d").has_value()); // handed over
  BOOST_TEST(engine->status(made->uuid)->spec.fences.admits(instance_id{"d"}));
  BOOST_TEST(!engine->status(made->uuid)->spec.fences.admits(instance_id{"a"}));
  const auto shown = ask<volume_details>(system, registry(), atom::show_v, volume_ref{"db"});
  BOOST_TEST(shown->handed_to.value == "d");
  BOOST_TEST(shown->epoch == 3u);
  const auto freed = ask<volume_details>(system, registry(), atom::unfence_v, volume_ref{"db"}, instance_id{});
  BOOST_REQUIRE(freed.has_value());
  BOOST_TEST(freed->epoch == 4u);
  BOOST_TEST(engine->status(made->uuid)->spec.fences.admits(instance_id{"b"}));
  const auto again = ask<volume_details>(system, registry(), atom::unfence_v, volume_ref{"db"}, instance_id{"b"});
  BOOST_TEST((again.error().code == errc::not_found));
}

BOOST_FIXTURE_TEST_CASE(a_fence_outlives_the_registry_and_a_reopening, fixture) {
  const auto made = create("db");
  BOOST_REQUIRE(
      ask<connections>(system, registry(), atom::fence_v, volume_ref{"db"}, instance_id{"old"}, instance_id{}).has_value());
  BOOST_REQUIRE(change(atom::erase_v, volume_ref{"db"}, deletion::if_unused).has_value());
  BOOST_REQUIRE(change(atom::undelete_v, volume_ref{"db"}, volume_name{}).has_value());
  BOOST_TEST(!engine->status(made->uuid)->spec.fences.admits(instance_id{"old"})); // it was opened so
}

BOOST_FIXTURE_TEST_CASE(an_attached_volume_is_deleted_by_force_only, fixture) {
  const auto made = create("db");
  engine->connect(made->uuid, "web-1", "unix:pid=7");
  const auto refused = change(atom::erase_v, volume_ref{"db"}, deletion::if_unused);
  BOOST_TEST((refused.error().code == errc::busy));
  BOOST_TEST(refused.error().message.find("web-1") != std::string::npos);
  BOOST_TEST(change(atom::erase_v, volume_ref{"db"}, deletion::forced).has_value());
}

BOOST_FIXTURE_TEST_CASE(a_grant_by_hand_follows_the_volume_and_can_be_taken_back, fixture) {
  BOOST_REQUIRE(create("hand").has_value());
  settings wanted;
  wanted.instances_section = true;
  node.set_settings(wanted);
  const auto may_open = [&](const char* volume) {
    const auto policy = engine->access();
    for (const auto& grant : policy.grants)
      if (grant.instance.value == "web")
        return std::count(grant.volumes.begin(), grant.volumes.end(), volume_name{volume}) == 1;
    return false;
  };
  BOOST_REQUIRE(ask<volume_details>(system, registry(), atom::grant_v, volume_ref{"hand"}, instance_id{"web"}).has_value());
  BOOST_TEST(engine->access().restricted);
  BOOST_TEST(may_open("hand"));
  BOOST_REQUIRE(change(atom::rename_v, volume_ref{"hand"}, volume_name{"other"}).has_value());
  BOOST_TEST(may_open("other"));
  BOOST_TEST(!may_open("hand"));
  BOOST_REQUIRE(ask<volume_details>(system, registry(), atom::revoke_v, volume_ref{"other"}, instance_id{"web"}).has_value());
  BOOST_TEST(!may_open("other"));
}

BOOST_FIXTURE_TEST_CASE(a_close_that_fails_is_shown_and_tried_again, fixture) {
  const auto made = create("db");
  engine->fail_closing({errc::timed_out, "requests do not end", 0});
  BOOST_TEST(!change(atom::erase_v, volume_ref{"db"}, deletion::if_unused).has_value());
  BOOST_REQUIRE(!change(atom::undelete_v, volume_ref{"db"}, volume_name{}).has_value());
  const auto shown = ask<volume_details>(system, registry(), atom::show_v, volume_ref{"db"});
  BOOST_TEST((shown->summary.state == volume_state::closing));
  BOOST_TEST(!shown->summary.problem.empty());
  engine->close_works_again();
  BOOST_REQUIRE(ask<std::string>(system, registry(), atom::ask_v, std::string("reconcile")).has_value());
  BOOST_TEST(eventually([&] {
    const auto status = engine->status(made->uuid);
    return status && !status->closing;
  }));
}

BOOST_FIXTURE_TEST_CASE(descriptions_with_control_characters_are_refused, fixture) {
  BOOST_REQUIRE(create("db").has_value());
  for (const char* text : {"\x1b[31mred", "two\nlines", "c1 \xc2\x9b", "\xff", "turn \xe2\x80\xae"})
    BOOST_TEST((change(atom::describe_v, volume_ref{"db"}, std::string(text)).error().code == errc::invalid_argument));
  BOOST_TEST(change(atom::describe_v, volume_ref{"db"}, std::string("orders \xe4\xb8\xad")).has_value());
}

BOOST_FIXTURE_TEST_CASE(a_failed_fsync_is_remembered_until_it_is_cleared, fixture) {
  const auto made = create("db");
  engine->fail_sync(made->uuid);
  // The data plane records it when it happens; what could not be recorded then, the registry does later.
  BOOST_REQUIRE(ask<std::string>(system, registry(), atom::ask_v, std::string("reconcile")).has_value());
  BOOST_REQUIRE(eventually([&] { return catalogue->find(made->uuid)->failure.has_value(); }));
  BOOST_TEST(catalogue->find(made->uuid)->failure->os_errno == EIO);
  const auto shown = ask<volume_details>(system, registry(), atom::show_v, volume_ref{"db"});
  BOOST_TEST((shown->summary.state == volume_state::writes_failed));
  auto cleared = change(atom::clear_v, volume_ref{"db"});
  BOOST_REQUIRE(eventually([&] { // the registry may still be recording it
    if (!cleared && cleared.error().code == errc::busy)
      cleared = change(atom::clear_v, volume_ref{"db"});
    return cleared.has_value();
  }));
  BOOST_TEST((cleared->state == volume_state::serving));
  BOOST_TEST(!catalogue->find(made->uuid)->failure.has_value());
  BOOST_TEST(!engine->status(made->uuid)->spec.writes_failed);
}

BOOST_FIXTURE_TEST_CASE(deleted_volumes_whose_time_is_over_are_purged_without_a_command, fixture) {
  BOOST_REQUIRE(create("db").has_value());
  BOOST_REQUIRE(change(atom::erase_v, volume_ref{"db"}, deletion::if_unused).has_value());
  BOOST_REQUIRE_EQUAL(catalogue->list_deleted().size(), 1u);
  catalogue->set_undelete_for(std::chrono::seconds{0});
  caf::anon_send_exit(node.tree.find(registry_name), caf::exit_reason::kill); // the first tick of another one purges
  BOOST_TEST(eventually([&] { return catalogue->list_deleted().empty(); }));
}

// The data plane has asked for the record and `meta` may have refused it: the step that follows does not rely on it.
BOOST_FIXTURE_TEST_CASE(a_last_sync_that_fails_is_recorded_before_the_volume_can_be_opened_again, fixture) {
  const auto made = create("db");
  engine->fail_closing({errc::io_failed, "a sync failed", ENOSPC});
  BOOST_REQUIRE(change(atom::erase_v, volume_ref{"db"}, deletion::if_unused).has_value());
  engine->close_works_again();
  BOOST_REQUIRE(change(atom::undelete_v, volume_ref{"db"}, volume_name{}).has_value());
  BOOST_REQUIRE(catalogue->find(made->uuid)->failure.has_value());
  BOOST_TEST(catalogue->find(made->uuid)->failure->os_errno == ENOSPC);
  BOOST_TEST(engine->status(made->uuid)->spec.writes_failed);
}

BOOST_FIXTURE_TEST_CASE(one_change_per_volume_at_a_time, fixture) {
  BOOST_REQUIRE(create("db").has_value());
  engine->hold();
  bool resized = false; // the test library is for one thread at a time
  std::thread first([&] {
    resized =
        ask<resize_report>(system, registry(), atom::resize_v, volume_ref{"db"}, byte_count{2 * MiB}).has_value();
  });
  BOOST_TEST(eventually([&] {
    const auto report = ask<actor_report>(system, registry(), atom::report_v);
    return report && report->activity == "1 changes";
  }));
  const auto second = change(atom::erase_v, volume_ref{"db"}, deletion::if_unused);
  BOOST_TEST((second.error().code == errc::busy));
  BOOST_TEST(second.error().retryable());
  engine->release();
  first.join();
  BOOST_TEST(resized);
  BOOST_TEST(change(atom::erase_v, volume_ref{"db"}, deletion::if_unused).has_value());
}

BOOST_FIXTURE_TEST_CASE(a_config_is_applied_and_a_bad_volume_does_not_keep_the_others_out, fixture) {
  engine->fail_opening(volume_name{"bad"}, {errc::io_failed, "the disk is broken", EIO});
  const auto first = apply({{"a", MiB}, {"bad", MiB}, {"b", MiB}});
  BOOST_REQUIRE(first.has_value());
  BOOST_TEST(first->created == 3u);
  BOOST_REQUIRE(first->refused.size() == 1u);
  BOOST_TEST(first->refused[0].find("volume bad") != std::string::npos);
  BOOST_TEST(engine->volumes().size() == 2u);

  engine->open_works_again();
  const auto second = apply({{"a", 2 * MiB}, {"bad", MiB}, {"b", MiB / 2}, {"c", MiB}});
  BOOST_REQUIRE(second.has_value());
  BOOST_TEST(second->created == 1u);
  BOOST_TEST(second->changed == 1u);
  BOOST_TEST(second->refused.size() == 1u); // b does not shrink
  BOOST_TEST(engine->volumes().size() == 4u);
  BOOST_TEST(node.refused()->size() == 1u);
  BOOST_TEST(has_actor("c"));
}

BOOST_FIXTURE_TEST_CASE(a_volume_that_went_from_the_config_is_closed_and_kept, fixture) {
  BOOST_REQUIRE(apply({{"a", MiB}, {"b", MiB}}).has_value());
  BOOST_REQUIRE(create("by-hand").has_value());
  const auto b = catalogue->find(volume_name{"b"})->uuid;
  BOOST_TEST((change(atom::erase_v, volume_ref{"b"}, deletion::if_unused).error().code == errc::invalid_argument)); // the config owns it
  BOOST_REQUIRE(apply({{"a", MiB}}).has_value());
  BOOST_TEST(!engine->status(b).has_value());
  BOOST_TEST(catalogue->find(b).has_value());
  BOOST_TEST(engine->volumes().size() == 2u);
  BOOST_TEST(!node.tree.contains("volume/b"));
  BOOST_TEST(change(atom::erase_v, volume_ref{"b"}, deletion::if_unused).has_value()); // now it may go
  BOOST_REQUIRE(apply({{"a", MiB}, {"b", MiB}}).has_value());
  BOOST_TEST((catalogue->find(volume_name{"b"})->uuid != b)); // names may be reused, uuids never
}

BOOST_FIXTURE_TEST_CASE(many_volumes_are_created_and_opened_by_one_apply, fixture) {
  std::vector<std::pair<std::string, std::uint64_t>> many;
  for (int i = 0; i < 1500; ++i)
    many.emplace_back("v" + std::to_string(i), 1ull << 40);
  const auto done = apply(many);
  BOOST_REQUIRE(done.has_value());
  BOOST_TEST(done->created == 1500u);
  BOOST_TEST(done->refused.size() == 0u);
  BOOST_TEST(engine->volumes().size() == 1500u);
  BOOST_TEST(has_actor("v1499"));
  const auto listed = ask<std::vector<volume_summary>>(system, registry(), atom::list_v, list_filter::present);
  BOOST_TEST(listed->size() == 1500u);
}

BOOST_FIXTURE_TEST_CASE(a_registry_killed_in_the_middle_answers_and_its_successor_repairs, fixture) {
  BOOST_REQUIRE(create("db").has_value());
  engine->hold();
  result<resize_report> outcome;
  std::thread asking([&] {
    outcome = ask<resize_report>(system, registry(), atom::resize_v, volume_ref{"db"}, byte_count{4 * MiB});
  });
  // The catalogue has committed, the data plane has not followed.
  BOOST_REQUIRE(eventually([&] { return catalogue->find(volume_name{"db"})->size.value == 4 * MiB; }));
  const auto before = registry().id();
  caf::anon_send_exit(node.tree.find(registry_name), caf::exit_reason::kill);
  asking.join();
  BOOST_TEST((outcome.error().code == errc::unavailable));
  BOOST_REQUIRE(eventually([&] {
    const auto successor = registry();
    return successor && successor.id() != before;
  }));
  engine->release();
  BOOST_TEST(eventually([&] {
    const auto volumes = engine->volumes();
    return volumes.size() == 1 && volumes[0].spec.size.value == 4 * MiB;
  }));
}

BOOST_FIXTURE_TEST_CASE(names_that_do_not_exist_are_not_found, fixture) {
  BOOST_TEST((change(atom::erase_v, volume_ref{"nobody"}, deletion::if_unused).error().code == errc::not_found));
  BOOST_TEST((change(atom::clear_v, volume_ref{""}).error().code == errc::invalid_argument));
  BOOST_TEST((change(atom::rename_v, volume_ref{std::string(500, 'x')}, volume_name{"y"}).error().code ==
              errc::invalid_argument));
}

BOOST_AUTO_TEST_SUITE_END()
