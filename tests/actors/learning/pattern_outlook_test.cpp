// What goes to the prediction board: heat, trend, hot sets of the volume and of each instance, loads by ratio; and
// what the memory of a pattern costs after a scan.
#include "actors/learning/pattern_outlook.hpp"

#include <set>

#include <boost/test/unit_test.hpp>

#include "actors/learning/load_outlook.hpp"

using namespace gnomon;
using namespace gnomon::actors;

BOOST_AUTO_TEST_SUITE(pattern_outlook_test)
namespace {

constexpr double begin = 1'700'006'400; // midnight
constexpr std::uint64_t MiB = 1 << 20;

volume_pattern pattern_of(std::uint64_t chunks) {
  auto made = volume_pattern::make({byte_count{16 * MiB}, chunks, {300, 1800}});
  BOOST_REQUIRE(made);
  return *made;
}
void touch(volume_pattern& p, double t, std::uint64_t chunk, std::uint32_t instance, double reads,
           double writes = 0) {
  p.add({t, chunk_index{chunk}, reads, writes, (reads + writes) * 4096, 0, instance});
}

} // namespace

BOOST_AUTO_TEST_CASE(each_instance_gets_the_hot_chunks_it_uses) {
  auto pattern = pattern_of(256);
  for (double t = begin; t < begin + 7200; t += 10) {
    touch(pattern, t, 3, 1, 20);
    touch(pattern, t, 7, 2, 10, 10);
    touch(pattern, t, 9, 1, 5);
    touch(pattern, t, 9, 2, 5);
  }
  pattern.advance_to(begin + 7200);
  const auto outlook = outlook_of(pattern, begin + 7200);
  BOOST_REQUIRE(outlook.heat.hot_sets.size() == 2u);
  BOOST_TEST(outlook.heat.hot_sets[0].chunks.size() == 3u);
  BOOST_TEST(outlook.heat.hot_sets[0].recall > 0.9);
  const auto* warm = outlook.heat.find(chunk_index{7});
  BOOST_REQUIRE(warm != nullptr);
  BOOST_TEST(warm->read_share == 0.5F, boost::test_tools::tolerance(0.01F));
  BOOST_TEST(warm->requests_per_second > 0);
  BOOST_TEST(outlook.heat.read_share_by_hour[0] > 0.7F);
  BOOST_REQUIRE(outlook.users.size() == 2u);
  for (const auto& user : outlook.users) {
    std::set<std::uint64_t> chunks;
    for (const auto& hot : user.heat.hot_sets[0].chunks) {
      chunks.insert(hot.chunk.value);
      BOOST_TEST(hot.expected_requests > 0);
      BOOST_TEST(hot.expected_read_bytes > 0);
      BOOST_TEST(hot.trust > 0.5);
    }
    BOOST_TEST((chunks == (user.instance == 1 ? std::set<std::uint64_t>{3, 9} : std::set<std::uint64_t>{7, 9})));
  }
}

BOOST_AUTO_TEST_CASE(a_saved_pattern_knows_its_users_and_an_older_form_is_refused) {
  auto pattern = pattern_of(64);
  for (double t = begin; t < begin + 1800; t += 10)
    touch(pattern, t, 1, 1, 5), touch(pattern, t, 2, 2, 5);
  pattern.advance_to(begin + 1800);
  auto numbers = pattern.to_numbers();
  const auto back = volume_pattern::from_numbers(numbers, pattern.of());
  BOOST_REQUIRE(back);
  BOOST_TEST(outlook_of(*back, begin + 1800).users.size() == 2u);
  numbers(1) = 1;
  const auto older = volume_pattern::from_numbers(numbers, pattern.of());
  BOOST_REQUIRE(!older);
  BOOST_TEST((older.error().code == errc::unsupported));
}

// A thousand volumes of 4,096 chunks, each touched everywhere once: what they hold can be brought below the bound.
BOOST_AUTO_TEST_CASE(a_scanned_volume_shrinks_to_what_it_may_hold_and_goes_on_learning) {
  auto pattern = pattern_of(4096);
  for (std::uint64_t c = 0; c < 4096; ++c)
    touch(pattern, begin + 1, c, 1, 1);
  for (double t = begin + 300; t < begin + 7200; t += 10)
    touch(pattern, t, 17, 1, 10);
  pattern.advance_to(begin + 7200);
  const auto before = pattern.bytes();
  BOOST_TEST_MESSAGE("a scanned volume holds " << before / 1024 << " KiB");
  BOOST_TEST(before < 3u << 20);
  constexpr std::size_t each = (256u << 20) / 1000; // of the default bound
  pattern.shrink_to(each);
  BOOST_TEST(pattern.bytes() <= each);
  const auto outlook = outlook_of(pattern, begin + 7200);
  BOOST_TEST((outlook.heat.find(chunk_index{17}) != nullptr)); // the warmest
  BOOST_REQUIRE(!outlook.heat.hot_sets[0].chunks.empty());
  BOOST_TEST(outlook.heat.hot_sets[0].chunks[0].chunk.value == 17u);
  pattern.shrink_to(0);
  touch(pattern, begin + 7300, 5, 1, 1);
  BOOST_TEST(pattern.known_chunks() == 1u);
}

BOOST_AUTO_TEST_CASE(other_kinds_of_load_follow_the_requests) {
  forecast_view view;
  view.step_us = 60'000'000, view.fitted_us = 5'000'000, view.enough_past = true;
  for (int i = 0; i < 10; ++i) {
    view.ahead.emplace_back(i < 5 ? 10.0 : 20.0);
    view.low.emplace_back(5.0), view.high.emplace_back(30.0);
  }
  horizon_score score;
  score.ahead_us = 300'000'000, score.origins = 9, score.served_mase = 0.7;
  view.horizons = {score, score};
  view.horizons[1].ahead_us = 3'600'000'000; // beyond what is forecast: its mean
  view.bursts = {{300'000'000, 100, 0.25, true}};
  const auto outlook = outlook_of(view, {0.75, 0.25, 4096});
  BOOST_REQUIRE(outlook.horizons.size() == 2u);
  using forecasting::board_load;
  const auto& soon = outlook.horizons[0];
  BOOST_TEST(soon.of(board_load::requests).per_second == 10);
  BOOST_TEST(soon.of(board_load::reads).per_second == 7.5);
  BOOST_TEST(soon.of(board_load::writes).high == 7.5);
  BOOST_TEST(soon.of(board_load::bytes).low == 5 * 4096);
  BOOST_TEST(soon.accuracy.served_mase == 0.7);
  BOOST_TEST(soon.burst.announced);
  BOOST_TEST(outlook.horizons[1].of(board_load::requests).per_second == 15);
  BOOST_TEST(outlook.fitted_seconds == 5);
}

BOOST_AUTO_TEST_SUITE_END()
