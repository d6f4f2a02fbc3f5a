// The prediction board: queries, sums, the bounds in bytes and subjects, and that a board never changes.
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <limits>

#include "forecasting/board/board_builder.hpp"
#include "tests/support/seeded.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;

namespace {

volume_uuid uuid_of(std::uint32_t n) {
  volume_uuid out;
  for (std::size_t i = 0; i < 4; ++i)
    out.bytes[i] = static_cast<std::uint8_t>(n >> (24 - 8 * i));
  return out;
}

constexpr byte_count volume_size{64ull << 30}, chunk_size{16ull << 20};

load_outlook load_of(double requests, double fitted = 100) {
  load_outlook out;
  out.fitted_seconds = fitted;
  for (const double ahead : {300.0, 1800.0, 7200.0}) {
    load_horizon h;
    h.ahead_seconds = ahead;
    h.load[0] = {requests, requests - 3, requests + 4};
    h.accuracy = {requests / 100, 1, 10};
    out.horizons.push_back(h);
  }
  return out;
}

heat_outlook heat_of(std::size_t chunks, std::uint64_t hot = 7) {
  heat_outlook out;
  out.as_of_seconds = 100;
  for (std::size_t c = 0; c < chunks; ++c) {
    chunk_outlook one;
    one.chunk = chunk_index{c};
    one.requests_per_second = static_cast<float>(c);
    out.chunks.push_back(one);
  }
  for (const double ahead : {300.0, 7200.0}) {
    hot_set_outlook set;
    set.ahead_seconds = ahead;
    set.chunks.push_back({chunk_index{hot + static_cast<std::uint64_t>(ahead)}, 5, 4096, 0.5});
    out.hot_sets.push_back(set);
  }
  return out;
}

std::vector<board_builder::user> users(std::vector<board_builder::user> all) { return all; }

void put_volume(board_builder& to, std::uint32_t n) {
  BOOST_REQUIRE(to.put(uuid_of(n), volume_name{"v" + std::to_string(n)}, volume_size, chunk_size));
}

} // namespace

BOOST_AUTO_TEST_SUITE(board_test)

BOOST_AUTO_TEST_CASE(what_was_put_is_found_and_what_was_not_is_not) {
  board_builder builder;
  for (std::uint32_t n = 0; n < 100; ++n)
    put_volume(builder, n * 7919 % 100);
  BOOST_REQUIRE(builder.put(uuid_of(42), load_of(10)));
  BOOST_REQUIRE(builder.put(uuid_of(42), heat_of(8)));
  BOOST_REQUIRE(builder.put(uuid_of(42), users({{instance_id{"web"}, "shop", 0.5, heat_of(0, 1)}})));
  BOOST_TEST((builder.put(uuid_of(1000), load_of(1)).error().code == errc::not_found));
  const auto board = builder.build(200, "alpha");
  BOOST_TEST(board->volumes().size() == 100u);
  const auto* volume = board->find(uuid_of(42));
  BOOST_REQUIRE(volume != nullptr);
  BOOST_TEST(volume == board->find(volume_name{"v42"}));
  BOOST_TEST(volume->load->at(1700)->of(board_load::requests).per_second == 10);
  BOOST_TEST(volume->load->at(1700)->ahead_seconds == 1800);
  BOOST_TEST(volume->heat->find(chunk_index{3})->requests_per_second == 3);
  BOOST_TEST(volume->heat->find(chunk_index{8}) == nullptr);
  BOOST_TEST(board->find(uuid_of(41))->load->horizons.empty());
  BOOST_TEST(board->find(uuid_of(100)) == nullptr);
  const auto* web = board->find(instance_id{"web"}, uuid_of(42));
  BOOST_REQUIRE(web != nullptr);
  BOOST_TEST(web->share == 0.5);
  BOOST_TEST(web->load->at(300)->of(board_load::requests).per_second == 5); // half of the volume's
  BOOST_REQUIRE(builder.put(uuid_of(42), load_of(30)));
  BOOST_TEST(builder.build(201, "alpha")
                 ->find(instance_id{"web"}, uuid_of(42))
                 ->load->at(300)
                 ->of(board_load::requests)
                 .high == 17);
  BOOST_TEST(board->find(instance_id{"web"}, uuid_of(41)) == nullptr);
  BOOST_TEST(prediction_board{}.find(uuid_of(42)) == nullptr);
}

BOOST_AUTO_TEST_CASE(hot_chunks_are_the_instances_own_within_the_nearest_horizon) {
  board_builder builder;
  put_volume(builder, 1);
  BOOST_REQUIRE(builder.put(uuid_of(1), heat_of(8, 9)));
  BOOST_REQUIRE(builder.put(uuid_of(1), users({{instance_id{"web"}, "", 1, heat_of(0, 2)}})));
  const auto board = builder.build(0, "alpha");
  const auto soon = board->hot_chunks(instance_id{"web"}, uuid_of(1), 60);
  BOOST_TEST(soon.chunks() == 4096u);
  BOOST_TEST(soon.count() == 1u);
  BOOST_TEST(soon.test(chunk_index{302}));
  // Beyond the volume: named by no bit.
  BOOST_TEST(board->hot_chunks(instance_id{"web"}, uuid_of(1), 6000).count() == 0u);
  BOOST_TEST(board->hot_chunks(instance_id{"db"}, uuid_of(1), 60).count() == 0u);
  BOOST_TEST(board->hot_chunks(instance_id{"web"}, uuid_of(2), 60).chunks() == 0u);
}

BOOST_AUTO_TEST_CASE(sums_add_up_loads_and_bounds_of_node_and_application) {
  board_builder builder;
  for (std::uint32_t n = 1; n <= 3; ++n) {
    put_volume(builder, n);
    BOOST_REQUIRE(builder.put(uuid_of(n), load_of(10.0 * n, 100 + n)));
    BOOST_REQUIRE(
        builder.put(uuid_of(n), users({{instance_id{"i" + std::to_string(n)}, n == 3 ? "" : "shop", 0.1, {}}})));
  }
  put_volume(builder, 4); // not fitted yet: counts nowhere
  const auto board = builder.build(0, "alpha");
  BOOST_TEST(board->node().name == "alpha");
  BOOST_TEST(board->node().subjects == 3u);
  BOOST_TEST(board->node().oldest_seconds == 101);
  BOOST_REQUIRE(board->node().horizons.size() == 3u);
  const auto& sum = board->node().horizons[0].of(board_load::requests);
  BOOST_TEST(sum.per_second == 60);
  BOOST_TEST(sum.low == 60 - std::sqrt(27.0), boost::test_tools::tolerance(1e-9));
  BOOST_TEST(sum.high == 60 + std::sqrt(48.0), boost::test_tools::tolerance(1e-9));
  BOOST_TEST(board->node().horizons[0].accuracy.served_mase == 0.3);
  BOOST_REQUIRE(board->applications().size() == 1u);
  BOOST_TEST(board->application("shop")->horizons[0].of(board_load::requests).per_second == 3);
  BOOST_TEST(board->application("mail") == nullptr);
}

BOOST_AUTO_TEST_CASE(a_board_stays_as_it_was_made) {
  board_builder builder;
  put_volume(builder, 1);
  BOOST_REQUIRE(builder.put(uuid_of(1), load_of(10)));
  const auto before = builder.build(1, "alpha");
  BOOST_TEST(!builder.changed());
  BOOST_REQUIRE(builder.put(uuid_of(1), load_of(99)));
  BOOST_TEST(builder.changed());
  builder.erase(uuid_of(1));
  BOOST_REQUIRE(before->find(uuid_of(1)) != nullptr);
  BOOST_TEST(before->find(uuid_of(1))->load->at(300)->of(board_load::requests).per_second == 10);
  BOOST_TEST(builder.build(2, "alpha")->volumes().empty());
}

BOOST_AUTO_TEST_CASE(the_bound_in_bytes_takes_the_coldest_chunks_first) {
  board_builder builder({.bytes = 256 << 10, .volumes = 100, .instances = 100});
  for (std::uint32_t n = 0; n < 10; ++n) {
    put_volume(builder, n);
    BOOST_REQUIRE(builder.put(uuid_of(n), heat_of(4096)));
    BOOST_TEST(builder.bytes() <= 256u << 10);
  }
  const auto board = builder.build(0, "alpha");
  for (const auto& volume : board->volumes()) {
    const auto& heat = *volume->heat;
    BOOST_TEST(heat.chunks.size() >= 64u);
    BOOST_TEST(heat.chunks.size() + heat.chunks_left_out == 4096u);
    BOOST_TEST((heat.find(chunk_index{4095}) != nullptr)); // the warmest
  }
  // Shrunk as far as they go: the next one is refused, and the volume stays known.
  board_builder tiny({.bytes = 4 << 10, .volumes = 1, .instances = 1});
  put_volume(tiny, 1);
  auto many_sets = heat_of(64);
  many_sets.hot_sets[0].chunks.resize(1000);
  BOOST_TEST((tiny.put(uuid_of(1), many_sets).error().code == errc::limit_reached));
  BOOST_TEST(
      (tiny.put(uuid_of(1), users({{instance_id{"a"}, "", 1, many_sets}})).error().code == errc::limit_reached));
  BOOST_TEST(tiny.bytes() <= 4u << 10);
  BOOST_TEST(tiny.refused() == 2u);
  BOOST_TEST((tiny.put(uuid_of(2), volume_name{"x"}, volume_size, chunk_size).error().code == errc::limit_reached));
  BOOST_TEST(tiny.build(0, "alpha")->volumes().size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_volume_that_changes_keeps_what_still_holds) {
  board_builder builder;
  put_volume(builder, 1);
  BOOST_REQUIRE(builder.put(uuid_of(1), load_of(10)));
  BOOST_REQUIRE(builder.put(uuid_of(1), heat_of(8)));
  BOOST_REQUIRE(builder.put(uuid_of(1), volume_name{"renamed"}, volume_size, chunk_size));
  auto board = builder.build(0, "alpha");
  BOOST_TEST(board->find(uuid_of(1))->heat->chunks.size() == 8u);
  BOOST_TEST(board->find(uuid_of(1))->name.value == "renamed");
  BOOST_REQUIRE(builder.put(uuid_of(1), volume_name{"renamed"}, volume_size, byte_count{chunk_size.value * 2}));
  board = builder.build(0, "alpha");
  BOOST_TEST(board->find(uuid_of(1))->heat->chunks.empty());
  BOOST_TEST(board->find(uuid_of(1))->load->horizons.size() == 3u);
}

BOOST_AUTO_TEST_CASE(nothing_on_a_board_is_infinite) {
  board_builder builder;
  put_volume(builder, 1);
  auto load = load_of(std::numeric_limits<double>::infinity());
  load.quiet.resize(board_windows_max + 5, {std::nan(""), 1, 1, 1});
  BOOST_REQUIRE(builder.put(uuid_of(1), load));
  const auto board = builder.build(0, "alpha");
  const auto& got = *board->find(uuid_of(1))->load;
  BOOST_TEST(got.horizons[0].load[0].per_second == 0);
  BOOST_TEST(got.quiet.size() == board_windows_max);
  BOOST_TEST(got.quiet[0].start_seconds == 0);
  BOOST_TEST(std::isfinite(board->node().horizons[0].load[0].high));
}

BOOST_AUTO_TEST_CASE(bytes_agree_with_a_recount_after_random_changes) {
  io::test::random_source random(io::test::seed_for("board/bytes"));
  board_builder builder;
  for (int i = 0; i < 2000; ++i) {
    const auto n = static_cast<std::uint32_t>(random.below(20));
    switch (random.below(5)) {
    case 0:
      put_volume(builder, n);
      break;
    case 1:
      (void)builder.put(uuid_of(n), heat_of(random.below(100)));
      break;
    case 2:
      (void)builder.put(uuid_of(n), users({{instance_id{"i" + std::to_string(random.below(3))}, "app", 1,
                                            heat_of(random.below(10))},
                                           {instance_id{"x"}, "", 0, {}}}));
      break;
    case 3:
      (void)builder.put(uuid_of(n), load_of(static_cast<double>(n)));
      break;
    case 4:
      builder.erase(uuid_of(n));
      break;
    }
  }
  for (std::uint32_t n = 0; n < 20; ++n)
    builder.erase(uuid_of(n));
  BOOST_TEST(builder.bytes() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
