// Keys without effect are reported where they are set, and only there.
#include "config/settings/inert.hpp"

#include <algorithm>

#include <boost/test/unit_test.hpp>

#include "config/settings/load.hpp"
#include "config/settings/table.hpp"

using namespace gnomon;

BOOST_AUTO_TEST_SUITE(inert_test)

BOOST_AUTO_TEST_CASE(every_row_of_the_table_is_a_key) {
  const auto rows = settings_table();
  for (const auto& key : inert_keys())
    BOOST_TEST((std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.pointer == key.pointer; }) !=
                rows.end()),
               std::string(key.pointer));
}

BOOST_AUTO_TEST_CASE(a_plain_configuration_has_no_such_key) {
  const auto plain = parse_settings(
      R"({"node": "a", "data_dir": "/d", "volumes": [{"name": "db", "size": "1GiB"}], "instances": [{"id": "w"}]})");
  BOOST_REQUIRE(plain.ok());
  BOOST_TEST(inert_warnings(plain.value).empty());
}

BOOST_AUTO_TEST_CASE(each_key_of_the_table_is_named_when_it_is_set) {
  const auto parsed = parse_settings(settings_to_json(parse_settings(R"({"node": "a", "data_dir": "/d"})").value).dump());
  BOOST_REQUIRE(parsed.ok());
  BOOST_TEST(inert_warnings(parsed.value).empty()); // defaults that are written out
  for (const auto& key : inert_keys()) {
    settings all;
    for (const auto& row : settings_table())
      if (row.kind == setting_kind::object_list || row.kind == setting_kind::optional_object)
        if (row.pointer.substr(0, key.pointer.size()) == key.pointer || key.pointer.substr(0, row.pointer.size()) == row.pointer)
          row.enter(all, 0);
    for (const auto& row : settings_table())
      if (row.pointer == key.pointer && row.read)
        BOOST_REQUIRE(row.read(all, 0, row.example.is_array() ? row.example[0] : row.schema.contains("type") && row.schema["type"] == "boolean" ? json(true) : row.example).has_value());
    const auto warnings = inert_warnings(all);
    BOOST_TEST(std::any_of(warnings.begin(), warnings.end(),
                           [&](const auto& line) { return line.starts_with(std::string(key.pointer) + " does nothing"); }),
               std::string(key.pointer));
  }
}

BOOST_AUTO_TEST_CASE(open_doors_are_said) {
  auto parsed = parse_settings(
      R"({"node": "a", "data_dir": "/d", "nbd": {"listen": ["127.0.0.1:0"]}, "volumes": [{"name": "db", "size": "1GiB"}]})");
  BOOST_REQUIRE(parsed.ok());
  BOOST_REQUIRE(settings_warnings(parsed.value).size() == 1u);
  BOOST_TEST(settings_warnings(parsed.value)[0].find("instances") != std::string::npos);
  parsed.value.volumes[0].shared = true;
  BOOST_TEST(settings_warnings(parsed.value).empty());
}

BOOST_AUTO_TEST_SUITE_END()
