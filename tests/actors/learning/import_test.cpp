// From a file to rows of the history: what is read, how it is rolled up and cut into messages, and what the node
// accepts and remembers.
#include <filesystem>
#include <fstream>
#include <numeric>

#include <boost/test/unit_test.hpp>

#include "actors/cli/import/import_rollup.hpp"
#include "actors/learning/import_journal.hpp"
#include "tests/actors/actor_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::actors::cli;

BOOST_AUTO_TEST_SUITE(import_test)
namespace {
constexpr std::uint64_t MiB = 1u << 20;
constexpr std::int64_t second = 1'000'000, minute = 60 * second, hour = 60 * minute, day = 24 * hour;
constexpr std::int64_t now = 1'700'000'000 * second;

struct temporary {
  explicit temporary(const std::string& text) { std::ofstream(path) << text; }
  tests::temporary_directory directory;
  std::string path = directory.path + "/file";
};

import_terms terms() {
  import_terms out;
  out.name = volume_name{"db"};
  out.uuid = *volume_uuid::parse("01234567-89ab-4cde-8f01-23456789abcd");
  out.size = byte_count{64 * MiB}, out.chunk_size = byte_count{16 * MiB}, out.chunk_count = 4;
  out.now_us = now, out.fine_us = 2 * hour, out.minute_us = 36 * hour, out.keep_us = 14 * day;
  return out;
}
import_item request(std::int64_t time_us, std::uint64_t offset, std::uint64_t length, bool write = false) {
  import_item out;
  out.time_us = time_us, out.offset = offset, out.length = length;
  (write ? out.writes : out.reads) = 1;
  (write ? out.write_bytes : out.read_bytes) = length;
  return out;
}
history_import_command of(const std::string& path) {
  history_import_command out;
  out.file = path;
  return out;
}
std::vector<import_item> items_of(const import_source& source) {
  std::vector<import_item> out;
  BOOST_REQUIRE(source.read(
      [&](const import_item& item) -> result<void> {
        out.push_back(item);
        return {};
      },
      {}));
  return out;
}
import_note note(const char* digest) {
  import_note out;
  out.now_us = now, out.digest = digest, out.source = "t.csv", out.from_us = now - hour, out.to_us = now, out.requests = 7;
  return out;
}
} // namespace

BOOST_AUTO_TEST_CASE(a_trace_is_surveyed_and_read) {
  const temporary file("time_us,volume,op,offset_bytes,length_bytes\n"
                       "5000000,a,R,0,4096\n2000000,a,W,8192,512\n9000000,b,T,0,65536\n9500000,a,F,0,0\n");
  auto wanted = of(file.path);
  BOOST_TEST((import_source::open(wanted, "db", {}).error().code == errc::invalid_argument)); // two volumes
  const auto like = import_source::open(wanted, "b", {});
  BOOST_REQUIRE(like.has_value());
  BOOST_TEST(like->found().volume == "b");
  BOOST_TEST(like->found().from_us == 9 * second);
  wanted.source = "a";
  const auto a = import_source::open(wanted, "b", {});
  BOOST_REQUIRE(a.has_value());
  BOOST_TEST(a->found().requests == 2u);
  BOOST_TEST(a->found().skipped == 1u);
  BOOST_TEST(a->found().from_us == 2 * second);
  BOOST_TEST(a->found().to_us == 5 * second);
  BOOST_TEST(a->found().digest != like->found().digest);
  const auto items = items_of(*a);
  BOOST_REQUIRE(items.size() == 2u);
  BOOST_TEST(items[1].write_bytes == 512u);
  wanted.source = "c";
  BOOST_TEST((import_source::open(wanted, "b", {}).error().code == errc::invalid_argument));
  BOOST_TEST((import_source::open(of("/nonexistent"), "b", {}).error().code == errc::not_found));
  const temporary empty(""), broken("1,a,R,0,4096\nnonsense\n");
  BOOST_TEST(!import_source::open(of(empty.path), "a", {}));
  BOOST_TEST((import_source::open(of(broken.path), "a", {}).error().code == errc::corrupt));
  BOOST_TEST(
      (import_source::open(of(file.path), "a", [](double) { return false; }).error().code == errc::unavailable));
}

BOOST_AUTO_TEST_CASE(the_digest_is_of_the_records_and_not_of_the_file) {
  const temporary one("time_us,volume,op,offset_bytes,length_bytes\n1,a,R,0,4096\n2,a,W,0,512\n");
  const temporary same("1,a,R,0,4096\n2,a,W,0,512\n"), other("1,a,R,0,4096\n2,a,R,0,512\n");
  const auto digest = [](const temporary& file) {
    return import_source::open(of(file.path), "a", {})->found().digest;
  };
  BOOST_TEST(digest(one) == digest(same));
  BOOST_TEST(digest(one) != digest(other));
}

BOOST_AUTO_TEST_CASE(a_series_is_known_by_its_header_and_missing_values_are_not_zero) {
  const temporary file("time_us,volume,reads,write_bytes,colour\n"
                       "0,w,100,4096,1\n1800000000,w,,,2\n3600000000,w,50,,3\n");
  const auto source = import_source::open(of(file.path), "db", {});
  BOOST_REQUIRE(source.has_value());
  BOOST_TEST(source->found().skipped == 1u);
  BOOST_TEST(source->found().requests == 150u);
  BOOST_TEST(source->found().to_us == 90 * minute);
  BOOST_TEST(source->found().unused_columns == std::vector<std::string>{"colour"}, boost::test_tools::per_element());
  const auto items = items_of(*source);
  BOOST_REQUIRE(items.size() == 2u);
  BOOST_TEST(items[0].span_us == 30 * minute);
  const temporary useless("time_us,volume,colour\n0,w,1\n"), far("time_us,volume,reads\n9000000000000000000,w,1\n");
  BOOST_TEST((import_source::open(of(useless.path), "w", {}).error().code == errc::invalid_argument));
  BOOST_TEST((import_source::open(of(far.path), "w", {}).error().code == errc::invalid_argument));
}

BOOST_AUTO_TEST_CASE(requests_become_rows_of_the_resolution_that_is_read_at_their_age) {
  import_rollup rollup(terms(), 0);
  rollup.add(request(now - minute, 0, 4096));
  rollup.add(request(now - minute, 4096, 4096, true));        // goes on where the first ended
  rollup.add(request(now - 3 * hour, 16 * MiB - 4096, 8192)); // half in chunk 0, half in 1
  rollup.add(request(now - 3 * day, 48 * MiB, 4096));
  rollup.add(request(now - 15 * day, 0, 4096));       // not kept
  rollup.add(request(now - 3 * day, 80 * MiB, 4096)); // beyond the volume
  const auto messages = rollup.take();
  BOOST_REQUIRE(messages.size() == 1u);
  const auto& slots = messages[0].slots;
  BOOST_REQUIRE(slots.size() == 3u);
  BOOST_TEST(slots[0].seconds == 300u);
  BOOST_TEST(slots[0].start_us == (now - 3 * day) / (300 * second) * (300 * second));
  BOOST_TEST((slots[0].rows == std::vector<import_row>{{chunk_index{3}, 1, 0, 4096, 0, 0}}));
  BOOST_TEST(slots[0].elsewhere.reads == 1u);
  BOOST_TEST(slots[1].seconds == 60u);
  BOOST_TEST((slots[1].rows ==
              std::vector<import_row>{{chunk_index{0}, 1, 0, 4096, 0, 0}, {chunk_index{1}, 1, 0, 4096, 0, 0}}));
  BOOST_TEST(slots[2].seconds == 10u);
  BOOST_TEST((slots[2].rows == std::vector<import_row>{{chunk_index{0}, 1, 1, 4096, 4096, 1}}));
  BOOST_TEST(rollup.too_old() == 1u);
  BOOST_TEST(rollup.beyond() == 1u);
  BOOST_TEST(rollup.requests() == 5u);
  BOOST_TEST(rollup.take().empty());
  BOOST_TEST(check_import_rows(messages[0], terms()).has_value());
}

BOOST_AUTO_TEST_CASE(counters_of_half_an_hour_are_spread_without_loss) {
  import_rollup rollup(terms(), 0);
  import_item item;
  item.time_us = (now - 3 * day) / (300 * second) * (300 * second), item.span_us = 30 * minute;
  item.reads = 100, item.write_bytes = ~0ull / 2;
  rollup.add(item);
  const auto messages = rollup.take();
  BOOST_REQUIRE(messages.size() == 1u);
  BOOST_REQUIRE(messages[0].slots.size() == 6u);
  std::uint64_t reads = 0, bytes = 0;
  for (const auto& slot : messages[0].slots) {
    BOOST_TEST((slot.elsewhere.reads == 16 || slot.elsewhere.reads == 17));
    reads += slot.elsewhere.reads, bytes += slot.elsewhere.write_bytes;
  }
  BOOST_TEST(reads == 100u);
  BOOST_TEST(bytes == ~0ull / 2);
}

BOOST_AUTO_TEST_CASE(messages_stay_within_their_limits_and_lose_nothing) {
  auto wide = terms();
  wide.chunk_count = 4096, wide.size = byte_count{4096 * 16 * MiB};
  import_rollup rollup(wide, 0);
  std::uint64_t added = 0, found = 0;
  for (int slot = 0; slot < 700; ++slot)
    for (std::uint64_t chunk = 0; chunk < (slot < 2 ? 4096u : 20u); ++chunk, ++added)
      rollup.add(request(now - 7000 * second + slot * 10 * second, chunk * 16 * MiB, 512));
  const auto messages = rollup.take();
  BOOST_TEST(messages.size() > 5u);
  for (const auto& message : messages) {
    BOOST_TEST(check_import_rows(message, wide).has_value());
    BOOST_TEST(!message.slots.empty());
    for (const auto& slot : message.slots)
      found += slot.rows.size();
  }
  BOOST_TEST(found == added);
}

BOOST_AUTO_TEST_CASE(the_node_refuses_what_it_does_not_keep_and_what_is_not_yet) {
  BOOST_TEST(check_import_note(note("a"), terms()).has_value());
  auto wrong = note("a");
  wrong.from_us = now - 15 * day;
  BOOST_TEST(check_import_note(wrong, terms()).error().message.find("--end-at now") != std::string::npos);
  wrong = note("a"), wrong.to_us = now + hour;
  BOOST_TEST(check_import_note(wrong, terms()).error().message.find("future") != std::string::npos);
  wrong = note("");
  BOOST_TEST(!check_import_note(wrong, terms()));
  const auto checked = [](std::int64_t start, std::uint32_t seconds, std::uint64_t chunk) {
    import_slot slot;
    slot.start_us = start, slot.seconds = seconds, slot.rows = {{chunk_index{chunk}, 1, 0, 512, 0, 0}};
    history_rows rows;
    rows.slots = {slot};
    return check_import_rows(rows, terms()).has_value();
  };
  BOOST_TEST(checked(now, 10, 3));
  BOOST_TEST(!checked(now, 11, 3));
  BOOST_TEST(!checked(now, 10, 4));
  BOOST_TEST(!checked(now + hour, 10, 0));
  BOOST_TEST(!checked(now - 15 * day, 300, 0));
  BOOST_TEST(!checked(-1, 300, 0));
  history_rows many;
  many.slots.resize(import_slots_max + 1, {now, 10, {}, {}});
  BOOST_TEST((check_import_rows(many, terms()).error().code == errc::limit_reached));
}

BOOST_FIXTURE_TEST_CASE(the_same_records_are_imported_twice_only_on_purpose, tests::temporary_history) {
  const auto volume = terms().uuid;
  const auto at = wall_time{microseconds{now}};
  auto end = note("a");
  end.finished = true;
  BOOST_TEST((note_import(*history, volume, end, at).error().code == errc::not_found));
  BOOST_TEST(note_import(*history, volume, note("a"), at).has_value());
  const auto began = note_import(*history, volume, note("a"), at); // it did not end: it goes on
  BOOST_REQUIRE(began.has_value());
  BOOST_TEST(began->slots_before == 0u);
  BOOST_TEST(began->now_us == now);
  BOOST_TEST(note_import(*history, volume, end, at).has_value());
  const auto ended = note_import(*history, volume, note("a"), at);
  BOOST_REQUIRE(!ended);
  BOOST_TEST(ended.error().message.find("imported before, from t.csv") != std::string::npos);
  auto again = note("a");
  again.again = true;
  BOOST_TEST(note_import(*history, volume, again, at).has_value());
  BOOST_TEST(note_import(*history, volume, note("b"), at).has_value());
  BOOST_TEST(note_import(*history, volume_uuid{}, note("a"), at).has_value()); // another volume's
}

BOOST_FIXTURE_TEST_CASE(a_damaged_journal_begins_anew_and_stays_bounded, tests::temporary_history) {
  const auto volume = terms().uuid;
  const auto at = wall_time{microseconds{now}};
  BOOST_REQUIRE(history->put_model(volume.to_string(), imports_model_name, imports_model_version,
                                   store::bytes(5, std::byte{'['})));
  for (std::size_t i = 0; i < imports_remembered_max + 5; ++i)
    BOOST_REQUIRE(note_import(*history, volume, note(std::to_string(i).c_str()), at));
  BOOST_TEST(note_import(*history, volume, note("0"), at).has_value()); // forgotten
  auto end = note("100");
  end.finished = true;
  BOOST_REQUIRE(note_import(*history, volume, end, at).has_value());
  BOOST_TEST(!note_import(*history, volume, note("100"), at));
}

BOOST_FIXTURE_TEST_CASE(rows_come_out_of_the_history_as_they_went_in, tests::temporary_history) {
  auto wanted = terms();
  wanted.now_us = to_microseconds(system_clock_source().wall_now());
  import_rollup rollup(wanted, wanted.now_us);
  BOOST_REQUIRE(note_import(*history, wanted.uuid, note("a"), wall_time{microseconds{now}}).has_value());
  std::uint64_t requests = 0, slots = 0;
  for (std::int64_t back = 30 * hour; back > 0; back -= 7 * minute, ++requests)
    rollup.add(request(-back, (requests % 4) * 16 * MiB, 4096, requests % 3 == 0));
  for (const auto& message : rollup.take()) {
    BOOST_REQUIRE(check_import_rows(message, wanted).has_value());
    auto numbered = message;
    numbered.digest = "a", numbered.first_slot = slots;
    slots += message.slots.size();
    const auto batches = batches_of(numbered, wanted.uuid, *read_progress(*history, wanted.uuid, "a"));
    BOOST_REQUIRE(batches.has_value());
    // The half of them, as if the import ended here; then all of them again.
    for (std::size_t i = 0; i < batches->size() / 2; ++i)
      BOOST_REQUIRE(history->append((*batches)[i]));
    const auto again = batches_of(numbered, wanted.uuid, *read_progress(*history, wanted.uuid, "a"));
    BOOST_REQUIRE(again->size() == batches->size() - batches->size() / 2);
    for (const auto& batch : *again)
      BOOST_REQUIRE(history->append(batch));
    BOOST_TEST((history->append(again->front()).error().code == errc::busy)); // never twice
    BOOST_TEST(read_progress(*history, wanted.uuid, "a")->slots == slots);
  }
  history_rows gap;
  gap.digest = "a", gap.first_slot = slots + 1;
  BOOST_TEST(!batches_of(gap, wanted.uuid, *read_progress(*history, wanted.uuid, "a")).has_value());
  store::history_query query;
  query.volume = wanted.uuid, query.at = store::resolution::five_minutes;
  query.from = wall_time{microseconds{wanted.now_us - 2 * day}},
  query.to = wall_time{microseconds{wanted.now_us + day}};
  const auto totals = history->read_totals(query);
  BOOST_REQUIRE(totals.has_value());
  const auto rows = history->read(query);
  BOOST_REQUIRE(rows.has_value());
  const auto sum = [](const auto& samples) {
    return std::accumulate(samples.begin(), samples.end(), std::uint64_t{0},
                           [](std::uint64_t to, const auto& s) { return to + s.counters.reads + s.counters.writes; });
  };
  BOOST_TEST(sum(*totals) == requests);
  BOOST_TEST(sum(*rows) == requests);
}

BOOST_AUTO_TEST_SUITE_END()
