// Hot sets: what each method is good for, that the served one follows the best of them, and the persisted form.
#include <boost/test/unit_test.hpp>

#include <set>

#include "forecasting/heat/rollup.hpp"
#include "tests/forecasting/synthetic.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(hot_set_test)
namespace {

constexpr byte_count small_chunk{1 << 20};

hot_set make_hot_set(std::uint64_t chunks, double window = 300) {
  hot_set_options options;
  options.window_seconds = window;
  options.chunk_size = small_chunk;
  options.chunk_count = chunks;
  return *hot_set::make(options);
}

chunk_window seen(std::uint64_t chunk, double requests, double at) {
  return {chunk_index{chunk}, requests, requests * 4096, 0, at};
}

double share_named(const hot_prediction& named, const std::vector<chunk_window>& truth) {
  std::set<std::uint64_t> said;
  for (const auto& c : named.chunks)
    said.insert(c.chunk.value);
  double hits = 0;
  for (const auto& c : truth)
    hits += said.contains(c.chunk.value) ? 1 : 0;
  return truth.empty() ? 0 : hits / static_cast<double>(truth.size());
}

} // namespace

BOOST_AUTO_TEST_CASE(options_out_of_range_are_refused) {
  hot_set_options options;
  BOOST_TEST(!hot_set::make(options)); // no chunks
  options.chunk_count = 10;
  BOOST_TEST(hot_set::make(options).has_value());
  options.window_seconds = 0;
  BOOST_TEST(!hot_set::make(options));
  options.window_seconds = 300;
  options.chunk_size = byte_count{0};
  BOOST_TEST(!hot_set::make(options));
}

BOOST_AUTO_TEST_CASE(the_simple_methods_name_what_their_names_say) {
  auto hot = make_hot_set(100);
  hot.close_window(0, {seen(1, 100, 10), seen(2, 5, 20)});
  hot.close_window(300, {seen(3, 10, 310), seen(4, 2, 590)});
  const auto first = [&](hot_method m) { return hot.predict_by(m, 1).chunks.at(0).chunk.value; };
  BOOST_TEST(first(hot_method::last_window) == 3u);
  BOOST_TEST(first(hot_method::recency) == 4u);
  BOOST_TEST(first(hot_method::frequency) == 1u);
  BOOST_TEST(first(hot_method::ewma) == 1u);
  BOOST_TEST(hot.predict_by(hot_method::last_window, 10).chunks.size() == 2u);
  BOOST_TEST(hot.predict(0).chunks.empty());
}

BOOST_AUTO_TEST_CASE(a_sequential_stream_is_met_before_it_arrives) {
  // One reader goes through fine chunks in order, 3 per window, never twice; beside it a few chunks of random noise.
  auto hot = make_hot_set(2000);
  chunk_collector collector(small_chunk);
  const auto seed = test::seed_for("a_sequential_stream_is_met_before_it_arrives");
  std::mt19937_64 random(seed);
  double served = 0, windows = 0;
  std::array<double, hot_method_count> by_method{};
  std::uint64_t at = 10ull << 20;
  bool named_ahead = false;
  for (int w = 0; w < 80; ++w) {
    std::vector<chunk_window> stream;
    for (int i = 0; i < 48; ++i, at += 64 << 10)
      collector.add(w * 300 + i * 6, byte_offset{at}, byte_count{64 << 10});
    for (int i = 0; i < 6; ++i)
      collector.add(w * 300 + i * 50, byte_offset{(1500 + random() % 400) << 20}, byte_count{4096});
    const auto truth = collector.take();
    for (const auto& c : truth)
      if (c.chunk.value < 1500)
        stream.push_back(c);
    if (w >= 20) {
      const auto named = hot.predict(8);
      for (const auto& c : named.chunks)
        named_ahead |= c.ahead_of_stream && c.expected_bytes > 0;
      served += share_named(named, stream);
      for (std::size_t m = 0; m < hot_method_count; ++m)
        by_method[m] += share_named(hot.predict_by(static_cast<hot_method>(m), 8), stream);
      windows += 1;
    }
    hot.close_window(w * 300, truth);
  }
  BOOST_TEST(named_ahead);
  BOOST_TEST(served / windows > 0.9);
  for (hot_method m : {hot_method::last_window, hot_method::recency, hot_method::frequency, hot_method::ewma})
    BOOST_TEST(by_method[static_cast<std::size_t>(m)] / windows < 0.5, to_string(m));
}

BOOST_AUTO_TEST_CASE(what_is_served_follows_whichever_method_is_best) {
  // A stable hot set under much one-time noise: frequency wins, the last window does not.
  auto hot = make_hot_set(4000);
  const auto seed = test::seed_for("what_is_served_follows_whichever_method_is_best");
  std::mt19937_64 random(seed);
  double served = 0, last = 0, frequency = 0;
  for (int w = 0; w < 120; ++w) {
    std::vector<chunk_window> truth, stable;
    for (std::uint64_t c = 0; c < 8; ++c)
      if (random() % 3 != 0)
        stable.push_back(seen(c * 400, 20, w * 300.0));
    truth = stable;
    for (int i = 0; i < 60; ++i)
      truth.push_back(seen(random() % 4000, 15, w * 300.0 + 200));
    if (w >= 40) {
      served += share_named(hot.predict(8), stable);
      last += share_named(hot.predict_by(hot_method::last_window, 8), stable);
      frequency += share_named(hot.predict_by(hot_method::frequency, 8), stable);
    }
    hot.close_window(w * 300.0, truth);
  }
  BOOST_TEST(served > 1.05 * last);
  BOOST_TEST(served > 0.95 * frequency);
}

BOOST_AUTO_TEST_CASE(a_daily_region_is_remembered_until_its_hour) {
  // 30-minute windows; chunks 500.. are read each day at noon alone, chunks 0.. a little all day.
  auto hot = make_hot_set(1000, 1800);
  double named = 0;
  for (int w = 0; w < 48 * 7; ++w) {
    std::vector<chunk_window> activity;
    for (std::uint64_t c = 0; c < 20; ++c)
      activity.push_back(seen(c, 10, w * 1800.0));
    const bool noon = w % 48 == 24;
    if (noon) {
      for (std::uint64_t c = 500; c < 508; ++c)
        activity.push_back(seen(c, 300, w * 1800.0));
      if (w >= 48 * 5)
        for (const auto& c : hot.predict_by(hot_method::learned, 8).chunks)
          named += c.chunk.value >= 500 ? 1 : 0;
    }
    hot.close_window(w * 1800.0, activity);
  }
  BOOST_TEST(named >= 14); // of 16 on two days
}

BOOST_AUTO_TEST_CASE(expected_bytes_are_near_what_comes) {
  auto hot = make_hot_set(100);
  for (int w = 0; w < 60; ++w)
    hot.close_window(w * 300.0, {seen(7, 1000, w * 300.0 + 299), seen(8, 10, w * 300.0 + 299)});
  const auto named = hot.predict(2).chunks;
  BOOST_REQUIRE(named.size() == 2u);
  BOOST_TEST(named[0].chunk.value == 7u);
  BOOST_TEST(named[0].expected_bytes > 0.5 * 1000 * 4096);
  BOOST_TEST(named[0].expected_bytes < 2.0 * 1000 * 4096);
}

BOOST_AUTO_TEST_CASE(old_repeated_and_hostile_windows_change_nothing_or_stay_finite) {
  auto hot = make_hot_set(50);
  hot.close_window(600, {seen(1, 5, 700)});
  const arma::vec before = hot.to_numbers();
  hot.close_window(300, {seen(2, 5, 400)});
  hot.close_window(600, {seen(2, 5, 700)});
  hot.close_window(test::not_a_number, {seen(2, 5, 700)});
  BOOST_TEST(arma::approx_equal(hot.to_numbers(), before, "absdiff", 0));
  const double wrong[] = {test::not_a_number, -1, 1e300, std::numeric_limits<double>::infinity(), 0};
  double at = 900;
  for (double a : wrong)
    for (double b : wrong) {
      hot.close_window(
          at, {{chunk_index{3}, a, b, a, b}, {chunk_index{~0ull}, 1, 1, 1, 1}, {chunk_index{4}, 5, a, b, b}});
      at += 300;
      for (const auto& c : hot.predict(50).chunks)
        BOOST_REQUIRE(std::isfinite(c.expected_bytes) && c.chunk.value < 50);
    }
  hot.close_window(1e11, {seen(1, 5, 1e11)});
  BOOST_TEST(hot.predict(1).chunks.at(0).chunk.value == 1u);
}

BOOST_AUTO_TEST_CASE(a_hot_set_comes_back_from_its_numbers_and_damage_is_refused) {
  const auto seed = test::seed_for("a_hot_set_comes_back_from_its_numbers_and_damage_is_refused");
  std::mt19937_64 random(seed);
  auto hot = make_hot_set(300);
  const auto window = [&](int w) {
    std::vector<chunk_window> activity;
    for (std::uint64_t c = 0; c < 300; c += 1 + random() % 40)
      activity.push_back(seen(c, static_cast<double>(1 + random() % 50), w * 300.0 + 100));
    return activity;
  };
  for (int w = 0; w < 30; ++w)
    hot.close_window(w * 300.0, window(w));
  const arma::vec numbers = hot.to_numbers();
  auto back = hot_set::from_numbers(numbers);
  BOOST_REQUIRE(back);
  for (int w = 30; w < 34; ++w) {
    const auto activity = window(w);
    hot.close_window(w * 300.0, activity);
    back->close_window(w * 300.0, activity);
  }
  const auto a = hot.predict(20).chunks, b = back->predict(20).chunks;
  BOOST_REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    BOOST_TEST(a[i].chunk.value == b[i].chunk.value);
  for (arma::uword cut = 0; cut < numbers.n_elem; cut += 1 + random() % 9)
    BOOST_REQUIRE(!hot_set::from_numbers(numbers.head(cut)));
  for (int round = 0; round < 1000; ++round) {
    arma::vec other = numbers;
    const double wrong[] = {-1, 1e18, test::not_a_number, 0.5};
    other(2 + random() % (numbers.n_elem - 2)) = wrong[random() % 4];
    if (auto damaged = hot_set::from_numbers(other))
      for (const auto& c : damaged->predict(300).chunks)
        BOOST_REQUIRE(c.chunk.value < damaged->options().chunk_count);
  }
}

BOOST_AUTO_TEST_SUITE_END()
