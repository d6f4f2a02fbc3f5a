// What a running node follows when it rereads its configuration.
#include "config/settings/changes.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/config/settings/samples.hpp"

using namespace gnomon;
using namespace gnomon::test;

BOOST_AUTO_TEST_SUITE(changes_test)
namespace {

settings_differences change(std::string_view pointer, std::string_view value) {
  return settings_difference(parse_valid(design_example), parse_valid(changed_example(pointer, value)));
}

} // namespace

BOOST_AUTO_TEST_CASE(equal_settings_have_no_difference) {
  const auto s = parse_valid(design_example);
  const auto found = settings_difference(s, s);
  BOOST_TEST(found.all.empty());
  BOOST_TEST((found.applied == s));
  BOOST_TEST(found.volumes_changed.empty());
  BOOST_TEST(!found.instances_changed);
}

BOOST_AUTO_TEST_CASE(each_change_is_placed_and_says_what_becomes_of_it) {
  struct row {
    std::string pointer, value, printed;
    change_effect effect;
  };
  const row table[] = {
      {"/log_level", "\"debug\"", "/log_level: \"info\" -> \"debug\"", change_effect::live},
      {"/undelete_for", "\"1d\"", "/undelete_for: \"7d\" -> \"1d\"", change_effect::live},
      {"/forecast", "{\"cpu_budget\":\"50%\"}", "/forecast/cpu_budget: \"25%\" -> \"50%\"", change_effect::live},
      {"/history", "{\"retention\":\"1d\"}", "/history/retention: \"14d\" -> \"1d\"", change_effect::live},
      {"/volumes/0/size", "\"16GiB\"", "/volumes/0/size (db): \"8GiB\" -> \"16GiB\"", change_effect::live},
      {"/volumes/0/size", "\"4GiB\"", "/volumes/0/size (db): \"8GiB\" -> \"4GiB\"", change_effect::refused},
      {"/volumes/0/read_only", "true", "/volumes/0/read_only (db): false -> true", change_effect::live},
      {"/volumes/0/description", "\"x\"", "/volumes/0/description (db): nothing -> \"x\"", change_effect::live},
      {"/volumes/0/archive_after", "remove", "/volumes/0/archive_after (db): \"30d\" -> nothing",
       change_effect::live},
      {"/volumes/0/forecast/horizons", "[\"1h\"]",
       "/volumes/0/forecast/horizons (db): [\"5m\",\"30m\",\"2h\"] -> [\"1h\"]", change_effect::live},
      {"/volumes/0/cache", "\"direct\"", "/volumes/0/cache (db): \"buffered\" -> \"direct\"", change_effect::restart},
      {"/volumes/0/path", "\"/dev/sdx\"", "/volumes/0/path (db): nothing -> \"/dev/sdx\"", change_effect::restart},
      {"/instances/0/snapshots", "true", "/instances/0/snapshots (web-1): false -> true", change_effect::live},
      {"/snapshot_groups/0/retain", "7", "/snapshot_groups/0/retain (nightly): 30 -> 7", change_effect::live},
      {"/node", "\"gamma\"", "/node: \"alpha\" -> \"gamma\"", change_effect::restart},
      {"/nbd/listen", "[]", "/nbd/listen: [\"unix:/run/gnomon/nbd.sock\",\"127.0.0.1:10809\"] -> []",
       change_effect::restart},
      {"/stage", "remove", "/stage: a section -> nothing", change_effect::restart},
      {"/stage/capacity", "\"1TiB\"", "/stage/capacity: \"64GiB\" -> \"1TiB\"", change_effect::restart},
      {"/cluster/peers/0", "remove", "/cluster/peers/0 (beta): \"beta\" -> nothing", change_effect::restart},
  };
  for (const auto& [pointer, value, printed, effect] : table) {
    BOOST_TEST_CONTEXT(pointer << " = " << value) {
      const auto found = change(pointer, value);
      BOOST_REQUIRE_EQUAL(found.all.size(), 1u);
      BOOST_TEST(found.all[0].to_string() == printed);
      BOOST_TEST((found.all[0].effect == effect));
      BOOST_TEST(found.any(effect));
      // What is followed is in `applied`, what is not leaves it as it was.
      const auto old = parse_valid(design_example), now = parse_valid(changed_example(pointer, value));
      BOOST_TEST((found.applied == (effect == change_effect::live ? now : old)));
    }
  }
}

BOOST_AUTO_TEST_CASE(volumes_come_go_and_change_by_name_wherever_they_stand) {
  const auto old = parse_valid(R"({"node":"n","data_dir":"/d","volumes":[
    {"name":"a","size":"1GiB"},{"name":"b","size":"1GiB"},{"name":"c","size":"1GiB"}]})");
  const auto now = parse_valid(R"({"node":"n","data_dir":"/d","volumes":[
    {"name":"c","size":"2GiB","cache":"direct"},{"name":"d","size":"1GiB"},{"name":"a","size":"1GiB"}]})");
  const auto found = settings_difference(old, now);
  BOOST_REQUIRE_EQUAL(found.volumes_added.size(), 1u);
  BOOST_TEST((found.volumes_added[0] == now.volumes[1]));
  BOOST_REQUIRE_EQUAL(found.volumes_removed.size(), 1u);
  BOOST_TEST(found.volumes_removed[0].value == "b");
  BOOST_REQUIRE_EQUAL(found.volumes_changed.size(), 1u);
  BOOST_TEST((found.volumes_changed[0].before == old.volumes[2]));
  BOOST_TEST(found.volumes_changed[0].after.size.value == 2ull << 30);
  BOOST_TEST((found.volumes_changed[0].after.cache == cache_mode::buffered)); // waits for a restart
  BOOST_TEST(found.any(change_effect::restart));
  // Rereading the same file again shows only what still waits.
  const auto again = settings_difference(found.applied, now);
  BOOST_REQUIRE_EQUAL(again.all.size(), 1u);
  BOOST_TEST(again.all[0].to_string() == "/volumes/0/cache (c): \"buffered\" -> \"direct\"");
}

BOOST_AUTO_TEST_CASE(a_size_that_comes_from_the_device_is_not_compared_live) {
  const auto from_device = parse_valid(R"({"node":"n","data_dir":"/d","volumes":[{"name":"a","path":"/dev/x"}]})");
  const auto given =
      parse_valid(R"({"node":"n","data_dir":"/d","volumes":[{"name":"a","path":"/dev/x","size":"1GiB"}]})");
  BOOST_TEST((settings_difference(from_device, given).all.at(0).effect == change_effect::restart));
  BOOST_TEST((settings_difference(given, from_device).all.at(0).effect == change_effect::restart));
}

BOOST_AUTO_TEST_CASE(whether_there_is_a_section_of_instances_is_a_change_of_access) {
  const auto open = parse_valid(R"({"node":"n","data_dir":"/d"})");
  const auto closed = parse_valid(R"({"node":"n","data_dir":"/d","instances":[]})");
  const auto found = settings_difference(open, closed);
  BOOST_REQUIRE_EQUAL(found.all.size(), 1u);
  BOOST_TEST(found.all[0].to_string() == "/instances: nothing -> a section");
  BOOST_TEST(found.instances_changed);
  BOOST_TEST((found.applied == closed));
}

BOOST_AUTO_TEST_CASE(what_others_have_to_look_at_is_flagged) {
  BOOST_TEST(change("/log_level", "\"error\"").log_level_changed);
  BOOST_TEST(change("/forecast", "{\"refit_every\":\"1m\"}").forecast_changed);
  BOOST_TEST(change("/history", "{\"retention\":\"1d\"}").history_changed);
  BOOST_TEST(!change("/history", "{\"disk_max\":\"1GiB\"}").history_changed); // waits for a restart
  BOOST_TEST(change("/undelete_for", "\"1h\"").undelete_changed);
  BOOST_TEST(change("/snapshot_groups/0", "remove").snapshot_groups_changed);
  BOOST_TEST(change("/instances/0/volumes", "[]").instances_changed);
  BOOST_TEST(!change("/log_level", "\"error\"").instances_changed);
}

BOOST_AUTO_TEST_SUITE_END()
