// The heat map: decay, classes, the chart, the persisted form.
#include <boost/test/unit_test.hpp>

#include "forecasting/heat/heat.hpp"
#include "tests/forecasting/synthetic.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(heat_test)

BOOST_AUTO_TEST_CASE(a_steady_rate_is_read_back_and_halves_with_each_half_life) {
  heat_map map;
  const double start = 1e9;
  for (int s = 0; s < 10 * 86400; s += 60)
    map.add(start + s, chunk_index{5}, 120, 0, 4096); // 2 per second
  const double end = start + 10 * 86400;
  const auto now = map.at(end);
  BOOST_REQUIRE(now.size() == 1u);
  for (double rate : now[0].request_rate)
    BOOST_TEST(rate == 2, boost::test_tools::tolerance(0.1));
  BOOST_TEST(now[0].byte_rate == 4096.0 / 60, boost::test_tools::tolerance(0.1));
  const auto later = map.at(end + 300);
  BOOST_TEST(later[0].request_rate[0] == now[0].request_rate[0] / 2, boost::test_tools::tolerance(1e-6));
  const auto half_hour = map.at(end + 1800);
  BOOST_TEST(half_hour[0].request_rate[1] == now[0].request_rate[1] / 2, boost::test_tools::tolerance(1e-6));
}

BOOST_AUTO_TEST_CASE(chunks_are_told_apart_by_how_their_heat_goes) {
  heat_map map;
  const double start = 1e9;
  for (int s = 0; s < 3 * 86400; s += 60) {
    map.add(start + s, chunk_index{1}, 50, 50, 4096); // always much
    if (s % 3600 == 0)
      map.add(start + s, chunk_index{2}, 1, 0, 4096); // always little
    if (s >= 3 * 86400 - 1800)
      map.add(start + s, chunk_index{3}, 100, 0, 4096); // only now
    if (s < 3 * 86400 - 6 * 3600)
      map.add(start + s, chunk_index{4}, 20, 0, 4096); // no more
  }
  map.add(start, chunk_index{5}, 1, 0, 4096);
  const auto heat = map.at(start + 3 * 86400);
  BOOST_REQUIRE(heat.size() == 5u);
  BOOST_TEST(to_string(heat[0].kind) == "frequent");
  BOOST_TEST(heat[0].write_share == 0.5, boost::test_tools::tolerance(1e-6));
  BOOST_TEST(to_string(heat[1].kind) == "rare");
  BOOST_TEST(to_string(heat[2].kind) == "rising");
  BOOST_TEST(to_string(heat[3].kind) == "falling");
  // Long after, nothing is left of any of it.
  for (const auto& c : map.at(start + 60 * 86400))
    BOOST_TEST(to_string(c.kind) == "cold");
}

BOOST_AUTO_TEST_CASE(a_clock_that_goes_backwards_and_hostile_counts_do_no_harm) {
  heat_map map;
  map.add(1000, chunk_index{1}, 10, 0, 10);
  map.add(500, chunk_index{1}, 10, 0, 10);
  BOOST_TEST(map.at(0)[0].request_rate[0] == 20 * std::numbers::ln2 / 300, boost::test_tools::tolerance(1e-9));
  map.add(test::not_a_number, chunk_index{2}, 1, 1, 1);
  map.add(1000, chunk_index{2}, -1, 1, 1);
  map.add(1000, chunk_index{2}, 1e300 * 1e300, 1, 1);
  BOOST_TEST(map.chunks() == 1u);
  for (int i = 0; i < 100; ++i)
    map.add(1000, chunk_index{1}, 1e15, 1e15, 1e15);
  BOOST_TEST(std::isfinite(map.at(1000)[0].request_rate[0]));
}

BOOST_AUTO_TEST_CASE(the_chart_adds_up_what_lies_in_it) {
  const std::vector<heat_sample> samples = {{0, chunk_index{0}, 1},   {9.9, chunk_index{9}, 2},
                                            {5, chunk_index{5}, 4},   {10, chunk_index{0}, 99},
                                            {-1, chunk_index{0}, 99}, {1, chunk_index{10}, 99}};
  const auto chart = heat_chart(samples, 10, 0, 10, 2, 2);
  BOOST_TEST(chart(0, 0) == 1);
  BOOST_TEST(chart(1, 1) == 6);
  BOOST_TEST(arma::accu(chart) == 7);
  BOOST_TEST(heat_chart(samples, 10, 10, 10, 2, 2).is_empty());
  BOOST_TEST(heat_chart(samples, 0, 0, 10, 2, 2).is_empty());
}

BOOST_AUTO_TEST_CASE(a_map_comes_back_from_its_numbers_and_damage_is_refused) {
  heat_map map;
  for (std::uint64_t c = 0; c < 50; ++c)
    map.add(1e9 + static_cast<double>(c) * 100, chunk_index{c * 7}, static_cast<double>(c), 1, 4096);
  const auto numbers = map.to_numbers();
  const auto back = heat_map::from_numbers(numbers);
  BOOST_REQUIRE(back);
  const auto a = map.at(1e9 + 9000), b = back->at(1e9 + 9000);
  BOOST_REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    BOOST_TEST(a[i].chunk.value == b[i].chunk.value);
    BOOST_TEST(a[i].request_rate[2] == b[i].request_rate[2]);
  }
  for (arma::uword cut = 0; cut < numbers.n_elem; ++cut)
    BOOST_REQUIRE(!heat_map::from_numbers(numbers.head(cut)));
  arma::vec other = numbers;
  other(1) = 7;
  BOOST_TEST((heat_map::from_numbers(other).error().code == errc::unsupported));
  other = numbers;
  other(7) = -1;
  BOOST_TEST(!heat_map::from_numbers(other));
}

BOOST_AUTO_TEST_SUITE_END()
