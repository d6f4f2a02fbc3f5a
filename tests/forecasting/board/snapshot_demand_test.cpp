// The demand that snapshots are planned by: members and node in equal parts, and every reason for which it cannot be used.
#include "forecasting/board/snapshot_demand.hpp"

#include <boost/test/unit_test.hpp>

#include "forecasting/board/board_builder.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(snapshot_demand_test)
namespace {

constexpr double demand_now = 1.7e9;

volume_uuid demand_uuid(std::uint8_t n) {
  volume_uuid out;
  out.bytes[0] = n;
  return out;
}

load_outlook demand_load(double first_half, double second_half, double step = 300) {
  load_outlook out;
  out.fitted_seconds = demand_now - 60;
  out.enough_past = true;
  out.ahead.start_seconds = std::floor(demand_now / step) * step - step;
  out.ahead.step_seconds = step;
  out.ahead.mean_per_second = (first_half + second_half) / 2;
  const std::size_t slots = static_cast<std::size_t>(86400 / step);
  for (std::size_t i = 0; i < slots; ++i)
    out.ahead.per_second.push_back(static_cast<float>(i < slots / 2 ? first_half : second_half));
  return out;
}

struct demand_board {
  board_builder builder;
  void put(std::uint8_t n, load_outlook load) {
    BOOST_REQUIRE(builder.put(demand_uuid(n), volume_name{"v" + std::to_string(n)}, byte_count{1 << 30}, byte_count{1 << 20}));
    BOOST_REQUIRE(builder.put(demand_uuid(n), std::move(load)));
  }
  expected_demand of(std::vector<volume_uuid> members) {
    return demand_of(*builder.build(demand_now, "alpha"), members, demand_now);
  }
};

} // namespace

BOOST_AUTO_TEST_CASE(members_and_node_count_in_equal_parts) {
  demand_board board;
  board.put(1, demand_load(10, 30));
  board.put(2, demand_load(60, 20)); // a neighbour on the same node
  const auto demand = board.of({demand_uuid(1)});
  BOOST_TEST(demand.unusable == "");
  BOOST_TEST(demand.mean_load == 1);
  BOOST_TEST(std::abs(demand.load.value(0) - (0.5 * 10 / 20 + 0.5 * 70 / 60)) < 1e-5);
  BOOST_TEST(demand.load.start_seconds <= demand_now);
  BOOST_TEST(demand.load.end_seconds() > demand_now + 23 * hour);
}

BOOST_AUTO_TEST_CASE(forecasts_of_different_steps_are_brought_together) {
  demand_board board;
  board.put(1, demand_load(10, 30));
  auto fine = demand_load(10, 30, 60);
  fine.ahead.per_second.resize(360); // six hours
  board.put(2, std::move(fine));
  const auto both = board.of({demand_uuid(1), demand_uuid(2)});
  BOOST_TEST(both.load.step_seconds == 300);
  BOOST_TEST(both.load.end_seconds() <= demand_now + 6 * hour);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_planned_by_says_why) {
  demand_board board;
  board.put(1, demand_load(10, 30));
  auto young = demand_load(10, 30);
  young.enough_past = false;
  board.put(2, young);
  auto old = demand_load(10, 30);
  old.fitted_seconds = demand_now - day;
  board.put(3, old);
  auto poor = demand_load(10, 30);
  poor.horizons.push_back({1800, {}, {2, 1, 50}, {}});
  board.put(4, poor);
  board.put(5, {});
  const auto why = [&](std::uint8_t n) { return board.of({demand_uuid(1), demand_uuid(n)}).unusable; };
  BOOST_TEST(why(2) == "volume v2: too little of its load was observed");
  BOOST_TEST(why(3) == "volume v3: its forecast is old");
  BOOST_TEST(why(4) == "volume v4: its forecast does worse than a naive one");
  BOOST_TEST(why(5) == "volume v5: its load was not forecast yet");
  BOOST_TEST(why(9) == "a member is not on the prediction board yet");
  demand_board flat;
  flat.put(1, demand_load(10, 10));
  BOOST_TEST(flat.of({demand_uuid(1)}).unusable == "the same load is expected all the time");
  demand_board idle;
  idle.put(1, demand_load(0, 0));
  BOOST_TEST(idle.of({demand_uuid(1)}).unusable == "there was no load");
}

BOOST_AUTO_TEST_SUITE_END()
