// Ordered stop: children before supervisors, grace before the kill, and what hangs is named.
#include "actors/runtime/terminator.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>

#include <boost/test/unit_test.hpp>

#include "actors/runtime/supervisor.hpp"
#include "tests/actors/actor_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::tests;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(terminator_test)
namespace {

struct fixture {
  std::mutex mutex;
  std::vector<std::string> ended; // in this order
  supervision_tree tree;
  system_config config{networking::none};
  caf::actor_system system{config};
  root_guard guard{system, tree, [] {}};

  fixture() {
    add(root_name, "", [this](auto& s) { return noting(spawn_supervisor(s, &tree, root_name), root_name); });
    add(volumes_name, root_name,
        [this](auto& s) { return noting(spawn_supervisor(s, &tree, volumes_name), volumes_name); });
  }
  ~fixture() { tree.release(); }
  caf::actor noting(caf::actor actor, std::string name) {
    actor->attach_functor([this, name](const caf::error&) {
      std::lock_guard lock(mutex);
      ended.push_back(name);
    });
    return actor;
  }
  void add(std::string name, std::string parent, std::function<caf::actor(caf::actor_system&)> spawn) {
    BOOST_REQUIRE(tree.add({std::move(name), std::move(parent), std::move(spawn), {}}).has_value());
  }
  void add_idle(const std::string& name, const std::string& parent) {
    add(name, parent, [this, name](auto& s) {
      return noting(spawn_function(s, [](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; }), name);
    });
  }
  // An actor's note of its own end may come a moment after its supervisor has noted it.
  void wait_for_notes(std::size_t count) {
    BOOST_REQUIRE(eventually([&] {
      std::lock_guard lock(mutex);
      return ended.size() == count;
    }));
  }
  void start() {
    (void)guard.check();
    BOOST_REQUIRE(eventually([&] {
      for (const auto& one : tree.list())
        if (one.state != actor_state::running)
          return false;
      return true;
    }));
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(children_end_before_their_supervisors, fixture) {
  add_idle("volume/a", volumes_name);
  add_idle("volume/b", volumes_name);
  add_idle("registry", root_name);
  start();
  const auto report = terminate_actors(system, tree);
  BOOST_TEST(report.killed.empty());
  BOOST_TEST(report.left.empty());
  wait_for_notes(5);
  std::lock_guard lock(mutex);
  BOOST_TEST(std::set<std::string>(ended.begin(), ended.begin() + 2) ==
                 (std::set<std::string>{"volume/a", "volume/b"}),
             boost::test_tools::per_element());
  BOOST_TEST(ended.back() == root_name);
}

BOOST_FIXTURE_TEST_CASE(nothing_is_restarted_once_the_stop_has_begun, fixture) {
  add_idle("volume/a", volumes_name);
  start();
  (void)terminate_actors(system, tree);
  for (const auto& one : tree.list())
    BOOST_TEST((one.restarts == 0u), one.name);
  BOOST_TEST(tree.to_start(root_name).empty());
}

BOOST_FIXTURE_TEST_CASE(an_actor_that_ignores_the_request_is_killed, fixture) {
  add("stubborn", root_name, [](auto& s) {
    return spawn_function(s, [](caf::event_based_actor* self) -> caf::behavior {
      self->set_exit_handler([](caf::exit_msg&) {}); // refuses to end; a kill cannot be refused
      return {[](int) {}};
    });
  });
  add_idle("polite", root_name);
  start();
  const auto report = terminate_actors(system, tree, {.grace = 50ms, .kill = 30s});
  BOOST_TEST((report.killed == std::vector<std::string>{"stubborn"}));
  BOOST_TEST(report.left.empty());
}

BOOST_FIXTURE_TEST_CASE(an_actor_that_hangs_in_a_handler_is_named_and_does_not_stop_the_rest, fixture) {
  struct switches {
    std::atomic<bool> release{false}, inside{false};
  };
  auto shared = std::make_shared<switches>(); // outlives the test's frame, as the actor does
  add("hanging", root_name, [shared](auto& s) {
    return spawn_function(s, [shared](caf::event_based_actor*) -> caf::behavior {
      return {[shared](int) {
        shared->inside = true;
        while (!shared->release)
          std::this_thread::sleep_for(1ms);
      }};
    });
  });
  add_idle("polite", root_name);
  start();
  caf::anon_send(tree.find("hanging"), 1);
  BOOST_REQUIRE(eventually([&] { return shared->inside.load(); }));
  const auto report = terminate_actors(system, tree, {.grace = 50ms, .kill = 50ms});
  BOOST_TEST((report.left == std::vector<std::string>{"hanging"}));
  wait_for_notes(3);
  std::lock_guard lock(mutex);
  BOOST_TEST(ended.back() == root_name); // the rest ended in order all the same
  shared->release = true;
}

BOOST_AUTO_TEST_SUITE_END()
