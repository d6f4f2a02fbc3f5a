// Those who watch the requests of a volume go by: recorders, and the heat's collector.
#include "io/engine/ring_engine.hpp"

#include <thread>

namespace gnomon::io {

// --- recording

result<void> node_engine::start_recording(volume_uuid volume, record_sink sink) {
  auto core = registry_.find(volume);
  if (!core)
    return no_volume(volume);
  std::lock_guard lock{recorders_mutex_};
  if (recorders_.contains(volume))
    return fail(errc::busy, "volume " + core->spec().name.value + " is being recorded");
  auto made = std::make_unique<recorder>(plane_.ring_count(), std::move(sink));
  core->publish_recording(made.get());
  recorders_.emplace(volume, std::move(made));
  return {};
}

void node_engine::wait_for_quiescence() {
  const auto epoch = plane_.epochs.begin_epoch();
  for (auto& one : plane_.rings)
    one->wake();
  while (!plane_.epochs.passed(epoch))
    std::this_thread::sleep_for(std::chrono::microseconds{200});
}

result<void> node_engine::stop_recording(volume_uuid volume) {
  std::unique_ptr<recorder> ended;
  {
    std::lock_guard lock{recorders_mutex_};
    const auto found = recorders_.find(volume);
    if (found == recorders_.end())
      return fail(errc::not_found, "the volume is not being recorded");
    ended = std::move(found->second);
    recorders_.erase(found);
  }
  if (auto core = registry_.find(volume))
    core->publish_recording(nullptr);
  wait_for_quiescence();
  ended->stop();
  return {};
}

// --- observation

void node_engine::collect_observations(std::function<void(std::vector<observation>)> done) {
  const bool queued = plane_.maintenance.submit(observing_lane_, [this, done] {
    auto cores = registry_.all();
    for (auto& remote : registry_.remotes())
      cores.push_back(std::move(remote));
    for (const auto& core : cores)
      core->observations().flip();
    const auto epoch = plane_.epochs.begin_epoch();
    while (!plane_.epochs.passed(epoch)) // a ring is between two turns within a moment, or asleep
      std::this_thread::sleep_for(std::chrono::microseconds{200});
    std::vector<observation> seen;
    for (const auto& core : cores) {
      const auto add = [&](const chunk_activity& a) -> observation& {
        observation o;
        o.volume = core->uuid();
        o.reads = a.reads, o.writes = a.writes, o.sequential = a.sequential;
        o.read_bytes = a.read_bytes, o.write_bytes = a.write_bytes;
        o.read_latency = a.read_latency, o.write_latency = a.write_latency;
        seen.push_back(std::move(o));
        return seen.back();
      };
      core->observations().collect(
          [&](chunk_index chunk, instance_slot slot, const chunk_activity& a) {
            observation& o = add(a);
            o.chunk = chunk;
            o.instance = registry_.instance_of(slot);
          },
          [&](const chunk_activity& a) { add(a).whole_volume = true; });
    }
    done(std::move(seen));
  });
  if (!queued)
    done({});
}

} // namespace gnomon::io
