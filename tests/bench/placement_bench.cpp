// What is placing data ahead worth? Prints, for the traces in $GNOMON_TRACES (without it the program says so and
// exits with 77, "skipped"), the share of reads that were near, latencies, bytes moved and in vain for every
// baseline, for Gnomon and for the oracle at 5 and 10 % of space, and what part of the gap between the best baseline
// and the oracle Gnomon closes. One run, the defaults for every trace.
//
// Space: that share of all 64 KiB granules which reads ever touch. Writes are left out. Times by forecasting's
// link_model: 0.7 ms and 1.25 GB/s for what comes from the home, 125 MB/s for copies ahead, 0.1 ms for what is near.
//
// usage: placement_bench [--quick | --caches]
//   --quick: the short trace alone; --caches: LRU, ARC, S3-FIFO and Belady by granule against published figures
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unordered_map>

#include "forecasting/simulation/placement.hpp"
#include "store/files/trace_file.hpp"

namespace {

using namespace gnomon;
using namespace gnomon::forecasting;

constexpr double granule = simulated_granule_bytes;

[[noreturn]] void give_up(const error& e) {
  std::fprintf(stderr, "%s\n", e.to_string().c_str());
  std::exit(1);
}

placement_setup read_trace(const std::string& path) {
  auto reader = store::trace_reader::open(path);
  if (!reader)
    give_up(reader.error());
  placement_setup out;
  out.nodes.push_back({"node", 1, {}});
  std::vector<store::trace_record> batch;
  do {
    if (auto ok = reader->read(batch); !ok)
      give_up(ok.error());
    for (const auto& r : batch) {
      while (out.volumes.size() <= r.volume)
        out.volumes.push_back({reader->volumes()[out.volumes.size()], 0, 0});
      if (r.op != store::trace_operation::read)
        continue;
      const auto first = r.offset_bytes / simulated_granule_bytes;
      const auto last = (r.offset_bytes + std::max<std::uint64_t>(r.length_bytes, 1) - 1) / simulated_granule_bytes;
      out.reads.push_back({static_cast<double>(r.time_us) / 1e6, r.volume, first,
                           static_cast<std::uint32_t>(last - first + 1), r.length_bytes});
    }
  } while (!batch.empty());
  return out;
}

void print(const placement_outcome& o) {
  const auto reads = static_cast<double>(o.reads);
  std::printf("  %-22s %6.2f %% near  mean %6.3f ms  p99 %6.2f ms  moved %6.2f  in vain %6.2f granules per read\n",
              std::string(to_string(o.method)).c_str(), 100 * o.near_share(), o.mean_seconds * 1e3,
              o.p99_seconds * 1e3, static_cast<double>(o.bytes_moved) / granule / reads,
              static_cast<double>(o.bytes_in_vain) / granule / reads);
  std::fflush(stdout);
}

placement_outcome run(const placement_setup& setup, placement_method m, const placement_limits& limits) {
  auto out = simulate_placement(setup, m, limits);
  if (!out)
    give_up(out.error());
  print(*out);
  return *out;
}

void print_gap(const char* text, const placement_outcome& base, const placement_outcome& ours,
               const placement_outcome& oracle) {
  const double gap = oracle.near_share() - base.near_share();
  std::printf("  %s: %s, %.2f %% at %.2f granules per read; of its gap to the oracle %.0f %% closed, at %.2f times "
              "its bytes\n",
              text, std::string(to_string(base.method)).c_str(), 100 * base.near_share(),
              static_cast<double>(base.bytes_moved) / granule / static_cast<double>(base.reads),
              gap > 0 ? 100 * (ours.near_share() - base.near_share()) / gap : 0.0,
              static_cast<double>(ours.bytes_moved) / static_cast<double>(base.bytes_moved));
}

void compare(const char* name, const placement_setup& setup, double share) {
  placement_limits limits;
  limits.space_granules = static_cast<std::uint64_t>(share * static_cast<double>(touched_granules(setup)));
  std::printf("\n%s, %.0f %% of space (%llu granules of 64 KiB), %zu reads\n", name, 100 * share,
              static_cast<unsigned long long>(limits.space_granules), setup.reads.size());
  placement_outcome best, by_granule;
  for (int m = 0; m < static_cast<int>(placement_method::gnomon); ++m) {
    const auto method = static_cast<placement_method>(m);
    const auto o = run(setup, method, limits);
    if (!is_baseline(method))
      continue;
    if (o.near > best.near)
      best = o;
    if (method < placement_method::chunk_lru && o.near > by_granule.near)
      by_granule = o;
  }
  const auto ours = run(setup, placement_method::gnomon, limits);
  limits.granules_moved_max = best.bytes_moved / simulated_granule_bytes;
  const auto oracle = run(setup, placement_method::oracle, limits);
  print_gap("best baseline", best, ours, oracle);
  print_gap("best one that copies granules", by_granule, ours, oracle);
  const auto reads = static_cast<double>(ours.reads);
  std::printf("  Gnomon's near reads that a copy ahead made near, by kind:");
  for (std::size_t k = 0; k < prediction_kind_count; ++k)
    std::printf(" %s %.1f %%", std::string(to_string(static_cast<prediction_kind>(k))).c_str(),
                100 * static_cast<double>(ours.near_by_kind[k]) / reads);
  const auto& ways = ours.gateway.reads_by_way;
  std::printf("\n  followed for %.0f %% of the reads demand, %.0f %% runs, %.0f %% prediction (%llu changes)\n",
              100 * static_cast<double>(ways[0]) / reads, 100 * static_cast<double>(ways[1]) / reads,
              100 * static_cast<double>(ways[2]) / reads, static_cast<unsigned long long>(ours.gateway.changes));
}

// Hit shares by granule in %, published for these traces; made with another cache simulator.
struct published {
  const char* trace;
  double space, lru, arc, s3_fifo, belady;
};
constexpr published figures[] = {{"real_cloudphysics_2h", 0.05, 54.3, 54.1, 53.8, 58.9},
                                 {"real_cloudphysics_2h", 0.1, 55.6, 55.4, 58.6, 62.1},
                                 {"real_cloudphysics_2h", 0.2, 59.0, 59.0, 64.1, 66.3},
                                 {"real_websearch_60s", 0.05, 40.4, 39.8, 36.3, 43.8},
                                 {"real_websearch_60s", 0.1, 40.8, 40.1, 39.8, 43.8},
                                 {"semisynthetic_week_public", 0.01, 58.3, 59.7, 57.6, 71.4},
                                 {"semisynthetic_week_public", 0.05, 73.7, 73.4, 73.1, 82.4},
                                 {"semisynthetic_week_public", 0.1, 78.2, 79.4, 81.1, 86.6},
                                 {"semisynthetic_week_public", 0.2, 83.4, 86.6, 86.6, 90.1}};
constexpr double tolerance = 0.1 + 0.05; // percentage points, and the rounding of what was published

int check_caches(const std::string& folder) {
  int wrong = 0;
  std::string loaded;
  std::vector<cache_item> items;
  std::vector<std::uint64_t> next;
  std::size_t distinct = 0;
  for (const auto& f : figures) {
    if (loaded != f.trace) {
      loaded = f.trace;
      const auto setup = read_trace(folder + "/" + loaded + ".csv.gz");
      std::unordered_map<std::uint64_t, cache_item> number;
      items.clear();
      for (const auto& r : setup.reads)
        for (std::uint32_t k = 0; k < r.granules; ++k)
          items.push_back(number
                              .try_emplace((static_cast<std::uint64_t>(r.volume) << 40) | (r.first_granule + k),
                                           static_cast<cache_item>(number.size()))
                              .first->second);
      distinct = number.size();
      next.assign(items.size(), cache::never);
      std::vector<std::uint64_t> last(distinct, cache::never);
      for (std::size_t n = items.size(); n-- > 0;)
        next[n] = std::exchange(last[items[n]], n);
    }
    const auto capacity = static_cast<std::size_t>(f.space * static_cast<double>(distinct));
    const auto share = [&](cache_policy p, double expected) {
      const auto c = make_cache(p, capacity);
      std::size_t hits = 0;
      for (std::size_t n = 0; n < items.size(); ++n)
        hits += c->access(items[n], next[n]) ? 1 : 0;
      const double got = 100 * static_cast<double>(hits) / static_cast<double>(items.size());
      const bool good = std::abs(got - expected) <= tolerance;
      wrong += good ? 0 : 1;
      std::printf("  %s %.2f (%.1f)%s", std::string(to_string(p)).c_str(), got, expected, good ? "" : " WRONG");
    };
    std::printf("%-26s %3.0f %%:", f.trace, 100 * f.space);
    share(cache_policy::lru, f.lru);
    share(cache_policy::arc, f.arc);
    share(cache_policy::s3_fifo, f.s3_fifo);
    share(cache_policy::belady, f.belady);
    std::printf("\n");
    std::fflush(stdout);
  }
  std::printf("%d figures are wrong by more than 0.1\n", wrong);
  return wrong == 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  const char* const traces = std::getenv("GNOMON_TRACES");
  if (traces == nullptr) {
    std::printf("skipped: GNOMON_TRACES does not name the folder of traces\n");
    return 77;
  }
  const std::string folder = traces;
  const std::string option = argc > 1 ? argv[1] : "";
  if (option == "--caches")
    return check_caches(folder);
  const auto started = std::chrono::steady_clock::now();
  const auto both = [&](const char* name, const char* file) {
    const auto setup = read_trace(folder + "/" + file);
    for (const double share : {0.05, 0.1})
      compare(name, setup, share);
  };
  both("real minute of a search engine", "real_websearch_60s.csv.gz");
  if (option != "--quick") {
    both("real two hours", "real_cloudphysics_2h.csv.gz");
    both("semi-synthetic week", "semisynthetic_week_public.csv.gz");
  }
  std::printf("\n%.0f s\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
  return 0;
}
