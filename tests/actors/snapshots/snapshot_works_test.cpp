// Captures, deletions and restores against a model: every snapshot holds what its volume held at the cut, for as long as
// it is there, over failed captures, lost change tracking, restarts and deletions.
#include <cstdlib>
#include <iostream>
#include <random>

#include <boost/test/unit_test.hpp>

#include "tests/actors/snapshots/works_fixture.hpp"
#include "tests/support/long_run.hpp"

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

// The data plane counts changes from the second snapshot, `meta` names the first one as the newest.
BOOST_FIXTURE_TEST_CASE(an_older_state_of_meta_put_back_makes_no_differential_with_holes, works_fixture) {
  const auto db = volume("db", mebibyte);
  write(db.uuid, 0, 1);
  const auto first = take(db.uuid).value();
  write(db.uuid, granule_bytes, 2);
  (void)take(db.uuid).value();
  store::snapshot_changes older;
  for (const auto& layer : book->layers(db.uuid)) {
    if (layer.snapshot.to_string() == first.id)
      older.put_heads = {{db.uuid, layer.snapshot}};
    else
      older.erase_layers.push_back(layer.id);
  }
  BOOST_REQUIRE(book->commit_and_wait(std::move(older)).has_value());
  open();
  BOOST_TEST(recovered.added == 1u);
  write(db.uuid, 2 * granule_bytes, 3);
  const auto third = take(db.uuid).value();
  BOOST_REQUIRE((restored(third.id, "copy").value() == model[db.uuid]));
}

BOOST_FIXTURE_TEST_CASE(a_catalogue_rebuilt_beside_captures_and_deletions_names_no_layer_that_is_gone, works_fixture) {
  const auto db = volume("db", mebibyte);
  for (std::uint8_t round = 1; round <= 40; ++round) {
    std::atomic<int> rebuilding{3};
    for (int i = 0; i < 3; ++i)
      works->rebuild([&](const auto&) { --rebuilding; });
    write(db.uuid, 0, round);
    const auto taken = take(db.uuid);
    BOOST_REQUIRE(taken.has_value());
    BOOST_REQUIRE(remove(taken->id).has_value());
    while (rebuilding > 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    BOOST_REQUIRE_EQUAL(book->layers().size(), layer_files().size());
  }
}

BOOST_FIXTURE_TEST_CASE(a_restore_that_waits_for_a_thread_waits_once, works_fixture) {
  const auto db = volume("db", mebibyte);
  const auto taken = take(db.uuid).value();
  std::vector<store::volume_record> busy;
  for (unsigned i = 0; i < work_threads; ++i)
    busy.push_back(volume("busy" + std::to_string(i), mebibyte));
  engine->hold();
  for (const auto& one : busy)
    works->capture(one.uuid, "", [](const auto&) {});
  while (works->queued() > 0) // each thread has one
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  store::volume_request request;
  request.name = volume_name{"copy"};
  request.size = byte_count{mebibyte};
  request.source = snapshot_uuid::parse(taken.id).value();
  const auto copy = value(catalogue->create(request));
  for (int look = 0; look < 5; ++look)
    works->resume_restores();
  BOOST_TEST(works->queued() == 1u);
  BOOST_REQUIRE(catalogue->remove(copy.uuid).has_value());
  engine->release();
}

BOOST_FIXTURE_TEST_CASE(a_restore_that_was_interrupted_goes_on, works_fixture) {
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
  serve_restored();
  works->resume_restores();
  BOOST_TEST((when_restored(copy.uuid).value() == model[db.uuid]));
  BOOST_TEST(!catalogue->find(copy.uuid)->source.has_value());
  while (!layer_files().empty()) // goes as soon as the copy needs it no more
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

BOOST_FIXTURE_TEST_CASE(a_restored_volume_is_read_and_written_before_its_content_is_there, works_fixture) {
  const auto db = volume("db", 3 * mebibyte + 4096);
  write(db.uuid, 70'000, 9, 100'000);
  BOOST_REQUIRE(take(db.uuid).has_value());
  write(db.uuid, mebibyte, 3, 70'000);
  const auto second = take(db.uuid);
  engine->hold_hydrations(true);
  const auto begun = wait_for<restore_info>([&](auto done) { works->restore(second->id, volume_name{"copy"}, done); });
  BOOST_REQUIRE(begun.has_value());
  BOOST_TEST(!begun->done);
  model[begun->volume] = model[db.uuid];
  write(begun->volume, 80'000, 7, 200); // of a granule that is not there yet
  change(begun->volume, io::operation::zero, mebibyte + 512, content(512));
  BOOST_TEST((content_of(begun->volume).value() == model[begun->volume]));
  // Its own snapshot is whole, though it is not filled yet.
  const auto of_copy = take(begun->volume);
  BOOST_REQUIRE(of_copy.has_value());
  BOOST_TEST((of_copy->state == snapshot_state::complete));
  BOOST_REQUIRE(remove(second->id).has_value());
  BOOST_TEST(catalogue->find(begun->volume)->source.has_value());
  engine->hold_hydrations(false);
  while (!works->restores().front().done) {
    works->resume_restores();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  BOOST_TEST(!catalogue->find(begun->volume)->source.has_value());
  BOOST_TEST((content_of(begun->volume).value() == model[begun->volume]));
  BOOST_TEST((restored(of_copy->id, "again").value() == model[begun->volume]));
}

BOOST_FIXTURE_TEST_CASE(granules_come_newest_layer_first_hot_ones_before_the_rest_zeros_last, works_fixture) {
  const auto db = volume("db", 4 * mebibyte);
  for (std::uint64_t g = 0; g < 32; ++g)
    write(db.uuid, g * granule_bytes, 1);
  BOOST_REQUIRE(take(db.uuid).has_value());
  for (const std::uint64_t g : {20, 5})
    write(db.uuid, g * granule_bytes, 2);
  const auto second = take(db.uuid);
  store::volume_record record = db;
  record.uuid = volume_uuid::random();
  record.source = snapshot_uuid::parse(second->id).value();
  const auto source = std::dynamic_pointer_cast<layer_source>(works->open_source(record).value());
  BOOST_REQUIRE(source != nullptr);
  BOOST_TEST(source->holds(granule_index{60})); // nothing is known yet
  const auto plan = source->learn({{granule_index{8}, 4}, {granule_index{18}, 4}});
  BOOST_REQUIRE(plan.has_value());
  std::vector<std::uint64_t> order;
  for (const auto& run : *plan)
    for (auto g = run.first.value; g < run.first.value + run.granules; ++g)
      order.push_back(g);
  BOOST_REQUIRE(order.size() == 64u);
  const std::vector<std::uint64_t> begin(order.begin(), order.begin() + 9);
  BOOST_TEST(begin == (std::vector<std::uint64_t>{20, 5, 8, 9, 10, 11, 18, 19, 21}), boost::test_tools::per_element());
  BOOST_TEST(order[32] == 32u);
  std::sort(order.begin(), order.end());
  BOOST_TEST((std::unique(order.begin(), order.end()) == order.end()));
  BOOST_TEST(source->holds(granule_index{31}));
  BOOST_TEST(!source->holds(granule_index{32}));
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
  BOOST_TEST(catalogue->find(volume_name{"copy"})->source.has_value()); // and it still says so
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

// Every granule that differs lies in an extent, and none that does not.
void check_difference(const std::vector<diff_extent>& found, const content& older, const content& newer) {
  std::vector<bool> named(newer.size() / granule_bytes + 1, false);
  std::uint64_t end = 0;
  for (const auto& extent : found) {
    BOOST_REQUIRE(extent.offset >= end);
    BOOST_REQUIRE(extent.length > 0);
    end = extent.offset + extent.length;
    BOOST_REQUIRE(end <= newer.size());
    for (auto at = extent.offset; at < end; at += granule_bytes)
      named[at / granule_bytes] = true;
    if (extent.zero)
      BOOST_REQUIRE(std::all_of(newer.begin() + static_cast<std::ptrdiff_t>(extent.offset),
                                newer.begin() + static_cast<std::ptrdiff_t>(end), [](std::byte b) { return b == std::byte{0}; }));
  }
  for (std::size_t at = 0; at < newer.size(); at += granule_bytes) {
    const auto length = std::min<std::size_t>(granule_bytes, newer.size() - at);
    const bool differs = !std::equal(newer.begin() + static_cast<std::ptrdiff_t>(at),
                                     newer.begin() + static_cast<std::ptrdiff_t>(at + length),
                                     older.begin() + static_cast<std::ptrdiff_t>(at));
    BOOST_REQUIRE_MESSAGE(differs == named[at / granule_bytes], "granule at " << at);
  }
}

BOOST_FIXTURE_TEST_CASE(a_merge_frees_what_lies_below_when_that_is_deleted, works_fixture) {
  const auto db = volume("db", 2 * mebibyte);
  write(db.uuid, 0, 1);
  const auto first = take(db.uuid);
  write(db.uuid, mebibyte, 2);
  const auto second = take(db.uuid);
  const auto wanted = model[db.uuid];
  BOOST_REQUIRE(remove(first->id).has_value());
  BOOST_TEST(layer_files().size() == 2u);
  const auto merged = merge(second->id);
  BOOST_REQUIRE(merged.has_value());
  BOOST_TEST(merged->id == second->id);
  BOOST_TEST(merged->parent == "");
  BOOST_TEST(layer_files().size() == 1u);
  BOOST_TEST(check(second->id)->findings == 0u);
  write(db.uuid, 70'000, 3);
  const auto third = take(db.uuid); // lies on the merged one
  BOOST_TEST(third->parent == second->id);
  BOOST_TEST(third->data_granules == 1u);
  open(); // as after a crash
  BOOST_TEST((restored(second->id, "copy").value() == wanted));
  BOOST_TEST((restored(third->id, "copy2").value() == model[db.uuid]));
  BOOST_TEST(!merge("ffffffff").has_value());
}

BOOST_FIXTURE_TEST_CASE(a_merge_of_a_damaged_layer_changes_nothing, works_fixture) {
  const auto db = volume("db", mebibyte);
  write(db.uuid, 0, 1);
  BOOST_REQUIRE(take(db.uuid).has_value());
  const auto below_it = layer_files().front();
  write(db.uuid, 100'000, 2);
  const auto second = take(db.uuid);
  std::fstream damaged(below_it, std::ios::in | std::ios::out | std::ios::binary);
  damaged.seekp(700);
  damaged.put('\x55');
  damaged.close();
  BOOST_TEST(!merge(second->id).has_value());
  BOOST_TEST(layer_files().size() == 2u); // and no file that was not sealed
}

BOOST_FIXTURE_TEST_CASE(any_sequence_keeps_every_snapshot_as_its_volume_was, works_fixture) {
  auto random = seeded("any_sequence");
  const auto db = volume("db", 3 * mebibyte + 4096);
  std::map<std::string, content> snapshots;
  int copies = 0;
  const int steps = is_long_run() ? 5'000 : 250;
  for (int step = 0; step < steps; ++step) {
    const auto size = model[db.uuid].size();
    switch (below(random, 12)) {
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
    case 6:
      if (!snapshots.empty()) {
        const auto one = std::next(snapshots.begin(), static_cast<std::ptrdiff_t>(below(random, snapshots.size())));
        const auto merged = merge(one->first);
        BOOST_REQUIRE(merged.has_value());
        BOOST_REQUIRE(merged->parent == "");
        BOOST_REQUIRE(merged->layers == 1u);
      }
      break;
    case 7:
      if (snapshots.size() > 1) {
        const auto older = std::next(snapshots.begin(), static_cast<std::ptrdiff_t>(below(random, snapshots.size())));
        const auto newer = std::next(snapshots.begin(), static_cast<std::ptrdiff_t>(below(random, snapshots.size())));
        const auto found = diff(older->first, newer->first);
        BOOST_REQUIRE(found.has_value());
        check_difference(*found, older->second, newer->second);
        check_difference(diff("", newer->first).value(), content(newer->second.size()), newer->second);
      }
      break;
    }
  }
  for (const auto& [id, expected] : snapshots) {
    BOOST_TEST(check(id)->findings == 0u);
    BOOST_REQUIRE((restored(id, "last" + std::to_string(copies++)).value() == expected));
  }
}

BOOST_AUTO_TEST_SUITE_END()
