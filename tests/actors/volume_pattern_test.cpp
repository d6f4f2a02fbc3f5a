// What is known of a volume: slots are handed over whole, the saved state and the history's newer rows make what was
// there before a crash, damage is noticed, and memory stays bounded.
#include "actors/volume_pattern.hpp"

#include <iostream>
#include <random>

#include <malloc.h>

#include <boost/test/unit_test.hpp>

#include "tests/actors/actor_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

constexpr std::int64_t second_us = 1'000'000;
const volume_pattern::shape some_shape{byte_count{16ull << 20}, 64, {300.0, 1800.0}};

observed second_at(std::int64_t at_seconds, std::vector<observed_chunk> rows) {
  return {at_seconds * second_us, std::move(rows)};
}
observed_chunk row(std::uint64_t chunk, const char* who, std::uint32_t reads, std::uint32_t writes = 0) {
  return {chunk_index{chunk}, false, instance_id(who), reads, writes, reads / 2, reads * 4096ull, writes * 4096ull};
}
volume_pattern::access access(double time, std::uint64_t chunk, double reads) {
  return {time, chunk_index{chunk}, reads, 0, reads * 4096, 0};
}
void check_alike(const volume_pattern& a, const volume_pattern& b, double now) {
  const auto left = a.heat(now), right = b.heat(now);
  BOOST_REQUIRE(left.size() == right.size());
  for (std::size_t i = 0; i < left.size(); ++i) {
    BOOST_TEST((left[i].chunk == right[i].chunk));
    BOOST_TEST((left[i].kind == right[i].kind));
    for (std::size_t half_life = 0; half_life < left[i].request_rate.size(); ++half_life)
      BOOST_TEST(left[i].request_rate[half_life] == right[i].request_rate[half_life],
                 boost::test_tools::tolerance(0.03)); // a row counts at its slot's start
  }
  const auto these = a.hot_sets(8), those = b.hot_sets(8);
  BOOST_REQUIRE(these.size() == those.size());
  for (std::size_t w = 0; w < these.size(); ++w) {
    BOOST_REQUIRE(!these[w].prediction.chunks.empty());
    BOOST_REQUIRE(these[w].prediction.chunks.size() == those[w].prediction.chunks.size());
    BOOST_TEST((these[w].prediction.chunks[0].chunk == those[w].prediction.chunks[0].chunk));
    BOOST_TEST(these[w].prediction.windows_scored == those[w].prediction.windows_scored,
               boost::test_tools::tolerance(1e-6));
  }
}

struct with_history {
  tests::shared_clock clock;
  tests::temporary_directory directory;
  std::unique_ptr<store::history> history;
  volume_uuid uuid = volume_uuid::random();

  with_history() { reopen(); }
  void reopen() {
    history.reset();
    store::history_options options;
    options.directory = directory.path + "/history";
    options.clock = &clock;
    history = tests::store_and_engine::value(store::history::open(std::move(options)));
  }
  double now() const { return static_cast<double>(clock.wall_now().time_since_epoch().count()) * 1e-6; }
  // One slot's rows, as a pattern actor hands them over, and into the pattern.
  void slot(volume_pattern* pattern, std::mt19937& random) {
    store::history_batch batch;
    batch.volume = uuid, batch.time = clock.wall_now();
    for (const std::uint64_t chunk : {std::uint64_t{3}, std::uint64_t{5}, std::uint64_t{random() % 64}}) {
      const std::uint64_t reads = chunk == 3 ? 200 : 1 + random() % 20;
      batch.rows.push_back({chunk_index{chunk}, {}, {reads, 0, reads * 4096, 0, 0}});
      if (pattern != nullptr)
        pattern->add(access(now(), chunk, static_cast<double>(reads)));
    }
    BOOST_REQUIRE(history->append(std::move(batch)).has_value());
    clock.advance(seconds(10));
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(volume_pattern_test)

BOOST_AUTO_TEST_CASE(a_slot_is_handed_over_whole_and_once) {
  open_slot slot;
  BOOST_TEST(slot.empty());
  BOOST_TEST(!slot.close().has_value());
  BOOST_TEST(!slot.add(second_at(100, {row(3, "web", 10), row(3, "batch", 1)})).has_value());
  BOOST_TEST(!slot.add(second_at(109, {row(3, "web", 5, 2), row(4, "web", 1)})).has_value());
  BOOST_TEST(!slot.close_before(109.9).has_value());
  const auto over = slot.add(second_at(110, {row(7, "web", 1)}));
  BOOST_REQUIRE(over.has_value());
  BOOST_TEST(over->start_seconds == 100.0);
  BOOST_TEST(over->rows.size() == 3u);
  BOOST_TEST((over->total == store::access_counters{17, 2, 17 * 4096, 2 * 4096, 7}));
  std::uint64_t webs = 0;
  for (const auto& r : over->rows)
    if (r.instance.value == "web" && r.chunk.value == 3)
      webs = r.counters.reads;
  BOOST_TEST(webs == 15u);
  const auto rest = slot.close_before(120);
  BOOST_REQUIRE(rest.has_value());
  BOOST_TEST(rest->start_seconds == 110.0);
  BOOST_TEST(!slot.close_before(1e12).has_value());
}

BOOST_AUTO_TEST_CASE(what_found_no_cell_counts_in_the_total_only_and_a_clock_set_back_loses_nothing) {
  open_slot slot;
  auto homeless = row(0, "", 9);
  homeless.whole_volume = true;
  slot.add(second_at(100, {homeless, row(3, "web", 1)}));
  const auto former = slot.add(second_at(50, {row(3, "web", 1)}));
  BOOST_REQUIRE(former.has_value());
  BOOST_TEST(former->rows.size() == 1u);
  BOOST_TEST(former->total.reads == 10u);
  BOOST_TEST(slot.close()->start_seconds == 50.0);
}

BOOST_AUTO_TEST_CASE(impossible_accesses_and_shapes_are_left_out) {
  auto pattern = volume_pattern::make(some_shape);
  BOOST_REQUIRE(pattern.has_value());
  pattern->add(access(std::nan(""), 3, 1));
  pattern->add(access(1000, 64, 1)); // beyond the volume
  BOOST_TEST(pattern->known_chunks() == 0u);
  pattern->add(access(1000, 63, 1));
  BOOST_TEST(pattern->known_chunks() == 1u);
  auto nothing = some_shape;
  nothing.chunk_count = 0;
  BOOST_TEST(!volume_pattern::make(nothing).has_value());
}

BOOST_AUTO_TEST_CASE(a_saved_state_is_of_one_shape_and_every_cut_of_it_is_noticed) {
  auto pattern = *volume_pattern::make(some_shape);
  for (int i = 0; i < 500; ++i)
    pattern.add(access(1e9 + i * 10, i % 3, 10));
  const auto numbers = pattern.to_numbers();
  BOOST_TEST(volume_pattern::from_numbers(numbers, some_shape).has_value());
  auto grown = some_shape, others = some_shape;
  grown.chunk_count = 65;
  others.horizons_seconds = {300.0};
  BOOST_TEST((volume_pattern::from_numbers(numbers, grown).error().code == errc::invalid_argument));
  BOOST_TEST((volume_pattern::from_numbers(numbers, others).error().code == errc::invalid_argument));
  for (arma::uword length = 0; length < numbers.n_elem; length += 1 + length / 16)
    BOOST_TEST(!volume_pattern::from_numbers(length > 0 ? arma::vec(numbers.head(length)) : arma::vec(), some_shape)
                    .has_value());
  auto newer = numbers;
  newer(1) += 1;
  BOOST_TEST((volume_pattern::from_numbers(newer, some_shape).error().code == errc::unsupported));
  BOOST_TEST(!numbers_from(store::bytes(7)).has_value());
  BOOST_TEST(arma::approx_equal(*numbers_from(to_bytes(numbers)), numbers, "absdiff", 0.0));
}

BOOST_FIXTURE_TEST_CASE(after_a_crash_the_saved_state_and_newer_rows_make_the_same_pattern, with_history) {
  std::mt19937 random(7);
  auto lived = *volume_pattern::make(some_shape);
  for (int i = 0; i < 400; ++i)
    slot(&lived, random);
  BOOST_REQUIRE(
      history->put_model(uuid.to_string(), pattern_model_name, pattern_model_version, to_bytes(lived.to_numbers()))
          .has_value());
  for (int i = 0; i < 47; ++i) // since it was saved; ends in the middle of windows
    slot(&lived, random);
  lived.advance_to(now());
  reopen();
  auto reborn = load_pattern(*history, uuid, some_shape, clock.wall_now(), true);
  BOOST_REQUIRE(reborn.has_value());
  reborn->advance_to(now());
  check_alike(lived, *reborn, now());
  // Nothing counts twice: it goes on as if nothing had been.
  for (int i = 0; i < 60; ++i) {
    slot(&lived, random);
    const double time = now() - 10;
    reborn->add(access(time, 3, 200));
  }
  BOOST_TEST(reborn->heat(now()).at(3).request_rate[0] == lived.heat(now()).at(3).request_rate[0],
             boost::test_tools::tolerance(0.05));
}

BOOST_FIXTURE_TEST_CASE(without_a_usable_saved_state_it_is_learned_from_the_rows, with_history) {
  std::mt19937 random(7);
  auto lived = *volume_pattern::make(some_shape);
  for (int i = 0; i < 200; ++i)
    slot(&lived, random);
  const auto hottest = [&](result<volume_pattern> loaded) {
    BOOST_REQUIRE(loaded.has_value());
    BOOST_TEST(loaded->known_chunks() == lived.known_chunks());
    return loaded->hot_sets(1).at(0).prediction.chunks.at(0).chunk.value;
  };
  BOOST_TEST(hottest(load_pattern(*history, uuid, some_shape, clock.wall_now(), true)) == 3u);
  BOOST_REQUIRE(history->put_model(uuid.to_string(), pattern_model_name, pattern_model_version, store::bytes(801))
                    .has_value()); // damaged
  BOOST_TEST(hottest(load_pattern(*history, uuid, some_shape, clock.wall_now(), true)) == 3u);
  BOOST_REQUIRE(history->put_model(uuid.to_string(), pattern_model_name, pattern_model_version + 1, store::bytes(800))
                    .has_value()); // of a newer release
  BOOST_TEST(hottest(load_pattern(*history, uuid, some_shape, clock.wall_now(), true)) == 3u);
}

// More than a day, so that everything that is ever kept of a chunk has been allocated.
BOOST_AUTO_TEST_CASE(ten_thousand_busy_chunks_fit_64_mib) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  std::cout << "SKIPPED: a sanitizer's allocator does not say how much is in use" << std::endl;
#else
  constexpr std::uint64_t busy = 10'000;
  const auto in_use = [] {
    const auto info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
  };
  const auto before = in_use();
  const volume_pattern::shape large{byte_count{16ull << 20}, busy, {300.0, 1800.0, 7200.0}};
  auto pattern = *volume_pattern::make(large);
  for (int half_hour = 0; half_hour < 52; ++half_hour)
    for (std::uint64_t chunk = 0; chunk < busy; ++chunk)
      pattern.add(access(1e9 + half_hour * 1800, chunk, 1 + static_cast<double>(chunk % 100)));
  const auto used = in_use() - before;
  BOOST_TEST(pattern.known_chunks() == busy);
  const auto saved = pattern.to_numbers().n_elem * sizeof(double);
  std::cout << "a pattern of " << busy << " busy chunks uses " << used / 1024 << " KiB of memory, and "
            << saved / 1024 << " KiB when it is saved" << std::endl;
  BOOST_TEST(used <= 64u << 20);
  BOOST_TEST(saved <= store::model_bytes_max);
#endif
}

BOOST_AUTO_TEST_SUITE_END()
