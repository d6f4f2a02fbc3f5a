#include "store/meta/catalogue.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/store/meta/catalogue_fixture.hpp"

using namespace gnomon;
using namespace gnomon::store;
using namespace gnomon::store::testing;

BOOST_AUTO_TEST_SUITE(catalogue_recovery_test)
namespace {

struct fixture {
  scratch_directory where;
  node_store store{where / "data"};
  fixture() { BOOST_REQUIRE(store.open().has_value()); }
  catalogue& volumes() { return *store.volumes; }
  std::string directory_of(volume_uuid uuid) { return where / "data/volumes/" + uuid.to_string(); }
};

// Everything that outlives a lost LMDB: all but whether the volume was closed in order.
std::vector<volume_record> without_clean(std::vector<volume_record> records) {
  for (auto& record : records)
    record.clean = false, record.revision = 0, record.opened.reset(), record.doubt.reset();
  return records;
}

} // namespace

BOOST_FIXTURE_TEST_CASE(orphans_go_to_the_trash_and_later_for_good, fixture) {
  REQUIRE_OK(volumes().create(request("db")));
  store.close();
  const auto orphan = volume_uuid::random();
  std::filesystem::create_directory(directory_of(orphan));
  { std::ofstream file(directory_of(orphan) + "/data"); }
  REQUIRE_OK(store.open());
  BOOST_TEST(store.opening.orphans_swept == 1u);
  BOOST_TEST(!path_exists(directory_of(orphan)));
  const std::string trash = where / "data/trash";
  BOOST_TEST(!std::filesystem::is_empty(trash));
  { std::ofstream file(trash + "/not-ours"); }
  REQUIRE_OK(volumes().purge_expired());
  BOOST_TEST(std::distance(std::filesystem::directory_iterator(trash), {}) == 2);
  store.clock.advance(std::chrono::hours(8 * 24));
  REQUIRE_OK(volumes().purge_expired());
  BOOST_TEST(std::distance(std::filesystem::directory_iterator(trash), {}) == 1);
}

BOOST_FIXTURE_TEST_CASE(a_lost_catalogue_is_refused_or_rebuilt_from_the_files, fixture) {
  { std::ofstream file(where / "ext.img"); }
  std::filesystem::resize_file(where / "ext.img", 1 << 20);
  auto external = request("ext", 0);
  external.external_path = where / "ext.img";
  REQUIRE_OK(volumes().create(external));
  const auto renamed = volumes().create(request("before")).value(),
             deleted = volumes().create(request("deleted")).value();
  REQUIRE_OK(volumes().rename(renamed.uuid, volume_name("after")));
  REQUIRE_OK(volumes().resize(renamed.uuid, byte_count(2 << 20)));
  REQUIRE_OK(volumes().mark_write_failure(renamed.uuid, EIO));
  REQUIRE_OK(volumes().remove(deleted.uuid));
  const auto live = volumes().list(), gone = volumes().list_deleted();
  store.close();
  std::filesystem::remove_all(where / "data/meta");

  auto refused = store.open();
  CHECK_ERROR(refused, errc::corrupt);
  BOOST_TEST(refused.error().message.find("3 volumes") != std::string::npos, refused.error().message);
  store.close();
  BOOST_TEST(path_exists(directory_of(renamed.uuid) + "/data")); // nothing was taken for an orphan

  store.on_lost = lost_catalogue::rebuild;
  REQUIRE_OK(store.open());
  BOOST_TEST(store.opening.records_recovered == 3u);
  BOOST_TEST((without_clean(volumes().list()) == without_clean(live)));
  BOOST_TEST((without_clean(volumes().list_deleted()) == without_clean(gone)));
  store.on_lost = lost_catalogue::refuse;
  REQUIRE_OK(store.reopen());
  BOOST_TEST((without_clean(volumes().list()) == without_clean(live)));
}

BOOST_FIXTURE_TEST_CASE(a_rebuild_takes_in_what_has_lost_its_descriptor_and_settles_names, fixture) {
  const auto a = volumes().create(request("db")).value(), b = volumes().create(request("other", 2 << 20)).value(),
             c = volumes().create(request("third")).value();
  store.close();
  std::filesystem::remove_all(where / "data/meta");
  auto twin = volume_files(where / "data/volumes", where / "data/trash").read_descriptor(c.uuid).value();
  twin.name = volume_name("db");
  twin.created += std::chrono::hours(1);
  BOOST_REQUIRE(write_file_durably(directory_of(c.uuid) + "/volume", encode(twin)).has_value());
  {
    std::ofstream file(directory_of(b.uuid) + "/volume");
    file << "garbage";
  }
  store.on_lost = lost_catalogue::rebuild;
  REQUIRE_OK(store.open());
  BOOST_TEST(volumes().list().size() == 3u);
  BOOST_TEST((volumes().find(volume_name("db"))->uuid == a.uuid));
  BOOST_TEST(volumes().find(c.uuid)->name.value == "db~" + c.uuid.to_string());
  BOOST_TEST(volumes().find(b.uuid)->name.value == "recovered-" + b.uuid.to_string());
  BOOST_TEST(volumes().find(b.uuid)->size.value == 2u << 20);
  BOOST_TEST(store.opening.problems.size() == 2u);
}

BOOST_FIXTURE_TEST_CASE(damaged_and_newer_records_do_not_take_the_others_along, fixture) {
  const auto flipped = volumes().create(request("flipped")).value(),
             truncated = volumes().create(request("truncated")).value();
  const auto newer = volumes().create(request("newer")).value(), fine = volumes().create(request("fine")).value();
  auto stored = encode(flipped);
  stored[20] ^= std::byte{4};
  REQUIRE_OK(store.meta->write([&](write_transaction& t) -> result<void> {
    if (auto ok = t.put(meta_database::volumes, volume_key(flipped.uuid), stored); !ok)
      return ok;
    if (auto ok = t.put(meta_database::volumes, volume_key(truncated.uuid), bytes_view(stored).first(10)); !ok)
      return ok;
    if (auto ok = t.put(meta_database::volumes, "no uuid", stored); !ok)
      return ok;
    return t.put(meta_database::volumes, volume_key(newer.uuid),
                 seal_value(value_type::volume, 99, as_bytes("from the future")));
  }));
  // One of them has lost its descriptor too.
  std::filesystem::remove(directory_of(truncated.uuid) + "/volume");
  REQUIRE_OK(store.reopen());
  BOOST_TEST(store.opening.records_recovered == 2u);
  BOOST_TEST(store.opening.problems.size() == 4u);
  BOOST_TEST(volumes().find(volume_name("flipped")).has_value());
  BOOST_TEST((volumes().find(fine.uuid) == fine));
  BOOST_TEST(!volumes().find(truncated.uuid));
  BOOST_TEST(path_exists(directory_of(truncated.uuid) + "/data")); // damaged is not orphaned
  BOOST_TEST(store.opening.orphans_swept == 0u);
}

BOOST_FIXTURE_TEST_CASE(a_catalogue_of_another_node_is_refused, fixture) {
  store.volumes.reset();
  CHECK_ERROR(catalogue::open({store.meta.get(), where / "data/volumes", where / "data/trash", node_name("beta")}),
              errc::invalid_argument);
}

BOOST_FIXTURE_TEST_CASE(a_descriptor_a_crash_left_behind_is_rewritten, fixture) {
  const auto old = volumes().create(request("old")).value();
  REQUIRE_OK(volumes().rename(old.uuid, volume_name("new")));
  store.close(); // the mark is still there: it goes with the next change only
  BOOST_REQUIRE(write_file_durably(directory_of(old.uuid) + "/volume", encode(old)).has_value());
  REQUIRE_OK(store.open());
  BOOST_TEST(store.opening.descriptors_rewritten == 1u);
  const auto descriptor = volume_files(where / "data/volumes", where / "data/trash").read_descriptor(old.uuid);
  REQUIRE_OK(descriptor);
  BOOST_TEST(descriptor->name.value == "new");
  REQUIRE_OK(store.reopen());
  BOOST_TEST(store.opening.descriptors_rewritten == 0u);
}

// Random changes against a plain model, with restarts in between.
BOOST_FIXTURE_TEST_CASE(random_changes_agree_with_a_model, fixture) {
  auto random = seeded("random_changes_agree_with_a_model");
  std::map<volume_uuid, volume_record> live, deleted;
  auto any = [&](auto& records) {
    return std::next(records.begin(), static_cast<std::ptrdiff_t>(below(random, records.size())));
  };
  auto name_taken = [&](const volume_name& name) {
    return std::any_of(live.begin(), live.end(), [&](auto& v) { return v.second.name == name; });
  };
  for (int step = 0; step < 400; ++step) {
    const volume_name name("v" + std::to_string(below(random, 12)));
    switch (below(random, 7)) {
    case 0: {
      auto created = volumes().create(request(name.value, 4096 * (1 + below(random, 100))));
      BOOST_REQUIRE(created.has_value() != name_taken(name));
      if (created)
        live[created->uuid] = *created;
      break;
    }
    case 1: {
      if (live.empty())
        break;
      auto& [uuid, record] = *any(live);
      auto renamed = volumes().rename(uuid, name);
      BOOST_REQUIRE(renamed.has_value() == (record.name == name || !name_taken(name)));
      if (renamed)
        record = *renamed;
      break;
    }
    case 2: {
      if (live.empty())
        break;
      auto& [uuid, record] = *any(live);
      const byte_count size(4096 * (1 + below(random, 200)));
      auto resized = volumes().resize(uuid, size);
      BOOST_REQUIRE(resized.has_value() == (size >= record.size));
      if (resized)
        record = *resized;
      break;
    }
    case 3: {
      if (live.empty())
        break;
      auto victim = any(live);
      auto removed = volumes().remove(victim->first);
      REQUIRE_OK(removed);
      live.erase(victim);
      deleted[removed->uuid] = *removed;
      break;
    }
    case 4: {
      if (deleted.empty())
        break;
      auto chosen = any(deleted);
      auto back = volumes().undelete(chosen->first, name);
      BOOST_REQUIRE(back.has_value() != name_taken(name));
      if (!back)
        break;
      deleted.erase(chosen);
      live[back->uuid] = *back;
      break;
    }
    case 5: {
      store.clock.advance(std::chrono::hours(below(random, 48)));
      REQUIRE_OK(volumes().purge_expired());
      std::erase_if(deleted, [&](auto& v) {
        return store.clock.wall_now() - *v.second.deleted_at >= std::chrono::hours(7 * 24);
      });
      break;
    }
    default:
      REQUIRE_OK(store.reopen());
    }
    BOOST_REQUIRE(volumes().list().size() == live.size());
    BOOST_REQUIRE(volumes().list_deleted().size() == deleted.size());
    for (const auto& [uuid, record] : live) {
      BOOST_REQUIRE((volumes().find(uuid) == record));
      BOOST_REQUIRE((volumes().find(record.name) == record));
      BOOST_REQUIRE(file_size(volumes().data_path(record)) == record.size.value);
    }
    BOOST_REQUIRE(store.opening.orphans_swept == 0);
  }
}

// A child changes volumes and reports each acknowledged change; whatever moment it is killed at, the next opening
// finds every acknowledged volume whole, and nothing half made.
BOOST_AUTO_TEST_CASE(kill_9_leaves_whole_volumes_or_none) {
  auto random = seeded("kill_9_leaves_whole_volumes_or_none");
  scratch_directory where;
  std::uint64_t acknowledged_ever = 0, orphans = 0;
  for (int round = 0; round < 25; ++round) {
    const auto reported = run_and_kill(
        [&](int report) {
          node_store store(where / "data");
          if (!store.open())
            ::_exit(1);
          for (std::uint64_t n = acknowledged_ever + 1;; ++n) {
            auto created = store.volumes->create(request("v" + std::to_string(n), 4096));
            if (!created)
              ::_exit(1);
            (void)!::write(report, &n, sizeof n);
            if (n % 3 == 0)
              (void)store.volumes->resize(created->uuid, byte_count(8192));
            if (n % 4 == 0)
              (void)store.volumes->rename(created->uuid, volume_name("renamed" + std::to_string(n)));
            if (n % 5 == 0)
              (void)store.volumes->create(
                  std::vector{request("a" + std::to_string(n)), request("b" + std::to_string(n))});
          }
        },
        static_cast<unsigned>(below(random, 60'000)),
        round % 3 == 2 ? kill_clock::from_start : kill_clock::from_first_report);
    acknowledged_ever = std::max(acknowledged_ever, last_u64(reported));
    node_store store(where / "data");
    if (!path_exists(store.path))
      continue;
    REQUIRE_OK(store.open());
    for (const auto& problem : store.opening.problems)
      BOOST_ERROR(problem.text);
    orphans += store.opening.orphans_swept;
    std::uint64_t highest = acknowledged_ever;
    for (std::uint64_t n = 1; n <= acknowledged_ever + 1; ++n) {
      const bool there = store.volumes->find(volume_name("v" + std::to_string(n))) ||
                         store.volumes->find(volume_name("renamed" + std::to_string(n)));
      BOOST_REQUIRE(there || n > acknowledged_ever);
      if (there)
        highest = std::max(highest, n);
      const bool a = store.volumes->find(volume_name("a" + std::to_string(n))).has_value(),
                 b = store.volumes->find(volume_name("b" + std::to_string(n))).has_value();
      BOOST_REQUIRE(a == b); // one call, all or none
    }
    acknowledged_ever = highest;
    const volume_files files(where / "data/volumes", where / "data/trash");
    for (const auto& record : store.volumes->list()) {
      BOOST_REQUIRE(file_size(store.volumes->data_path(record)) >= record.size.value); // longer: a growth cut short
      auto descriptor = files.read_descriptor(record.uuid);
      REQUIRE_OK(descriptor);
      BOOST_REQUIRE((*descriptor == record));
    }
  }
  std::cout << acknowledged_ever << " volumes acknowledged, " << orphans << " orphans swept\n";
  BOOST_TEST(acknowledged_ever > 0u);
}

BOOST_AUTO_TEST_SUITE_END()
