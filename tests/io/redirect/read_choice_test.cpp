// A gateway's reads go where the prediction, or the measured latency, says.
#include <boost/test/unit_test.hpp>

#include <thread>

#include "io/redirect/read_choice.hpp"

using namespace gnomon;
using namespace gnomon::io;

namespace {
constexpr byte_count chunk{16u << 20};
constexpr std::uint64_t C = 16u << 20;
using side = read_choice::side;

predicted_reads prediction() { // slot 3: chunk 1; slot 9: chunks 0 and 64; everybody: chunk 2
  return predicted_reads(chunk, {{instance_slot{9}, {1, 1}}, {instance_slot{3}, {2, 0}}}, {4, 0});
}
} // namespace

BOOST_AUTO_TEST_SUITE(read_choice_test)

BOOST_AUTO_TEST_CASE(a_range_is_hot_only_where_every_chunk_of_it_is) {
  const auto p = prediction();
  BOOST_TEST(p.is_hot(instance_slot{3}, C, 4096));
  BOOST_TEST(p.is_hot(instance_slot{3}, 2 * C - 4096, 4096));
  BOOST_TEST(!p.is_hot(instance_slot{3}, 2 * C - 4096, 8192)); // reaches into a chunk that is not
  BOOST_TEST(!p.is_hot(instance_slot{3}, 0, 4096));
  BOOST_TEST(p.is_hot(instance_slot{9}, 64 * C, 4096));
  BOOST_TEST(!p.is_hot(instance_slot{9}, 1000 * C, 4096)); // beyond the bitmap
}

BOOST_AUTO_TEST_CASE(an_instance_of_which_nothing_is_known_has_the_set_of_all) {
  const auto p = prediction();
  for (const std::uint32_t stranger : {0u, 4u, 10u}) {
    BOOST_TEST(p.is_hot(instance_slot{stranger}, 2 * C, 4096));
    BOOST_TEST(!p.is_hot(instance_slot{stranger}, C, 4096));
  }
}

BOOST_AUTO_TEST_CASE(a_prediction_is_bounded_in_instances) {
  std::vector<std::pair<instance_slot, predicted_reads::bitmap>> many;
  for (std::uint32_t i = 0; i < 2 * predicted_reads::instances_max; ++i)
    many.push_back({instance_slot{i}, {1}});
  const predicted_reads p(chunk, std::move(many), {2});
  BOOST_TEST(p.is_hot(instance_slot{predicted_reads::instances_max - 1}, 0, 4096));
  BOOST_TEST(!p.is_hot(instance_slot{predicted_reads::instances_max}, 0, 4096)); // has the set of all
  BOOST_TEST(p.bytes() < 16 * predicted_reads::instances_max + 4096);
}

BOOST_AUTO_TEST_CASE(the_rule_predicted_goes_by_the_prediction_alone) {
  read_choice choice(redirect_rule::predicted);
  const auto p = prediction();
  for (int i = 0; i < 100; ++i) {
    choice.near.add(1'000'000);
    choice.far.add(1'000);
  }
  for (int i = 0; i < 2'000; ++i) {
    BOOST_REQUIRE(choice.choose(&p, instance_slot{3}, C, 4096) == side::shadow);
    BOOST_REQUIRE(choice.choose(&p, instance_slot{3}, 0, 4096) == side::not_predicted);
  }
  BOOST_TEST((choice.choose(nullptr, instance_slot{3}, 0, 4096) == side::shadow)); // nothing is known
}

BOOST_AUTO_TEST_CASE(the_rule_nearest_goes_by_what_both_sides_took_and_looks_at_the_other_now_and_then) {
  read_choice choice(redirect_rule::nearest);
  const auto shares = [&] {
    std::array<int, 3> count{};
    for (int i = 0; i < 5'120; ++i)
      ++count[static_cast<std::size_t>(choice.choose(nullptr, instance_slot{1}, 0, 4096))];
    return count;
  };
  auto seen = shares(); // nothing measured: the shadow, and a probe of the home
  BOOST_TEST(seen[0] == 5'110);
  BOOST_TEST(seen[2] == 10);
  for (int i = 0; i < 1'000; ++i) {
    choice.near.add(2'000'000); // a congested shadow device
    choice.far.add(300'000);
  }
  seen = shares();
  BOOST_TEST(seen[0] == 80);
  BOOST_TEST(seen[2] == 5'040);
  for (int i = 0; i < 1'000; ++i)
    choice.near.add(100'000); // it has recovered
  BOOST_TEST(shares()[0] == 5'110);
  BOOST_TEST(seen[1] == 0);
}

BOOST_AUTO_TEST_CASE(the_median_follows_most_samples_not_the_few_large_ones) {
  latency_median m;
  BOOST_TEST(!m.known());
  for (int i = 0; i < 10'000; ++i)
    m.add(i % 10 == 0 ? 50'000'000 : 200'000);
  BOOST_TEST(m.known());
  BOOST_TEST(m.ns() > 150'000);
  BOOST_TEST(m.ns() < 300'000);
}

BOOST_AUTO_TEST_CASE(reads_are_counted_by_instance_and_those_beyond_the_table_together) {
  read_counter_table table;
  for (std::uint32_t i = 0; i < 1'000; ++i)
    count(table.of(instance_slot{i}).near, i);
  std::uint64_t sum = 0, named = 0;
  table.each([&](std::optional<instance_slot> who, const read_counters& c) {
    sum += c.near;
    if (!who)
      return;
    ++named;
    BOOST_TEST(c.near == who->value);
  });
  BOOST_TEST(sum == 999u * 1'000 / 2); // none is lost
  BOOST_TEST(named == read_counter_table::instances_max);
}

BOOST_AUTO_TEST_CASE(threads_that_come_first_at_once_share_one_entry) {
  for (int round = 0; round < 200; ++round) {
    read_counter_table table;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (std::uint32_t i = 0; i < 8; ++i)
          count(table.of(instance_slot{i}).far);
      });
    for (auto& t : threads)
      t.join();
    table.each([&](std::optional<instance_slot> who, const read_counters& c) { BOOST_TEST(c.far == (who ? 4u : 0u)); });
  }
}

BOOST_AUTO_TEST_SUITE_END()
