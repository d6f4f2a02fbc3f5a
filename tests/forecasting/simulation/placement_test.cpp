// Placement by simulation: fetches take time and space is kept by every method; the oracle is never beaten;
// prediction brings in what recurs, and where nothing can be predicted it costs little.
#include <boost/test/unit_test.hpp>

#include <random>

#include "forecasting/simulation/placement.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(placement_test)
namespace {

placement_setup one_node() {
  placement_setup s;
  s.nodes.push_back({"alpha", 1, {}});
  s.volumes.push_back({"db", 0, 0});
  s.granules_per_chunk = 16;
  return s;
}

// Every day for an hour the same region is read all over, in random order; the rest of the day others are.
placement_setup daily_task(std::uint64_t seed, int days) {
  auto s = one_node();
  std::mt19937_64 random(seed);
  for (int d = 0; d < days; ++d)
    for (int minute = 0; minute < 24 * 60; ++minute) {
      const bool task = minute >= 600 && minute < 660;
      for (int k = 0; k < (task ? 6 : 2); ++k) {
        const std::uint64_t at = task && k < 5 ? random() % 256 : 1024 + random() % 128 + 4096 * (random() % 4 == 0);
        s.reads.push_back({d * 86400.0 + minute * 60 + k * 5, 0, at, 1, 4096});
      }
    }
  return s;
}

placement_setup at_random(std::uint64_t seed) {
  auto s = one_node();
  std::mt19937_64 random(seed);
  for (int n = 0; n < 20'000; ++n)
    s.reads.push_back({n * 0.5, 0, random() % 50'000, 1, 4096});
  return s;
}

placement_outcome run(const placement_setup& s, placement_method m, std::uint64_t space) {
  placement_limits limits;
  limits.space_granules = space;
  auto out = simulate_placement(s, m, limits);
  BOOST_REQUIRE(out.has_value());
  return *out;
}

} // namespace

BOOST_AUTO_TEST_CASE(nothing_near_means_every_read_waits_for_the_home) {
  const auto s = daily_task(1, 1);
  const auto o = run(s, placement_method::nothing, 256);
  BOOST_TEST(o.near == 0u);
  BOOST_TEST(o.reads == s.reads.size());
  BOOST_TEST(o.bytes_moved == s.reads.size() * simulated_granule_bytes);
  BOOST_TEST(o.mean_seconds > s.nodes[0].link.far_seconds);
}

BOOST_AUTO_TEST_CASE(a_granule_is_near_only_after_its_fetch_has_arrived) {
  auto s = one_node();
  s.reads = {{0, 0, 7, 1, 4096}, {1e-5, 0, 7, 1, 4096}, {1, 0, 7, 1, 4096}};
  const auto o = run(s, placement_method::lru, 8);
  BOOST_TEST(o.near == 1u); // the last one: the second came while the first was on its way
  BOOST_TEST(o.bytes_moved == simulated_granule_bytes);
}

BOOST_AUTO_TEST_CASE(no_method_beats_the_oracle_or_forgets_a_read) {
  const auto s = daily_task(2, 3);
  const auto oracle = run(s, placement_method::oracle, 200);
  for (int m = 0; m <= static_cast<int>(placement_method::gnomon); ++m) {
    const auto o = run(s, static_cast<placement_method>(m), 200);
    BOOST_TEST(o.reads == s.reads.size());
    BOOST_TEST(o.near <= oracle.near, to_string(o.method));
    BOOST_TEST(o.bytes_in_vain <= o.bytes_moved);
  }
}

BOOST_AUTO_TEST_CASE(the_oracle_keeps_to_its_bytes) {
  const auto s = daily_task(3, 2);
  placement_limits limits;
  limits.space_granules = 200;
  limits.granules_moved_max = 500;
  const auto few = simulate_placement(s, placement_method::oracle, limits);
  BOOST_REQUIRE(few.has_value());
  BOOST_TEST(few->near < run(s, placement_method::oracle, 200).near);
}

BOOST_AUTO_TEST_CASE(a_task_that_recurs_is_brought_in_before_it_begins) {
  const auto s = daily_task(4, 6);
  const auto with = run(s, placement_method::gnomon, 200);
  placement_limits limits;
  limits.space_granules = 200;
  limits.gateway.value.recurring_weight = 0;
  limits.gateway.value.learned_from = 0;
  const auto without = simulate_placement(s, placement_method::gnomon, limits);
  BOOST_REQUIRE(without.has_value());
  BOOST_TEST(with.near_by_kind[static_cast<std::size_t>(prediction_kind::recurring)] > 0u);
  BOOST_TEST(with.near > without->near);
  BOOST_TEST(with.near > run(s, placement_method::lru_ahead_4, 200).near);
}

BOOST_AUTO_TEST_CASE(where_nothing_can_be_predicted_little_is_lost) {
  const auto s = at_random(5);
  const auto gnomon = run(s, placement_method::gnomon, 2000);
  const auto lru = run(s, placement_method::lru, 2000);
  BOOST_TEST(gnomon.near_share() >= lru.near_share() - 0.01);
  BOOST_TEST(static_cast<double>(gnomon.bytes_moved) <= 1.5 * static_cast<double>(lru.bytes_moved));
}

BOOST_AUTO_TEST_CASE(equal_input_gives_equal_output) {
  const auto s = daily_task(6, 2);
  const auto a = run(s, placement_method::gnomon, 300), b = run(s, placement_method::gnomon, 300);
  BOOST_TEST(a.near == b.near);
  BOOST_TEST(a.bytes_moved == b.bytes_moved);
}

BOOST_AUTO_TEST_CASE(nodes_share_the_space_and_are_told_apart) {
  auto s = one_node();
  s.nodes.push_back({"beta", 1, {}});
  s.volumes.push_back({"other", 1, 0.01}); // its home is farther away
  for (int n = 0; n < 100; ++n) {
    s.reads.push_back({n * 1.0, 0, static_cast<std::uint64_t>(n % 4), 1, 4096});
    s.reads.push_back({n * 1.0 + 0.5, 1, static_cast<std::uint64_t>(n % 8), 1, 4096});
  }
  const auto o = run(s, placement_method::lru, 8); // four each: enough for one of them
  BOOST_TEST(o.near == 96u);
  BOOST_TEST(o.p99_seconds > 0.009);
  s.volumes[0].node = 7;
  placement_limits limits;
  BOOST_TEST(!simulate_placement(s, placement_method::lru, limits).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
