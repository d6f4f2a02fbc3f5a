// Buckets cover every duration, percentiles are within one sub-bucket of the truth, merging loses nothing.
#include "io/measure/latency_histogram.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>
#include <vector>

using gnomon::io::latency_histogram;

BOOST_AUTO_TEST_SUITE(latency_histogram_test)
namespace {

// GNOMON_TEST_SEED reruns a failure.
std::uint64_t test_seed() {
  const char* given = std::getenv("GNOMON_TEST_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  BOOST_TEST_MESSAGE("GNOMON_TEST_SEED=" << seed);
  return seed;
}

// Durations as a server sees them: microseconds to seconds, with a long tail.
std::uint64_t draw_nanoseconds(std::mt19937_64& random) {
  return static_cast<std::uint64_t>(std::lognormal_distribution<double>(std::log(50'000.0), 1.5)(random));
}

} // namespace

BOOST_AUTO_TEST_CASE(buckets_follow_each_other_without_gap_or_overlap) {
  BOOST_TEST(latency_histogram::lower_bound(0) == 0u);
  BOOST_TEST(latency_histogram::lower_bound(latency_histogram::bucket_count) == 1ull << 40);
  for (std::size_t bucket = 0; bucket < latency_histogram::bucket_count; ++bucket) {
    const auto first = latency_histogram::lower_bound(bucket), end = latency_histogram::lower_bound(bucket + 1);
    BOOST_REQUIRE_LT(first, end);
    BOOST_REQUIRE_EQUAL(latency_histogram::bucket_of(first), bucket);
    BOOST_REQUIRE_EQUAL(latency_histogram::bucket_of(end - 1), bucket);
    // 8 sub-buckets per power of two: no bucket is wider than an eighth of where it begins.
    if (bucket >= 8)
      BOOST_REQUIRE_LE((end - first) * 8, first);
  }
}

BOOST_AUTO_TEST_CASE(what_is_longer_than_18_minutes_lands_in_the_last_bucket) {
  const auto last = latency_histogram::bucket_count - 1;
  for (const std::uint64_t nanoseconds : {(1ull << 40) - 1, 1ull << 40, 1ull << 50, ~0ull})
    BOOST_TEST(latency_histogram::bucket_of(nanoseconds) == last);
}

BOOST_AUTO_TEST_CASE(an_empty_histogram_answers_zero) {
  const latency_histogram empty;
  BOOST_TEST(empty.count() == 0u);
  BOOST_TEST(empty.quantile_nanoseconds(0.5) == 0);
  BOOST_TEST(empty.mean_nanoseconds() == 0);
}

BOOST_AUTO_TEST_CASE(quantiles_lie_in_the_bucket_of_the_true_value) {
  std::mt19937_64 random(test_seed());
  for (const std::size_t count : {1u, 2u, 10u, 1'000u, 50'000u}) {
    latency_histogram histogram;
    std::vector<std::uint64_t> samples(count);
    for (auto& nanoseconds : samples)
      histogram.record(nanoseconds = draw_nanoseconds(random));
    std::sort(samples.begin(), samples.end());
    BOOST_TEST(histogram.count() == count);
    for (const double fraction : {0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
      const auto rank = static_cast<std::size_t>(std::ceil(fraction * static_cast<double>(count)));
      const auto bucket = latency_histogram::bucket_of(samples[std::max<std::size_t>(rank, 1) - 1]);
      const double quantile = histogram.quantile_nanoseconds(fraction);
      BOOST_TEST(quantile >= static_cast<double>(latency_histogram::lower_bound(bucket)),
                 count << " samples, " << fraction);
      BOOST_TEST(quantile <= static_cast<double>(latency_histogram::lower_bound(bucket + 1)),
                 count << " samples, " << fraction);
    }
  }
}

BOOST_AUTO_TEST_CASE(quantiles_are_interpolated_and_never_fall) {
  latency_histogram histogram;
  histogram.record(1'024, 100); // one bucket: [1024, 1152)
  BOOST_TEST(histogram.quantile_nanoseconds(0.5) == 1'088.0, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(histogram.quantile_nanoseconds(1.0) == 1'152.0, boost::test_tools::tolerance(1e-12));
  histogram.record(1'000'000, 7);
  double before = 0;
  for (int percent = 0; percent <= 100; ++percent) {
    const double quantile = histogram.quantile_nanoseconds(percent / 100.0);
    BOOST_TEST(quantile >= before);
    before = quantile;
  }
}

BOOST_AUTO_TEST_CASE(the_mean_is_within_half_a_bucket_of_the_true_mean) {
  std::mt19937_64 random(test_seed());
  latency_histogram histogram;
  double sum = 0;
  for (int i = 0; i < 20'000; ++i) {
    const auto nanoseconds = draw_nanoseconds(random);
    histogram.record(nanoseconds);
    sum += static_cast<double>(nanoseconds);
  }
  BOOST_TEST(histogram.mean_nanoseconds() == sum / 20'000, boost::test_tools::tolerance(0.0625));
}

BOOST_AUTO_TEST_CASE(merging_is_recording_into_one) {
  std::mt19937_64 random(test_seed());
  latency_histogram one, two, all;
  for (int i = 0; i < 5'000; ++i) {
    const auto nanoseconds = draw_nanoseconds(random);
    (i % 3 ? one : two).record(nanoseconds);
    all.record(nanoseconds);
  }
  two.add_bucket(5, 3);
  all.record(5, 3);
  one.merge(two);
  BOOST_TEST(one.count() == 5'003u);
  for (std::size_t bucket = 0; bucket < latency_histogram::bucket_count; ++bucket)
    BOOST_REQUIRE_EQUAL(one.count_in(bucket), all.count_in(bucket));
  BOOST_TEST(one.quantile_nanoseconds(0.99) == all.quantile_nanoseconds(0.99));
}

BOOST_AUTO_TEST_SUITE_END()
