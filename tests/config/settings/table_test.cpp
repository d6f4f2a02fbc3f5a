// The table, the parser, the reference and the schema say the same.
#include "config/settings/table.hpp"

#include <boost/test/unit_test.hpp>

#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "tests/config/settings/samples.hpp"

using namespace gnomon;
using namespace gnomon::test;

BOOST_AUTO_TEST_SUITE(table_test)
namespace {

std::string without_comments(const std::string& text) {
  std::istringstream lines(text);
  std::string out, line;
  while (std::getline(lines, line)) {
    const auto first = line.find_first_not_of(' ');
    if (first != line.npos && line.compare(first, 2, "//") == 0)
      continue;
    out += line + '\n';
  }
  return out;
}

std::string committed(const std::string& name) {
  std::ifstream file(GNOMON_SOURCE_DIR "/config/" + name);
  return {std::istreambuf_iterator<char>(file), {}};
}

// "/volumes/*/size" -> where its schema stands in the whole one.
std::string schema_pointer(std::string_view pattern) {
  std::string out;
  std::istringstream parts{std::string(pattern)};
  std::string part;
  std::getline(parts, part, '/');
  while (std::getline(parts, part, '/'))
    out += part == "*" ? "/items" : "/properties/" + part;
  return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(every_key_is_described_once_and_stands_in_an_object_of_the_table) {
  std::set<std::string_view> pointers;
  for (const auto& row : settings_table()) {
    BOOST_TEST_CONTEXT(row.pointer) {
      BOOST_TEST(pointers.insert(row.pointer).second);
      BOOST_TEST(row.doc.ends_with('.'));
      BOOST_TEST(!row.expected.empty());
      if (row.pointer.empty())
        continue;
      auto parent = row.pointer.substr(0, row.pointer.rfind('/'));
      if (parent.ends_with("/*"))
        parent.remove_suffix(2);
      BOOST_TEST(pointers.contains(parent));
      const bool has_value = row.kind == setting_kind::value || row.kind == setting_kind::value_list;
      BOOST_TEST(row.example.is_null() != has_value);
      BOOST_TEST(row.schema.is_null() != has_value);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_reference_without_its_comments_is_a_valid_configuration_of_every_key) {
  const auto reference = without_comments(settings_reference());
  const auto s = parse_valid(reference);
  // Nothing is lost on the way, so every key of the reference was read into a field and written from it.
  BOOST_TEST(dump_json(settings_to_json(s)) == dump_json(*parse_json(reference)));
  for (const auto& row : settings_table())
    if (!row.pointer.empty())
      BOOST_TEST((reference.find('"' + std::string(row.pointer.substr(row.pointer.rfind('/') + 1)) + '"') !=
                  std::string::npos),
                 row.pointer);
}

BOOST_AUTO_TEST_CASE(the_reference_explains_every_key) {
  const auto reference = settings_reference();
  std::string joined; // the comments' words without line breaks
  std::istringstream words(reference);
  for (std::string word; words >> word;)
    if (word != "//")
      joined += word + ' ';
  for (const auto& row : settings_table())
    if (!row.pointer.empty())
      BOOST_TEST((joined.find(row.doc) != std::string::npos), row.pointer);
  std::istringstream lines(reference);
  for (std::string line; std::getline(lines, line);)
    if (line.find("//") != line.npos)
      BOOST_TEST(line.size() <= 118u, line);
}

BOOST_AUTO_TEST_CASE(the_schema_has_every_key_of_the_table_and_no_other) {
  const auto schema = parse_json(settings_schema());
  BOOST_REQUIRE(schema);
  BOOST_TEST((*schema)["$schema"] == "https://json-schema.org/draft/2020-12/schema");
  std::size_t keys = 0;
  for (const auto& row : settings_table()) {
    const json::json_pointer at(schema_pointer(row.pointer));
    BOOST_REQUIRE_MESSAGE(schema->contains(at), row.pointer);
    const auto& here = schema->at(at);
    BOOST_TEST(here.at("description").get<std::string>().starts_with(row.doc), row.pointer);
    const auto& object = row.kind == setting_kind::object_list ? here.at("items") : here;
    if (!object.contains("properties"))
      continue;
    BOOST_TEST(object.at("additionalProperties") == false, row.pointer);
    keys += object.at("properties").size();
  }
  BOOST_TEST(keys + 1 == settings_table().size());
  BOOST_TEST(dump_json(schema->at("required")) == R"(["node","data_dir"])");
  BOOST_TEST(dump_json(schema->at("/properties/volumes/items/anyOf"_json_pointer)) ==
             R"([{"required":["size"]},{"required":["path"]}])");
}

BOOST_AUTO_TEST_CASE(defaults_in_the_documents_are_those_of_the_structs) {
  const auto schema = *parse_json(settings_schema());
  BOOST_TEST(schema.at("/properties/nbd/properties/in_flight_max/default"_json_pointer) ==
             format_size(nbd_settings{}.in_flight_max));
  BOOST_TEST(schema.at("/properties/forecast/properties/cpu_budget/default"_json_pointer) ==
             format_percentage(forecast_settings{}.cpu_budget));
  BOOST_TEST(!schema.at("/properties/volumes/items/properties/size"_json_pointer).contains("default"));
}

BOOST_AUTO_TEST_CASE(the_committed_documents_are_the_generated_ones) {
  // After a change of the table:
  //   ninja -C build/dev gnomon_config_docs
  //   build/dev/config/gnomon_config_docs reference > config/settings.reference.jsonc
  //   build/dev/config/gnomon_config_docs schema > config/settings.schema.json
  BOOST_TEST((committed("settings.reference.jsonc") == settings_reference()),
             "regenerate: gnomon_config_docs reference > config/settings.reference.jsonc");
  BOOST_TEST((committed("settings.schema.json") == settings_schema()),
             "regenerate: gnomon_config_docs schema > config/settings.schema.json");
}

BOOST_AUTO_TEST_SUITE_END()
