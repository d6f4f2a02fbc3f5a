#include "store/meta/snapshot_book.hpp"

#include <boost/test/unit_test.hpp>

#include "store/meta/catalogue.hpp"
#include "store/meta/snapshot_tree.hpp"
#include "tests/store/support.hpp"

using namespace gnomon;
using namespace gnomon::store;
using namespace gnomon::store::testing;

BOOST_AUTO_TEST_SUITE(snapshot_book_test)
namespace {

template <class Id>
Id id(std::uint8_t number) {
  Id out;
  out.bytes.fill(number);
  return out;
}

wall_time at(std::int64_t seconds) { return wall_time(std::chrono::seconds(seconds)); }

layer_record layer(std::uint8_t number, std::uint8_t parent = 0, std::int64_t cut = 0) {
  layer_record r;
  r.id = id<layer_id>(number);
  r.snapshot = id<snapshot_uuid>(number);
  if (parent != 0)
    r.parent = id<snapshot_uuid>(parent);
  r.volume = id<volume_uuid>(200);
  r.name = volume_name("db");
  r.size = byte_count(1 << 20);
  r.cut = at(cut == 0 ? number : cut);
  r.file_bytes = 100;
  return r;
}

layer_record full_layer() {
  auto r = layer(1, 2, 1'700'000'000);
  r.hash_seed = 5;
  r.seal_low = 6, r.seal_high = 7, r.file_bytes = 8, r.data_granules = 9, r.zero_granules = 10;
  r.note = "before the upgrade";
  r.group = group_point{group_name("nightly"), id<group_cut_id>(3), true, {{id<volume_uuid>(4), id<snapshot_uuid>(5)}}};
  r.state = layer_state::removed;
  r.locked_until = at(1'800'000'000);
  return r;
}

group_record sample_group() {
  group_record out{group_name("nightly"), {id<volume_uuid>(4), id<volume_uuid>(6)}, true, std::chrono::hours(1), 12, at(9)};
  out.latest_by = std::chrono::minutes(90), out.baseline_every = std::chrono::hours(24), out.quiet_below_permille = 250;
  out.hourly = 24, out.daily = 7, out.weekly = 4;
  return out;
}

// As the first version had it.
group_record first_group() {
  return {group_name("nightly"), {id<volume_uuid>(4), id<volume_uuid>(6)}, true, std::chrono::hours(1), 12, at(9)};
}

bytes golden(const std::string& name, const bytes& encoded_now) {
  const std::string path = std::string(GNOMON_SOURCE_DIR) + "/tests/golden/store/" + name;
  if (std::getenv("GNOMON_WRITE_GOLDEN") && !path_exists(path))
    BOOST_REQUIRE(write_file_durably(path, encoded_now, 0644).has_value());
  auto content = read_small_file(path, 1 << 20);
  BOOST_REQUIRE_MESSAGE(content.has_value(), path << " is missing");
  return *content;
}

struct opened_book {
  scratch_directory dir;
  std::unique_ptr<environment> meta;
  std::unique_ptr<snapshot_book> book;
  snapshot_book_opening opening;
  opened_book() { open(); }
  ~opened_book() { close(); }
  void open() {
    auto env = environment::open(meta_environment_options(dir / "meta"));
    REQUIRE_OK(env);
    meta = std::move(*env);
    auto opened = snapshot_book::open(meta.get(), &opening);
    REQUIRE_OK(opened);
    book = std::move(*opened);
  }
  void close() {
    book.reset();
    if (meta)
      meta->stop();
    meta.reset();
  }
};

std::vector<const layer_record*> pointers(const std::vector<layer_record>& records) {
  std::vector<const layer_record*> out;
  for (const auto& r : records)
    out.push_back(&r);
  return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(released_records_still_decode_and_are_still_written_alike) {
  const auto stored = golden("layer_record_v1.bin", encode(full_layer()));
  BOOST_TEST((decode_layer(stored, "golden").value() == full_layer()));
  BOOST_TEST((stored == encode(full_layer())));
  BOOST_TEST((decode_group(golden("snapshot_group_v1.bin", {}), "golden").value() == first_group()));
  const auto group = golden("snapshot_group_v2.bin", encode(sample_group()));
  BOOST_TEST((decode_group(group, "golden").value() == sample_group()));
  BOOST_TEST((group == encode(sample_group())));
  const auto head = golden("snapshot_head_v1.bin", encode_head(id<snapshot_uuid>(7)));
  BOOST_TEST((decode_head(head, "golden").value() == id<snapshot_uuid>(7)));
}

BOOST_AUTO_TEST_CASE(impossible_records_are_corrupt_even_with_a_right_checksum) {
  const auto refused = [](auto change) {
    auto r = full_layer();
    change(r);
    CHECK_ERROR(decode_layer(encode(r), "l"), errc::corrupt);
  };
  refused([](auto& r) { r.id = {}; });
  refused([](auto& r) { r.snapshot = {}; });
  refused([](auto& r) { r.volume = {}; });
  refused([](auto& r) { r.parent = r.snapshot; });
  refused([](auto& r) { r.size = byte_count(1000); });
  auto g = sample_group();
  g.volumes.clear();
  CHECK_ERROR(decode_group(encode(g), "g"), errc::corrupt);
}

BOOST_AUTO_TEST_CASE(hostile_layer_records_never_crash) {
  auto random = seeded("hostile_layer_records");
  const auto good = encode(full_layer());
  for (int round = 0; round < 20'000; ++round) {
    bytes payload(good.begin() + value_header_bytes, good.end());
    for (auto flips = below(random, 4); flips-- > 0;)
      payload[below(random, payload.size())] = static_cast<std::byte>(random());
    payload.resize(below(random, 2) ? payload.size() : below(random, payload.size()));
    auto decoded = decode_layer(seal_value(value_type::layer, 1, payload), "l");
    BOOST_REQUIRE(decoded.has_value() || decoded.error().code == errc::corrupt);
  }
}

BOOST_AUTO_TEST_CASE(what_was_committed_is_there_after_a_restart) {
  opened_book b;
  snapshot_changes changes;
  changes.put_layers = {layer(1), layer(2, 1)};
  changes.put_heads = {{id<volume_uuid>(200), id<snapshot_uuid>(2)}};
  changes.put_groups = {sample_group()};
  REQUIRE_OK(b.book->commit_and_wait(changes));
  b.close();
  b.open();
  BOOST_TEST(b.opening.layers == 2);
  BOOST_TEST((b.book->find(id<layer_id>(2)) == layer(2, 1)));
  BOOST_TEST((b.book->head(id<volume_uuid>(200)) == id<snapshot_uuid>(2)));
  BOOST_TEST((b.book->find(group_name("nightly")) == sample_group()));
  snapshot_changes gone;
  gone.erase_layers = {id<layer_id>(2)};
  gone.erase_heads = {id<volume_uuid>(200)};
  gone.erase_groups = {group_name("nightly")};
  REQUIRE_OK(b.book->commit_and_wait(gone));
  b.close();
  b.open();
  BOOST_TEST(b.book->layers().size() == 1);
  BOOST_TEST(!b.book->head(id<volume_uuid>(200)).has_value());
  BOOST_TEST(b.book->groups().empty());
}

BOOST_AUTO_TEST_CASE(a_damaged_record_is_named_and_the_others_are_there) {
  opened_book b;
  snapshot_changes changes;
  changes.put_layers = {layer(1), layer(2, 1)};
  REQUIRE_OK(b.book->commit_and_wait(changes));
  REQUIRE_OK(b.meta->write([](write_transaction& t) {
    return t.put(meta_database::layers, layer_key(id<layer_id>(2)), as_bytes("nothing like it"));
  }));
  b.close();
  b.open();
  BOOST_TEST(b.book->layers().size() == 1);
  BOOST_REQUIRE(b.opening.problems.size() == 1);
}

BOOST_AUTO_TEST_CASE(a_chain_goes_down_to_a_baseline_and_a_missing_layer_is_named) {
  const snapshot_tree tree({layer(1), layer(2, 1), layer(3, 2), layer(5, 4)});
  const auto chain = tree.chain(id<snapshot_uuid>(3));
  REQUIRE_OK(chain);
  BOOST_TEST(chain->size() == 3);
  BOOST_TEST((chain->front()->snapshot == id<snapshot_uuid>(3)));
  CHECK_ERROR(tree.chain(id<snapshot_uuid>(9)), errc::not_found);
  const auto broken = tree.chain(id<snapshot_uuid>(5));
  CHECK_ERROR(broken, errc::corrupt);
  BOOST_TEST(broken.error().message.find(id<snapshot_uuid>(4).to_string()) != std::string::npos);
  // A merge gives point 2 a baseline of its own: the chain of 3 gets shorter, and 1's file is its own only.
  auto merged = layer(2);
  merged.id = id<layer_id>(20);
  const snapshot_tree after({layer(1), layer(2, 1), layer(3, 2), merged});
  BOOST_TEST(after.chain(id<snapshot_uuid>(3))->size() == 2);
  BOOST_TEST((after.unneeded({}) == std::vector{id<layer_id>(2)}));
}

BOOST_AUTO_TEST_CASE(layers_on_a_cycle_are_an_error_not_a_hang) {
  const snapshot_tree tree({layer(1, 2), layer(2, 1)});
  CHECK_ERROR(tree.chain(id<snapshot_uuid>(1)), errc::corrupt);
  (void)tree.used_by(id<snapshot_uuid>(1));
  (void)tree.unneeded({});
}

BOOST_AUTO_TEST_CASE(a_layer_goes_only_when_no_point_restore_or_other_layer_needs_it) {
  auto removed = layer(2, 1);
  removed.state = layer_state::removed;
  auto top = layer(3, 2);
  const snapshot_tree all({layer(1), removed, top});
  BOOST_TEST(all.unneeded({}).empty()); // 3 lies on it
  top.state = layer_state::removed;
  const snapshot_tree without_top({layer(1), removed, top});
  BOOST_TEST(without_top.unneeded({}).size() == 2);
  BOOST_TEST(without_top.unneeded({id<snapshot_uuid>(3)}).empty()); // a restore reads it
  BOOST_TEST((without_top.unneeded({id<snapshot_uuid>(2)}) == std::vector{id<layer_id>(3)}));
  const auto usage = all.used_by(id<snapshot_uuid>(3));
  BOOST_TEST(usage.all_bytes == 300);
  BOOST_TEST(usage.unique_bytes == 200);
}

BOOST_AUTO_TEST_CASE(a_snapshot_is_found_by_the_beginning_of_its_id) {
  const snapshot_tree tree({layer(1), layer(2, 1)});
  BOOST_TEST((tree.resolve(id<snapshot_uuid>(1).to_string()).value()->id == id<layer_id>(1)));
  BOOST_TEST((tree.resolve("02020202").value()->id == id<layer_id>(2)));
  CHECK_ERROR(tree.resolve("02"), errc::not_found);
  CHECK_ERROR(tree.resolve("03030303"), errc::not_found);
  auto twin = layer(7);
  twin.snapshot = id<snapshot_uuid>(2);
  twin.snapshot.bytes[15] = 9;
  const snapshot_tree two({layer(2), twin});
  CHECK_ERROR(two.resolve("02020202"), errc::invalid_argument);
}

BOOST_AUTO_TEST_CASE(retention_keeps_what_it_says_and_always_the_newest_and_the_locked) {
  std::vector<layer_record> points;
  for (int i = 1; i <= 100; ++i) // one every half hour
    points.push_back(layer(static_cast<std::uint8_t>(i), 0, i * 1800));
  const auto now = at(100 * 1800);
  BOOST_TEST(given_up(pointers(points), {}, now).empty());
  BOOST_TEST(given_up(pointers(points), {.count = 30}, now).size() == 70);
  BOOST_TEST(given_up(pointers(points), {.hourly = 10}, now).size() == 90);
  BOOST_TEST(given_up(pointers(points), {.daily = 1}, now).size() == 99);
  points[0].locked_until = now + std::chrono::seconds(1);
  BOOST_TEST(given_up(pointers(points), {.count = 1}, now).size() == 98);
  points[0].locked_until = now;
  BOOST_TEST(given_up(pointers(points), {.count = 1}, now).size() == 99);
  const auto gone = given_up(pointers(points), {.count = 2, .daily = 2}, now);
  BOOST_TEST((std::find(gone.begin(), gone.end(), points.back().snapshot) == gone.end()));
}

BOOST_AUTO_TEST_SUITE_END()
