// How well are hot chunks predicted? Prints recall, precision and captured share at k = 8 and 32 for every method on
// the traces in $GNOMON_TRACES (without it the program says so and exits with 77, "skipped").
//
// Protocol: 64 MiB chunks; the trace is cut into windows (5 min, 30 min, 2 h). Before each window every method names
// k chunks from what it saw so far. recall = share of the window's k chunks with most requests that were named (all
// touched ones, where fewer than k were); precision = touched ones among the named / k, also where a method could name
// fewer;
// captured = share of the window's requests that fell into named chunks. Means over windows, then over volumes. The
// first two windows (two days of the week-long trace) and a last incomplete one do not count. "SERVED" is
// what hot_set::predict() says: the method that did best so far, chosen anew before each window.
//
// usage: hot_set_bench [--quick]     --quick: the two-hour trace alone
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>

#include "forecasting/heat/hot_set.hpp"
#include "forecasting/heat/rollup.hpp"
#include "store/files/trace_file.hpp"

namespace {

using namespace gnomon;
using namespace gnomon::forecasting;

constexpr std::uint64_t chunk_bytes = 64ull << 20;
constexpr std::size_t set_sizes[] = {8, 32};

struct request {
  double time_seconds;
  byte_offset offset;
  byte_count length;
};
using volumes = std::map<std::string, std::vector<request>>;

volumes read_trace(const std::string& path) {
  auto reader = store::trace_reader::open(path);
  volumes out;
  std::vector<store::trace_record> batch;
  const auto give_up = [](const error& e) {
    std::fprintf(stderr, "%s\n", e.to_string().c_str());
    std::exit(1);
  };
  if (!reader)
    give_up(reader.error());
  do {
    if (auto ok = reader->read(batch); !ok)
      give_up(ok.error());
    for (const auto& r : batch)
      if (r.length_bytes > 0)
        out[reader->volumes()[r.volume]].push_back(
            {static_cast<double>(r.time_us) / 1e6, byte_offset{r.offset_bytes}, byte_count{r.length_bytes}});
  } while (!batch.empty());
  return out;
}

struct tally {
  double recall = 0, precision = 0, captured = 0, windows = 0;
  void add(const hot_prediction& named, const std::vector<chunk_window>& truth, std::size_t k) {
    std::vector<std::pair<double, std::uint64_t>> order;
    double total = 0;
    for (const auto& c : truth)
      order.emplace_back(-c.requests, c.chunk.value), total += c.requests;
    std::sort(order.begin(), order.end());
    std::set<std::uint64_t> said;
    for (const auto& c : named.chunks)
      said.insert(c.chunk.value);
    const std::size_t wanted = std::min(k, order.size());
    double hits = 0, touched = 0, caught = 0;
    for (std::size_t i = 0; i < order.size(); ++i)
      if (said.contains(order[i].second)) {
        hits += i < wanted ? 1 : 0;
        touched += 1;
        caught -= order[i].first;
      }
    recall += hits / static_cast<double>(wanted);
    precision += touched / static_cast<double>(k);
    captured += caught / total;
    windows += 1;
  }
};

struct line {
  double recall = 0, precision = 0, captured = 0;
};

constexpr std::size_t methods = hot_method_count + 1; // the last one: served
using table = std::array<std::array<line, std::size(set_sizes)>, methods>;

void score_volume(const std::vector<request>& requests, double window, double warm_up_seconds, table& sums,
                  double& milliseconds, double& closed) {
  std::uint64_t end = 0;
  for (const auto& r : requests)
    end = std::max(end, r.offset.value + r.length.value);
  hot_set_options options;
  options.window_seconds = window;
  options.chunk_size = byte_count{chunk_bytes};
  options.chunk_count = (end + chunk_bytes - 1) / chunk_bytes;
  options.learn_half_life_windows = std::max(12.0, day / window);
  auto hot = hot_set::make(options);
  if (!hot) {
    std::fprintf(stderr, "%s\n", hot.error().to_string().c_str());
    std::exit(1);
  }
  std::array<std::array<tally, std::size(set_sizes)>, methods> scores;
  chunk_collector collector(options.chunk_size);
  const auto last_window = static_cast<std::size_t>(requests.back().time_seconds / window); // incomplete
  std::size_t next = 0;
  for (std::size_t w = 0; w < last_window; ++w) {
    const double start = static_cast<double>(w) * window;
    for (; next < requests.size() && requests[next].time_seconds < start + window; ++next)
      collector.add(requests[next].time_seconds, requests[next].offset, requests[next].length);
    const auto truth = collector.take();
    if (start >= warm_up_seconds && !truth.empty())
      for (std::size_t k = 0; k < std::size(set_sizes); ++k) {
        for (std::size_t m = 0; m < hot_method_count; ++m)
          scores[m][k].add(hot->predict_by(static_cast<hot_method>(m), set_sizes[k]), truth, set_sizes[k]);
        scores[hot_method_count][k].add(hot->predict(set_sizes[k]), truth, set_sizes[k]);
      }
    const auto before = std::chrono::steady_clock::now();
    hot->close_window(start, truth);
    milliseconds += std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - before).count();
    closed += 1;
  }
  for (std::size_t m = 0; m < methods; ++m)
    for (std::size_t k = 0; k < std::size(set_sizes); ++k) {
      const auto& t = scores[m][k];
      sums[m][k].recall += t.recall / t.windows;
      sums[m][k].precision += t.precision / t.windows;
      sums[m][k].captured += t.captured / t.windows;
    }
}

void score_trace(const char* name, const volumes& trace, double window, double warm_up_seconds) {
  table sums{};
  double milliseconds = 0, closed = 0;
  for (const auto& [volume, requests] : trace)
    score_volume(requests, window, warm_up_seconds, sums, milliseconds, closed);
  std::printf("\n%s, windows of %.0f min, %zu volume%s; a window closes in %.2f ms\n", name, window / 60,
              trace.size(), trace.size() == 1 ? "" : "s", milliseconds / closed);
  std::printf("  %-14s%8s%11s%10s   %8s%11s%10s\n", "", "recall@8", "precision", "captured", "recall@32", "precision",
              "captured");
  const auto count = static_cast<double>(trace.size());
  for (std::size_t m = 0; m < methods; ++m) {
    const auto& a = sums[m][0];
    const auto& b = sums[m][1];
    const std::string method = m == hot_method_count ? "SERVED" : std::string(to_string(static_cast<hot_method>(m)));
    std::printf("  %-14s%8.3f%11.3f%10.3f   %8.3f%11.3f%10.3f\n", method.c_str(), a.recall / count,
                a.precision / count, a.captured / count, b.recall / count, b.precision / count, b.captured / count);
  }
}

} // namespace

int main(int argc, char** argv) {
  const char* const traces = std::getenv("GNOMON_TRACES");
  if (traces == nullptr) {
    std::printf("skipped: GNOMON_TRACES does not name the folder of traces\n");
    return 77;
  }
  const std::string folder = traces;
  const auto real = read_trace(folder + "/real_cloudphysics_2h.csv.gz");
  score_trace("real two hours", real, 5 * minute, 10 * minute);
  if (argc > 1 && std::strcmp(argv[1], "--quick") == 0)
    return 0;
  const auto week = read_trace(folder + "/semisynthetic_week_public.csv.gz");
  for (double window : {5 * minute, 30 * minute, 2 * hour})
    score_trace("semi-synthetic week", week, window, 2 * day);
  return 0;
}
