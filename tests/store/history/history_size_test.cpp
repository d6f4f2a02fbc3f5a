// How much disk and memory the past of many busy chunks takes, and how long it takes to read.
#include "store/history/history.hpp"

#include <array>
#include <cmath>
#include <fstream>
#include <iostream>
#include <random>

#include <malloc.h>

#include <boost/test/unit_test.hpp>

#include "tests/store/history/history_support.hpp"

using namespace gnomon;
using namespace gnomon::store;
using namespace gnomon::store::testing;

BOOST_AUTO_TEST_SUITE(history_size_test)
namespace {

using std::chrono::hours;
using std::chrono::minutes;

std::uint64_t anonymous_memory_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("RssAnon:"))
      return std::strtoull(line.c_str() + 8, nullptr, 10);
  return 0;
}

// Busy chunks as they are: each with its own rate and daily rhythm, noise that lasts, Poisson counts, a mix of
// request sizes, some sequential runs.
struct busy_chunk {
  double rate, phase, write_share, sequential_share, noise = 0;
  std::array<double, 4> sizes{}; // probabilities of 4, 8, 16, 64 KiB
};

access_counters busy_slot(busy_chunk& chunk, std::mt19937_64& random, double hour, double slot_seconds) {
  std::normal_distribution<double> normal;
  chunk.noise = 0.95 * chunk.noise + 0.1 * normal(random);
  const double mean =
      chunk.rate * slot_seconds * (1 + 0.6 * std::sin((hour - chunk.phase) / 24 * 6.2832)) * std::exp(chunk.noise);
  auto count = [&](double m) {
    return static_cast<std::uint64_t>(std::max(0.0, std::round(m + std::sqrt(m) * normal(random))));
  };
  auto size = [&](std::uint64_t requests) {
    double kib = 0, spread = 0;
    const double each[] = {4, 8, 16, 64};
    for (std::size_t i = 0; i < 4; ++i)
      kib += chunk.sizes[i] * each[i], spread += chunk.sizes[i] * each[i] * each[i];
    const double sum = static_cast<double>(requests) * kib +
                       std::sqrt(static_cast<double>(requests) * std::max(0.0, spread - kib * kib)) * normal(random);
    return requests == 0
               ? 0
               : static_cast<std::uint64_t>(std::max(static_cast<double>(requests), std::round(sum / 4))) * 4096;
  };
  access_counters c;
  c.reads = count(mean * (1 - chunk.write_share));
  c.writes = count(mean * chunk.write_share);
  c.read_bytes = size(c.reads);
  c.write_bytes = size(c.writes);
  c.sequential = count(mean * chunk.sequential_share);
  return c;
}

#ifdef GNOMON_SANITIZED
constexpr std::uint64_t busy_chunks = 64; // a sanitizer looks at the code, not at the sizes
#else
constexpr std::uint64_t busy_chunks = 1000;
#endif

} // namespace

// Scaled down so that it takes seconds; GNOMON_HISTORY_CHUNKS=10000 runs it whole.
BOOST_AUTO_TEST_CASE(two_weeks_of_ten_thousand_busy_chunks_fit_in_512_mib) {
  scratch_directory where;
  const char* given = std::getenv("GNOMON_HISTORY_CHUNKS");
  const std::uint64_t chunk_count = given ? std::strtoull(given, nullptr, 10) : busy_chunks;
  std::mt19937_64 random(20261121);
  std::uniform_real_distribution<double> uniform;
  std::vector<busy_chunk> chunks(chunk_count);
  for (auto& c : chunks) {
    c = {std::exp(uniform(random) * 5 - 1.5), uniform(random) * 24, uniform(random), uniform(random) * 0.3, 0, {}};
    double left = 1;
    for (auto& p : c.sizes)
      p = &p == &c.sizes.back() ? left : left * uniform(random), left -= p; // from 0.2 to 33 requests a second
  }
  ::malloc_trim(0); // or what earlier tests freed would hide growth
  const auto memory_before = anonymous_memory_kib();
  std::uint64_t memory_most = 0, rows = 0, appended = 0;
  const std::uint64_t per_volume = 4000;
  std::vector<volume_uuid> volumes((chunk_count + per_volume - 1) / per_volume);
  for (auto& v : volumes)
    v = volume_uuid::random();
  manual_clock clock{start + hours(14 * 24)};
  auto options = options_for(where / "history", clock);
  options.commit_delay = std::chrono::milliseconds(20);
  options.disk_max = byte_count{512ull * 1024 * 1024 / 10'000 * chunk_count};
  auto past = history::open(options).value();
  // What stands on disk after two weeks: the older the coarser, as the retention leaves it.
  struct stretch {
    resolution r;
    wall_time from, to;
  };
  const auto end = start + hours(14 * 24);
  const std::array stretches{stretch{resolution::five_minutes, start, end - hours(24)},
                             stretch{resolution::one_minute, end - hours(24), end - hours(2)},
                             stretch{resolution::ten_seconds, end - hours(2), end}};
  for (const auto& s : stretches)
    for (auto t = s.from; t < s.to; t += slot_length(s.r)) {
      const double hour = static_cast<double>((t - start) / minutes(1)) / 60;
      std::uint64_t chunk = 0;
      for (const auto& v : volumes) {
        history_batch batch{v, s.r, t, {}, {}};
        for (std::uint64_t i = 0; i < per_volume && chunk < chunk_count; ++i, ++chunk)
          batch.rows.push_back(
              {chunk_index(i),
               {},
               busy_slot(chunks[chunk], random, hour, static_cast<double>(slot_length(s.r).count()))});
        rows += batch.rows.size();
        // As telemetry does: hand over and go on, wait only where there is too much waiting.
        auto outcome = &v == &volumes.back() && ++appended % 10 == 0
                           ? past->append(std::move(batch))
                           : (past->append(std::move(batch), nullptr), result<void>{});
        REQUIRE_OK(outcome);
      }
      memory_most = std::max(memory_most, anonymous_memory_kib());
    }
  REQUIRE_OK(past->maintain());
  const auto status = past->status();
  const double scale = 10'000.0 / static_cast<double>(chunk_count);
  std::cout << chunk_count << " chunks, " << rows << " rows appended: " << status.disk_bytes / 1024
            << " KiB on disk (" << status.used_bytes / 1024 << " used), "
            << static_cast<double>(status.used_bytes) / static_cast<double>(rows) << " bytes/row; for 10,000 chunks "
            << static_cast<double>(status.disk_bytes) * scale / (1 << 20) << " MiB; memory grew by "
            << (memory_most - memory_before) / 1024 << " MiB\n";
  BOOST_TEST(static_cast<double>(status.disk_bytes) * scale <= 512.0 * 1024 * 1024);
  BOOST_TEST(status.parts_trimmed == 0u); // it fits without giving up rows early
  BOOST_TEST(status.rows_refused == 0u);
  BOOST_TEST((memory_most - memory_before) / 1024 <= 64u);
  // And it is all there: the first volume's first chunk has two weeks of five-minute slots.
  const auto started = std::chrono::steady_clock::now();
  const auto one = past->read({volumes[0], resolution::five_minutes, start, end, chunk_index(0), {}}).value();
  const auto one_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - started).count();
  BOOST_TEST(one.size() > 4000u);
  std::uint64_t visited = 0;
  REQUIRE_OK(past->visit({volumes[0], resolution::five_minutes, end - hours(7 * 24), end, {}, {}},
                         [&](const history_sample&) { ++visited; }));
  const auto all_ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - started).count() - one_ms;
  std::cout << "two weeks of one chunk read in " << one_ms << " ms, a week of all its volume's (" << visited
            << " rows) in " << all_ms << " ms\n";
}

BOOST_AUTO_TEST_SUITE_END()
