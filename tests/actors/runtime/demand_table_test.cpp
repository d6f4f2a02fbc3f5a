// Demand fades with its half-life, and the table that holds it is bounded.
#include <boost/test/unit_test.hpp>

#include "actors/runtime/demand_table.hpp"

using namespace gnomon;
using namespace gnomon::actors;

BOOST_AUTO_TEST_SUITE(demand_table_test)

BOOST_AUTO_TEST_CASE(a_steady_rate_is_shown_as_it_is_and_halves_when_it_ends) {
  demand_table table;
  table.set_half_life(60);
  const auto volume = volume_uuid::random();
  double now = 1000;
  for (int i = 0; i < 1'200; ++i)
    table.add(volume, chunk_index{4}, instance_id{"web-1"}, 10, 2, ++now);
  auto rows = table.at(now);
  BOOST_REQUIRE(rows.size() == 1u);
  BOOST_TEST(std::abs(rows[0].reads_per_second - 10) < 0.2);
  BOOST_TEST(std::abs(rows[0].writes_per_second - 2) < 0.05);
  BOOST_TEST(rows[0].last_seconds == now);
  const double before = rows[0].reads_per_second;
  rows = table.at(now + 60);
  BOOST_TEST(std::abs(rows[0].reads_per_second - before / 2) < 0.01);
  BOOST_TEST(table.at(now + 3600).empty());
}

BOOST_AUTO_TEST_CASE(a_full_table_forgets_those_with_the_least_demand) {
  demand_table table;
  const auto volume = volume_uuid::random();
  for (std::size_t i = 0; i < demand_table::rows_max + 1'000; ++i)
    table.add(volume, chunk_index{i}, instance_id{}, i % 2 == 0 ? 1 : 100, 0, 5);
  const auto rows = table.at(5);
  BOOST_TEST(rows.size() <= demand_table::rows_max);
  BOOST_TEST(std::count_if(rows.begin(), rows.end(), [](const auto& r) { return r.chunk.value % 2 == 1; }) ==
             static_cast<std::ptrdiff_t>(demand_table::rows_max / 2 + 500));
}

BOOST_AUTO_TEST_SUITE_END()
