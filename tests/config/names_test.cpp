// What may be called what, and what an NBD client may ask for.
#include "config/names.hpp"

#include <boost/test/unit_test.hpp>

using namespace gnomon;

BOOST_AUTO_TEST_SUITE(names_test)

BOOST_AUTO_TEST_CASE(names_of_letters_digits_dot_underscore_and_dash_are_valid) {
  for (const std::string text : {"db", "a", "7", "web-1.example.com", "A_b-C.d", "0-0"}) {
    BOOST_TEST(parse_volume_name(text)->value == text);
    BOOST_TEST(parse_node_name(text)->value == text);
    BOOST_TEST(parse_instance_id(text)->value == text);
    BOOST_TEST(parse_group_name(text)->value == text);
    BOOST_TEST(parse_snapshot_id(text)->value == text);
  }
}

BOOST_AUTO_TEST_CASE(other_names_are_refused_with_the_reason) {
  struct row {
    std::string text, reason;
  };
  const row table[] = {
      {"", "is empty"},
      {".", "begins with a letter or digit"},
      {"..", "begins with a letter or digit"},
      {".hidden", "begins with a letter or digit"},
      {"-rf", "begins with a letter or digit"},
      {"_x", "begins with a letter or digit"},
      {"a/b", "without \"/\""},
      {"a@b", "without \"@\""},
      {"a:b", "without \":\""},
      {"a b", "without \" \""},
      {"a\"b", "without \"\\\"\""},
      {"a\nb", "without \"\\n\""},
      {std::string("a\0b", 3), "without \"\\u0000\""},
      {"gr\xC3\xB6\xC3\x9F"
       "e",
       "without \"\xC3\xB6\xC3\x9F\""},
  };
  for (const auto& [text, reason] : table) {
    BOOST_TEST_CONTEXT(text) {
      const auto parsed = parse_volume_name(text);
      BOOST_REQUIRE(!parsed);
      BOOST_TEST((parsed.error().code == errc::invalid_argument));
      BOOST_TEST((parsed.error().message.find(reason) != std::string::npos), parsed.error().message);
      BOOST_TEST(!parse_node_name(text));
      BOOST_TEST(!parse_instance_id(text));
      BOOST_TEST(!parse_group_name(text));
      BOOST_TEST(!parse_snapshot_id(text));
    }
  }
}

BOOST_AUTO_TEST_CASE(names_have_a_greatest_length) {
  const std::string long_name(128, 'n');
  BOOST_TEST(parse_volume_name(long_name).has_value());
  BOOST_TEST(!parse_volume_name(long_name + "n"));
  BOOST_TEST(parse_node_name(long_name.substr(0, 64)).has_value());
  BOOST_TEST(!parse_node_name(long_name.substr(0, 65)));
  BOOST_TEST(!parse_instance_id(std::string(1'000'000, 'n')));
}

BOOST_AUTO_TEST_CASE(a_volume_cannot_be_called_like_a_uuid) {
  const auto uuid = volume_uuid::random().to_string();
  BOOST_TEST(!parse_volume_name(uuid));
  BOOST_TEST(parse_volume_name(uuid + "x").has_value());
  BOOST_TEST(parse_instance_id(uuid).has_value());
}

BOOST_AUTO_TEST_CASE(export_names_carry_volume_instance_and_snapshot) {
  struct row {
    std::string text, volume, instance, snapshot, printed;
  };
  const row table[] = {
      {"db", "db", "", "", "db"},
      {"db@instance:web-1", "db", "web-1", "", "db@instance:web-1"},
      {"db@snapshot:nightly-7", "db", "", "nightly-7", "db@snapshot:nightly-7"},
      {"db@instance:web-1@snapshot:s", "db", "web-1", "s", "db@instance:web-1@snapshot:s"},
      {"db@snapshot:s@instance:web-1", "db", "web-1", "s", "db@instance:web-1@snapshot:s"},
  };
  for (const auto& [text, volume, instance, snapshot, printed] : table) {
    BOOST_TEST_CONTEXT(text) {
      const auto parsed = parse_export_name(text);
      BOOST_REQUIRE(parsed);
      BOOST_TEST(parsed->volume.value == volume);
      BOOST_TEST(parsed->instance.value_or(instance_id{}).value == instance);
      BOOST_TEST(parsed->snapshot.value_or(snapshot_id{}).value == snapshot);
      BOOST_TEST(parsed->to_string() == printed);
      BOOST_TEST((*parse_export_name(printed) == *parsed));
    }
  }
  const std::string longest =
      std::string(128, 'v') + "@instance:" + std::string(128, 'i') + "@snapshot:" + std::string(128, 's');
  BOOST_TEST(parse_export_name(longest).has_value());
}

BOOST_AUTO_TEST_CASE(what_is_no_export_name_is_refused) {
  for (const std::string text :
       {"", "@", "db@", "@instance:web-1", "db@instance", "db@instance:", "db@snapshot:", "db@instance:a@instance:b",
        "db@snapshot:a@snapshot:b", "db@shadow:beta", "db@Instance:a", "db@instance:a@", "db@@instance:a", "db/x",
        "db@instance:a/b", "db@instance:a:b", " db", "db "}) {
    const auto parsed = parse_export_name(text);
    BOOST_TEST_CONTEXT(text) {
      BOOST_REQUIRE(!parsed);
      BOOST_TEST((parsed.error().code == errc::invalid_argument));
      BOOST_TEST(parsed.error().message.starts_with("not an export name: "));
    }
  }
  BOOST_TEST(!parse_export_name(std::string(1'000'000, 'x')));
}

BOOST_AUTO_TEST_SUITE_END()
