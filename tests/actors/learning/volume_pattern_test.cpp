#include "actors/learning/volume_pattern.hpp"

#include <cmath>

#include <boost/test/unit_test.hpp>

#include "tests/actors/actor_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::tests;

BOOST_AUTO_TEST_SUITE(volume_pattern_test)
namespace {

constexpr double begin = 1'700'000'000; // a multiple of 10 s, not of 5 min
constexpr std::uint64_t MiB = 1 << 20;

volume_pattern::shape shape_of(std::uint64_t chunks) { return {byte_count{16 * MiB}, chunks, {300, 1800, 7200}}; }
observed second_at(double seconds, std::vector<observed_chunk> rows) {
  return {static_cast<std::int64_t>(seconds * 1e6), std::move(rows)};
}
observed_chunk row(std::uint64_t chunk, const char* instance, std::uint32_t reads, std::uint32_t writes = 0) {
  return {chunk_index{chunk}, false, instance_id{instance}, reads, writes, 0, reads * 4096ull, writes * 4096ull};
}
const open_slot::row* find(const open_slot::closed& slot, std::uint64_t chunk, const std::string& instance) {
  for (const auto& one : slot.rows)
    if (one.chunk.value == chunk && one.instance.value == instance)
      return &one;
  return nullptr;
}

// Some hours of a volume: chunk 3 all the time, chunk 7 in the second half of each hour.
template <class Feed>
void hours_of_load(double from, double hours, const Feed& feed) {
  for (double t = from; t < from + hours * 3600; t += 10) {
    feed(t, 3, 20.0);
    if (static_cast<std::uint64_t>(t) % 3600 >= 1800)
      feed(t, 7, 50.0);
  }
}
volume_pattern::access access(double t, std::uint64_t chunk, double reads) {
  return {t, chunk_index{chunk}, reads, 0, reads * 4096, 0};
}

} // namespace

BOOST_AUTO_TEST_CASE(seconds_of_one_slot_are_added_up_by_chunk_and_instance) {
  open_slot slot;
  BOOST_TEST(!slot.add(second_at(begin, {row(1, "web", 3), row(1, "db", 1, 2)})));
  BOOST_TEST(!slot.add(second_at(begin + 9.9, {row(1, "web", 4), row(2, "web", 1)})));
  BOOST_TEST(!slot.close_before(begin + 9.99));
  const auto over = slot.close_before(begin + 10);
  BOOST_REQUIRE(over.has_value());
  BOOST_TEST(over->start_seconds == begin);
  BOOST_TEST(over->rows.size() == 3u);
  BOOST_TEST(find(*over, 1, "web")->counters.reads == 7u);
  BOOST_TEST(find(*over, 1, "db")->counters.writes == 2u);
  BOOST_TEST(over->total.reads == 9u);
  BOOST_TEST(over->total.writes == 2u);
  BOOST_TEST(slot.empty());
  BOOST_TEST(!slot.close());
}

BOOST_AUTO_TEST_CASE(the_next_slot_hands_out_the_former_also_when_the_clock_went_back) {
  open_slot slot;
  (void)slot.add(second_at(begin, {row(1, "", 1)}));
  const auto former = slot.add(second_at(begin + 25, {row(2, "", 5)}));
  BOOST_REQUIRE(former.has_value());
  BOOST_TEST(former->start_seconds == begin);
  const auto later = slot.add(second_at(begin - 100, {row(3, "", 1)}));
  BOOST_REQUIRE(later.has_value());
  BOOST_TEST(later->start_seconds == begin + 20);
  BOOST_TEST(slot.close()->start_seconds == begin - 100);
}

BOOST_AUTO_TEST_CASE(what_found_no_cell_counts_for_the_volume_alone) {
  open_slot slot;
  auto lost = row(0, "", 8);
  lost.whole_volume = true;
  (void)slot.add(second_at(begin, {lost, row(1, "web", 1)}));
  const auto over = slot.close();
  BOOST_TEST(over->rows.size() == 1u);
  BOOST_TEST(over->total.reads == 9u);
}

BOOST_AUTO_TEST_CASE(a_volume_a_few_seconds_old_has_hot_sets_already) {
  auto young = volume_pattern::make(shape_of(64)).value();
  young.add(access(begin + 1, 7, 3));
  young.add(access(begin + 2, 9, 30));
  for (int again = 0; again < 2; ++again) // asking changes nothing
    for (const auto& window : young.hot_sets(8)) {
      BOOST_REQUIRE(window.prediction.chunks.size() == 2u);
      BOOST_TEST(window.prediction.chunks[0].chunk.value == 9u);
      BOOST_TEST(window.prediction.windows_scored == 0);
    }
}

BOOST_AUTO_TEST_CASE(a_saved_pattern_and_the_rows_that_came_after_it_are_the_pattern) {
  auto whole = volume_pattern::make(shape_of(64)).value();
  hours_of_load(begin, 9, [&](double t, std::uint64_t chunk, double reads) { whole.add(access(t, chunk, reads)); });

  auto first = volume_pattern::make(shape_of(64)).value();
  const double cut = begin + 7.3 * 3600; // inside an open window of each horizon, at a slot's boundary
  std::vector<volume_pattern::access> kept;
  hours_of_load(begin, 9, [&](double t, std::uint64_t chunk, double reads) {
    kept.push_back(access(t, chunk, reads));
    if (t < cut)
      first.add(kept.back());
  });
  auto second = volume_pattern::from_numbers(first.to_numbers(), shape_of(64));
  BOOST_REQUIRE(second.has_value());
  BOOST_TEST(second->replay_from_seconds() < cut);
  BOOST_TEST(second->replay_from_seconds() > cut - 7200 - 10);
  for (const auto& one : kept)
    if (one.time_seconds >= second->replay_from_seconds())
      second->add(one);

  const double now = begin + 9 * 3600;
  whole.advance_to(now), second->advance_to(now);
  const auto expected = whole.heat(now), found = second->heat(now);
  BOOST_REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    BOOST_TEST(found[i].chunk.value == expected[i].chunk.value);
    for (std::size_t h = 0; h < found[i].request_rate.size(); ++h)
      BOOST_TEST(found[i].request_rate[h] == expected[i].request_rate[h], boost::test_tools::tolerance(1e-9));
  }
  const auto ours = second->hot_sets(4), theirs = whole.hot_sets(4);
  BOOST_REQUIRE(ours.size() == 3u);
  for (std::size_t w = 0; w < ours.size(); ++w) {
    BOOST_REQUIRE(ours[w].prediction.chunks.size() == theirs[w].prediction.chunks.size());
    BOOST_REQUIRE(!ours[w].prediction.chunks.empty());
    for (std::size_t i = 0; i < ours[w].prediction.chunks.size(); ++i)
      BOOST_TEST(ours[w].prediction.chunks[i].chunk.value == theirs[w].prediction.chunks[i].chunk.value);
  }
}

BOOST_AUTO_TEST_CASE(a_saved_pattern_of_another_shape_or_damaged_is_refused) {
  auto made = volume_pattern::make(shape_of(64)).value();
  made.add(access(begin, 3, 1));
  const auto numbers = made.to_numbers();
  BOOST_TEST(volume_pattern::from_numbers(numbers, shape_of(64)).has_value());
  BOOST_TEST((volume_pattern::from_numbers(numbers, shape_of(65)).error().code == errc::invalid_argument));
  auto other = shape_of(64);
  other.horizons_seconds = {300};
  BOOST_TEST((volume_pattern::from_numbers(numbers, other).error().code == errc::invalid_argument));
  for (arma::uword length = 0; length < numbers.n_elem; ++length)
    BOOST_TEST(!volume_pattern::from_numbers(forecasting::known_at(numbers, length), shape_of(64)).has_value());
  auto versioned = numbers;
  versioned(1) = 99;
  BOOST_TEST((volume_pattern::from_numbers(versioned, shape_of(64)).error().code == errc::unsupported));
}

BOOST_AUTO_TEST_CASE(chunks_beyond_the_volume_and_times_that_are_none_go_nowhere) {
  auto made = volume_pattern::make(shape_of(8)).value();
  made.add(access(begin, 8, 1));
  made.add(access(std::nan(""), 1, 1));
  BOOST_TEST(made.known_chunks() == 0u);
}

// Through a real history: what a node that was killed finds when it comes back.
BOOST_AUTO_TEST_CASE(a_pattern_is_learned_from_the_history_with_and_without_a_saved_one) {
  shared_clock clock;
  const temporary_history past(clock);
  auto& history = *past.history;
  const auto now = clock.wall_now();
  const double start = static_cast<double>(now.time_since_epoch().count()) * 1e-6 - 3 * 3600;
  const auto volume = volume_uuid::random();
  hours_of_load(start, 3, [&](double t, std::uint64_t chunk, double reads) {
    store::history_batch batch;
    batch.volume = volume;
    batch.time = wall_time{microseconds{static_cast<std::int64_t>(t * 1e6)}};
    const auto n = static_cast<std::uint64_t>(reads);
    batch.rows.push_back({chunk_index{chunk}, {}, {n, 0, n * 4096, 0, 0}});
    history.append(std::move(batch), nullptr);
  });
  BOOST_REQUIRE(history.maintain().has_value());

  const auto fresh = load_pattern(history, volume, shape_of(64), now, true);
  BOOST_REQUIRE(fresh.has_value());
  BOOST_TEST(fresh->known_chunks() == 2u);
  BOOST_REQUIRE(!fresh->hot_sets(4)[0].prediction.chunks.empty());

  BOOST_REQUIRE(
      history.put_model(volume.to_string(), pattern_model_name, pattern_model_version, to_bytes(fresh->to_numbers()))
          .has_value());
  const auto saved = load_pattern(history, volume, shape_of(64), now, true);
  BOOST_REQUIRE(saved.has_value());
  BOOST_TEST(saved->known_chunks() == 2u);
  // A saved state that cannot be read is no reason to know nothing.
  BOOST_REQUIRE(
      history.put_model(volume.to_string(), pattern_model_name, pattern_model_version, store::bytes(24)).has_value());
  const auto damaged = load_pattern(history, volume, shape_of(64), now, true);
  BOOST_REQUIRE(damaged.has_value());
  BOOST_TEST(damaged->known_chunks() == 2u);
  const auto none = load_pattern(history, volume_uuid::random(), shape_of(64), now, true);
  BOOST_REQUIRE(none.has_value());
  BOOST_TEST(none->known_chunks() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
