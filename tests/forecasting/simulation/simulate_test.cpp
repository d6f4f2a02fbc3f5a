// Observation and simulation: roll-ups add up, and the simulation predicts only from what it has seen.
#include <boost/test/unit_test.hpp>

#include "forecasting/simulation/simulate.hpp"
#include "tests/forecasting/synthetic.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(simulate_test)
namespace {

// Requests of a volume whose load has a daily cycle and whose hot chunks are always the same.
void feed_days(simulation& sim, double days, std::uint64_t seed, std::uint32_t volume = 0) {
  std::mt19937_64 random(seed);
  for (double t = 0; t < days * day;) {
    sim.feed({t, volume, random() % 3 == 0,
              byte_offset{((random() % 10 == 0 ? random() % 64 : random() % 4 * 16) << 24)}, byte_count{4096}});
    const double rate = 0.02 * (1.2 + std::sin(2 * std::numbers::pi * t / day));
    t += std::exponential_distribution<>(rate)(random);
  }
}

simulation make_simulation(simulation_options options = {}) {
  return std::move(*simulation::make({{"db", byte_count{1ull << 30}, byte_count{0}}}, std::move(options)));
}

} // namespace

BOOST_AUTO_TEST_CASE(every_level_of_a_rollup_adds_up_to_what_was_counted) {
  rollup load;
  std::mt19937_64 random(3);
  double requests = 0;
  for (double t = 1e9; t < 1e9 + 3500; t += 1 + static_cast<double>(random() % 20)) {
    load.add(t, {1, 2, 4096, 8192});
    requests += 3;
  }
  load.advance_to(1e9 + 2 * hour);
  for (rollup_level level : rollup_levels) {
    const grid slots = load.series_of(level, load_quantity::requests);
    BOOST_TEST(slots.step_seconds == step_seconds_of(level));
    BOOST_TEST(slots.size() <= slots_max_of(level));
    if (level != rollup_level::ten_seconds) // which keeps one hour
      BOOST_TEST(arma::accu(slots.value) == requests);
    BOOST_TEST(std::fmod(slots.start_seconds, slots.step_seconds) == 0);
  }
  BOOST_TEST(arma::accu(load.series_of(rollup_level::one_hour, load_quantity::write_bytes).value) ==
             requests / 3 * 8192);
}

BOOST_AUTO_TEST_CASE(a_rollup_survives_leaps_backwards_and_forwards) {
  rollup load;
  load.add(1e6, {1, 0, 0, 0});
  load.add(1e6 - 100, {1, 0, 0, 0}); // before the first slot: nowhere
  load.add(test::not_a_number, {1, 0, 0, 0});
  load.add(9e11, {1, 0, 0, 0});
  load.advance_to(9e11 + 7200);
  BOOST_TEST(arma::accu(load.series_of(rollup_level::one_hour, load_quantity::reads).value) == 1);
  BOOST_TEST(rollup().series_of(rollup_level::one_minute, load_quantity::bytes).size() == 0u);
}

BOOST_AUTO_TEST_CASE(chunks_are_collected_with_their_share_and_streams_are_seen) {
  chunk_collector collector(byte_count{1 << 20});
  collector.add(1, byte_offset{(1 << 20) - 4096}, byte_count{8192}); // half in chunk 0, half in 1
  collector.add(2, byte_offset{(1 << 20) + 4096}, byte_count{4096}); // goes on where the first ended
  collector.add(3, byte_offset{9 << 20}, byte_count{4096});
  collector.add(3, byte_offset{~0ull - 5}, byte_count{4096}); // beyond all offsets: ignored
  const auto seen = collector.take();
  BOOST_REQUIRE(seen.size() == 3u);
  BOOST_TEST(seen[0].bytes == 4096);
  BOOST_TEST(seen[1].requests == 2);
  BOOST_TEST(seen[1].bytes == 8192);
  BOOST_TEST(seen[1].sequential_bytes == 4096);
  BOOST_TEST(seen[1].last_seconds == 2);
  BOOST_TEST(seen[2].sequential_bytes == 0);
  BOOST_TEST(collector.take().empty());
}

BOOST_AUTO_TEST_CASE(what_cannot_be_simulated_is_refused) {
  BOOST_TEST(!simulation::make({}));
  simulation_options options;
  options.horizons_seconds = {};
  BOOST_TEST(!simulation::make({{"a", byte_count{1 << 30}, byte_count{0}}}, options));
  options.horizons_seconds = {7};
  BOOST_TEST(!simulation::make({{"a", byte_count{1 << 30}, byte_count{0}}}, options));
  options = {};
  options.set_sizes = {0};
  BOOST_TEST(!simulation::make({{"a", byte_count{1 << 30}, byte_count{0}}}, options));
  auto sim = make_simulation();
  BOOST_TEST((sim.feed({0, 1, false, {}, byte_count{1}}).error().code == errc::out_of_range));
  BOOST_TEST(!sim.feed({test::not_a_number, 0, false, {}, byte_count{1}}));
  BOOST_TEST(sim.scores().requests == 0);
}

BOOST_AUTO_TEST_CASE(a_daily_volume_with_a_stable_hot_set_scores_well) {
  simulation_options options;
  options.horizons_seconds = {30 * minute, 2 * hour};
  options.set_sizes = {4};
  options.score_from_seconds = 2 * day;
  int ticks = 0;
  options.stopwatch_seconds = [&] { return 0.001 * ++ticks; };
  auto sim = make_simulation(options);
  feed_days(sim, 6, 77);
  const auto scores = sim.scores();
  BOOST_REQUIRE(scores.horizons.size() == 2u);
  for (const auto& h : scores.horizons) {
    BOOST_TEST(h.load.forecasts > 20);
    BOOST_TEST(h.load.mase < h.load.method_mase[static_cast<std::size_t>(method::last_value)]);
    BOOST_TEST(h.load.conformal_coverage > 0.75);
    BOOST_TEST(h.hot[0].recall > 0.9);
    BOOST_TEST(h.hot[0].precision > 0.9);
    BOOST_TEST(h.hot[0].windows > 40);
  }
  BOOST_TEST(scores.load_spent_seconds > 0);
  BOOST_TEST(scores.observe_spent_seconds > 0);
}

BOOST_AUTO_TEST_CASE(the_future_changes_no_score_of_the_past) {
  auto a = make_simulation(), b = make_simulation();
  feed_days(a, 2, 5);
  feed_days(b, 2, 5);
  b.feed({a.now_seconds() + 1, 0, true, byte_offset{63 << 24}, byte_count{1 << 20}});
  const auto x = a.scores(), y = b.scores();
  for (std::size_t h = 0; h < x.horizons.size(); ++h) {
    BOOST_TEST(x.horizons[h].load.mase == y.horizons[h].load.mase);
    BOOST_TEST(x.horizons[h].hot[0].recall == y.horizons[h].hot[0].recall);
  }
}

BOOST_AUTO_TEST_CASE(years_of_silence_and_times_that_go_back_are_survived) {
  auto sim = make_simulation();
  feed_days(sim, 1, 5);
  BOOST_TEST(sim.feed({1e9, 0, false, byte_offset{0}, byte_count{4096}}).has_value());
  BOOST_TEST(sim.feed({5, 0, false, byte_offset{0}, byte_count{4096}}).has_value());
  BOOST_TEST(sim.now_seconds() == 1e9);
  BOOST_TEST(sim.feed({1e12, 0, false, byte_offset{1ull << 62}, byte_count{4096}}).has_value());
  for (const auto& h : sim.scores().horizons)
    BOOST_TEST(std::isfinite(h.load.mase));
}

BOOST_AUTO_TEST_SUITE_END()
