// The shipped session, lease, directory and fill code under a scheduler that orders, delays, loses, pauses and
// crashes: no read is ever older than what was answered before it began. GNOMON_LONG=1 runs a hundred times as much.
#include <cstdio>
#include <cstdlib>

#include <boost/test/unit_test.hpp>

#include "tests/io/session/coherence_model.hpp"
#include "tests/support/long_run.hpp"

using namespace gnomon::io::session::simulated;

BOOST_AUTO_TEST_SUITE(coherence_model_test)

BOOST_AUTO_TEST_CASE(no_read_is_older_than_what_was_answered_before_it_began) {
  const std::uint64_t seed = gnomon::io::test::seed_for("coherence_model");
  const bool is_long = gnomon::tests::is_long_run();
  const std::uint64_t rounds = is_long ? 10'000 : 100, steps = 10'000;
  model_counters c;
  for (std::uint64_t i = 0; i < rounds; ++i) {
    const std::uint64_t round_seed = seed + i * 1'000'003;
    const auto wrong = model(round_seed, 1 + round_seed % 3, c).run(steps);
    BOOST_REQUIRE_MESSAGE(wrong.empty(), "round " << i << " of seed " << seed << ": " << wrong);
  }
  std::printf("%llu steps, %llu reads (%llu from shadows, %llu overtaken), %llu writes (%llu waited), %llu fills "
              "(%llu valid, %llu void, %llu told later), %llu drops of a shadow, %llu sessions, %llu crashes, %llu pauses\n",
              (unsigned long long)c.steps, (unsigned long long)c.reads, (unsigned long long)c.shadow_reads,
              (unsigned long long)c.torn_reads, (unsigned long long)c.writes, (unsigned long long)c.waits,
              (unsigned long long)c.fills, (unsigned long long)c.valid_fills, (unsigned long long)c.void_fills,
              (unsigned long long)c.later, (unsigned long long)c.drops, (unsigned long long)c.sessions, (unsigned long long)c.crashes,
              (unsigned long long)c.pauses);
  BOOST_CHECK_GT(c.shadow_reads * 100, c.reads * 5);
  BOOST_CHECK_GT(c.waits * 100, c.writes * 5);
  BOOST_CHECK_GT(c.void_fills * 100, c.fills);
  BOOST_CHECK_GT(c.sessions, rounds);
  BOOST_CHECK_GT(c.drops, rounds / 4);
}

BOOST_AUTO_TEST_SUITE_END()
