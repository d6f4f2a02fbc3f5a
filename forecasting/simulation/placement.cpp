#include "forecasting/simulation/placement.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_set>

namespace gnomon::forecasting {
namespace {

// Latencies in classes of 2 %, from a microsecond up.
class latency_histogram {
public:
  void add(double seconds) {
    const double step = std::log(std::max(seconds, shortest) / shortest) / std::log(growth);
    ++count_[std::min(static_cast<std::size_t>(step), classes - 1)];
    sum_ += seconds;
    ++total_;
  }
  double mean() const { return total_ == 0 ? 0 : sum_ / static_cast<double>(total_); }
  double quantile(double level) const {
    const auto wanted = static_cast<std::uint64_t>(level * static_cast<double>(total_));
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < classes; ++i)
      if ((below += count_[i]) > wanted)
        return shortest * std::pow(growth, static_cast<double>(i) + 0.5);
    return 0;
  }

private:
  static constexpr double shortest = 1e-6, growth = 1.02;
  static constexpr std::size_t classes = 1200; // up to 5 hours
  std::array<std::uint64_t, classes> count_{};
  double sum_ = 0;
  std::uint64_t total_ = 0;
};

result<void> check(const placement_setup& setup) {
  if (setup.nodes.empty() || setup.nodes.size() > simulated_nodes_max || setup.volumes.empty())
    return fail(errc::invalid_argument, "a placement simulation needs volumes and 1 to 4096 nodes");
  if (setup.granules_per_chunk == 0)
    return fail(errc::invalid_argument, "a chunk has at least one granule");
  for (const auto& v : setup.volumes)
    if (v.node >= setup.nodes.size())
      return fail(errc::invalid_argument, "volume " + v.name + " is read through a node that is not there");
  for (const auto& r : setup.reads)
    if (r.volume >= setup.volumes.size() || r.granules == 0)
      return fail(errc::invalid_argument, "a read is of no volume or of no granule");
  return {};
}

bool needs_the_future(placement_method m) {
  using enum placement_method;
  return m == belady || m == chunk_belady || m == oracle;
}

// The reads of one node.
struct node_run {
  const placement_setup& setup;
  std::uint32_t node;
  granule_numbers numbers;
  std::vector<cache_item> ids;

  node_run(const placement_setup& s, std::uint32_t n) : setup(s), node(n), numbers(s.granules_per_chunk) {}
  void name(const placement_request& r) {
    ids.clear();
    for (std::uint32_t k = 0; k < r.granules; ++k)
      ids.push_back(numbers.of(r.volume, r.first_granule + k));
  }
  std::shared_ptr<const future_accesses> future() {
    auto out = std::make_shared<future_accesses>();
    for (const auto& r : setup.reads)
      if (setup.volumes[r.volume].node == node) {
        name(r);
        out->item.insert(out->item.end(), ids.begin(), ids.end());
      }
    const auto count = out->item.size();
    std::vector<std::uint64_t> granule(numbers.chunks() * setup.granules_per_chunk, cache::never);
    std::vector<std::uint64_t> chunk(numbers.chunks(), cache::never);
    out->next_of_granule.resize(count);
    out->next_of_chunk.resize(count);
    for (std::size_t n = count; n-- > 0;) {
      const cache_item i = out->item[n];
      out->next_of_granule[n] = std::exchange(granule[i], n);
      out->next_of_chunk[n] = std::exchange(chunk[i / setup.granules_per_chunk], n);
    }
    return out;
  }
};

std::unique_ptr<placement_policy> policy_of(placement_method m, std::size_t space, const link_model& link,
                                            node_run& run, const placement_limits& limits, double share) {
  using enum placement_method;
  const auto per_chunk = run.setup.granules_per_chunk;
  const auto future = needs_the_future(m) ? run.future() : nullptr;
  switch (m) {
  case nothing:
    return make_nothing(link);
  case lru:
    return make_cached(space, link, {cache_policy::lru});
  case arc:
    return make_cached(space, link, {cache_policy::arc});
  case s3_fifo:
    return make_cached(space, link, {cache_policy::s3_fifo});
  case lru_ahead_1:
    return make_cached(space, link, {cache_policy::lru, 1});
  case lru_ahead_4:
    return make_cached(space, link, {cache_policy::lru, 4});
  case one_block_lookahead:
    return make_cached(space, link, {cache_policy::lru, 1, true});
  case pinned:
    return make_pinned(space, 1, link);
  case belady:
    return make_cached(space, link, {cache_policy::belady}, future);
  case chunk_lru:
    return make_chunk_cached(space, per_chunk, link, cache_policy::lru);
  case chunk_arc:
    return make_chunk_cached(space, per_chunk, link, cache_policy::arc);
  case chunk_s3_fifo:
    return make_chunk_cached(space, per_chunk, link, cache_policy::s3_fifo);
  case chunk_pinned:
    return make_pinned(space, per_chunk, link);
  case chunk_belady:
    return make_chunk_cached(space, per_chunk, link, cache_policy::belady, future);
  case gnomon:
    return make_gateway(space, link, limits.gateway);
  case oracle:
    break;
  }
  const double moved = limits.granules_moved_max ? static_cast<double>(*limits.granules_moved_max) * share : 1e18;
  return make_oracle(space, link, future, static_cast<std::uint64_t>(moved));
}

void run_node(node_run& run, placement_policy& policy, placement_outcome& out, latency_histogram& latencies) {
  near_store& store = policy.store;
  const link_model& link = run.setup.nodes[run.node].link;
  std::size_t access = 0;
  for (const auto& r : run.setup.reads) {
    const auto& volume = run.setup.volumes[r.volume];
    if (volume.node != run.node)
      continue;
    run.name(r);
    policy.advance(r.seconds);
    std::size_t missing = 0, travelling = 0;
    std::array<bool, prediction_kind_count> helped{};
    for (const cache_item i : run.ids) {
      missing += store.holds(i) ? 0 : 1;
      travelling += store.arriving(i, r.seconds) ? 1 : 0;
      if (store.unused(i))
        helped[static_cast<std::size_t>(store.kind_of(i))] = true;
    }
    double there = r.seconds;
    if (missing + travelling > 0)
      there = store.demand(r.seconds, missing, travelling) +
              (volume.far_seconds > 0 ? volume.far_seconds - link.far_seconds : 0);
    double latest = missing > 0 ? there : r.seconds;
    for (const cache_item i : run.ids)
      if (store.holds(i)) {
        store.use(i, std::max(there, r.seconds));
        latest = std::max(latest, store.arrival(i));
      }
    const bool near = missing + travelling == 0;
    out.near += near ? 1 : 0;
    ++out.reads;
    for (std::size_t k = 0; near && k < helped.size(); ++k)
      out.near_by_kind[k] += helped[k] ? 1 : 0;
    latencies.add(std::max(0.0, latest - r.seconds) + link.near_seconds +
                  static_cast<double>(r.bytes) / link.near_bytes_per_second);
    policy.read({r.seconds, r.volume, r.first_granule, run.ids, there, access}, run.numbers);
    access += run.ids.size();
  }
  store.finish();
  out.bytes_moved += store.moved() * simulated_granule_bytes;
  out.bytes_in_vain += store.in_vain() * simulated_granule_bytes;
  for (std::size_t k = 0; k < prediction_kind_count; ++k) {
    out.kinds[k].fetched += store.kinds()[k].fetched;
    out.kinds[k].used += store.kinds()[k].used;
  }
}

} // namespace

std::string_view to_string(placement_method m) noexcept {
  using enum placement_method;
  switch (m) {
  case nothing:
    return "nothing";
  case lru:
    return "LRU";
  case arc:
    return "ARC";
  case s3_fifo:
    return "S3-FIFO";
  case lru_ahead_1:
    return "LRU, 1 ahead";
  case lru_ahead_4:
    return "LRU, 4 ahead";
  case one_block_lookahead:
    return "one-block lookahead";
  case pinned:
    return "pin hottest";
  case belady:
    return "Belady";
  case chunk_lru:
    return "LRU, chunks";
  case chunk_arc:
    return "ARC, chunks";
  case chunk_s3_fifo:
    return "S3-FIFO, chunks";
  case chunk_pinned:
    return "pin hottest, chunks";
  case chunk_belady:
    return "Belady, chunks";
  case gnomon:
    return "Gnomon";
  case oracle:
    return "oracle";
  }
  return "?";
}

bool is_baseline(placement_method m) noexcept { return !needs_the_future(m) && m != placement_method::gnomon; }

std::uint64_t touched_granules(const placement_setup& setup) {
  std::unordered_set<std::uint64_t> seen;
  for (const auto& r : setup.reads)
    for (std::uint32_t k = 0; k < r.granules; ++k)
      seen.insert((static_cast<std::uint64_t>(r.volume) << 40) | (r.first_granule + k));
  return seen.size();
}

result<placement_outcome> simulate_placement(const placement_setup& setup, placement_method method,
                                             const placement_limits& limits) {
  if (auto ok = check(setup); !ok)
    return tl::unexpected(ok.error());
  double shares = 0;
  for (const auto& n : setup.nodes)
    shares += std::max(0.0, n.space_share);
  if (!(shares > 0))
    return fail(errc::invalid_argument, "no node has any space");
  placement_outcome out;
  out.method = method;
  latency_histogram latencies;
  for (std::uint32_t n = 0; n < setup.nodes.size(); ++n) {
    const double share = std::max(0.0, setup.nodes[n].space_share) / shares;
    node_run run(setup, n);
    const auto space = static_cast<std::size_t>(static_cast<double>(limits.space_granules) * share);
    auto policy = policy_of(method, space, setup.nodes[n].link, run, limits, share);
    run_node(run, *policy, out, latencies);
    if (const auto* report = gateway_report_of(*policy))
      out.gateway += *report;
  }
  out.mean_seconds = latencies.mean();
  out.p99_seconds = latencies.quantile(0.99);
  return out;
}

} // namespace gnomon::forecasting
