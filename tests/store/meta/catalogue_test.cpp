#include "store/meta/catalogue.hpp"

#include <future>

#include <boost/test/unit_test.hpp>

#include "tests/store/meta/catalogue_fixture.hpp"

using namespace gnomon;
using namespace gnomon::store;
using namespace gnomon::store::testing;

BOOST_AUTO_TEST_SUITE(catalogue_test)
namespace {

struct fixture {
  scratch_directory where;
  node_store store{where / "data"};
  fixture() { BOOST_REQUIRE(store.open().has_value()); }
  catalogue& volumes() { return *store.volumes; }
  std::string volumes_path() { return where / "data/volumes"; }
};

std::size_t entries_in(const std::string& path) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(path), std::filesystem::directory_iterator{}));
}

} // namespace

BOOST_FIXTURE_TEST_CASE(a_created_volume_is_found_by_name_and_uuid_and_after_a_restart, fixture) {
  auto wanted = request("db", 8ull << 40);
  wanted.description = "orders";
  wanted.cache = cache_mode::direct;
  wanted.shared = true;
  wanted.origin = volume_origin::config;
  auto created = volumes().create(wanted);
  REQUIRE_OK(created);
  const auto path = volumes().data_path(*created);
  BOOST_TEST(file_size(path) == 8ull << 40);
  struct stat info {};
  BOOST_TEST(::stat(path.c_str(), &info) == 0);
  BOOST_TEST(info.st_blocks == 0); // sparse
  BOOST_TEST((volumes().find(volume_name("db")) == *created));
  REQUIRE_OK(store.reopen());
  BOOST_TEST((volumes().find(created->uuid) == *created));
  BOOST_TEST((volumes().find(volume_name("db")) == *created));
  BOOST_TEST(store.opening.volumes == 1u);
  BOOST_TEST(store.opening.problems.empty());
  BOOST_TEST(!volumes().find(volume_name("other")));
  BOOST_TEST(!volumes().find(volume_uuid::random()));
}

BOOST_FIXTURE_TEST_CASE(bad_requests_are_refused_and_change_nothing, fixture) {
  REQUIRE_OK(volumes().create(request("db")));
  CHECK_ERROR(volumes().create(request("db")), errc::already_exists);
  for (const auto& name : {std::string(), std::string("a/b"), std::string("a@b"), std::string("a b"),
                           std::string("a\n"), std::string(129, 'x')})
    CHECK_ERROR(volumes().create(request(name)), errc::invalid_argument);
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1000}, std::uint64_t{512}, volume_bytes_max + 4096})
    CHECK_ERROR(volumes().create(request("v", size)), errc::invalid_argument);
  auto wordy = request("v");
  wordy.description.assign(description_length_max + 1, 'd');
  CHECK_ERROR(volumes().create(wordy), errc::invalid_argument);
  CHECK_ERROR(volumes().create(std::vector{request("a"), request("b"), request("a")}), errc::already_exists);
  CHECK_ERROR(volumes().create(std::vector{request("a"), request("db")}), errc::already_exists);
  BOOST_TEST(volumes().list().size() == 1u);
  BOOST_TEST(entries_in(volumes_path()) == 1u);
}

BOOST_FIXTURE_TEST_CASE(a_size_the_file_system_cannot_hold_is_said_to_be_so, fixture) {
  auto created = volumes().create(request("pib", volume_bytes_max));
  if (created)
    return say_skipped("this file system holds a file of 1 PiB");
  CHECK_ERROR(created, errc::unsupported);
  BOOST_TEST(created.error().message.find("file system") != std::string::npos);
  BOOST_TEST(entries_in(volumes_path()) == 0u);
}

BOOST_FIXTURE_TEST_CASE(rename_resize_and_update_last, fixture) {
  const auto uuid = volumes().create(request("db")).value().uuid;
  REQUIRE_OK(volumes().create(request("other")));
  CHECK_ERROR(volumes().rename(uuid, volume_name("other")), errc::already_exists);
  CHECK_ERROR(volumes().rename(volume_uuid::random(), volume_name("x")), errc::not_found);
  REQUIRE_OK(volumes().rename(uuid, volume_name("db")));
  REQUIRE_OK(volumes().rename(uuid, volume_name("orders")));
  BOOST_TEST(!volumes().find(volume_name("db")));
  CHECK_ERROR(volumes().resize(uuid, byte_count(1 << 19)), errc::invalid_argument);
  CHECK_ERROR(volumes().resize(uuid, byte_count((1 << 20) + 1)), errc::invalid_argument);
  auto resized = volumes().resize(uuid, byte_count(4 << 20));
  REQUIRE_OK(resized);
  BOOST_TEST(file_size(volumes().data_path(*resized)) == 4u << 20);
  volume_changes changes;
  changes.description = "new words";
  changes.read_only = true;
  REQUIRE_OK(volumes().update(uuid, changes));
  REQUIRE_OK(store.reopen());
  const auto record = volumes().find(volume_name("orders"));
  BOOST_REQUIRE(record.has_value());
  BOOST_TEST(record->size.value == 4u << 20);
  BOOST_TEST(record->description == "new words");
  BOOST_TEST(record->read_only);
  BOOST_TEST(!record->shared);
}

BOOST_FIXTURE_TEST_CASE(a_growth_that_nobody_was_promised_does_not_take_effect_later, fixture) {
  const auto record = volumes().create(request("db")).value();
  store.close();
  std::filesystem::resize_file(where / "data/volumes" + ("/" + record.uuid.to_string() + "/data"), 3 << 20);
  REQUIRE_OK(store.open());
  BOOST_TEST(store.opening.damaged.empty());
  BOOST_TEST(volumes().find(record.uuid)->size.value == 1u << 20);
  REQUIRE_OK(volumes().resize(record.uuid, byte_count(3 << 20)));
  REQUIRE_OK(store.reopen());
  BOOST_TEST(volumes().find(record.uuid)->size.value == 3u << 20);
}

BOOST_FIXTURE_TEST_CASE(short_and_missing_files_are_reported_and_the_others_served, fixture) {
  const auto shortened = volumes().create(request("short")).value(),
             missing = volumes().create(request("missing")).value();
  REQUIRE_OK(volumes().create(request("fine")));
  store.close();
  std::filesystem::resize_file(where / "data/volumes" + ("/" + shortened.uuid.to_string() + "/data"), 512);
  std::filesystem::remove(where / "data/volumes" + ("/" + missing.uuid.to_string() + "/data"));
  std::filesystem::create_directory(volumes_path() + "/stranger");
  REQUIRE_OK(store.open());
  BOOST_TEST(store.opening.volumes == 3u);
  BOOST_TEST(store.opening.problems.size() == 1u);
  BOOST_TEST(store.opening.damaged.size() == 2u);
  BOOST_TEST(volumes().find(shortened.uuid)->size.value == 1u << 20); // the record is not bent to the damage
  BOOST_TEST(path_exists(volumes_path() + "/stranger"));
  CHECK_ERROR(volumes().resize(shortened.uuid, byte_count(2 << 20)), errc::corrupt); // nor the file to the record
  BOOST_TEST(file_size(volumes().data_path(shortened)) == 512u);
  // An operator accepts that what was lost reads as zeros.
  CHECK_ERROR(volumes().accept_loss(volumes().find(volume_name("fine"))->uuid), errc::invalid_argument);
  REQUIRE_OK(volumes().accept_loss(shortened.uuid));
  REQUIRE_OK(volumes().accept_loss(missing.uuid));
  BOOST_TEST(file_size(volumes().data_path(shortened)) == 1u << 20);
  REQUIRE_OK(store.reopen());
  BOOST_TEST(store.opening.damaged.empty());
}

BOOST_FIXTURE_TEST_CASE(a_deleted_volume_frees_its_name_and_comes_back_under_another, fixture) {
  const auto first = volumes().create(request("db")).value();
  REQUIRE_OK(volumes().remove(first.uuid));
  CHECK_ERROR(volumes().remove(first.uuid), errc::not_found);
  BOOST_TEST(!volumes().find(volume_name("db")));
  const auto second = volumes().create(request("db")).value();
  BOOST_TEST((second.uuid != first.uuid));
  CHECK_ERROR(volumes().undelete(first.uuid, std::nullopt), errc::already_exists);
  CHECK_ERROR(volumes().undelete(second.uuid, std::nullopt), errc::not_found);
  REQUIRE_OK(store.reopen());
  BOOST_TEST(store.opening.deleted == 1u);
  BOOST_TEST(volumes().list_deleted().size() == 1u);
  auto back = volumes().undelete(first.uuid, volume_name("db-old"));
  REQUIRE_OK(back);
  BOOST_TEST(path_exists(volumes().data_path(*back)));
  BOOST_TEST(volumes().list().size() == 2u);
  BOOST_TEST(volumes().list_deleted().empty());
}

BOOST_FIXTURE_TEST_CASE(what_was_deleted_is_purged_after_its_time_and_not_before, fixture) {
  const auto early = volumes().create(request("early")).value(), late = volumes().create(request("late")).value();
  REQUIRE_OK(volumes().remove(early.uuid));
  store.clock.advance(std::chrono::hours(5 * 24));
  REQUIRE_OK(volumes().remove(late.uuid));
  BOOST_TEST(volumes().purge_expired().value() == 0u);
  store.clock.advance(std::chrono::hours(2 * 24));
  BOOST_TEST(volumes().purge_expired().value() == 1u);
  BOOST_TEST(!path_exists(volumes_path() + "/" + early.uuid.to_string()));
  BOOST_TEST(path_exists(volumes_path() + "/" + late.uuid.to_string()));
  CHECK_ERROR(volumes().undelete(early.uuid, std::nullopt), errc::not_found);
  CHECK_ERROR(volumes().purge(early.uuid), errc::not_found);
  REQUIRE_OK(volumes().purge(late.uuid));
  BOOST_TEST(entries_in(volumes_path()) == 0u);
  REQUIRE_OK(store.reopen());
  BOOST_TEST(volumes().list_deleted().empty());
}

BOOST_FIXTURE_TEST_CASE(write_failures_and_clean_marks_last, fixture) {
  const auto a = volumes().create(request("a")).value(), b = volumes().create(request("b")).value();
  REQUIRE_OK(volumes().mark_write_failure(a.uuid, EIO));
  BOOST_TEST(volumes().set_clean({a.uuid, b.uuid, volume_uuid::random()}, false).value().size() == 2u);
  BOOST_TEST(volumes().set_clean({a.uuid, b.uuid}, false).value().empty());
  BOOST_TEST(volumes().set_clean({b.uuid}, true).value().size() == 1u);
  REQUIRE_OK(store.reopen());
  BOOST_REQUIRE(volumes().find(a.uuid)->failure.has_value());
  BOOST_TEST(volumes().find(a.uuid)->failure->os_errno == EIO);
  BOOST_TEST((volumes().find(a.uuid)->failure->when == day(0)));
  BOOST_TEST(!volumes().find(a.uuid)->clean);
  BOOST_TEST(volumes().find(b.uuid)->clean);
  REQUIRE_OK(volumes().clear_write_failure(a.uuid));
  REQUIRE_OK(store.reopen());
  BOOST_TEST(!volumes().find(a.uuid)->failure.has_value());
}

BOOST_FIXTURE_TEST_CASE(external_files_are_adopted_verified_and_never_removed, fixture) {
  const std::string disk = where / "disk.img";
  { std::ofstream file(disk); }
  std::filesystem::resize_file(disk, (1 << 20) + 100);
  auto wanted = request("ext", 0);
  wanted.external_path = disk;
  auto taken = volumes().create(wanted);
  REQUIRE_OK(taken);
  BOOST_TEST(taken->size.value == 1u << 20); // whole blocks
  BOOST_TEST(volumes().data_path(*taken) == disk);
  auto again = wanted;
  again.name = volume_name("ext2");
  CHECK_ERROR(volumes().create(again), errc::already_exists);
  std::filesystem::create_symlink(disk, where / "link");
  again.external_path = where / "link";
  CHECK_ERROR(volumes().create(again), errc::already_exists); // another path to the same file
  again.external_path = where / "nothing";
  CHECK_ERROR(volumes().create(again), errc::not_found);
  again.external_path = "relative";
  CHECK_ERROR(volumes().create(again), errc::invalid_argument);
  again.external_path = "/dev/null";
  CHECK_ERROR(volumes().create(again), errc::unsupported);
  { std::ofstream file(where / "small.img"); }
  std::filesystem::resize_file(where / "small.img", 8192);
  again.external_path = where / "small.img";
  again.size = byte_count(16384);
  CHECK_ERROR(volumes().create(again), errc::invalid_argument);
  again.size = byte_count(2048);
  CHECK_ERROR(volumes().create(again), errc::invalid_argument);
  again.size = byte_count(4096);
  BOOST_TEST(volumes().create(again).value().size.value == 4096u);
  REQUIRE_OK(volumes().resize(taken->uuid, byte_count(2 << 20)));
  BOOST_TEST(file_size(disk) == 2u << 20);
  REQUIRE_OK(store.reopen());
  BOOST_TEST(store.opening.orphans_swept == 0u);
  REQUIRE_OK(volumes().remove(taken->uuid));
  REQUIRE_OK(volumes().purge(taken->uuid));
  BOOST_TEST(path_exists(disk));
}

BOOST_FIXTURE_TEST_CASE(a_block_device_gives_its_own_size, fixture) {
  const std::string image = where / "loop.img";
  { std::ofstream file(image); }
  std::filesystem::resize_file(image, 3 << 20);
  FILE* losetup = ::popen(("losetup --show -f " + image + " 2>/dev/null").c_str(), "r");
  char device[128] = {};
  const bool have = losetup && std::fgets(device, sizeof device, losetup);
  if (losetup)
    ::pclose(losetup);
  if (!have)
    return say_skipped("no loop device can be had here");
  std::string path(device);
  path.pop_back();
  auto wanted = request("dev", 0);
  wanted.external_path = path;
  auto taken = volumes().create(wanted);
  auto too_large = taken ? volumes().resize(taken->uuid, byte_count(4 << 20)) : taken;
  BOOST_TEST(std::system(("losetup -d " + path).c_str()) == 0);
  REQUIRE_OK(taken);
  BOOST_TEST(taken->size.value == 3u << 20);
  CHECK_ERROR(too_large, errc::invalid_argument);
}

BOOST_AUTO_TEST_CASE(a_full_disk_gives_no_space_and_changes_nothing) {
  small_file_system disk(8 << 20);
  if (!disk.mounted())
    return say_skipped("mounting a tmpfs needs CAP_SYS_ADMIN");
  node_store store(disk / "data");
  REQUIRE_OK(store.open());
  const auto kept = store.volumes->create(request("kept", 1ull << 40)).value();
  disk.fill();
  std::vector<volume_request> many;
  for (int i = 0; i < 2000; ++i)
    many.push_back(request("v" + std::to_string(i)));
  CHECK_ERROR(store.volumes->create(many), errc::no_space);
  CHECK_ERROR(store.volumes->create(request("one")), errc::no_space);
  BOOST_TEST(store.volumes->list().size() == 1u);
  BOOST_TEST(entries_in(disk / "data/volumes") == 1u);
  CHECK_ERROR(store.volumes->resize(kept.uuid, byte_count(2ull << 40)), errc::no_space);
  BOOST_TEST(file_size(store.volumes->data_path(kept)) == 1ull << 40); // refused: nothing has changed
  disk.free_again();
  REQUIRE_OK(store.volumes->create(request("one")));
  REQUIRE_OK(store.reopen());
  BOOST_TEST(store.volumes->list().size() == 2u);
  BOOST_TEST((store.volumes->find(kept.uuid) == kept));
}

BOOST_FIXTURE_TEST_CASE(changes_come_back_on_callbacks_in_their_order, fixture) {
  std::promise<void> last;
  std::vector<std::string> order; // touched by the catalogue's thread only, until `last`
  volumes().create({request("a")}, [&](auto created) {
    order.push_back(created ? "created" : created.error().to_string());
    const auto uuid = created->front().uuid;
    volumes().rename(uuid, volume_name("b"), [&](auto r) { order.push_back(r ? "renamed" : "?"); });
    volumes().create({request("b")}, [&](auto r) { order.push_back(r ? "?" : "refused"); });
    // Waiting inside a callback would never end.
    auto waited = volumes().create(request("c"));
    order.push_back(waited ? "?" : std::string(to_string(waited.error().code)));
    volumes().remove(uuid, [&](auto) { last.set_value(); });
  });
  last.get_future().wait();
  BOOST_TEST((order == std::vector<std::string>{"created", "internal", "renamed", "refused"}));
  volumes().stop();
  CHECK_ERROR(volumes().create(request("z")), errc::shutting_down);
}

BOOST_FIXTURE_TEST_CASE(ten_thousand_volumes_open_quickly, fixture) {
  std::vector<volume_request> many;
  for (int i = 0; i < 10'000; ++i)
    many.push_back(request("volume-" + std::to_string(i), 1ull << 40));
  auto started = std::chrono::steady_clock::now();
  auto passed = [&] {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now - std::exchange(started, now)).count();
  };
  REQUIRE_OK(volumes().create(many));
  const auto created_ms = passed();
  store.close();
  passed();
  REQUIRE_OK(store.open());
  const auto opened_ms = passed();
  BOOST_TEST(volumes().list().size() == 10'000u);
  const auto listed_ms = passed();
  std::cout << "10,000 volumes of 1 TiB: created in " << created_ms << " ms, opened in " << opened_ms
            << " ms, listed in " << listed_ms << " ms\n";
  BOOST_TEST(store.opening.problems.empty());
  BOOST_TEST(volumes().find(volume_name("volume-9999")).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
