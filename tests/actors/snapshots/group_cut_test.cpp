// Group cuts: all members or none, one point in time, good only when every member's layer says so; retention of cuts.
#include <boost/test/unit_test.hpp>

#include "actors/snapshots/group_hold.hpp"
#include "tests/actors/snapshots/works_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::tests;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(group_cut_test)
namespace {

struct group_fixture : works_fixture {
  store::volume_record a = volume("a", 1 << 20), b = volume("b", 1 << 20);
  store::group_record group{group_name{"nightly"}, {a.uuid, b.uuid}, false, {}, 2, wall_time{}};

  std::vector<snapshot_info> finished_members() {
    for (;;) {
      snapshot_query query;
      query.group = "nightly";
      const auto all = works->list(query);
      if (std::none_of(all.begin(), all.end(), [](const auto& s) { return s.state == snapshot_state::capturing; }))
        return all;
      std::this_thread::sleep_for(1ms);
    }
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(every_member_is_captured_at_the_point_and_the_layers_say_so, group_fixture) {
  write(a.uuid, 0, 1);
  write(b.uuid, 0, 2);
  BOOST_REQUIRE(cut(group).has_value());
  const auto members = finished_members();
  BOOST_REQUIRE(members.size() == 2u);
  for (const auto& member : members) {
    BOOST_TEST(member.group_complete);
    BOOST_TEST((restored(member.id, "copy-" + member.name.value).value() == model[member.volume]));
  }
  for (const auto& layer : book->layers())
    BOOST_TEST(layer.group->members.size() == 2u);
  // The coordinator's own memory is not needed to know it.
  open();
  for (const auto& member : finished_members())
    BOOST_TEST(member.group_complete);
}

BOOST_FIXTURE_TEST_CASE(a_member_that_does_not_hold_means_no_point_for_anybody, group_fixture) {
  engine->fail_holds(b.uuid, true);
  const auto refused = cut(group);
  BOOST_REQUIRE(!refused.has_value());
  BOOST_TEST((refused.error().code == errc::timed_out));
  BOOST_TEST(works->list({}).empty());
  BOOST_TEST(layer_files().empty());
  BOOST_TEST(!works->latest_cut(group.name)->failure.empty());
  engine->fail_holds(b.uuid, false);
  BOOST_TEST(cut(group).has_value());
}

BOOST_FIXTURE_TEST_CASE(a_member_whose_capture_fails_makes_the_group_incomplete_and_keeps_the_others, group_fixture) {
  engine->fail_captures(error{errc::io_failed, "planned", 0}, 1); // the second one
  BOOST_REQUIRE(cut(group).has_value());
  const auto all = finished_members();
  BOOST_REQUIRE(all.size() == 2u);
  for (const auto& member : all)
    BOOST_TEST(!member.group_complete);
  BOOST_TEST(std::count_if(all.begin(), all.end(), [](const auto& s) { return s.state == snapshot_state::complete; }) ==
             1);
}

BOOST_FIXTURE_TEST_CASE(a_deleted_volume_is_found_before_anybody_is_held, group_fixture) {
  BOOST_REQUIRE(catalogue->remove(b.uuid).has_value());
  BOOST_TEST((cut(group).error().code == errc::not_found));
}

BOOST_FIXTURE_TEST_CASE(a_group_keeps_as_many_cuts_as_it_says, group_fixture) {
  for (std::uint8_t i = 1; i <= 4; ++i) {
    write(a.uuid, i * 70'000, i);
    BOOST_REQUIRE(cut(group).has_value());
    (void)finished_members();
  }
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (finished_members().size() != 4u && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(1ms);
  const auto kept = finished_members();
  BOOST_REQUIRE(kept.size() == 4u); // two cuts of two members
  for (const auto& member : kept)
    if (member.name.value == "a" && member.cut_us == kept.back().cut_us)
      BOOST_TEST((restored(member.id, "copy").value() == model[a.uuid]));
}

BOOST_FIXTURE_TEST_CASE(a_hold_that_nobody_answers_is_given_up, group_fixture) {
  engine->hold(); // the data plane answers nothing
  const auto report = hold_group(*engine, group.volumes, io::hold_id{7}, 10ms, system_clock_source());
  BOOST_TEST(!report.released);
  BOOST_TEST(!report.failure.empty());
  engine->release();
}

BOOST_AUTO_TEST_SUITE_END()
