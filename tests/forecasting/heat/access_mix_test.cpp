// The mix of accesses: shares per chunk and instance, reads by the hour, bounds, the persisted form.
#include <boost/test/unit_test.hpp>

#include <cmath>

#include "forecasting/heat/access_mix.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;

namespace {
constexpr double midnight = 86400.0 * 19000;
} // namespace

BOOST_AUTO_TEST_SUITE(access_mix_test)

BOOST_AUTO_TEST_CASE(a_single_instance_owns_every_chunk_and_costs_no_memory_per_chunk) {
  access_mix mix;
  for (std::uint64_t c = 0; c < 4096; ++c)
    mix.add(midnight, chunk_index{c}, 7, 1, 0);
  BOOST_TEST(mix.share(chunk_index{17}, 7) == 1);
  BOOST_TEST(mix.share(chunk_index{5000}, 7) == 1); // ahead of what it read
  BOOST_TEST(mix.share(chunk_index{17}, 8) == 0);
  BOOST_TEST(mix.bytes() < 2048u);
}

BOOST_AUTO_TEST_CASE(instances_with_chunks_of_their_own_are_told_apart) {
  access_mix mix;
  for (int t = 0; t < 100; ++t) {
    mix.add(midnight + t, chunk_index{1}, 1, 10, 0);
    mix.add(midnight + t, chunk_index{2}, 2, 5, 5);
    mix.add(midnight + t, chunk_index{3}, 1, 3, 0);
    mix.add(midnight + t, chunk_index{3}, 2, 1, 0);
  }
  BOOST_TEST(mix.share(chunk_index{1}, 1) > 0.99);
  BOOST_TEST(mix.share(chunk_index{1}, 2) < 0.01);
  BOOST_TEST(mix.share(chunk_index{3}, 1) == 0.75, boost::test_tools::tolerance(0.02));
  const auto all = mix.instances();
  BOOST_REQUIRE(all.size() == 2u);
  BOOST_TEST(all[0].instance == 1u);
  BOOST_TEST(all[0].share == 13.0 / 24, boost::test_tools::tolerance(0.01));
}

BOOST_AUTO_TEST_CASE(many_instances_on_one_chunk_share_it_by_their_share_of_the_volume) {
  access_mix mix;
  for (int t = 0; t < 50; ++t)
    for (std::uint32_t i = 1; i <= 100; ++i)
      mix.add(midnight + t, chunk_index{1}, i, 1, 0);
  double sum = 0;
  for (std::uint32_t i = 1; i <= 100; ++i)
    sum += mix.share(chunk_index{1}, i);
  BOOST_TEST(sum == 1, boost::test_tools::tolerance(0.1));
  BOOST_TEST(mix.share(chunk_index{1}, 50) > 0.005);
}

BOOST_AUTO_TEST_CASE(yesterdays_counts_fade_and_weeks_do_not_overflow) {
  access_mix mix;
  mix.add(midnight, chunk_index{1}, 1, 100, 0);
  mix.add(midnight, chunk_index{1}, 2, 100, 0);
  for (int d = 1; d <= 60; ++d)
    mix.add(midnight + d * day, chunk_index{1}, 2, 100, 0);
  BOOST_TEST(mix.share(chunk_index{1}, 2) > 0.99);
  BOOST_TEST(mix.instances().size() == 1u);
  BOOST_TEST(std::isfinite(mix.share(chunk_index{1}, 1)));
}

BOOST_AUTO_TEST_CASE(reads_are_told_by_the_hour) {
  access_mix mix;
  mix.add(midnight + 3.5 * hour, chunk_index{1}, 1, 30, 10);
  mix.add(midnight + 23.9 * hour, chunk_index{1}, 1, 0, 10);
  const auto share = mix.read_share_by_hour();
  BOOST_TEST(share[3] == 0.75F);
  BOOST_TEST(share[23] == 0.0F);
  BOOST_TEST(share[4] == -1.0F);
}

BOOST_AUTO_TEST_CASE(memory_is_bounded_by_chunks_and_instances) {
  access_mix mix;
  for (std::uint32_t i = 0; i < 200'000; ++i)
    mix.add(midnight + i, chunk_index{i}, i % 5000, 1, 0);
  BOOST_TEST(mix.instances().size() <= access_mix::instances_max);
  BOOST_TEST(mix.bytes() < 8u << 20);
}

BOOST_AUTO_TEST_CASE(a_mix_comes_back_from_its_numbers_and_damage_is_refused) {
  access_mix mix;
  for (std::uint32_t i = 0; i < 100; ++i)
    mix.add(midnight + i, chunk_index{i % 10}, i % 3, i, 1);
  const auto numbers = mix.to_numbers();
  const auto back = access_mix::from_numbers(numbers);
  BOOST_REQUIRE(back);
  for (std::uint64_t c = 0; c < 10; ++c)
    BOOST_TEST(back->share(chunk_index{c}, 1) == mix.share(chunk_index{c}, 1));
  BOOST_TEST(back->instances().size() == mix.instances().size());
  for (arma::uword cut = 0; cut < numbers.n_elem; ++cut)
    BOOST_TEST((!access_mix::from_numbers(known_at(numbers, cut))));
  for (arma::uword i = 0; i < numbers.n_elem; ++i) {
    arma::vec broken = numbers;
    broken(i) = std::nan("");
    BOOST_TEST((!access_mix::from_numbers(broken)));
  }
}

BOOST_AUTO_TEST_SUITE_END()
