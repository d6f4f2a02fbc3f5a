// Volumes as the engine's callers see them: opened, changed and closed on maintenance threads, one change per volume
// at a time.
#include "io/engine/ring_engine.hpp"

#include <thread>

#include <unistd.h>

#include "io/engine/local_io.hpp"
#include "io/volume/granule_state.hpp"

namespace gnomon::io {

tl::unexpected<error> no_volume(volume_uuid volume) {
  return fail(errc::not_found, "no volume " + volume.to_string() + " is open here");
}

void node_engine::on_maintenance(volume_uuid volume, done_callback done, job what) {
  auto core = registry_.find(volume);
  if (!core)
    return done(no_volume(volume));
  const auto lane = core->control_lane();
  const bool queued = plane_.maintenance.submit(lane, [core = std::move(core), done, what = std::move(what)] {
    result<void> outcome;
    {
      std::lock_guard lock{core->control};
      outcome = what(*core);
    }
    done(std::move(outcome));
  });
  if (!queued)
    done(fail(errc::shutting_down, "the node is stopping, or too many changes are waiting"));
}

void node_engine::open_volume(volume_spec spec, done_callback done) {
  // A lane for each: there is no core yet, and the callers bound how many changes are under way.
  const bool queued = plane_.maintenance.submit(std::make_shared<lane_pool::lane>(), [this, spec = std::move(spec), done] {
    if (registry_.stopping())
      return done(fail(errc::shutting_down, "the node is stopping"));
    auto core = volume_core::open(spec, plane_);
    if (!core)
      return done(tl::unexpected(core.error()));
    if (cluster_)
      cluster_->adopt(**core);
    auto added = registry_.add(std::move(*core));
    if (added && cluster_)
      cluster_->volumes_changed();
    done(std::move(added));
  });
  if (!queued)
    done(fail(errc::shutting_down, "the node is stopping, or too many changes are waiting"));
}

// A stop does not wait for what waits here; it takes care of every volume itself.
result<void> node_engine::wait_unless_stopping(const std::shared_ptr<volume_core>& core, generation_scheduler::step what,
                                               boot_time until) {
  const auto step = [this, what = std::move(what)](volume_core& c) { return registry_.stopping() || what(c); };
  auto over = plane_.generations.wait_for(core, step, until);
  if (over && registry_.stopping())
    return fail(errc::shutting_down, "the node is stopping");
  return over;
}

result<void> node_engine::drain(const std::shared_ptr<volume_core>& core, boot_time until) {
  auto over = wait_unless_stopping(
      core, generation_scheduler::over(generation_scheduler::classes::changes_and_looks), until);
  if (!over)
    return over;
  // Flushes have left their generation and are over when they are answered; background steps may wait at the gate.
  return wait_unless_stopping(
      core, [](volume_core& c) { return c.awaiting_sync() == 0 && c.granules().idle(); }, until);
}

// With its control held.
result<void> node_engine::close_core(const std::shared_ptr<volume_core>& core) {
  const auto until = boot_clock::now() + drain_patience;
  core->begin_closing();
  core->publish([](route& r) { r.closing = true; });
  core->granules().begin_close();
  end_connections(core.get(), {}, nbd_service::manner::drain);
  if (auto gone = wait_until_gone(*core, [](const instance_id&) { return true; }); !gone)
    return gone;
  if (auto drained = drain(core, until); !drained)
    return drained;
  plane_.generations.drop(*core);
  return {};
}

void node_engine::close_volume(volume_uuid volume, done_callback done) {
  auto core = registry_.find(volume);
  if (!core)
    return done(no_volume(volume));
  const bool queued = plane_.maintenance.submit(core->control_lane(), [this, volume, core, done]() mutable {
    (void)stop_recording(volume);
    std::unique_lock control{core->control}; // over the last sync too: a stop makes one only where none was made
    if (registry_.find(volume) != core) { // closed meanwhile
      control.unlock();
      return done(no_volume(volume));
    }
    auto closed = close_core(core);
    const bool closed_for_good = closed.has_value();
    if (closed_for_good) {
      // Closed whatever becomes of the sync: a second one would succeed and prove nothing.
      closed = core->final_sync();
      closed ? core->granules().close_clean() : core->granules().close_in_doubt();
      registry_.remove(volume);
      if (cluster_)
        cluster_->volumes_changed();
    }
    control.unlock();
    if (closed_for_good)
      core.reset(); // the files are closed before `done` is called
    done(std::move(closed));
  });
  if (!queued)
    done(fail(errc::shutting_down, "the node is stopping, or too many changes are waiting"));
}

void node_engine::resize_volume(volume_uuid volume, byte_count new_size, done_callback done) {
  on_maintenance(volume, std::move(done), [this, new_size](volume_core& core) -> result<void> {
    const auto spec = core.spec();
    if (new_size.value % block_bytes != 0 || new_size.value > volume_bytes_max)
      return fail(errc::invalid_argument, "size must be a multiple of 4096 up to 1 PiB");
    if (new_size < spec.size)
      return fail(errc::invalid_argument, "volume " + spec.name.value + " cannot shrink: it has " +
                                              std::to_string(spec.size.value) + " bytes");
    if (auto grown = core.grow_file(new_size); !grown)
      return grown;
    core.granules().resized(new_size);
    // The route first: who is told the new size may use all of it.
    core.publish([&](route& r) { r.size = new_size; });
    core.change_spec([&](volume_spec& s) { s.size = new_size; });
    if (cluster_)
      cluster_->volumes_changed();
    return {};
  });
}

void node_engine::rename_volume(volume_uuid volume, volume_name name, done_callback done) {
  auto renamed = registry_.rename(volume, name);
  if (renamed && cluster_)
    cluster_->volumes_changed();
  done(std::move(renamed));
}

void node_engine::set_read_only(volume_uuid volume, bool read_only, done_callback done) {
  on_maintenance(volume, std::move(done), [this, read_only](volume_core& core) -> result<void> {
    if (!read_only && core.opened_read_only())
      return fail(errc::unsupported, "the volume was opened read-only; reopen it for writing");
    core.publish([&](route& r) { r.read_only = read_only; });
    core.change_spec([&](volume_spec& s) { s.read_only = read_only; });
    if (!read_only)
      return {};
    // Writes that found it writable end before the change is answered.
    return wait_unless_stopping(core.shared_from_this(),
                                generation_scheduler::over(generation_scheduler::classes::changes),
                                boot_clock::now() + drain_patience);
  });
}

void node_engine::set_description(volume_uuid volume, std::string description, done_callback done) {
  on_maintenance(volume, std::move(done), [text = std::move(description)](volume_core& core) -> result<void> {
    core.change_spec([&](volume_spec& s) { s.description = text; });
    return {};
  });
}

void node_engine::clear_write_failure(volume_uuid volume, done_callback done) {
  on_maintenance(volume, std::move(done), [](volume_core& core) -> result<void> {
    core.clear_write_failure();
    return {};
  });
}

void node_engine::failure_recorded(volume_uuid volume, done_callback done) {
  on_maintenance(volume, std::move(done), [](volume_core& core) -> result<void> {
    core.failure_recorded();
    return {};
  });
}

static volume_status status_of(volume_core& core) {
  return {core.spec(),
          core.generations().current(),
          core.writers(),
          core.opened_read_only(),
          core.failure_is_recorded(),
          core.is_synced(),
          core.closing()};
}

std::optional<volume_status> node_engine::status(volume_uuid volume) const {
  const auto core = registry_.find(volume);
  if (!core)
    return std::nullopt;
  return status_of(*core);
}

std::vector<volume_status> node_engine::volumes() const {
  std::vector<volume_status> all;
  for (const auto& core : registry_.all())
    all.push_back(status_of(*core));
  return all;
}

std::optional<volume_counters> node_engine::counters(volume_uuid volume) const {
  const auto core = registry_.find(volume);
  if (!core)
    return std::nullopt;
  return core->meter().sum();
}

void node_engine::submit(volume_uuid volume, local_request request, std::function<void(local_reply)> done) {
  auto core = registry_.find(volume);
  if (!core)
    return done(no_volume(volume));
  submit_local(std::move(core), std::move(request), std::move(done));
}

} // namespace gnomon::io
