// Which chunks a shadow is for, what became of its copies, and at what rate they come.
#include <boost/test/unit_test.hpp>

#include "io/redirect/copy_budget.hpp"
#include "io/redirect/shadow_extent.hpp"

using namespace gnomon;
using namespace gnomon::io;

namespace {
constexpr byte_count shadow_chunk{16u << 20};
constexpr std::uint64_t granules_per_chunk = (16u << 20) / granule_bytes;
chunk_run run(std::uint64_t first, std::uint64_t count) { return {chunk_index{first}, count}; }
} // namespace

BOOST_AUTO_TEST_SUITE(shadow_extent_test)

BOOST_AUTO_TEST_CASE(an_extent_is_for_the_chunks_that_were_added_and_not_removed) {
  shadow_extent e(byte_count{(100u << 20) + 4096}, shadow_chunk); // six whole chunks and a bit
  BOOST_TEST(e.chunks() == 7u);
  BOOST_TEST(e.wanted_chunks() == 0u);
  e.add(run(2, 3));
  e.add(run(3, 1)); // again
  BOOST_TEST(e.wanted_chunks() == 3u);
  BOOST_TEST(e.missing(run(0, 7)) == 4u);
  BOOST_TEST(e.wants(granule_index{2 * granules_per_chunk}));
  BOOST_TEST(!e.wants(granule_index{2 * granules_per_chunk - 1}));
  BOOST_TEST(e.wants(granule_index{5 * granules_per_chunk - 1}));
  BOOST_TEST(!e.wants(granule_index{5 * granules_per_chunk}));
  e.remove(run(3, 1));
  BOOST_TEST(e.wanted_bytes().value == 2 * shadow_chunk.value);
  BOOST_TEST(!e.wants(chunk_index{3}));
  e.add({chunk_index{0}, ~std::uint64_t{0}});
  BOOST_TEST(e.wanted_chunks() == 7u);
  BOOST_TEST(!e.wants(chunk_index{7}));
}

BOOST_AUTO_TEST_CASE(the_granules_of_a_run_end_where_the_volume_does) {
  shadow_extent e(byte_count{(32u << 20) + 4096}, shadow_chunk);
  BOOST_TEST(e.granules_of(run(1, 1)).first.value == granules_per_chunk);
  BOOST_TEST(e.granules_of(run(1, 1)).count == granules_per_chunk);
  BOOST_TEST(e.granules_of(run(2, 1)).count == 1u);
  BOOST_TEST(e.granules_of({chunk_index{0}, ~std::uint64_t{0}}).count == 2 * granules_per_chunk + 1);
  BOOST_TEST(e.granules_of(run(9, 4)).count == 0u);
}

BOOST_AUTO_TEST_CASE(a_granule_counts_as_used_once_and_anew_after_its_chunk_was_removed) {
  shadow_extent e(byte_count{64u << 20}, shadow_chunk);
  e.add(run(1, 2));
  for (int i = 0; i < 5; ++i)
    e.copied(granule_index{granules_per_chunk + 7});
  for (int i = 0; i < 3; ++i)
    e.read({granule_index{2 * granules_per_chunk - 1}, 2}); // one in each chunk
  auto seen = e.report();
  BOOST_REQUIRE(seen.size() == 2u);
  BOOST_TEST(seen[0].copied == 5u);
  BOOST_TEST(seen[0].used == 1u);
  BOOST_TEST(seen[1].used == 1u);
  e.remove(run(1, 1));
  e.add(run(1, 1));
  seen = e.report();
  BOOST_TEST(seen[0].copied == 0u);
  BOOST_TEST(seen[0].used == 0u);
  e.read({granule_index{2 * granules_per_chunk - 1}, 1});
  BOOST_TEST(e.report()[0].used == 1u);
}

BOOST_AUTO_TEST_CASE(copies_keep_to_their_rate_and_a_pause_saves_up_half_a_second_at_most) {
  copy_budget budget;
  boot_time now{std::chrono::seconds{1'000}};
  BOOST_TEST(budget.take(1e12, now)); // no rate yet: no limit
  budget.set_rate(1e6);
  const auto taken = [&](std::chrono::milliseconds over) {
    double bytes = 0;
    for (const auto end = now + over; now < end; now += std::chrono::milliseconds{1})
      while (budget.take(65'536, now))
        bytes += 65'536;
    return bytes;
  };
  const double first = taken(std::chrono::seconds{10});
  BOOST_TEST(first > 9.9e6);
  BOOST_TEST(first < 10.8e6);
  now += std::chrono::hours{1};
  const double after_pause = taken(std::chrono::milliseconds{1});
  BOOST_TEST(after_pause > 4e5);
  BOOST_TEST(after_pause < 6.5e5);
}

BOOST_AUTO_TEST_SUITE_END()
