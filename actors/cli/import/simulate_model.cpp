#include "actors/cli/import/simulate_model.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "store/files/trace_file.hpp"

namespace gnomon::actors::cli {
namespace {
using store::trace_operation;

bool counts(const store::trace_record& r) {
  return r.length_bytes > 0 && (r.op == trace_operation::read || store::changes_data(r.op));
}

// Calls `each` with every record that passes the filter. False in the result: `progress` said to stop.
template <class Each, class Progress>
result<bool> pass(const simulate_command& wanted, Each&& each, Progress&& progress) {
  auto reader = store::trace_reader::open(wanted.trace);
  if (!reader)
    return tl::unexpected(reader.error());
  std::vector<store::trace_record> batch;
  constexpr std::size_t records_per_step = 4096; // a step with many forecasts takes long: ask often
  for (;;) {
    if (auto got = reader->read(batch, records_per_step); !got)
      return tl::unexpected(got.error());
    if (batch.empty())
      return true;
    for (const auto& r : batch)
      if (const auto& name = reader->volumes()[r.volume]; wanted.volume.empty() || name == wanted.volume)
        if (auto done = each(r, name); !done)
          return tl::unexpected(done.error());
    if (!progress(reader->progress()))
      return false;
  }
}

struct survey {
  std::vector<std::optional<std::uint32_t>> index; // of the trace's volume among those simulated
  std::vector<forecasting::simulated_volume> volumes;
  std::uint64_t records = 0, requests = 0;
};

result<survey> look_over(const simulate_command& wanted, const simulation_hooks& hooks) {
  survey out;
  const auto seen = pass(
      wanted,
      [&](const store::trace_record& r, const std::string& name) -> result<void> {
        ++out.records;
        if (!counts(r))
          return {};
        ++out.requests;
        if (r.volume >= out.index.size())
          out.index.resize(r.volume + 1);
        auto& index = out.index[r.volume];
        if (!index) {
          if (out.volumes.size() == forecasting::simulated_volumes_max)
            return fail(errc::limit_reached, fmt::format("more than {} volumes; choose one with --volume",
                                                         forecasting::simulated_volumes_max));
          index = static_cast<std::uint32_t>(out.volumes.size());
          out.volumes.push_back({name, wanted.size, wanted.chunk_size});
        }
        auto& size = out.volumes[*index].size.value;
        if (wanted.size.value == 0)
          size = std::max(size, r.offset_bytes + r.length_bytes);
        return {};
      },
      [&](double part) { return !hooks.progress || hooks.progress(part, 0, 0); });
  if (!seen)
    return tl::unexpected(seen.error());
  if (!*seen)
    return fail(errc::unavailable, "interrupted");
  if (out.requests == 0)
    return fail(errc::invalid_argument, wanted.volume.empty() ? fmt::format("{} holds no requests", wanted.trace)
                                                              : fmt::format("{} holds no requests of volume {}",
                                                                            wanted.trace, wanted.volume));
  double chunks = 0;
  for (auto& v : out.volumes) {
    if (v.chunk_size.value == 0)
      v.chunk_size = default_chunk_bytes(v.size);
    chunks += std::ceil(static_cast<double>(v.size.value) / static_cast<double>(v.chunk_size.value));
  }
  if (chunks * static_cast<double>(wanted.horizons.size()) > static_cast<double>(simulated_chunks_max))
    return fail(errc::limit_reached, "too many chunks; choose one volume with --volume or a larger --chunk-size");
  return out;
}

double seconds(std::chrono::microseconds t) { return static_cast<double>(t.count()) / 1e6; }
} // namespace

result<simulation_outcome> simulate_trace(const simulate_command& wanted, const simulation_hooks& hooks) {
  auto found = look_over(wanted, hooks);
  if (!found)
    return tl::unexpected(found.error());
  forecasting::simulation_options options;
  options.horizons_seconds.clear();
  for (const auto h : wanted.horizons)
    options.horizons_seconds.push_back(seconds(h));
  options.set_sizes = wanted.set_sizes;
  options.forecast_every_seconds = seconds(wanted.forecast_every);
  options.score_from_seconds = seconds(wanted.score_after);
  options.stopwatch_seconds = hooks.stopwatch_seconds;
  auto sim = forecasting::simulation::make(found->volumes, std::move(options));
  if (!sim)
    return tl::unexpected(sim.error());

  simulation_outcome out;
  out.trace = wanted.trace;
  std::uint64_t requests = 0, bytes = 0;
  const auto fed = pass(
      wanted,
      [&](const store::trace_record& r, const std::string&) -> result<void> {
        ++out.records;
        if (!counts(r)) {
          ++out.skipped;
          return {};
        }
        if (r.volume >= found->index.size() || !found->index[r.volume])
          return fail(errc::corrupt, wanted.trace + " has changed while it was read");
        ++requests;
        bytes += r.length_bytes;
        return sim->feed({static_cast<double>(r.time_us) / 1e6, *found->index[r.volume], store::changes_data(r.op),
                          byte_offset{r.offset_bytes}, byte_count{r.length_bytes}});
      },
      [&](double part) { return !hooks.progress || hooks.progress(part, requests, bytes); });
  if (!fed)
    return tl::unexpected(fed.error());
  out.interrupted = !*fed;
  out.volumes = std::move(found->volumes);
  out.scores = sim->scores();
  return out;
}

} // namespace gnomon::actors::cli
