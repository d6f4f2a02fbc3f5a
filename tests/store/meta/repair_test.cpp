// An operator's way out of a data directory that keeps its node from starting.
#include "store/meta/repair.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/store/meta/catalogue_fixture.hpp"

using namespace gnomon;
using namespace gnomon::store;
using namespace gnomon::store::testing;

BOOST_AUTO_TEST_SUITE(repair_test)
namespace {

struct fixture {
  scratch_directory where;
  node_store store{where / "data"};
  volume_uuid db;
  fixture() {
    BOOST_REQUIRE(store.open().has_value());
    db = store.volumes->create(request("db")).value().uuid;
    store.close();
  }
  std::vector<std::string> repaired() {
    auto told = repair({.path = where / "data", .node = store.node, .clock = &store.clock});
    BOOST_REQUIRE_MESSAGE(told.has_value(), (told ? "" : told.error().to_string()));
    return *told;
  }
  void damage(const std::string& file, std::size_t offset) {
    std::fstream stream(where / ("data/" + file), std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(static_cast<std::streamoff>(offset));
    const char flipped = static_cast<char>(stream.get() ^ 4);
    stream.seekp(static_cast<std::streamoff>(offset));
    stream.put(flipped);
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(what_is_whole_is_left_alone, fixture) {
  BOOST_TEST(repaired() == std::vector<std::string>{"nothing is damaged"}, boost::test_tools::per_element());
  REQUIRE_OK(store.open());
  BOOST_TEST(store.volumes->find(db).has_value());
}

BOOST_FIXTURE_TEST_CASE(a_flipped_bit_in_the_format_file_has_a_way_out_that_the_error_names, fixture) {
  damage("format", 20);
  const auto refused = store.open();
  CHECK_ERROR(refused, errc::corrupt);
  BOOST_TEST(refused.error().message.find("--repair") != std::string::npos, refused.error().message);
  BOOST_TEST(repaired().size() == 1u);
  REQUIRE_OK(store.open());
  BOOST_TEST(store.volumes->find(db).has_value());
}

BOOST_FIXTURE_TEST_CASE(a_lost_or_damaged_meta_is_written_anew_from_the_descriptors, fixture) {
  std::filesystem::remove_all(where / "data/meta");
  const auto refused = store.open();
  CHECK_ERROR(refused, errc::corrupt);
  BOOST_TEST(refused.error().message.find("--repair") != std::string::npos, refused.error().message);
  store.close();
  repaired();
  REQUIRE_OK(store.open());
  BOOST_TEST((store.volumes->find(volume_name("db"))->uuid == db));
  store.close();

  std::filesystem::resize_file(where / "data/meta/data.mdb", 100);
  BOOST_TEST(!store.open().has_value());
  store.close();
  const auto told = repaired();
  BOOST_TEST(told.front().find("set aside") != std::string::npos, told.front());
  REQUIRE_OK(store.open());
  BOOST_TEST((store.volumes->find(volume_name("db"))->uuid == db));
  bool kept = false;
  for (const auto& entry : std::filesystem::directory_iterator(where / "data"))
    kept = kept || entry.path().filename().string().starts_with("meta.damaged-");
  BOOST_TEST(kept);
}

BOOST_FIXTURE_TEST_CASE(a_running_node_is_not_repaired, fixture) {
  REQUIRE_OK(store.open());
  CHECK_ERROR(repair({.path = where / "data", .node = store.node, .clock = &store.clock}), errc::busy);
}

BOOST_AUTO_TEST_SUITE_END()
