// An actor that does not answer is found and shown, and forgotten when it answers again.
#include "actors/runtime/liveness.hpp"

#include <caf/send.hpp>

#include <boost/test/unit_test.hpp>

#include "actors/runtime/supervisor.hpp"
#include "tests/actors/actor_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::tests;

BOOST_AUTO_TEST_SUITE(liveness_test)

BOOST_AUTO_TEST_CASE(a_stuck_actor_is_a_problem_until_it_answers) {
  supervision_tree tree;
  system_config config{networking::none};
  caf::actor_system system{config};
  root_guard guard{system, tree, [] {}};
  std::atomic<bool> answers{false};
  BOOST_REQUIRE(tree.add({root_name, "", [&](auto& s) { return spawn_supervisor(s, &tree, root_name); }, {}}));
  BOOST_REQUIRE(tree.add({"quiet", root_name,
                          [&](auto& s) {
                            return spawn_function(s, [&answers](caf::event_based_actor* self) -> caf::behavior {
                              return {[self, &answers](atom::report) -> caf::result<actor_report> {
                                if (answers)
                                  return actor_report{};
                                return self->make_response_promise<actor_report>(); // never delivered, kept by nobody
                              }};
                            });
                          },
                          {}}));
  BOOST_REQUIRE(tree.add(
      {"liveness", root_name, [&](auto& s) { return spawn_liveness(s, &tree, &system_clock_source()); }, {}}));
  (void)guard.check();
  BOOST_TEST(eventually([&] { return !tree.problems().empty(); }));
  BOOST_TEST(tree.problems()[0].find("quiet has not answered") != std::string::npos);
  answers = true;
  BOOST_TEST(eventually([&] { return tree.problems().empty(); }));
  tree.begin_stop();
  for (const auto& info : tree.list())
    if (const auto handle = tree.find(info.name))
      caf::anon_send_exit(handle, caf::exit_reason::kill);
  tree.release();
}

BOOST_AUTO_TEST_SUITE_END()
