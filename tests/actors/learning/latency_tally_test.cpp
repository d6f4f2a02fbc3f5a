// What is said of recent latencies: inside the bucket they fell into, faded with time, forgotten in the end.
#include "actors/learning/latency_tally.hpp"

#include <boost/test/unit_test.hpp>

using namespace gnomon;
using namespace gnomon::actors;

BOOST_AUTO_TEST_SUITE(latency_tally_test)
namespace {

io::coarse_latency::counts took(std::uint64_t nanoseconds, std::uint32_t times) {
  io::coarse_latency::counts out{};
  out[io::coarse_latency::bucket_of(nanoseconds)] = times;
  return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(buckets_leave_no_gap) {
  for (std::uint64_t ns = 0; ns < 400'000'000; ns += 1 + ns / 3) {
    const auto bucket = io::coarse_latency::bucket_of(ns);
    BOOST_TEST(io::coarse_latency::lower_bound(bucket) <= ns);
    BOOST_TEST((bucket + 1 == io::coarse_latency::bucket_count || ns < io::coarse_latency::lower_bound(bucket + 1)));
  }
}

BOOST_AUTO_TEST_CASE(quantiles_lie_in_the_bucket_of_their_request) {
  latency_tally tally;
  BOOST_TEST(double(tally.at(0).p99_us) == 0);
  tally.add(100, took(50'000, 985));
  tally.add(100, took(3'000'000, 15));
  const auto found = tally.at(100);
  BOOST_TEST((found.p50_us >= 32 && found.p50_us <= 66));
  BOOST_TEST((found.p99_us >= 2'000 && found.p99_us <= 4'200));
}

BOOST_AUTO_TEST_CASE(what_is_longer_than_the_last_bucket_is_not_made_up) {
  latency_tally tally;
  tally.add(1, took(~std::uint64_t{0}, 1));
  BOOST_TEST(double(tally.at(1).p99_us) == double(tally.at(1).p50_us));
  BOOST_TEST((tally.at(1).p99_us > 134'000 && tally.at(1).p99_us < 135'000));
}

BOOST_AUTO_TEST_CASE(the_past_fades_and_is_forgotten_and_a_clock_that_goes_back_harms_nothing) {
  latency_tally tally;
  tally.add(1000, took(3'000'000, 100));
  tally.add(1000 + 10 * latency_tally::half_life_seconds, took(50'000, 100));
  BOOST_TEST(double(tally.at(4000).p99_us) < 70);
  BOOST_TEST(!tally.forgotten(0));
  tally.add(10, took(50'000, 1));
  BOOST_TEST(double(tally.at(10).p50_us) > 0);
  BOOST_TEST(tally.forgotten(1'000'000));
  BOOST_TEST(double(tally.at(1'000'000).p50_us) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
