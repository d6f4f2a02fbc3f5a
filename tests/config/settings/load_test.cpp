// What a configuration may say, and that every mistake is found, placed and explained.
#include "config/settings/load.hpp"

#include <boost/test/unit_test.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "config/settings/table.hpp"
#include "tests/config/settings/samples.hpp"

using namespace gnomon;
using namespace gnomon::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(load_test)
namespace {

// The example with one change must give exactly this one problem.
struct refusal {
  std::string pointer, value;  // what is changed
  std::string reported_at;     // empty: `pointer`
  std::string expected, found; // parts of the texts
  std::string suggestion;
};

void check_refusals(std::initializer_list<refusal> table) {
  for (const auto& r : table) {
    const auto parsed = parse_settings(changed_example(r.pointer, r.value));
    BOOST_TEST_CONTEXT(r.pointer << " = " << r.value << "\n" << parsed.to_string()) {
      BOOST_REQUIRE_EQUAL(parsed.problems.size(), 1u);
      const auto& problem = parsed.problems.front();
      BOOST_TEST(problem.pointer == (r.reported_at.empty() ? r.pointer : r.reported_at));
      BOOST_TEST((problem.expected.find(r.expected) != std::string::npos));
      BOOST_TEST((problem.found.find(r.found) != std::string::npos));
      BOOST_TEST(problem.suggestion == r.suggestion);
    }
  }
}

struct scratch_directory {
  std::filesystem::path path;
  scratch_directory() {
    auto name = (std::filesystem::temp_directory_path() / "gnomon-settings-XXXXXX").string();
    BOOST_REQUIRE(mkdtemp(name.data()));
    path = name;
  }
  ~scratch_directory() { std::filesystem::remove_all(path); }
};

} // namespace

BOOST_AUTO_TEST_CASE(the_example_of_the_design_parses_as_it_stands) {
  const auto s = parse_valid(design_example);
  BOOST_TEST(s.node.value == "alpha");
  BOOST_TEST(s.data_dir == "/var/lib/gnomon");
  BOOST_REQUIRE_EQUAL(s.nbd.listen.size(), 2u);
  BOOST_TEST(s.nbd.listen[0].to_string() == "unix:/run/gnomon/nbd.sock");
  BOOST_TEST(s.nbd.listen[1].to_string() == "127.0.0.1:10809");
  BOOST_TEST(s.admin.listen.value().to_string() == "127.0.0.1:10880");
  BOOST_TEST(s.cluster.listen.value().port == 10900);
  BOOST_TEST(s.cluster.data_listen.value().port == 10902);
  BOOST_REQUIRE_EQUAL(s.cluster.peers.size(), 1u);
  BOOST_TEST(s.cluster.peers[0].node.value == "beta");
  BOOST_TEST(s.cluster.peers[0].address.port == 10901);
  BOOST_TEST(s.stage.value().path == "/nvme/gnomon");
  BOOST_TEST(s.stage.value().capacity.value == 64ull << 30);
  BOOST_TEST(s.archive.value().path == "/mnt/archive");
  BOOST_REQUIRE_EQUAL(s.volumes.size(), 1u);
  BOOST_TEST(s.volumes[0].name.value == "db");
  BOOST_TEST(s.volumes[0].size.value == 8ull << 30);
  BOOST_TEST(s.volumes[0].shadow_granularity.value == 1ull << 30);
  BOOST_TEST((s.volumes[0].forecast_horizons == std::vector<std::chrono::seconds>{5min, 30min, 2h}));
  BOOST_TEST((s.volumes[0].archive_after.value() == 720h));
  BOOST_REQUIRE_EQUAL(s.instances.size(), 1u);
  BOOST_TEST(s.instances_section);
  BOOST_TEST(s.instances[0].id.value == "web-1");
  BOOST_TEST(s.instances[0].volumes.at(0).value == "db");
  BOOST_TEST(s.instances[0].application == "postgresql");
  BOOST_TEST((s.instances[0].level == criticality::high));
  BOOST_TEST((s.instances[0].sla.read_p99.value() == 2ms));
  BOOST_TEST((s.instances[0].sla.rpo.value() == 1h));
  BOOST_REQUIRE_EQUAL(s.snapshot_groups.size(), 1u);
  BOOST_TEST(s.snapshot_groups[0].name.value == "nightly");
  BOOST_TEST(s.snapshot_groups[0].volumes.at(0).value == "db");
  BOOST_TEST(s.snapshot_groups[0].prediction);
  BOOST_TEST((s.snapshot_groups[0].every == 1h));
  BOOST_TEST(s.snapshot_groups[0].quiet_below == 0.3);
  BOOST_TEST((s.snapshot_groups[0].latest_by == 24h));
  BOOST_TEST(s.snapshot_groups[0].retain == 30u);
}

BOOST_AUTO_TEST_CASE(two_keys_are_enough_and_everything_else_has_its_default) {
  settings expected;
  expected.node = node_name("n");
  expected.data_dir = "/d";
  BOOST_TEST((parse_valid(R"({"node":"n","data_dir":"/d"})") == expected));
}

BOOST_AUTO_TEST_CASE(an_empty_list_of_instances_is_not_the_same_as_none) {
  BOOST_TEST(!parse_valid(R"({"node":"n","data_dir":"/d"})").instances_section);
  BOOST_TEST(parse_valid(R"({"node":"n","data_dir":"/d","instances":[]})").instances_section);
}

BOOST_AUTO_TEST_CASE(every_key_sets_its_own_field) {
  auto s = parse_valid(R"({"node":"n","data_dir":"/d//x/","log_level":"debug","undelete_for":"1h",
    "io":{"rings":3,"ring_entries":128,"busy_poll":"50us","disk_poll":"2ms","buffer_memory_max":"1GiB"},
    "nbd":{"connections_max":7,"handshake_options_max":8,"handshake_timeout":"1500ms","in_flight_max":"96MiB",
           "requests_in_flight_max":9,"socket_mode":"0600"},
    "forecast":{"cpu_budget":"12.5%","refit_every":"10m","memory_max":"64MiB"},
    "history":{"retention":"7d","disk_max":"1GiB"},
    "volumes":[{"name":"a","description":"d \u00e9","path":"/dev/sdx","cache":"direct","read_only":true,"shared":true}],
    "instances":[{"id":"i","snapshots":true,"criticality":"low"}]})");
  BOOST_TEST(s.data_dir == "/d/x");
  BOOST_TEST(s.log_level == "debug");
  BOOST_TEST((s.undelete_for == 1h));
  BOOST_TEST((s.io == io_settings{3, 128, 50us, 2ms, byte_count{1ull << 30}}));
  BOOST_TEST((s.nbd == nbd_settings{{}, 7, 8, 1500ms, byte_count{96ull << 20}, 9, 0600}));
  BOOST_TEST(s.forecast.cpu_budget == 0.125);
  BOOST_TEST((s.forecast.refit_every == 10min));
  BOOST_TEST(s.forecast.memory_max.value == 64ull << 20);
  BOOST_TEST((s.history.retention == 168h));
  BOOST_TEST(s.history.disk_max.value == 1ull << 30);
  const auto& v = s.volumes.at(0);
  BOOST_TEST(v.description == "d \xC3\xA9");
  BOOST_TEST(v.path.value() == "/dev/sdx");
  BOOST_TEST(v.size.value == 0u);
  BOOST_TEST((v.cache == cache_mode::direct));
  BOOST_TEST(v.read_only);
  BOOST_TEST(v.shared);
  BOOST_TEST(s.instances.at(0).snapshots);
  BOOST_TEST((s.instances.at(0).level == criticality::low));
}

BOOST_AUTO_TEST_CASE(settings_written_as_a_document_parse_to_the_same_settings) {
  for (const auto text : {design_example, std::string_view(R"({"node":"n","data_dir":"/d"})"),
                          std::string_view(R"({"node":"n","data_dir":"/d","instances":[]})"),
                          std::string_view(R"({"node":"n","data_dir":"/d","volumes":[{"name":"a","path":"/x"}]})")}) {
    const auto s = parse_valid(text);
    BOOST_TEST((parse_valid(dump_json(settings_to_json(s))) == s), dump_json(settings_to_json(s)));
  }
}

BOOST_AUTO_TEST_CASE(an_unknown_key_is_refused_with_the_nearest_valid_one) {
  check_refusals({
      {"/nodes", "1", "", "\"node\", \"data_dir\"", "an unknown key", "node"},
      {"/Volumes", "[]", "", "", "an unknown key", "volumes"},
      {"/nbd/listens", "[]", "", "\"listen\", \"connections_max\"", "an unknown key", "listen"},
      {"/volumes/0/readonly", "true", "", "", "an unknown key", "read_only"},
      {"/volumes/0/shadow/granularty", "\"1GiB\"", "", "", "an unknown key", "granularity"},
      {"/instances/0/sla/read_p95", "\"1ms\"", "", "", "an unknown key", "read_p99"},
      {"/snapshot_groups/0/retian", "3", "", "", "an unknown key", "retain"},
      {"/horizons", "[]", "", "", "an unknown key", "/volumes/*/forecast/horizons"}, // right, but elsewhere
      {"/instances/0/~1nbd~1listen", "[]", "", "", "an unknown key", "/nbd/listen"},
      {"/cluster/peers/0/xyzzy", "1", "", "\"node\", \"address\"", "an unknown key", ""},
      {"/a~1b", "1", "", "", "an unknown key", ""},
  });
}

BOOST_AUTO_TEST_CASE(a_misspelt_required_key_is_one_mistake_not_two) {
  const auto parsed = parse_settings(R"({"nod":"n","data_dir":"/d"})");
  BOOST_REQUIRE_EQUAL(parsed.problems.size(), 1u);
  BOOST_TEST(parsed.problems[0].to_string().starts_with("/nod: expected one of the keys \"node\", "));
  BOOST_TEST(parsed.problems[0].to_string().ends_with("found an unknown key; did you mean \"node\"?"));
}

BOOST_AUTO_TEST_CASE(missing_required_keys_are_named) {
  check_refusals({
      {"/node", "remove", "", "a node name", "nothing", ""},
      {"/data_dir", "remove", "", "an absolute path", "nothing", ""},
      {"/stage/capacity", "remove", "", "a size", "nothing", ""},
      {"/archive/path", "remove", "", "an absolute path", "nothing", ""},
      {"/cluster/peers/0/address", "remove", "", "HOST:PORT", "nothing", ""},
      {"/volumes/0/size", "remove", "", "a size", "nothing", ""}, // unless there is a path
      {"/instances/0/id", "remove", "", "an instance id", "nothing", ""},
      {"/snapshot_groups/0/name", "remove", "", "a group name", "nothing", ""},
      {"/snapshot_groups/0/volumes", "remove", "", "a volume name", "nothing", ""},
  });
}

BOOST_AUTO_TEST_CASE(wrong_types_and_units_are_refused_with_what_was_meant) {
  check_refusals({
      {"/node", "7", "", "a node name", "7", ""},
      {"/node", "\"al pha\"", "", "a node name", "\"al pha\"", "al-pha"},
      {"/data_dir", "\"var/lib\"", "", "an absolute path", "\"var/lib\"", ""},
      {"/data_dir", "\"/var/../lib\"", "", "without \"..\"", "\"/var/../lib\"", "/lib"},
      {"/log_level", "\"warn\"", "", "one of \"debug\", \"info\", \"warning\", \"error\"", "\"warn\"", "warning"},
      {"/io", "[]", "", "an object with the keys \"rings\"", "a list", ""},
      {"/io", "{\"rings\": \"2\"}", "/io/rings", "a whole number, 0 to 16", "\"2\"", "2"},
      {"/io", "{\"rings\": 17}", "/io/rings", "0 to 16", "17", ""},
      {"/io", "{\"rings\": 2.0}", "/io/rings", "a whole number", "2.0", ""},
      {"/io", "{\"rings\": -1}", "/io/rings", "a whole number", "-1", ""},
      {"/io", "{\"rings\": 99999999999999999999}", "/io/rings", "a whole number", "", ""},
      {"/io", "{\"busy_poll\": \"50\"}", "/io/busy_poll", "a duration", "\"50\"", "50s"},
      {"/nbd/socket_mode", "\"660\"", "", "four octal digits", "\"660\"", "0660"},
      {"/nbd/socket_mode", "432", "", "four octal digits", "432", "0432"},
      {"/nbd/socket_mode", "\"0999\"", "", "four octal digits", "\"0999\"", ""},
      {"/nbd/socket_mode", "\"4755\"", "", "at most \"0777\"", "\"4755\"", ""},
      {"/nbd/handshake_timeout", "\"100500us\"", "", "in whole milliseconds", "\"100500us\"", ""},
      {"/nbd/listen", "\"127.0.0.1:1\"", "", "a list, each", "\"127.0.0.1:1\"", "[\"127.0.0.1:1\"]"},
      {"/nbd/listen/0", "\"/run/x.sock\"", "", "unix:/absolute/path", "\"/run/x.sock\"", "unix:/run/x.sock"},
      {"/nbd/listen/1", "10809", "", "HOST:PORT", "10809", "127.0.0.1:10809"},
      {"/admin/listen", "\"unix:/run/admin.sock\"", "", "\"HOST:PORT\" or \"[IPV6]:PORT\"", "", ""},
      {"/cluster/peers/0/address", "\"127.0.0.1:0\"", "", "the port not 0", "\"127.0.0.1:0\"", ""},
      {"/stage/capacity", "\"64G\"", "", "a size like \"1GiB\"", "\"64G\"", "64GiB"},
      {"/stage/capacity", "68719476736", "", "a size like \"1GiB\"", "68719476736", "68719476736B"},
      {"/stage", "null", "", "an object", "null", ""},
      {"/volumes", "{}", "", "a list of objects", "an object", ""},
      {"/volumes/0/read_only", "\"yes\"", "", "true or false", "\"yes\"", "true"},
      {"/volumes/0/read_only", "1", "", "true or false", "1", ""},
      {"/volumes/0/cache", "\"o_direct\"", "", "one of \"buffered\", \"direct\"", "\"o_direct\"", "direct"},
      {"/volumes/0/description", "\"a\\nb\"", "", "without control characters", "\"a\\nb\"", ""},
      {"/volumes/0/forecast/horizons", "[]", "", "1 to 8 elements", "0 elements", ""},
      {"/volumes/0/forecast/horizons/1", "\"30min\"", "", "a duration", "\"30min\"", "30m"},
      {"/volumes/0/archive_after", "\"4 weeks\"", "", "a duration", "\"4 weeks\"", "28d"},
      {"/instances/0/volumes", "\"db\"", "", "a list", "\"db\"", "[\"db\"]"},
      {"/instances/0/criticality", "\"hihg\"", "", "one of \"low\", \"normal\", \"high\"", "\"hihg\"", "high"},
      {"/instances/0/sla/rpo", "\"1500ms\"", "", "in whole seconds", "\"1500ms\"", ""},
      {"/snapshot_groups/0/prediction", "\"on\"", "", "true or false", "\"on\"", "true"},
      {"/snapshot_groups/0/quiet_below", "0.3", "", "a percentage", "0.3", "30%"},
      {"/snapshot_groups/0/quiet_below", "\"30\"", "", "a percentage", "\"30\"", "30%"},
      {"/snapshot_groups/0/quiet_below", "\"0%\"", "", "1% to 100%", "\"0%\"", ""},
      {"/snapshot_groups/0/quiet_below", "\"101%\"", "", "1% to 100%", "\"101%\"", ""},
      {"/snapshot_groups/0/retain", "0", "", "1 to 100000", "0", ""},
  });
}

BOOST_AUTO_TEST_CASE(names_that_no_client_could_ask_for_are_refused) {
  check_refusals({
      {"/volumes/0/name", "\"a@b\"", "", "a volume name", "\"a@b\"", "a-b"},
      {"/volumes/0/name", "\"\"", "", "a volume name", "\"\"", ""},
      {"/volumes/0/name", "\"123e4567-e89b-42d3-a456-426614174000\"", "", "and no uuid", "123e4567", ""},
      {"/instances/0/id", "\"a/b\"", "", "an instance id", "\"a/b\"", "a-b"},
      {"/snapshot_groups/0/name", "\"..\"", "", "a group name", "\"..\"", ""},
  });
}

BOOST_AUTO_TEST_CASE(impossible_sizes_are_refused) {
  check_refusals({
      {"/volumes/0/size", "\"0B\"", "", "4KiB to 1PiB, a multiple of 4KiB", "\"0B\"", ""},
      {"/volumes/0/size", "\"512B\"", "", "4KiB to 1PiB", "\"512B\"", ""},
      {"/volumes/0/size", "\"2PiB\"", "", "4KiB to 1PiB", "\"2PiB\"", ""},
      {"/volumes/0/size", "\"1048577KiB\"", "", "a multiple of 4KiB", "\"1048577KiB\"", "1048580KiB"},
      {"/volumes/0/size", "\"1GB\"", "", "a size", "\"1GB\"", "1GiB"},
      {"/volumes/0/size", "\"99999999999999999999PiB\"", "", "a size", "\"99999999999999999999PiB\"", ""},
      {"/volumes/0/shadow/granularity", "\"24MiB\"", "", "a multiple of 16MiB", "\"24MiB\"", "32MiB"},
      {"/volumes/0/shadow/granularity", "\"0B\"", "", "16MiB to 1PiB", "\"0B\"", ""},
      {"/nbd/in_flight_max", "\"1GiB\"", "", "at most /io/buffer_memory_max, 512MiB", "\"1GiB\"", ""},
  });
  BOOST_TEST(parse_settings(changed_example("/volumes/0/size", "\"1PiB\"")).problems.size() == 1u); // its granularity
  BOOST_TEST(parse_valid(changed_example("/volumes/0", R"({"name":"db","size":"1PiB"})")).volumes[0].size.value ==
             1ull << 50);
}

BOOST_AUTO_TEST_CASE(shadow_granularity_is_a_multiple_of_the_volumes_own_chunk) {
  // 1 TiB in at most 4096 chunks: chunks of 256 MiB.
  check_refusals(
      {{"/volumes/0", R"({"name":"db","size":"1TiB","shadow":{"granularity":"384MiB"}})",
        "/volumes/0/shadow/granularity", "a multiple of the volume's chunk, 256MiB", "\"384MiB\"", "512MiB"}});
  BOOST_TEST(parse_settings(
                 changed_example("/volumes/0", R"({"name":"db","size":"1TiB","shadow":{"granularity":"768MiB"}})"))
                 .ok());
}

BOOST_AUTO_TEST_CASE(duplicate_names_are_refused_where_the_second_one_stands) {
  check_refusals({
      {"/volumes/1", R"({"name":"db","size":"1GiB"})", "/volumes/1/name", "other than that of /volumes/0", "\"db\"",
       ""},
      {"/instances/1", R"({"id":"web-1"})", "/instances/1/id", "other than that of /instances/0", "\"web-1\"", ""},
      {"/cluster/peers/1", R"({"node":"beta","address":"127.0.0.1:5"})", "/cluster/peers/1/node",
       "other than that of /cluster/peers/0", "\"beta\"", ""},
      {"/instances/0/volumes/1", "\"db\"", "", "other than /instances/0/volumes/0", "\"db\"", ""},
  });
  const auto groups = parse_settings(changed_example("/snapshot_groups/1", R"({"name":"nightly","volumes":["db"]})"));
  BOOST_REQUIRE_EQUAL(groups.problems.size(), 2u);
  BOOST_TEST(groups.problems[0].pointer == "/snapshot_groups/1/name");
  BOOST_TEST(groups.problems[1].pointer == "/snapshot_groups/1/volumes/0");
}

BOOST_AUTO_TEST_CASE(references_to_volumes_that_do_not_exist_are_refused) {
  check_refusals({
      {"/instances/0/volumes/0", "\"dbs\"", "", "the name of a volume of this node", "\"dbs\"", "db"},
      {"/instances/0/volumes/1", "\"elsewhere\"", "", "the name of a volume of this node", "\"elsewhere\"", ""},
      {"/snapshot_groups/0/volumes/0", "\"bd\"", "", "the name of a volume of this node", "\"bd\"", "db"},
  });
}

BOOST_AUTO_TEST_CASE(a_volume_is_in_at_most_one_group) {
  check_refusals({{"/snapshot_groups/1", R"({"name":"hourly","volumes":["db"]})", "/snapshot_groups/1/volumes/0",
                   "in no other group", "\"db\", which is in /snapshot_groups/0", ""}});
}

BOOST_AUTO_TEST_CASE(a_snapshot_cannot_be_due_before_the_next_one_is_taken) {
  check_refusals({
      {"/snapshot_groups/0/latest_by", "\"30m\"", "", "at least /snapshot_groups/0/every, 1h", "\"30m\"", ""},
      {"/snapshot_groups/0/every", "\"2d\"", "/snapshot_groups/0/latest_by", "at least /snapshot_groups/0/every, 2d",
       "\"1d\"", ""},
  });
  BOOST_TEST(parse_settings(changed_example("/snapshot_groups/0/latest_by", "\"1h\"")).ok());
}

BOOST_AUTO_TEST_CASE(paths_that_overlap_are_refused) {
  check_refusals({
      {"/volumes/0/path", "\"/var/lib/gnomon/db.img\"", "", "a path outside that of /data_dir",
       "\"/var/lib/gnomon/db.img\"", ""},
      {"/volumes/0/path", "\"/var/lib//gnomon/./\"", "", "a path other than that of /data_dir", "\"/var/lib/gnomon\"",
       ""},
      {"/stage/path", "\"/var/lib/gnomon/stage\"", "", "a path outside that of /data_dir", "", ""},
      {"/archive/path", "\"/nvme/gnomon\"", "", "a path other than that of /stage/path", "", ""},
      {"/data_dir", "\"/mnt/archive/x\"", "", "a path outside that of /archive/path", "", ""},
  });
  const auto twice = parse_settings(R"({"node":"n","data_dir":"/d","volumes":[
    {"name":"a","path":"/dev/sdb"},{"name":"b","path":"/dev/sdc"},{"name":"c","path":"/dev//sdb"}]})");
  BOOST_REQUIRE_EQUAL(twice.problems.size(), 1u);
  BOOST_TEST(twice.problems[0].pointer == "/volumes/2/path");
  BOOST_TEST(twice.problems[0].expected == "a path other than that of /volumes/0/path");
  BOOST_TEST(parse_settings(
                 R"({"node":"n","data_dir":"/d","volumes":[{"name":"a","path":"/d-a"},{"name":"b","path":"/d.b"}]})")
                 .ok());
}

BOOST_AUTO_TEST_CASE(one_endpoint_cannot_be_used_twice) {
  check_refusals({
      {"/nbd/listen/2", "\"127.0.0.1:10809\"", "", "other than that of /nbd/listen/1", "\"127.0.0.1:10809\"", ""},
      {"/nbd/listen/2", "\"unix:/run/gnomon/./nbd.sock\"", "", "other than that of /nbd/listen/0", "", ""},
      {"/admin/listen", "\"0.0.0.0:10809\"", "", "other than that of /nbd/listen/1", "\"0.0.0.0:10809\"", ""},
      {"/cluster/data_listen", "\"127.0.0.1:10880\"", "", "other than that of /admin/listen", "", ""},
  });
  BOOST_TEST(parse_settings(R"({"node":"n","data_dir":"/d","nbd":{"listen":["127.0.0.1:0","127.0.0.1:0"]}})").ok());
}

BOOST_AUTO_TEST_CASE(a_socket_path_that_unix_cannot_hold_is_refused) {
  const std::string too_long = "\"unix:/" + std::string(107, 's') + '"';
  check_refusals({{"/nbd/listen/0", too_long, "", "a socket path of at most 107 bytes", "", ""}});
}

BOOST_AUTO_TEST_CASE(bad_peers_are_refused) {
  check_refusals({
      {"/cluster/peers/0/node", "\"alpha\"", "", "the name of another node", "this node's own", ""},
      {"/cluster/peers/0/address", "\"127.0.0.1:10900\"", "", "the address of another node",
       "this node's own cluster.listen", ""},
      {"/cluster/peers/1", R"({"node":"gamma","address":"127.0.0.1:10901"})", "/cluster/peers/1/address",
       "other than that of /cluster/peers/0", "\"127.0.0.1:10901\"", ""},
      {"/cluster/listen", "remove", "", "an endpoint, since there are peers", "nothing", ""},
  });
}

BOOST_AUTO_TEST_CASE(archiving_needs_an_archive) {
  check_refusals({{"/archive", "remove", "", "an archive, since /volumes/0/archive_after is set", "nothing", ""}});
}

BOOST_AUTO_TEST_CASE(all_mistakes_are_reported_in_one_go) {
  const auto parsed =
      parse_settings(R"({"data_dir":"x","nbd":{"listen":["nowhere"]},"volumes":[{"name":"a","size":"1G"},
    {"name":"a","size":"1GiB","sise":1}],"instances":[{"id":"i","volumes":["b"]}]})");
  std::vector<std::string> pointers;
  for (const auto& problem : parsed.problems)
    pointers.push_back(problem.pointer);
  const std::vector<std::string> expected{"/data_dir", "/nbd/listen/0",   "/volumes/0/size",       "/volumes/1/sise",
                                          "/node",     "/volumes/1/name", "/instances/0/volumes/0"};
  BOOST_TEST(pointers == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(at_most_100_problems_are_listed_and_the_others_counted) {
  std::string text = R"({"node":"n","data_dir":"/d")";
  for (int i = 0; i < 250; ++i)
    text += ",\"x" + std::to_string(i) + "\":0";
  const auto parsed = parse_settings(text + "}");
  BOOST_TEST(parsed.problems.size() == settings_problems_max);
  BOOST_TEST(parsed.problems_unlisted == 150u);
  BOOST_TEST(parsed.to_string().ends_with("and 150 more\n"));
}

BOOST_AUTO_TEST_CASE(lists_have_a_greatest_length) {
  std::string horizons = "[";
  for (int i = 1; i <= 9; ++i)
    horizons += (i > 1 ? ",\"" : "\"") + std::to_string(i) + "m\"";
  check_refusals({{"/volumes/0/forecast/horizons", horizons + "]", "", "1 to 8 elements", "9 elements", ""}});
}

BOOST_AUTO_TEST_CASE(what_is_no_json_is_one_problem_with_its_place) {
  const auto parsed = parse_settings("{\n  \"node\": \"n\",\n  \"node\": \"m\"\n}");
  BOOST_REQUIRE_EQUAL(parsed.problems.size(), 1u);
  BOOST_TEST(parsed.problems[0].pointer == "");
  BOOST_TEST(parsed.problems[0].to_string() ==
             "the document: expected a JSON document, found line 3, column 3: the key 'node' appears twice");
  BOOST_TEST(parse_settings("[]").problems.at(0).to_string().starts_with(
      "the document: expected an object with the keys \"node\""));
  BOOST_TEST(!parse_settings("").ok());
}

BOOST_AUTO_TEST_CASE(problems_are_safe_to_print_whatever_the_document_holds) {
  const auto parsed =
      parse_settings("{\"node\":\"n\",\"data_dir\":\"/d\",\"\\u001b[31m\\n\":0,\"log_level\":\"\\u009b\\u0007\"}");
  BOOST_REQUIRE_EQUAL(parsed.problems.size(), 2u);
  for (const auto& problem : parsed.problems)
    for (const unsigned char c : problem.to_string())
      BOOST_TEST((c >= 0x20 && c < 0x7f));
}

BOOST_AUTO_TEST_CASE(a_file_is_loaded_or_its_absence_reported) {
  const scratch_directory scratch;
  const auto file = scratch.path / "gnomon.json";
  std::ofstream(file) << design_example;
  const auto loaded = load_settings(file.string());
  BOOST_REQUIRE(loaded);
  BOOST_TEST((loaded->value == parse_valid(design_example)));

  const auto absent = load_settings((scratch.path / "absent.json").string());
  BOOST_REQUIRE(!absent);
  BOOST_TEST((absent.error().code == errc::not_found));
  BOOST_TEST((absent.error().message.find("absent.json") != std::string::npos));
  BOOST_TEST(!load_settings(scratch.path.string())); // a directory

  std::ofstream(file, std::ios::app) << std::string(settings_bytes_max, ' ');
  const auto huge = load_settings(file.string());
  BOOST_REQUIRE(!huge);
  BOOST_TEST((huge.error().code == errc::limit_reached));
}

BOOST_AUTO_TEST_CASE(two_names_of_one_file_cannot_be_two_volumes) {
  const scratch_directory scratch;
  const auto image = scratch.path / "image", link = scratch.path / "link", hard = scratch.path / "hard";
  std::ofstream(image) << std::string(4096, '\0');
  std::ofstream(scratch.path / "other") << std::string(4096, '\0');
  std::filesystem::create_symlink(image, link);
  std::filesystem::create_hard_link(image, hard);
  const auto file = scratch.path / "gnomon.json";
  std::ofstream(file) << R"({"node":"n","data_dir":"/d","volumes":[{"name":"a","path":")" << image.string()
                      << R"("},{"name":"b","path":")" << link.string() << R"("},{"name":"c","path":")"
                      << hard.string() << R"("},{"name":"d","path":")" << (scratch.path / "absent").string()
                      << R"("},{"name":"e","path":")" << (scratch.path / "other").string() << R"("}]})";
  const auto loaded = load_settings(file.string());
  BOOST_REQUIRE(loaded);
  BOOST_REQUIRE_EQUAL(loaded->problems.size(), 2u);
  BOOST_TEST(loaded->problems[0].pointer == "/volumes/1/path");
  BOOST_TEST(loaded->problems[1].pointer == "/volumes/2/path");
  BOOST_TEST(loaded->problems[1].expected == "a file or device other than that of /volumes/0");
}

BOOST_AUTO_TEST_SUITE_END()
