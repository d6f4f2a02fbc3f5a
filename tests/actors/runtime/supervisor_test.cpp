// Restart, adoption by a new supervisor, giving up and another chance, on real actors that are really killed.
#include "actors/runtime/supervisor.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>

#include <boost/test/unit_test.hpp>

#include "tests/actors/actor_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::tests;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(supervisor_test)
namespace {

caf::actor spawn_idle(caf::actor_system& system) {
  return spawn_function(system, [](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; });
}

restart_policy quick() {
  restart_policy policy;
  policy.backoff_first = 1ms;
  policy.backoff_max = 2ms;
  return policy;
}

struct fixture {
  shared_clock clock;
  supervision_tree tree{clock, 1};
  system_config config{networking::none};
  caf::actor_system system{config};
  std::atomic<int> calls_for_root{0};
  root_guard guard{system, tree, [this] { ++calls_for_root; }};

  fixture() {
    add(root_name, "", [this](auto& s) { return spawn_supervisor(s, &tree, root_name); });
    add(volumes_name, root_name, [this](auto& s) { return spawn_supervisor(s, &tree, volumes_name); });
  }
  ~fixture() {
    tree.begin_stop();
    for (const auto& info : tree.list())
      if (const auto handle = tree.find(info.name))
        caf::anon_send_exit(handle, caf::exit_reason::kill);
    tree.release();
  }
  void add(std::string name, std::string parent, std::function<caf::actor(caf::actor_system&)> spawn,
           restart_policy policy = quick()) {
    BOOST_REQUIRE(tree.add({std::move(name), std::move(parent), std::move(spawn), policy}).has_value());
  }
  caf::actor_id id(const std::string& name) {
    const auto handle = tree.find(name);
    return handle ? handle.id() : 0;
  }
  void kill(const std::string& name) {
    const auto handle = tree.find(name);
    BOOST_REQUIRE(handle != nullptr);
    caf::anon_send_exit(handle, caf::exit_reason::kill);
  }
  bool is(const std::string& name, actor_state state) {
    for (const auto& info : tree.list())
      if (info.name == name)
        return info.state == state;
    return false;
  }
  actor_info info(const std::string& name) {
    for (auto& one : tree.list())
      if (one.name == name)
        return one;
    return {};
  }
  void start() {
    (void)guard.check();
    for (const auto& one : tree.list())
      BOOST_REQUIRE(eventually([&] { return is(one.name, actor_state::running); }));
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(a_killed_child_is_restarted_and_listed_so, fixture) {
  add("volume/db", volumes_name, spawn_idle);
  start();
  const auto before = id("volume/db");
  kill("volume/db");
  BOOST_TEST(eventually([&] { return id("volume/db") != 0 && id("volume/db") != before; }));
  const auto listed = info("volume/db");
  BOOST_TEST(listed.restarts == 1u);
  BOOST_TEST(listed.parent == volumes_name);
  BOOST_TEST(listed.last_error.find("kill") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(the_list_has_parents_before_children, fixture) {
  add("volume/a", volumes_name, spawn_idle);
  start();
  std::set<std::string> seen{""};
  for (const auto& one : tree.list()) {
    BOOST_TEST(seen.contains(one.parent));
    seen.insert(one.name);
  }
  BOOST_TEST(seen.size() == 4u);
}

BOOST_FIXTURE_TEST_CASE(a_killed_supervisor_is_replaced_and_its_successor_adopts_the_living, fixture) {
  add("volume/a", volumes_name, spawn_idle);
  add("volume/b", volumes_name, spawn_idle);
  start();
  const auto a = id("volume/a"), supervisor = id(volumes_name);
  kill(volumes_name);
  BOOST_REQUIRE(eventually([&] { return id(volumes_name) != 0 && id(volumes_name) != supervisor; }));
  BOOST_TEST(id("volume/a") == a); // lives on, untouched
  // The successor watches: it repairs what dies now.
  kill("volume/a");
  BOOST_TEST(eventually([&] { return id("volume/a") != 0 && id("volume/a") != a; }));
}

BOOST_FIXTURE_TEST_CASE(children_that_die_while_their_supervisor_is_dead_are_restarted_by_its_successor, fixture) {
  for (int round = 0; round < 4; ++round) {
    const auto name = "volume/v" + std::to_string(round);
    add(name, volumes_name, spawn_idle);
  }
  start();
  const auto before = id("volume/v0");
  kill(volumes_name);
  kill("volume/v0");
  BOOST_TEST(eventually([&] { return id("volume/v0") != 0 && id("volume/v0") != before; }));
}

BOOST_FIXTURE_TEST_CASE(a_killed_root_is_replaced_by_the_guard, fixture) {
  add("volume/a", volumes_name, spawn_idle);
  start();
  const auto root = id(root_name), volumes = id(volumes_name), a = id("volume/a");
  kill(root_name);
  BOOST_REQUIRE(eventually([&] { return calls_for_root > 0; }));
  BOOST_REQUIRE(eventually([&] {
    clock.advance(1ms); // the guard waits on the injected clock
    (void)guard.check();
    return id(root_name) != 0 && id(root_name) != root;
  }));
  BOOST_TEST(id(volumes_name) == volumes);
  BOOST_TEST(id("volume/a") == a);
  kill(volumes_name);
  BOOST_TEST(eventually([&] { return id(volumes_name) != 0 && id(volumes_name) != volumes; }));
}

BOOST_FIXTURE_TEST_CASE(a_child_that_dies_too_often_is_given_up_and_its_siblings_live, fixture) {
  std::atomic<int> spawned{0};
  add("bad", root_name, [&](auto& system) {
    ++spawned;
    return spawn_function(system, [](caf::event_based_actor* self) { self->quit(caf::sec::runtime_error); });
  });
  add("good", root_name, spawn_idle);
  (void)guard.check();
  BOOST_REQUIRE(eventually([&] { return is("bad", actor_state::given_up); }));
  BOOST_TEST(spawned == 6); // once, and five restarts
  BOOST_TEST((tree.given_up() == std::vector<std::string>{"bad"}));
  BOOST_TEST(is("good", actor_state::running));
  BOOST_TEST(is(root_name, actor_state::running));
}

BOOST_FIXTURE_TEST_CASE(a_given_up_child_gets_another_chance, fixture) {
  std::atomic<bool> broken{true};
  add("bad", root_name, [&](auto& system) {
    return broken ? spawn_function(system, [](caf::event_based_actor* self) { self->quit(caf::sec::runtime_error); })
                  : spawn_idle(system);
  });
  (void)guard.check();
  BOOST_REQUIRE(eventually([&] { return is("bad", actor_state::given_up); }));
  BOOST_TEST(!tree.find("bad"));
  broken = false;
  BOOST_REQUIRE(tree.revive("bad").has_value());
  tell_supervisor(tree, root_name);
  BOOST_TEST(eventually([&] { return is("bad", actor_state::running); }));
  BOOST_TEST((tree.revive("bad").error().code == errc::busy));
  BOOST_TEST((tree.revive("nobody").error().code == errc::not_found));
}

BOOST_FIXTURE_TEST_CASE(it_gives_a_second_chance_by_itself, fixture) {
  std::atomic<int> spawned{0};
  auto policy = quick();
  policy.revive_after = std::chrono::seconds{0};
  add(
      "bad", root_name,
      [&](auto& system) {
        return ++spawned <= 6
                   ? spawn_function(system, [](caf::event_based_actor* self) { self->quit(caf::sec::runtime_error); })
                   : spawn_idle(system);
      },
      policy);
  (void)guard.check();
  BOOST_TEST(eventually([&] { return is("bad", actor_state::running) && spawned == 7; }));
}

BOOST_FIXTURE_TEST_CASE(a_removed_child_is_not_restarted, fixture) {
  add("volume/a", volumes_name, spawn_idle);
  start();
  auto gone = tree.remove("volume/a");
  BOOST_REQUIRE(gone.has_value());
  caf::anon_send_exit(*gone, caf::exit_reason::kill);
  add("volume/b", volumes_name, spawn_idle);
  tell_supervisor(tree, volumes_name);
  BOOST_REQUIRE(eventually([&] { return is("volume/b", actor_state::running); }));
  BOOST_TEST(!tree.contains("volume/a"));
}

BOOST_FIXTURE_TEST_CASE(a_renamed_child_keeps_its_incarnation_and_is_restarted_under_its_new_name, fixture) {
  add("volume/a", volumes_name, spawn_idle);
  start();
  const auto before = id("volume/a");
  BOOST_REQUIRE(tree.rename("volume/a", "volume/z").has_value());
  BOOST_TEST(id("volume/z") == before);
  kill("volume/z");
  BOOST_TEST(eventually([&] { return id("volume/z") != 0 && id("volume/z") != before; }));
}

BOOST_FIXTURE_TEST_CASE(names_are_unique, fixture) {
  BOOST_TEST((tree.add({root_name, "", spawn_idle, {}}).error().code == errc::already_exists));
}

BOOST_FIXTURE_TEST_CASE(a_given_up_child_of_a_supervisor_that_died_gets_its_chance_too, fixture) {
  std::atomic<bool> broken{true};
  auto policy = quick();
  policy.revive_after = std::chrono::seconds{1};
  add(
      "volume/bad", volumes_name,
      [&](auto& system) {
        return broken
                   ? spawn_function(system, [](caf::event_based_actor* self) { self->quit(caf::sec::runtime_error); })
                   : spawn_idle(system);
      },
      policy);
  (void)guard.check();
  BOOST_REQUIRE(eventually([&] { return is("volume/bad", actor_state::given_up); }));
  BOOST_TEST(!tree.problems().empty());
  BOOST_TEST(tree.absence("volume/bad").message.find("given up") != std::string::npos);
  broken = false;
  const auto supervisor = id(volumes_name);
  kill(volumes_name); // the message that would have revived the child dies with it
  BOOST_REQUIRE(eventually([&] { return id(volumes_name) != 0 && id(volumes_name) != supervisor; }));
  BOOST_TEST(eventually([&] { return is("volume/bad", actor_state::running); }));
}

BOOST_FIXTURE_TEST_CASE(what_nobody_can_do_without_is_tried_on_and_shown, fixture) {
  std::atomic<bool> broken{true};
  auto policy = quick();
  policy.for_ever = true;
  add(
      "bad", root_name,
      [&](auto& system) {
        return broken
                   ? spawn_function(system, [](caf::event_based_actor* self) { self->quit(caf::sec::runtime_error); })
                   : spawn_idle(system);
      },
      policy);
  (void)guard.check();
  BOOST_REQUIRE(eventually([&] { return info("bad").restarts > 12; }));
  BOOST_TEST(!is("bad", actor_state::given_up));
  BOOST_REQUIRE(tree.problems().size() == 1u);
  BOOST_TEST(tree.problems()[0].find("ends again and again") != std::string::npos);
  broken = false;
  BOOST_TEST(eventually([&] { return is("bad", actor_state::running); }));
}

BOOST_AUTO_TEST_SUITE_END()
