// Captures, deletions and restores against a model: every snapshot holds what its volume held at the cut, for as long as
// it is there, over failed captures, lost change tracking, restarts and deletions.
#include <cstdlib>
#include <iostream>
#include <random>

#include <boost/test/unit_test.hpp>

#include "tests/actors/snapshots/works_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::tests;

BOOST_AUTO_TEST_SUITE(snapshot_works_test)
namespace {
constexpr std::uint64_t mebibyte = 1 << 20;

std::mt19937_64 seeded(const char* test) {
  const char* given = std::getenv("GNOMON_TEST_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << test << ": GNOMON_TEST_SEED=" << seed << std::endl;
  return std::mt19937_64(seed);
}
std::uint64_t below(std::mt19937_64& random, std::uint64_t bound) { return random() % bound; }
} // namespace

BOOST_FIXTURE_TEST_CASE(a_differential_holds_what_changed_and_restores_to_all_of_it, works_fixture) {
  const auto db = volume("db", 2 * mebibyte + 4096);
  write(db.uuid, 0, 1);
  write(db.uuid, mebibyte, 2, 70'000);
  write(db.uuid, 2 * mebibyte, 3, 4096);
  const auto first_content = model[db.uuid];
  const auto first = take(db.uuid);
  BOOST_REQUIRE(first.has_value());
  BOOST_TEST((first->state == snapshot_state::complete));
  BOOST_TEST(first->parent == "");
  change(db.uuid, io::operation::zero, mebibyte, content(65536));
  write(db.uuid, 5000, 4);
  const auto captured_before = engine->granules_captured();
  const auto second = take(db.uuid);
  BOOST_REQUIRE(second.has_value());
  BOOST_TEST(second->parent == first->id);
  BOOST_TEST(engine->granules_captured() - captured_before == 2u);
  BOOST_TEST(second->data_granules == 1u);
  BOOST_TEST(second->zero_granules == 1u);
  BOOST_TEST((restored(first->id, "old").value() == first_content));
  BOOST_TEST((restored(second->id, "new").value() == model[db.uuid]));
  BOOST_TEST(!catalogue->find(volume_name{"new"})->source.has_value());
  BOOST_TEST(check(second->id)->findings == 0u);
}

BOOST_FIXTURE_TEST_CASE(an_unchanged_volume_makes_an_empty_differential_even_when_changes_are_unknown, works_fixture) {
  const auto db = volume("db", mebibyte);
  write(db.uuid, 0, 1);
  BOOST_REQUIRE(take(db.uuid).has_value());
  engine->forget_changed(db.uuid);
  const auto again = take(db.uuid);
  BOOST_REQUIRE(again.has_value());
  BOOST_TEST(again->parent != "");
  BOOST_TEST(again->data_granules + again->zero_granules == 0u);
  write(db.uuid, 100'000, 7);
  engine->forget_changed(db.uuid);
  const auto third = take(db.uuid);
  BOOST_TEST(third->data_granules == 1u);
  BOOST_TEST((restored(third->id, "copy").value() == model[db.uuid]));
}

BOOST_FIXTURE_TEST_CASE(a_failed_capture_leaves_no_layer_and_loses_no_change, works_fixture) {
  const auto db = volume("db", 8 * mebibyte);
  write(db.uuid, 0, 1);
  BOOST_REQUIRE(take(db.uuid).has_value());
  write(db.uuid, 7 * mebibyte, 2);
  engine->fail_captures(error{errc::no_space, "the spill is full", 0});
  const auto failed = take(db.uuid);
  BOOST_REQUIRE(failed.has_value());
  BOOST_TEST((failed->state == snapshot_state::failed));
  BOOST_TEST(failed->failure.find("spill") != std::string::npos);
  BOOST_TEST(layer_files().size() == 1u);
  engine->fail_captures({});
  const auto next = take(db.uuid);
  BOOST_REQUIRE(next.has_value());
  BOOST_TEST(next->data_granules == 1u);
  BOOST_TEST((restored(next->id, "copy").value() == model[db.uuid]));
}

BOOST_FIXTURE_TEST_CASE(a_layer_goes_when_nothing_needs_it_and_not_before, works_fixture) {
  const auto db = volume("db", mebibyte);
  write(db.uuid, 0, 1);
  const auto first = take(db.uuid);
  write(db.uuid, 100'000, 2);
  const auto second = take(db.uuid);
  BOOST_TEST(layer_files().size() == 2u);
  BOOST_REQUIRE(remove(first->id).has_value());
  BOOST_TEST(layer_files().size() == 2u); // the second lies on it
  BOOST_TEST(works->list({}).size() == 1u);
  BOOST_TEST(!works->show(first->id).has_value());
  BOOST_TEST((restored(second->id, "copy").value() == model[db.uuid]));
  BOOST_REQUIRE(remove(second->id).has_value());
  BOOST_TEST(layer_files().empty());
  BOOST_TEST(!remove(second->id).has_value());
  write(db.uuid, 200'000, 3);
  const auto third = take(db.uuid); // what changes were counted from is gone
  BOOST_REQUIRE(third.has_value());
  BOOST_TEST(third->parent == "");
  BOOST_TEST((restored(third->id, "again").value() == model[db.uuid]));
}

BOOST_FIXTURE_TEST_CASE(what_a_crash_left_is_swept_or_taken_in, works_fixture) {
  const auto db = volume("db", mebibyte);
  write(db.uuid, 0, 1);
  const auto first = take(db.uuid);
  BOOST_REQUIRE(first.has_value());
  // Sealed, and the catalogue does not know; not sealed; marked for deletion with its file there.
  store::snapshot_changes forget;
  forget.erase_layers = {book->layers().front().id};
  BOOST_REQUIRE(book->commit_and_wait(forget).has_value());
  const auto folder = std::filesystem::path(layer_files().front()).parent_path();
  std::ofstream(folder / "11111111-1111-4111-8111-111111111111.layer.unsealed") << "half of a layer";
  open();
  BOOST_TEST(recovered.added == 1u);
  BOOST_TEST(recovered.unsealed_removed == 1u);
  BOOST_TEST((restored(first->id, "copy").value() == model[db.uuid]));
  auto record = book->layers().front();
  record.state = store::layer_state::deleting;
  store::snapshot_changes mark;
  mark.put_layers = {record};
  BOOST_REQUIRE(book->commit_and_wait(mark).has_value());
  open();
  BOOST_TEST(layer_files().empty());
  BOOST_TEST(book->layers().empty());
}

BOOST_FIXTURE_TEST_CASE(a_restore_that_was_interrupted_goes_on_and_nothing_is_offered_before, works_fixture) {
  const auto db = volume("db", mebibyte);
  write(db.uuid, 70'000, 9, 100'000);
  const auto first = take(db.uuid);
  // As a crash between the volume's record and its content leaves it.
  store::volume_request request;
  request.name = volume_name{"copy"};
  request.size = db.size;
  request.source = snapshot_uuid::parse(first->id).value();
  const auto copy = value(catalogue->create(request));
  BOOST_REQUIRE(remove(first->id).has_value());
  BOOST_TEST(layer_files().size() == 1u); // the copy needs it
  open();
  BOOST_TEST(layer_files().size() == 1u);
  works->resume_restores();
  BOOST_TEST((when_restored(copy.uuid).value() == model[db.uuid]));
  BOOST_TEST(!catalogue->find(copy.uuid)->source.has_value());
  while (!layer_files().empty()) // goes as soon as the copy needs it no more
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

BOOST_FIXTURE_TEST_CASE(damage_is_found_named_and_never_restored, works_fixture) {
  const auto db = volume("db", mebibyte);
  for (std::uint64_t g = 0; g < 16; ++g)
    write(db.uuid, g * granule_bytes, static_cast<std::uint8_t>(g + 1));
  const auto first = take(db.uuid);
  const auto file = layer_files().front();
  std::fstream damaged(file, std::ios::in | std::ios::out | std::ios::binary);
  damaged.seekp(700);
  damaged.put('\x55');
  damaged.close();
  const auto found = check(first->id);
  BOOST_REQUIRE(found.has_value());
  BOOST_TEST(found->findings == 1u);
  BOOST_TEST(found->first_findings.front().find("record") == 0u);
  BOOST_TEST(!restored(first->id, "copy").has_value());
  BOOST_TEST(catalogue->find(volume_name{"copy"})->source.has_value()); // not offered
  // Another layer under its name.
  std::filesystem::remove(file);
  const auto other = volume("other", mebibyte);
  const auto second = take(other.uuid);
  std::filesystem::copy_file(layer_files().front(), file);
  BOOST_TEST(check(first->id)->findings == 1u);
  BOOST_TEST(!restored(first->id, "copy2").has_value());
  BOOST_TEST(!catalogue->find(volume_name{"copy2"}).has_value());
}

BOOST_FIXTURE_TEST_CASE(a_volume_being_restored_or_with_a_failed_flush_is_refused, works_fixture) {
  const auto db = volume("db", mebibyte);
  BOOST_REQUIRE(catalogue->mark_write_failure(db.uuid, EIO).has_value());
  const auto refused = take(db.uuid);
  BOOST_REQUIRE(!refused.has_value());
  BOOST_TEST((refused.error().code == errc::io_failed));
  BOOST_TEST((take(volume_uuid::random()).error().code == errc::not_found));
}

BOOST_FIXTURE_TEST_CASE(any_sequence_keeps_every_snapshot_as_its_volume_was, works_fixture) {
  auto random = seeded("any_sequence");
  const auto db = volume("db", 3 * mebibyte + 4096);
  std::map<std::string, content> snapshots;
  int copies = 0;
  const int steps = std::getenv("GNOMON_LONG") ? 5'000 : 250;
  for (int step = 0; step < steps; ++step) {
    const auto size = model[db.uuid].size();
    switch (below(random, 9)) {
    default: {
      const auto offset = below(random, size / 512) * 512;
      const auto length = std::min<std::uint64_t>(512 * (1 + below(random, 300)), size - offset);
      const auto op = below(random, 3) == 0 ? io::operation::zero : io::operation::write;
      change(db.uuid, op, offset, content(length, static_cast<std::byte>(1 + below(random, 255))));
      break;
    }
    case 0: {
      const auto taken = take(db.uuid);
      BOOST_REQUIRE(taken.has_value());
      snapshots[taken->id] = model[db.uuid];
      break;
    }
    case 1:
      if (snapshots.size() > 3) {
        const auto victim = std::next(snapshots.begin(), static_cast<std::ptrdiff_t>(below(random, snapshots.size())));
        BOOST_REQUIRE(remove(victim->first).has_value());
        snapshots.erase(victim);
      }
      break;
    case 2:
      if (!snapshots.empty()) {
        const auto one = std::next(snapshots.begin(), static_cast<std::ptrdiff_t>(below(random, snapshots.size())));
        const auto name = "copy" + std::to_string(copies++);
        BOOST_REQUIRE((restored(one->first, name).value() == one->second));
        const auto copy = catalogue->find(volume_name{name})->uuid;
        BOOST_REQUIRE(catalogue->remove(copy).has_value());
        BOOST_REQUIRE(catalogue->purge(copy).has_value());
      }
      break;
    case 3: {
      engine->fail_captures(error{errc::io_failed, "planned", 0}, below(random, 2));
      const auto failed = take(db.uuid);
      engine->fail_captures({});
      // One that had no piece left to fail at is a good one.
      if (failed && failed->state == snapshot_state::complete)
        snapshots[failed->id] = model[db.uuid];
      break;
    }
    case 4: engine->forget_changed(db.uuid); break;
    case 5: open(); break;
    }
  }
  for (const auto& [id, expected] : snapshots) {
    BOOST_TEST(check(id)->findings == 0u);
    BOOST_REQUIRE((restored(id, "last" + std::to_string(copies++)).value() == expected));
  }
}

BOOST_AUTO_TEST_SUITE_END()
