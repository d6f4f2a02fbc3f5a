// The bound on learned memory: who gives what back, and that it then fits.
#include "actors/runtime/learned_memory.hpp"

#include <map>

#include <boost/test/unit_test.hpp>

#include "tests/support/seeded.hpp"

using namespace gnomon;
using namespace gnomon::actors;

BOOST_AUTO_TEST_SUITE(learned_memory_test)
namespace {

using std::chrono::seconds;
constexpr std::size_t KiB = 1024;

boot_time at(int s) { return boot_time{} + seconds(s); }
volume_uuid uuid_of(std::uint8_t n) {
  volume_uuid out;
  out.bytes[0] = n;
  return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(within_the_bound_nobody_gives_anything_back) {
  learned_memory memory;
  memory.report(uuid_of(1), 100 * KiB, at(0));
  BOOST_TEST(memory.over(100 * KiB, at(1000)).empty());
  memory.erase(uuid_of(1));
  BOOST_TEST(memory.total() == 0u);
}

BOOST_AUTO_TEST_CASE(what_was_used_longest_ago_goes_first_and_wholly) {
  learned_memory memory;
  for (std::uint8_t n = 1; n <= 10; ++n)
    memory.report(uuid_of(n), 100 * KiB, at(n));
  const auto released = memory.over(900 * KiB, at(1000));
  BOOST_REQUIRE(released.size() == 2u); // down to 810 KiB
  BOOST_TEST((released[0].volume == uuid_of(1) && released[0].most.value == 0));
  BOOST_TEST((released[1].volume == uuid_of(2) && released[1].most.value == 0));
}

BOOST_AUTO_TEST_CASE(where_all_are_in_use_the_largest_shrink_to_one_level) {
  learned_memory memory;
  memory.report(uuid_of(1), 100 * KiB, at(1000));
  memory.report(uuid_of(2), 1000 * KiB, at(1000));
  memory.report(uuid_of(3), 2000 * KiB, at(1000));
  const auto released = memory.over(2000 * KiB, at(1010));
  BOOST_REQUIRE(released.size() == 2u);
  for (const auto& one : released)
    BOOST_TEST(one.most.value == 850 * KiB); // 1,800 less the small one, by two
}

// After everybody did as asked, all of it is within the bound, whatever was held.
BOOST_AUTO_TEST_CASE(what_is_asked_for_is_enough) {
  io::test::random_source random(io::test::seed_for("learned_memory"));
  for (int round = 0; round < 500; ++round) {
    learned_memory memory;
    std::map<volume_uuid, std::size_t> held;
    for (auto n = 1 + random.below(40); n > 0; --n) {
      const auto uuid = uuid_of(static_cast<std::uint8_t>(n));
      held[uuid] = random.below(5000) * KiB;
      memory.report(uuid, held[uuid], at(static_cast<int>(random.below(200))));
    }
    const std::size_t bound =
        std::max<std::size_t>(40 * learned_memory::pattern_bytes_min, random.below(50'000) * KiB);
    for (const auto& [volume, most] : memory.over(bound, at(200)))
      held[volume] = std::min<std::size_t>(held[volume], most.value);
    std::size_t total = 0;
    for (const auto& [volume, bytes] : held)
      total += bytes;
    BOOST_REQUIRE(total <= bound + 40 * learned_memory::pattern_bytes_min);
  }
}

BOOST_AUTO_TEST_SUITE_END()
