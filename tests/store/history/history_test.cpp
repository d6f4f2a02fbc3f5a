#include "store/history/history.hpp"

#include <cmath>
#include <map>
#include <tuple>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "store/history/layout.hpp"
#include "tests/store/history/history_support.hpp"

using namespace gnomon;
using namespace gnomon::store;
using namespace gnomon::store::testing;

BOOST_AUTO_TEST_SUITE(history_test)
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

struct fixture {
  scratch_directory where;
  manual_clock clock{start};
  volume_uuid volume = volume_uuid::random();
  std::unique_ptr<history> past;
  fixture() { reopen(); }
  void reopen() {
    past.reset();
    auto opened = history::open(options_for(where / "history", clock));
    REQUIRE_OK(opened);
    past = std::move(*opened);
  }
  result<void> add(wall_time at, std::uint64_t chunk, access_counters counters, std::uint32_t instance = 0,
                   resolution r = resolution::ten_seconds) {
    return past->append({volume, r, at, {{chunk_index(chunk), instance_index(instance), counters}}, std::nullopt});
  }
  std::vector<history_sample> read(resolution r, wall_time from = start - hours(1000),
                                   wall_time to = start + hours(10'000)) {
    auto samples = past->read({volume, r, from, to, {}, {}});
    REQUIRE_OK(samples);
    return *samples;
  }
};

access_counters sum(const std::vector<history_sample>& samples) {
  access_counters total;
  for (const auto& sample : samples)
    total += sample.counters;
  return total;
}

} // namespace

BOOST_FIXTURE_TEST_CASE(rows_are_seen_at_once_at_every_resolution, fixture) {
  REQUIRE_OK(add(start + seconds(3), 5, {1, 2, 4096, 8192, 1}));
  REQUIRE_OK(add(start + seconds(15), 5, {10, 20, 40960, 81920, 10}));
  const auto fine = read(resolution::ten_seconds);
  BOOST_REQUIRE(fine.size() == 2u);
  BOOST_TEST((fine[0].slot == start));
  BOOST_TEST((fine[1].slot == start + seconds(10)));
  for (const auto r : {resolution::one_minute, resolution::five_minutes, resolution::one_hour}) {
    const auto samples = read(r);
    BOOST_REQUIRE(samples.size() == 1u);
    BOOST_TEST((samples[0].slot == start));
    BOOST_TEST((samples[0].counters == access_counters{11, 22, 45056, 90112, 11}));
  }
}

BOOST_FIXTURE_TEST_CASE(the_same_slot_twice_is_added_up, fixture) {
  REQUIRE_OK(add(start, 1, {1, 0, 512, 0, 0}));
  reopen(); // a node that stops and starts within a slot
  REQUIRE_OK(add(start + seconds(9), 1, {2, 0, 1024, 0, 1}));
  BOOST_REQUIRE(read(resolution::ten_seconds).size() == 1u);
  BOOST_TEST((read(resolution::ten_seconds)[0].counters == access_counters{3, 0, 1536, 0, 1}));
}

BOOST_FIXTURE_TEST_CASE(instances_keep_their_numbers, fixture) {
  const auto web = past->intern(instance_id("web-1")), db = past->intern(instance_id("db-1"));
  REQUIRE_OK(web);
  BOOST_TEST((*web != *db));
  BOOST_TEST((past->intern(instance_id("web-1")).value() == *web));
  BOOST_TEST((past->intern(instance_id("")).value() == instance_index(0)));
  REQUIRE_OK(add(start, 1, {1, 0, 512, 0, 0}, web->value));
  reopen();
  BOOST_TEST((past->intern(instance_id("web-1")).value() == *web));
  BOOST_TEST((past->name_of(*db) == instance_id("db-1")));
  BOOST_TEST(!past->name_of(instance_index(0)));
  BOOST_TEST(!past->name_of(instance_index(99)));
  BOOST_TEST((past->intern(instance_id("new")).value().value == 3u));
}

// Random appends (late ones, repeats, several instances, restarts, upkeep) against sums kept in plain maps.
BOOST_FIXTURE_TEST_CASE(random_appends_agree_with_a_model, fixture) {
  auto random = seeded("random_appends_agree_with_a_model");
  using key = std::tuple<std::uint64_t, std::uint64_t, std::uint32_t>; // slot, chunk, instance
  std::array<std::map<key, access_counters>, resolution_count> model;
  std::array<std::map<std::uint64_t, access_counters>, resolution_count> totals;
  const std::array volumes{volume, volume_uuid::random()};
  auto now = start;
  std::uint64_t sealed = 0; // status() counts from each opening
  for (int step = 0; step < 1500; ++step) {
    now += seconds(below(random, 40));
    if (below(random, 100) == 0)
      now += hours(below(random, 30));
    clock.advance(now - clock.wall_now());
    if (below(random, 200) == 0) {
      sealed += past->status().parts_sealed;
      reopen();
    }
    if (below(random, 20) == 0)
      REQUIRE_OK(past->maintain());
    const auto at = below(random, 10) == 0 ? now - minutes(below(random, 120)) : now;
    const auto r = below(random, 8) == 0 ? all_resolutions[below(random, 4)] : resolution::ten_seconds;
    history_batch batch{volumes[below(random, 10) == 0], r, at, {}, {}};
    for (auto rows = 1 + below(random, 6); rows > 0; --rows)
      batch.rows.push_back({chunk_index(below(random, 200)),
                            instance_index(static_cast<std::uint32_t>(below(random, 2))),
                            {below(random, 100), below(random, 100), below(random, 100) * 4096,
                             below(random, 100) * 4096, below(random, 10)}});
    if (batch.volume == volume) {
      access_counters total;
      for (const auto& row : batch.rows)
        total += row.counters;
      if (below(random, 3) == 0)
        batch.total = total = {1, 2, 3, 4, 5};
      for (std::size_t i = static_cast<std::size_t>(r); i < resolution_count; ++i) {
        const auto slot = history_layout::floor_to(history_layout::seconds_of(at),
                                                   history_layout::slot_seconds(all_resolutions[i]));
        for (const auto& row : batch.rows)
          if (row.counters != access_counters{})
            model[i][{slot, row.chunk.value, row.instance.value}] += row.counters;
        totals[i][slot] += total;
      }
    }
    REQUIRE_OK(past->append(batch));
  }
  BOOST_TEST(sealed + past->status().parts_sealed > 0u);
  BOOST_TEST(past->status().corrupt_records == 0u);
  // What is older than its retention may be gone; the rest must be there to the last count.
  for (std::size_t i = 0; i < resolution_count; ++i) {
    const auto r = all_resolutions[i];
    const auto from = now - options_for("", clock).keep_chunks[i], to = now + hours(1);
    std::map<key, access_counters> expected, seen;
    for (const auto& [k, counters] : model[i])
      if (history_layout::time_of(std::get<0>(k)) >= from)
        expected[k] = counters;
    for (const auto& sample : read(r, from, to))
      seen[{history_layout::seconds_of(sample.slot), sample.chunk.value, sample.instance.value}] = sample.counters;
    BOOST_REQUIRE((seen == expected));
    std::map<std::uint64_t, access_counters> expected_totals, seen_totals;
    for (const auto& [slot, counters] : totals[i])
      if (history_layout::time_of(slot) >= from)
        expected_totals[slot] = counters;
    const auto read_back = past->read_totals({volume, r, from, to, {}, {}});
    REQUIRE_OK(read_back);
    for (const auto& sample : *read_back)
      seen_totals[history_layout::seconds_of(sample.slot)] = sample.counters;
    BOOST_REQUIRE((seen_totals == expected_totals));
    // One chunk, one instance, part of the time: the same numbers.
    const auto chunk = below(random, 200);
    const auto middle = from + (to - from) / 2;
    auto some = past->read({volume, r, middle, to, chunk_index(chunk), instance_index(1)});
    REQUIRE_OK(some);
    std::map<key, access_counters> wanted, found;
    for (const auto& [k, counters] : expected)
      if (history_layout::time_of(std::get<0>(k)) >= middle && std::get<1>(k) == chunk && std::get<2>(k) == 1)
        wanted[k] = counters;
    for (const auto& sample : *some)
      found[{history_layout::seconds_of(sample.slot), sample.chunk.value, sample.instance.value}] = sample.counters;
    BOOST_REQUIRE((found == wanted));
  }
}

BOOST_FIXTURE_TEST_CASE(old_rows_go_by_their_resolution_and_totals_stay_longer, fixture) {
  for (int hour = 0; hour < 40 * 24; hour += 6) {
    clock.advance(hours(6));
    REQUIRE_OK(add(clock.wall_now(), 1, {1, 0, 512, 0, 0}));
    if (hour % 48 == 0)
      REQUIRE_OK(past->maintain());
  }
  REQUIRE_OK(past->maintain());
  const auto now = clock.wall_now();
  auto oldest = [&](resolution r) { return now - read(r).front().slot; };
  BOOST_TEST((oldest(resolution::ten_seconds) <= hours(2) + minutes(5)));
  BOOST_TEST((oldest(resolution::one_minute) <= hours(25)));
  BOOST_TEST((oldest(resolution::five_minutes) <= hours(14 * 24 + 6)));
  BOOST_TEST((oldest(resolution::five_minutes) >= hours(14 * 24 - 6)));
  BOOST_TEST((oldest(resolution::one_hour) >= hours(28 * 24 - 6)));
  const auto totals = past->read_totals({volume, resolution::five_minutes, start, now + hours(1), {}, {}});
  BOOST_TEST(totals.value().size() == 160u); // all of the 40 days
}

BOOST_FIXTURE_TEST_CASE(volumes_that_went_quiet_are_sealed_too, fixture) {
  REQUIRE_OK(add(start, 1, {1, 0, 512, 0, 0}));
  clock.advance(minutes(6));
  REQUIRE_OK(past->maintain());
  BOOST_TEST(past->status().parts_sealed == 2u); // the chunks' and the totals'
  clock.advance(hours(24 * 5));
  REQUIRE_OK(past->maintain());
  BOOST_TEST(past->status().parts_sealed == 8u); // up to the hours
  BOOST_TEST(read(resolution::one_hour).size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(a_forgotten_volume_leaves_nothing_and_takes_nothing_along, fixture) {
  const auto other = volume_uuid::random();
  for (int i = 0; i < 500; ++i) {
    clock.advance(minutes(10));
    REQUIRE_OK(add(clock.wall_now(), 1, {1, 0, 512, 0, 0}));
    REQUIRE_OK(past->append(
        {other, resolution::ten_seconds, clock.wall_now(), {{chunk_index(1), {}, {1, 0, 512, 0, 0}}}, {}}));
  }
  REQUIRE_OK(past->forget(volume));
  BOOST_TEST(read(resolution::one_hour).empty());
  BOOST_TEST(past->read_totals({volume, resolution::one_hour, start, clock.wall_now(), {}, {}}).value().empty());
  auto samples = past->read({other, resolution::one_hour, start, clock.wall_now() + hours(1), {}, {}});
  REQUIRE_OK(samples);
  BOOST_TEST(sum(*samples).reads == 500u);
}

BOOST_FIXTURE_TEST_CASE(impossible_batches_are_refused, fixture) {
  CHECK_ERROR(add(wall_time(seconds(-1)), 1, {1, 0, 0, 0, 0}), errc::invalid_argument);
  CHECK_ERROR(add(start, 1ull << 32, {1, 0, 0, 0, 0}), errc::invalid_argument);
  CHECK_ERROR(
      past->append(
          {volume, resolution::ten_seconds, start, std::vector<history_row>(history_append_rows_max + 1), {}}),
      errc::limit_reached);
  REQUIRE_OK(past->append({volume, resolution::ten_seconds, start, {}, {}})); // nothing happened
  BOOST_TEST(read(resolution::ten_seconds).empty());
  BOOST_TEST(past->status().rows_refused == 3u);
}

BOOST_FIXTURE_TEST_CASE(models_are_kept_by_object_and_name, fixture) {
  REQUIRE_OK(past->put_model("vol-1", "prophet", 3, to_bytes("blob")));
  REQUIRE_OK(past->put_model("vol-1", "gate", 1, {}));
  REQUIRE_OK(past->put_model("vol-10", "prophet", 3, to_bytes("other")));
  REQUIRE_OK(past->put_model("vol-1", "prophet", 4, to_bytes("newer")));
  reopen();
  const auto model = past->get_model("vol-1", "prophet");
  REQUIRE_OK(model);
  BOOST_TEST(model->version == 4u);
  BOOST_TEST(as_text(model->blob) == "newer");
  BOOST_TEST((model->written == start));
  const auto entries = past->list_models("vol-1").value();
  BOOST_REQUIRE(entries.size() == 2u);
  BOOST_TEST(entries[0].name == "gate");
  BOOST_TEST(entries[1].blob_bytes == 5u);
  BOOST_TEST(past->list_objects().value() == (std::vector<std::string>{"vol-1", "vol-10"}),
             boost::test_tools::per_element());
  REQUIRE_OK(past->erase_models("vol-1"));
  CHECK_ERROR(past->get_model("vol-1", "prophet"), errc::not_found);
  REQUIRE_OK(past->get_model("vol-10", "prophet"));
  CHECK_ERROR(past->put_model("", "x", 1, {}), errc::invalid_argument);
  CHECK_ERROR(past->put_model(std::string("a\0b", 3), "x", 1, {}), errc::invalid_argument);
  CHECK_ERROR(past->put_model("a", "x", 1, bytes(model_bytes_max + 1)), errc::limit_reached);
}

BOOST_FIXTURE_TEST_CASE(damaged_records_are_skipped_and_counted, fixture) {
  REQUIRE_OK(past->put_model("vol", "model", 1, to_bytes("blob")));
  for (int i = 0; i < 100; ++i)
    REQUIRE_OK(add(start + minutes(i), static_cast<std::uint64_t>(i), {1, 0, 512, 0, 0}));
  const auto before = read(resolution::one_minute).size();
  BOOST_TEST(before == 100u);
  past.reset();
  {
    environment_options raw;
    raw.name = "raw";
    raw.directory = where / "history";
    raw.databases = history_database_names();
    auto env = environment::open(raw).value();
    auto random = seeded("damaged_records_are_skipped");
    REQUIRE_OK(env->write([&](write_transaction& t) -> result<void> {
      for (auto database : {history_database::tails, history_database::blocks, history_database::models}) {
        std::vector<std::pair<std::string, bytes>> all;
        if (auto ok = t.scan(database, "",
                             [&](std::string_view key, bytes_view value) {
                               all.emplace_back(key, bytes(value.begin(), value.end()));
                               return scan_step::next;
                             });
            !ok)
          return ok;
        for (std::size_t i = 0; i < all.size(); i += 2) {
          auto& value = all[i].second;
          if (i % 4)
            value.resize(below(random, value.size()));
          else
            value[below(random, value.size())] ^= std::byte{0x10};
          if (auto ok = t.put(database, all[i].first, value); !ok)
            return ok;
        }
      }
      return t.put(history_database::tails, "x", as_bytes("junk"));
    }));
  }
  reopen();
  const auto after = read(resolution::one_minute).size();
  BOOST_TEST(after > 0u);
  BOOST_TEST(after < before);
  BOOST_TEST(past->status().corrupt_records > 0u);
  CHECK_ERROR(past->get_model("vol", "model"), errc::corrupt);
  clock.advance(hours(300));
  REQUIRE_OK(past->maintain()); // sealing meets the damage too
  REQUIRE_OK(add(clock.wall_now(), 1, {1, 0, 512, 0, 0}));
}

BOOST_FIXTURE_TEST_CASE(a_damaged_environment_is_set_aside_and_begun_anew, fixture) {
  REQUIRE_OK(add(start, 1, {1, 0, 512, 0, 0}));
  past.reset();
  std::ofstream(where / "history/data.mdb", std::ios::binary) << std::string(10'000, 'x');
  reopen();
  BOOST_TEST(past->status().begun_anew);
  BOOST_TEST(path_exists(where / "history.damaged/data.mdb"));
  REQUIRE_OK(add(start, 1, {1, 0, 512, 0, 0}));
  reopen();
  BOOST_TEST(!past->status().begun_anew);
  BOOST_TEST(read(resolution::ten_seconds).size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(the_disk_bound_holds_and_the_newest_rows_stay, fixture) {
  constexpr std::uint64_t disk_max = 8 << 20;
  past.reset();
  auto options = options_for(where / "history", clock);
  options.disk_max = byte_count{disk_max};
  options.commit_delay = std::chrono::milliseconds(5);
  past = history::open(options).value();
  std::mt19937_64 random(7);
  for (int i = 0; i < 400; ++i) {
    clock.advance(minutes(5));
    history_batch batch{volume, resolution::five_minutes, clock.wall_now(), {}, {}};
    for (std::uint64_t chunk = 0; chunk < 1000; ++chunk)
      batch.rows.push_back({chunk_index(chunk),
                            {},
                            {below(random, 1ull << 40), below(random, 1ull << 40), below(random, 1ull << 40),
                             below(random, 1ull << 40), below(random, 1ull << 40)}}); // long rows: few fill it
    if (i % 10 == 0)
      REQUIRE_OK(past->append(batch));
    else
      past->append(batch, nullptr);
  }
  REQUIRE_OK(past->maintain()); // behind everything that was appended
  const auto status = past->status();
  std::cout << "bounded history: " << status.disk_bytes << " bytes on disk, " << status.used_bytes << " used, "
            << status.parts_trimmed << " parts trimmed\n";
  BOOST_TEST(status.disk_bytes <= disk_max);
  BOOST_TEST(status.parts_trimmed > 0u);
  BOOST_TEST(status.rows_refused == 0u);
  const auto last =
      past->read(
              {volume, resolution::five_minutes, clock.wall_now() - hours(1), clock.wall_now() + minutes(5), {}, {}})
          .value();
  BOOST_TEST(last.size() == 13'000u);
}

BOOST_AUTO_TEST_CASE(a_full_disk_refuses_rows_and_heals) {
  small_file_system disk(4 << 20);
  if (!disk.mounted())
    return say_skipped("mounting a tmpfs needs CAP_SYS_ADMIN");
  manual_clock clock{start};
  auto past = history::open(options_for(disk / "history", clock)).value();
  const auto volume = volume_uuid::random();
  auto add = [&](std::uint64_t chunk) {
    return past->append({volume, resolution::ten_seconds, start, {{chunk_index(chunk), {}, {1, 0, 512, 0, 0}}}, {}});
  };
  REQUIRE_OK(add(1));
  disk.fill();
  result<void> outcome;
  for (int i = 0; i < 50 && outcome; ++i)
    outcome = past->put_model("m", "m" + std::to_string(i), 1, bytes(100'000));
  CHECK_ERROR(outcome, errc::no_space);
  BOOST_TEST(past->read({volume, resolution::ten_seconds, start, start + hours(1), {}, {}}).value().size() == 1u);
  disk.free_again();
  REQUIRE_OK(add(2));
}

BOOST_AUTO_TEST_CASE(kill_9_loses_no_acknowledged_row_and_counts_none_twice) {
  auto random = seeded("kill_9_loses_no_acknowledged_row");
  scratch_directory where;
  manual_clock clock{start};
  const auto volume = volume_uuid::random();
  std::uint64_t next = 0;
  for (int round = 0; round < 20; ++round) {
    const auto reported = run_and_kill(
        [&](int report) {
          auto options = options_for(where / "history", clock);
          options.commit_delay = std::chrono::milliseconds(1);
          auto past = history::open(options);
          if (!past)
            ::_exit(1);
          // Every slot gets each of 20 chunks once, so double counting would show.
          for (auto n = next;; ++n) {
            history_batch batch{volume, resolution::ten_seconds, start + seconds(10 * n), {}, {}};
            for (std::uint64_t chunk = 0; chunk < 20; ++chunk)
              batch.rows.push_back({chunk_index(chunk), {}, {1, 0, 4096, 0, 0}});
            const auto acknowledged = n + 1;
            (*past)->append(batch, [=](result<void> r) {
              if (r)
                (void)!::write(report, &acknowledged, sizeof acknowledged);
            });
            if (n % 16 == 0 && !(*past)->append({volume, resolution::ten_seconds, start, {}, {}}))
              ::_exit(1);
            ::usleep(200);
          }
        },
        static_cast<unsigned>(below(random, 60'000)),
        round % 3 == 2 ? kill_clock::from_start : kill_clock::from_first_report);
    const auto acknowledged = std::max(next, last_u64(reported));
    if (!path_exists(where / "history/data.mdb"))
      continue;
    auto past = history::open(options_for(where / "history", clock));
    REQUIRE_OK(past);
    BOOST_REQUIRE(!(*past)->status().begun_anew);
    for (const auto r : all_resolutions) {
      auto samples = (*past)->read({volume, r, start, start + hours(10'000), {}, {}});
      REQUIRE_OK(samples);
      std::map<std::uint64_t, std::uint64_t> per_chunk;
      for (const auto& sample : *samples)
        per_chunk[sample.chunk.value] += sample.counters.reads;
      if (acknowledged > 0)
        BOOST_REQUIRE(per_chunk.size() == 20u);
      for (const auto& [chunk, reads] : per_chunk)
        BOOST_REQUIRE(reads == per_chunk[0]);
      if (!per_chunk.empty())
        BOOST_REQUIRE(per_chunk[0] >= acknowledged);
      if (!per_chunk.empty())
        next = std::max(next, per_chunk[0]);
    }
    BOOST_REQUIRE((*past)->status().corrupt_records == 0);
  }
  std::cout << next << " slots survived 20 kills\n";
  BOOST_TEST(next > 0u);
}

namespace {

// A history of 16 MiB; models may have a quarter.
struct small_fixture : fixture {
  history_options options;
  small_fixture() {
    past.reset();
    options = options_for(where / "small", clock);
    options.disk_max = byte_count{16u << 20};
    options.lasting_models = {"imports"};
    reopen_small();
  }
  void reopen_small() {
    past.reset();
    auto opened = history::open(options);
    REQUIRE_OK(opened);
    past = std::move(*opened);
  }
  bool has(const std::string& object, const char* name = "pattern") {
    return past->get_model(object, name).has_value();
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(models_keep_to_their_share_and_rows_are_not_crowded_out, small_fixture) {
  REQUIRE_OK(past->put_model("volume-0", "imports", 1, bytes(100)));
  for (int n = 0; n < 64; ++n) {
    REQUIRE_OK(past->put_model(fmt::format("volume-{}", n), "pattern", 1, bytes(600'000, std::byte{1})));
    clock.advance(seconds(1));
    BOOST_TEST(past->status().model_bytes <= 4u << 20);
    REQUIRE_OK(add(start + seconds(n), 5, {1, 0, 4096, 0, 0}));
  }
  BOOST_TEST(past->status().models_trimmed >= 50u);
  BOOST_TEST(past->status().rows_refused == 0u);
  BOOST_TEST(sum(read(resolution::one_minute)).reads == 64u);
  BOOST_TEST(has("volume-63"));
  BOOST_TEST(!has("volume-0"));
  BOOST_TEST(has("volume-0", "imports"));
}

BOOST_FIXTURE_TEST_CASE(what_was_read_lately_outlives_what_was_only_written, small_fixture) {
  for (int n = 0; n < 40; ++n) {
    REQUIRE_OK(past->put_model(fmt::format("volume-{}", n), "pattern", 1, bytes(600'000)));
    clock.advance(seconds(10));
    BOOST_TEST(has("volume-0"), n);
  }
  BOOST_TEST(!has("volume-1"));
}

BOOST_FIXTURE_TEST_CASE(models_that_nobody_uses_go_by_age, small_fixture) {
  REQUIRE_OK(past->put_model("a", "pattern", 1, bytes(100)));
  REQUIRE_OK(past->put_model("a", "imports", 1, bytes(100)));
  REQUIRE_OK(past->put_model("b", "pattern", 1, bytes(100)));
  clock.advance(hours(27 * 24));
  BOOST_TEST(has("b"));
  clock.advance(hours(2 * 24));
  REQUIRE_OK(past->maintain());
  BOOST_TEST(!has("a"));
  BOOST_TEST(has("a", "imports"));
  BOOST_TEST(has("b"));
}

BOOST_FIXTURE_TEST_CASE(a_model_larger_than_the_share_is_refused, small_fixture) {
  const auto put = past->put_model("a", "pattern", 1, bytes(5u << 20));
  BOOST_REQUIRE(!put);
  BOOST_TEST((put.error().code == errc::limit_reached));
}

BOOST_AUTO_TEST_SUITE_END()
