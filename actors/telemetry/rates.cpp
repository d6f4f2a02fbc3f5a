#include "actors/telemetry/rates.hpp"

#include <algorithm>
#include <unordered_set>

namespace gnomon::actors {
namespace {

// What happened between two looks. Counters are monotone per opening; a volume that was reopened starts over.
io::operation_counters difference(const io::operation_counters& now, const io::operation_counters& before) {
  if (now.requests < before.requests)
    return now;
  io::operation_counters out;
  out.requests = now.requests - before.requests;
  out.bytes = now.bytes - std::min(now.bytes, before.bytes);
  out.errors = now.errors - std::min(now.errors, before.errors);
  for (std::size_t bucket = 0; bucket < io::latency_histogram::bucket_count; ++bucket) {
    const auto later = now.latency.count_in(bucket), earlier = before.latency.count_in(bucket);
    if (later > earlier)
      out.latency.add_bucket(bucket, later - earlier);
  }
  return out;
}

void add(io::operation_counters& sum, const io::operation_counters& more) {
  sum.requests += more.requests;
  sum.bytes += more.bytes;
  sum.errors += more.errors;
  sum.latency.merge(more.latency);
}

operation_rates rates_from(const io::operation_counters& in, double seconds) {
  operation_rates out;
  if (in.requests == 0 && in.errors == 0)
    return out;
  out.requests_per_second = static_cast<double>(in.requests) / seconds;
  out.bytes_per_second = static_cast<double>(in.bytes) / seconds;
  out.errors_per_second = static_cast<double>(in.errors) / seconds;
  out.p50_us = in.latency.quantile_nanoseconds(0.5) / 1000.0;
  out.p99_us = in.latency.quantile_nanoseconds(0.99) / 1000.0;
  return out;
}

std::uint64_t requests_of(const io::volume_counters& counters) {
  std::uint64_t sum = 0;
  for (const auto& operation : counters.by_operation)
    sum += operation.requests;
  return sum;
}

double traffic(const volume_rates& v) {
  return v.read.bytes_per_second + v.write.bytes_per_second + 4096.0 * v.other.requests_per_second;
}

} // namespace

volume_rates rate_meter::rates_of(const io::volume_status& volume, io::volume_counters now, double seconds) {
  volume_rates out;
  out.uuid = volume.spec.uuid;
  out.name = volume.spec.name;
  out.connections = now.connections;
  out.in_flight = now.in_flight;
  if (requests_of(now) == 0)
    return out;
  auto& seen = seen_[volume.spec.uuid];
  if (!seen)
    seen = std::make_unique<seen_volume>();
  io::operation_counters other;
  for (std::size_t i = 0; i < io::operation_count; ++i) {
    const auto delta = difference(now.by_operation[i], seen->counters.by_operation[i]);
    switch (static_cast<io::operation>(i)) {
    case io::operation::read:
      out.read = rates_from(delta, seconds);
      break;
    case io::operation::write:
      out.write = rates_from(delta, seconds);
      break;
    default:
      add(other, delta);
    }
  }
  out.other = rates_from(other, seconds);
  seen->counters = now;
  return out;
}

void rate_meter::add_rings(const std::vector<io::ring_status>& rings, double seconds, telemetry_snapshot& out) {
  for (std::size_t i = 0; i < rings.size(); ++i) {
    ring_info info{rings[i].index, rings[i].connections, rings[i].requests, rings[i].buffer_bytes, 0.0, 0.0};
    if (i < last_rings_.size() && rings[i].turns >= last_rings_[i].turns) {
      const auto turns = rings[i].turns - last_rings_[i].turns;
      const auto requests = rings[i].requests - last_rings_[i].requests;
      const auto cpu = rings[i].cpu_nanoseconds - last_rings_[i].cpu_nanoseconds;
      info.cpu_fraction = static_cast<double>(cpu) / 1e9 / seconds;
      if (turns > 0)
        info.requests_per_turn = static_cast<double>(requests) / static_cast<double>(turns);
    }
    out.rings.push_back(info);
  }
  last_rings_ = rings;
}

std::optional<telemetry_snapshot> rate_meter::look(const io::engine& engine, wall_time wall, boot_time now) {
  const bool first = !last_look_.has_value();
  const double seconds = first ? 1.0 : std::max(std::chrono::duration<double>(now - *last_look_).count(), 1e-3);
  last_look_ = now;

  telemetry_snapshot out;
  out.taken_us = to_microseconds(wall);
  out.interval_s = seconds;
  const auto rings = engine.rings();
  std::uint64_t requests = 0, connections = 0;
  for (const auto& ring : rings) {
    requests += ring.requests;
    connections += ring.connections;
  }
  add_rings(rings, seconds, out);

  const bool idle = !first && requests == last_requests_ && connections == last_connections_;
  last_requests_ = requests;
  last_connections_ = connections;
  // One more look after the last request brings the rates back to zero.
  if (idle && last_was_idle_) {
    out.volumes = last_idle_;
    return out;
  }
  last_was_idle_ = idle;

  const auto volumes = engine.volumes();
  std::unordered_set<volume_uuid> present;
  for (const auto& volume : volumes) {
    present.insert(volume.spec.uuid);
    if (const auto counters = engine.counters(volume.spec.uuid))
      out.volumes.push_back(rates_of(volume, *counters, seconds));
  }
  std::erase_if(seen_, [&](const auto& entry) { return !present.contains(entry.first); });
  std::stable_sort(out.volumes.begin(), out.volumes.end(),
                   [](const auto& a, const auto& b) { return traffic(a) > traffic(b); });
  if (idle)
    last_idle_ = out.volumes;
  if (first)
    return std::nullopt;
  return out;
}

} // namespace gnomon::actors
