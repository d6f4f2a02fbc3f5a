// What the catalogue knows of a volume after a stop that was not clean, and after meta/ was replaced by an older copy:
// nothing that may be lost is served without a word, nothing newer is thrown away.
#include <boost/test/unit_test.hpp>

#include "store/files/file_system.hpp"
#include "tests/store/meta/catalogue_fixture.hpp"

using namespace gnomon;
using namespace gnomon::store;
using namespace gnomon::store::testing;

BOOST_AUTO_TEST_SUITE(volume_doubt_test)
namespace {

struct fixture {
  scratch_directory where;
  node_store store{where / "data"};
  fixture() {
    new_marks();
    BOOST_REQUIRE(store.open().has_value());
  }
  catalogue& volumes() { return *store.volumes; }
  std::string directory_of(volume_uuid uuid) { return where / "data/volumes/" + uuid.to_string(); }
  // As after a boot, or a container's restart that took /dev/shm along.
  void new_marks() {
    const auto at = where / ("marks" + std::to_string(++marks_made));
    std::filesystem::create_directory(at);
    store.marks = boot_marks::open(where / "", "boot", at).value();
  }
  volume_uuid opened(const std::string& name) {
    const auto uuid = volumes().create(request(name)).value().uuid;
    REQUIRE_OK(volumes().set_clean({uuid}, false));
    return uuid;
  }
  std::optional<volume_doubt> doubt_of(volume_uuid uuid) { return volumes().find(uuid)->doubt; }
  int marks_made = 0;
};
using reason = volume_doubt::reason;

} // namespace

BOOST_FIXTURE_TEST_CASE(a_killed_process_leaves_no_doubt_about_volumes_whose_memory_is_still_there, fixture) {
  const auto uuid = opened("db");
  REQUIRE_OK(store.reopen());
  BOOST_TEST(!doubt_of(uuid));
  BOOST_TEST(!volumes().find(uuid)->failure);
  BOOST_TEST(store.opening.doubtful == 0u);
}

BOOST_FIXTURE_TEST_CASE(another_boot_makes_exactly_the_open_volumes_doubtful_until_an_operator_takes_note, fixture) {
  const auto open = opened("open"), closed = opened("closed");
  REQUIRE_OK(volumes().set_clean({closed}, true));
  store.boot_id = "boot-2";
  new_marks();
  REQUIRE_OK(store.reopen());
  BOOST_REQUIRE(doubt_of(open));
  BOOST_TEST((doubt_of(open)->why == reason::machine_stopped));
  BOOST_TEST(!doubt_of(closed));
  BOOST_TEST(store.opening.doubtful == 1u);
  REQUIRE_OK(store.reopen()); // a second unclean stop repeats it
  BOOST_TEST((doubt_of(open)->why == reason::machine_stopped));
  REQUIRE_OK(volumes().set_clean({open}, true)); // and a clean one does not take it back
  REQUIRE_OK(store.reopen());
  BOOST_REQUIRE(doubt_of(open));
  REQUIRE_OK(volumes().clear_write_failure(open));
  REQUIRE_OK(store.reopen());
  BOOST_TEST(!doubt_of(open));
}

BOOST_FIXTURE_TEST_CASE(memory_that_is_gone_in_the_same_boot_is_a_doubt, fixture) {
  const auto uuid = opened("db");
  new_marks();
  REQUIRE_OK(store.reopen());
  BOOST_REQUIRE(doubt_of(uuid));
  BOOST_TEST((doubt_of(uuid)->why == reason::marks_lost));
}

BOOST_FIXTURE_TEST_CASE(a_volume_that_an_older_release_left_open_is_a_doubt, fixture) {
  const auto uuid = opened("db");
  auto record = *volumes().find(uuid);
  record.opened.reset();
  REQUIRE_OK(store.meta->write([&](write_transaction& t) {
    return t.put(meta_database::volumes, volume_key(uuid), encode(record));
  }));
  REQUIRE_OK(store.reopen());
  BOOST_TEST((doubt_of(uuid)->why == reason::without_evidence));
}

BOOST_FIXTURE_TEST_CASE(a_failure_that_meta_refuses_is_found_at_the_next_start, fixture) {
  const auto uuid = opened("db");
  volumes().stop(); // as a disk that takes no commit any more
  CHECK_ERROR(volumes().mark_write_failure(uuid, EIO), errc::shutting_down);
  REQUIRE_OK(store.reopen());
  BOOST_REQUIRE(volumes().find(uuid)->failure);
  BOOST_TEST(volumes().find(uuid)->failure->os_errno == EIO);
  BOOST_TEST(!volumes().find(uuid)->clean);
  REQUIRE_OK(volumes().clear_write_failure(uuid));
  REQUIRE_OK(store.reopen());
  BOOST_TEST(!volumes().find(uuid)->failure);
}

BOOST_FIXTURE_TEST_CASE(a_failure_that_meta_refuses_is_known_while_the_process_lives, fixture) {
  const auto uuid = opened("db"), other = opened("other");
  REQUIRE_OK(volumes().mark_write_failure(other, EIO));
  volumes().stop();
  CHECK_ERROR(volumes().mark_write_failure(uuid, EIO), errc::shutting_down);
  BOOST_TEST(!volumes().find(uuid)->failure);
  BOOST_TEST(volumes().failure_noted(uuid));
  BOOST_TEST(volumes().failure_noted(other));
  REQUIRE_OK(store.reopen());
  REQUIRE_OK(volumes().clear_write_failure(uuid));
  BOOST_TEST(!volumes().failure_noted(uuid));
}

BOOST_FIXTURE_TEST_CASE(a_volume_whose_writes_failed_never_becomes_clean, fixture) {
  const auto uuid = opened("db"), deleted = opened("deleted");
  REQUIRE_OK(volumes().mark_write_failure(uuid, EIO));
  REQUIRE_OK(volumes().remove(deleted));
  REQUIRE_OK(volumes().mark_write_failure(deleted, EIO)); // its last sync, after it was deleted
  BOOST_TEST(volumes().set_clean({uuid, deleted}, true).value().empty());
  REQUIRE_OK(volumes().undelete(deleted, std::nullopt));
  BOOST_TEST(volumes().find(deleted)->failure.has_value());
}

BOOST_AUTO_TEST_CASE(marks_survive_their_process_and_are_bounded) {
  scratch_directory where;
  const auto open = [&] { return boot_marks::open(where / "", "boot", where / "").value(); };
  auto marks = open();
  const auto token = marks->token();
  BOOST_TEST(token != 0u);
  std::vector<volume_uuid> noted;
  for (std::size_t i = 0; i < boot_marks::entries_max; ++i) {
    noted.push_back(volume_uuid::random());
    REQUIRE_OK(marks->add(noted.back(), 5));
  }
  CHECK_ERROR(marks->add(volume_uuid::random(), 5), errc::limit_reached);
  marks->remove(noted[7]);
  const auto late = volume_uuid::random();
  REQUIRE_OK(marks->add(late, ENOSPC));
  marks = open();
  BOOST_TEST(marks->token() == token);
  BOOST_TEST(marks->all().size() == boot_marks::entries_max);
  BOOST_TEST(marks->all().at(late) == ENOSPC);
  BOOST_TEST(marks->all().count(noted[7]) == 0u);
}

BOOST_AUTO_TEST_CASE(a_remount_is_another_instance_of_the_file_system_and_a_second_look_is_not) {
  scratch_directory where;
  const auto once = file_system_instance(where / "");
  REQUIRE_OK(once);
  BOOST_TEST(*once == file_system_instance(where / "").value());
  CHECK_ERROR(file_system_instance(where / "nothing"), errc::not_found);
}

// --- an older copy of meta/

BOOST_FIXTURE_TEST_CASE(an_older_meta_throws_no_newer_volume_away_and_knows_no_older_size, fixture) {
  const auto grown = volumes().create(request("grown")).value();
  store.close();
  std::filesystem::copy(where / "data/meta", where / "copy", std::filesystem::copy_options::recursive);
  REQUIRE_OK(store.open());
  const auto written = volumes().create(request("written")).value(), empty = volumes().create(request("empty")).value();
  { std::ofstream(volumes().data_path(written), std::ios::in | std::ios::out) << "somebody's data"; }
  REQUIRE_OK(volumes().resize(grown.uuid, byte_count(4 << 20)));
  REQUIRE_OK(volumes().rename(grown.uuid, volume_name("renamed")));
  store.close();
  std::filesystem::remove_all(where / "data/meta");
  std::filesystem::rename(where / "copy", where / "data/meta");
  REQUIRE_OK(store.open());
  BOOST_TEST(store.opening.orphans_swept == 0u);
  BOOST_TEST(store.opening.problems.size() == 3u);
  BOOST_REQUIRE(volumes().find(written.uuid));
  BOOST_REQUIRE(volumes().find(empty.uuid));
  BOOST_TEST(volumes().find(grown.uuid)->size.value == 4u << 20);
  BOOST_TEST(volumes().find(grown.uuid)->name.value == "renamed");
  BOOST_TEST((doubt_of(written.uuid)->why == reason::without_evidence));
  REQUIRE_OK(store.reopen());
  BOOST_TEST(store.opening.problems.empty());
}

BOOST_FIXTURE_TEST_CASE(what_has_data_but_no_readable_descriptor_is_reported_and_stays, fixture) {
  store.close();
  const auto stranger = volume_uuid::random(), nameless = volume_uuid::random();
  for (const auto uuid : {stranger, nameless}) {
    std::filesystem::create_directory(directory_of(uuid));
    std::ofstream(directory_of(uuid) + "/data") << std::string(8192, 'x') << std::flush;
  }
  std::ofstream(directory_of(stranger) + "/volume") << "garbage";
  REQUIRE_OK(store.open());
  BOOST_TEST(store.opening.problems.size() == 2u);
  BOOST_TEST(store.opening.orphans_swept == 0u);
  BOOST_TEST(path_exists(directory_of(stranger) + "/data"));
  BOOST_TEST(path_exists(directory_of(nameless) + "/data"));
}

BOOST_FIXTURE_TEST_CASE(a_lost_descriptor_is_written_again, fixture) {
  const auto record = volumes().create(request("db")).value();
  store.close();
  std::filesystem::remove(directory_of(record.uuid) + "/volume");
  REQUIRE_OK(store.open());
  BOOST_TEST(store.opening.descriptors_rewritten == 1u);
  BOOST_TEST(path_exists(directory_of(record.uuid) + "/volume"));
}

BOOST_AUTO_TEST_SUITE_END()
