// Events that ask the planner for something: read back as they were written, refused where they make no sense.
#include <boost/test/unit_test.hpp>

#include "config/event.hpp"

using namespace gnomon;

BOOST_AUTO_TEST_SUITE(event_order_test)
namespace {

event_notice notice(std::string_view type, event_scope scope, std::string note) {
  event_notice n;
  n.type = type;
  n.target = {scope, "shop"};
  n.note = std::move(note);
  return n;
}

} // namespace

BOOST_AUTO_TEST_CASE(an_order_reads_back_as_it_was_written) {
  const event_order out{false, node_name{"beta"}, 3};
  auto n = notice(scale_out_event, event_scope::application, note_of_order(out, "black friday"));
  BOOST_TEST(n.note == "to=beta instances=3 black friday");
  const auto read = order_of(n);
  BOOST_REQUIRE((read && *read));
  BOOST_TEST(!(*read)->is_move);
  BOOST_TEST((*read)->to.value == "beta");
  BOOST_TEST((*read)->instances == 3u);
  n = notice(move_event, event_scope::instance, note_of_order({true, node_name{"gamma"}, 1}, ""));
  BOOST_TEST(n.note == "to=gamma");
  const auto moved = order_of(n);
  BOOST_REQUIRE((moved && *moved));
  BOOST_TEST((*moved)->is_move);
  BOOST_TEST(check_event(n).has_value());
}

BOOST_AUTO_TEST_CASE(other_types_and_notes_without_a_node_are_events_as_any_other) {
  for (const auto& n : {notice("deployment", event_scope::application, "to=beta"),
                        notice(scale_out_event, event_scope::volume, "two more"), notice(move_event, event_scope::everything, "")}) {
    const auto read = order_of(n);
    BOOST_REQUIRE(read.has_value());
    BOOST_TEST(!read->has_value());
  }
}

BOOST_AUTO_TEST_CASE(an_order_that_makes_no_sense_is_refused) {
  BOOST_TEST(!order_of(notice(scale_out_event, event_scope::volume, "to=beta")));
  BOOST_TEST(!order_of(notice(move_event, event_scope::application, "to=beta")));
  BOOST_TEST(!order_of(notice(move_event, event_scope::instance, "to=")));
  BOOST_TEST(!order_of(notice(move_event, event_scope::instance, "to=not/a/node")));
  for (const char* count : {"0", "-1", "x", "3x", "10001", "99999999999999999999", ""})
    BOOST_TEST(!order_of(notice(scale_out_event, event_scope::application, std::string("to=beta instances=") + count)));
  BOOST_TEST(!check_event(notice(scale_out_event, event_scope::volume, "to=beta")));
}

BOOST_AUTO_TEST_SUITE_END()
