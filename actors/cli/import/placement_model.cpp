#include "actors/cli/import/placement_model.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "actors/cli/import/topology_file.hpp"
#include "forecasting/planner/plan.hpp"
#include "forecasting/planner/planner_text.hpp"
#include "store/files/trace_file.hpp"

namespace gnomon::actors::cli {
namespace {
using namespace forecasting;

constexpr std::size_t planner_text_bytes_max = 1u << 30;
constexpr double load_step_seconds = 5 * minute;
constexpr std::size_t load_slots_max = 400 * 288; // 400 days

// Every read and change of the chosen volumes, in the file's order; `index`: of the volume among the chosen ones.
result<void> for_each_request(const simulate_command& wanted, const placement_progress& progress,
                              std::vector<std::string>& names,
                              const std::function<result<void>(const store::trace_record&, std::uint32_t)>& each) {
  auto reader = store::trace_reader::open(wanted.trace);
  if (!reader)
    return tl::unexpected(reader.error());
  std::vector<std::optional<std::uint32_t>> index;
  std::vector<store::trace_record> batch;
  for (;;) {
    if (auto got = reader->read(batch); !got)
      return got;
    if (batch.empty())
      return {};
    for (const auto& r : batch) {
      const auto& name = reader->volumes()[r.volume];
      if ((!wanted.volume.empty() && name != wanted.volume) || r.length_bytes == 0 ||
          !(r.op == store::trace_operation::read || store::changes_data(r.op)))
        continue;
      if (r.volume >= index.size())
        index.resize(r.volume + 1);
      if (!index[r.volume]) {
        index[r.volume] = static_cast<std::uint32_t>(names.size());
        names.push_back(name);
      }
      if (auto done = each(r, *index[r.volume]); !done)
        return done;
    }
    if (progress && !progress(fmt::format("reading the trace, {:.0f} %", 100 * reader->progress())))
      return fail(errc::unavailable, "interrupted");
  }
}

result<placement_setup> setup_of(const simulate_command& wanted, const placement_progress& progress) {
  const auto places = read_topology(wanted.topology);
  if (!places)
    return tl::unexpected(places.error());
  placement_setup out;
  out.nodes = places->nodes;
  if (wanted.chunk_size.value > 0)
    out.granules_per_chunk = static_cast<std::uint32_t>(
        std::clamp<std::uint64_t>(wanted.chunk_size.value / simulated_granule_bytes, 1, 1u << 20));
  std::vector<std::string> names;
  const auto read =
      for_each_request(wanted, progress, names, [&](const store::trace_record& r, std::uint32_t v) -> result<void> {
        if (r.op != store::trace_operation::read)
          return {};
        if (out.reads.size() >= placement_reads_max)
          return fail(errc::limit_reached, "more reads than a placement simulation holds; choose one volume");
        const auto first = r.offset_bytes / simulated_granule_bytes;
        const auto last = (r.offset_bytes + r.length_bytes - 1) / simulated_granule_bytes;
        if (last - first >= out.granules_per_chunk * 1024ull || last >= 1ull << 40)
          return fail(errc::out_of_range, "a read of the trace is too long or too far away");
        out.reads.push_back({static_cast<double>(r.time_us) / 1e6, v, first,
                             static_cast<std::uint32_t>(last - first + 1), r.length_bytes});
        return {};
      });
  if (!read)
    return tl::unexpected(read.error());
  if (out.reads.empty())
    return fail(errc::invalid_argument, wanted.trace + " holds no reads to place anything for");
  std::stable_sort(out.reads.begin(), out.reads.end(),
                   [](const auto& a, const auto& b) { return a.seconds < b.seconds; });
  for (std::size_t v = 0; v < names.size(); ++v) {
    const auto place = places->place_of(names[v], v);
    out.volumes.push_back({names[v], place.gateway, places->far_seconds(place)});
  }
  return out;
}

} // namespace

const placement_outcome* placement_size::best_baseline() const {
  const placement_outcome* best = nullptr;
  for (const auto& o : outcomes)
    if (is_baseline(o.method) && (best == nullptr || o.near > best->near))
      best = &o;
  return best;
}

const placement_outcome* placement_size::of(placement_method m) const {
  for (const auto& o : outcomes)
    if (o.method == m)
      return &o;
  return nullptr;
}

double placement_size::gap_closed() const {
  const auto* base = best_baseline();
  const auto* ours = of(placement_method::gnomon);
  const auto* oracle = of(placement_method::oracle);
  if (base == nullptr || ours == nullptr || oracle == nullptr || !(oracle->near_share() > base->near_share()))
    return 0;
  return (ours->near_share() - base->near_share()) / (oracle->near_share() - base->near_share());
}

result<placement_report> simulate_placements(const simulate_command& wanted, const placement_progress& progress) {
  const auto setup = setup_of(wanted, progress);
  if (!setup)
    return tl::unexpected(setup.error());
  placement_report out;
  out.trace = wanted.trace;
  out.nodes = setup->nodes.size();
  out.volumes = setup->volumes.size();
  out.reads = setup->reads.size();
  const auto touched = static_cast<double>(touched_granules(*setup));
  for (const double share : wanted.space) {
    auto& size = out.sizes.emplace_back();
    size.share = share;
    size.granules = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(share * touched));
    placement_limits limits;
    limits.space_granules = size.granules;
    for (int m = 0; m <= static_cast<int>(placement_method::oracle); ++m) {
      const auto method = static_cast<placement_method>(m);
      if (progress && !progress(fmt::format("{:.1f} % of space: {}", 100 * share, to_string(method)))) {
        out.interrupted = true;
        return out;
      }
      if (method == placement_method::oracle)
        limits.granules_moved_max = size.best_baseline()->bytes_moved / simulated_granule_bytes;
      auto one = simulate_placement(*setup, method, limits);
      if (!one)
        return tl::unexpected(one.error());
      size.outcomes.push_back(std::move(*one));
    }
  }
  return out;
}

result<snapshot_report> simulate_snapshot_times(const simulate_command& wanted, const placement_progress& progress) {
  std::vector<std::string> names;
  std::vector<std::vector<double>> loads;
  std::optional<double> start;
  const auto read =
      for_each_request(wanted, progress, names, [&](const store::trace_record& r, std::uint32_t v) -> result<void> {
        const double at = static_cast<double>(r.time_us) / 1e6;
        if (!start)
          start = std::floor(at / hour) * hour;
        const double slot = std::floor((at - *start) / load_step_seconds);
        if (slot >= static_cast<double>(load_slots_max))
          return fail(errc::limit_reached, "the trace is longer than 400 days");
        loads.resize(std::max<std::size_t>(loads.size(), v + 1));
        if (slot < 0)
          return {};
        auto& load = loads[v];
        load.resize(std::max(load.size(), static_cast<std::size_t>(slot) + 1));
        load[static_cast<std::size_t>(slot)] += 1;
        return {};
      });
  if (!read)
    return tl::unexpected(read.error());
  snapshot_report out;
  out.trace = wanted.trace;
  for (std::size_t v = 0; v < names.size(); ++v) {
    if (progress && !progress("planning the snapshots of " + names[v]))
      return fail(errc::unavailable, "interrupted");
    grid load;
    load.start_seconds = *start;
    load.step_seconds = load_step_seconds;
    load.value = arma::vec(loads[v]);
    if (auto scores = simulate_snapshots(load))
      out.volumes.push_back({names[v], *scores});
    else
      out.too_short.push_back(names[v]);
  }
  if (out.volumes.empty())
    return fail(errc::invalid_argument, wanted.trace + " is too short to plan snapshots by: it takes three days");
  return out;
}

result<std::string> plan_file(const std::string& path) {
  const auto text = read_whole(path, planner_text_bytes_max);
  if (!text)
    return tl::unexpected(text.error());
  const auto input = planner_input_from(*text);
  if (!input)
    return fail(input.error().code, path + ": " + input.error().message);
  const auto planned = plan(*input);
  if (!planned)
    return tl::unexpected(planned.error());
  std::string out;
  for (const auto& d : planned->decisions)
    out += to_text(*input, d) + "\n";
  if (planned->left_out > 0)
    out += fmt::format("{} more\n", planned->left_out);
  return out;
}

} // namespace gnomon::actors::cli
