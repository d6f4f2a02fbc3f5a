// Points in time, captures and granules from elsewhere, as the engine's callers ask for them.
#include "io/engine/ring_engine.hpp"
#include "io/volume/granule_state.hpp"

namespace gnomon::io {

void node_engine::hold(volume_uuid volume, hold_id id, boot_time deadline,
                       std::function<void(result<held_report>)> done) {
  auto core = registry_.find(volume);
  if (!core)
    return done(no_volume(volume));
  core->granules().hold(core, id, deadline, std::move(done));
}

void node_engine::release(volume_uuid volume, hold_id id, std::function<void(result<hold_outcome>)> done) {
  const auto core = registry_.find(volume);
  if (!core)
    return done(no_volume(volume));
  done(core->granules().release(id));
}

void node_engine::abandon(volume_uuid volume, hold_id id) {
  if (const auto core = registry_.find(volume))
    core->granules().abandon(core, id);
}

void node_engine::begin_capture(volume_uuid volume, capture_order order, std::optional<hold_id> held,
                                std::function<void(result<capture_begun>)> done) {
  auto core = registry_.find(volume);
  if (!core)
    return done(no_volume(volume));
  core->granules().begin_capture(core, order, held, std::move(done));
}

void node_engine::read_capture(volume_uuid volume, std::uint64_t id, granule_index from, std::uint32_t granules_max,
                               std::function<void(result<capture_piece>)> done) {
  auto core = registry_.find(volume);
  if (!core)
    return done(no_volume(volume));
  core->granules().read_capture(core, id, from, granules_max, std::move(done));
}

void node_engine::end_capture(volume_uuid volume, std::uint64_t id, capture_end how, done_callback done) {
  auto core = registry_.find(volume);
  if (!core)
    return done(no_volume(volume));
  core->granules().end_capture(core, id, how, std::move(done));
}

void node_engine::bring_in(volume_uuid volume, granule_index first, std::uint32_t granules, done_callback done) {
  auto core = registry_.find(volume);
  if (!core)
    return done(no_volume(volume));
  core->granules().bring_in(core, first, granules, std::move(done));
}

std::optional<presence_report> node_engine::presence(volume_uuid volume) const {
  const auto core = registry_.find(volume);
  return core ? core->granules().report_presence() : std::nullopt;
}

void node_engine::drop_source(volume_uuid volume, done_callback done) {
  auto core = registry_.find(volume);
  if (!core)
    return done(no_volume(volume));
  core->granules().drop_source(core, std::move(done));
}

void node_engine::hydrate(volume_uuid volume, granule_plan plan, std::shared_ptr<work_control> control,
                          done_callback done) {
  auto core = registry_.find(volume);
  if (!core)
    return done(no_volume(volume));
  hydrator_->begin(std::move(core), std::move(plan), std::move(control), std::move(done));
}

void node_engine::set_source(volume_uuid volume, std::shared_ptr<granule_source> source, done_callback done) {
  auto core = registry_.find(volume);
  if (!core)
    return done(no_volume(volume));
  core->granules().set_source(core, std::move(source), std::move(done));
}

void node_engine::begin_archive(volume_uuid volume, granule_run run, done_callback done) {
  auto core = registry_.find(volume);
  if (!core)
    return done(no_volume(volume));
  core->granules().begin_archive(core, run, std::move(done));
}

void node_engine::read_archive(volume_uuid volume, granule_index from, std::uint32_t granules_max,
                               std::function<void(result<capture_piece>)> done) {
  auto core = registry_.find(volume);
  if (!core)
    return done(no_volume(volume));
  core->granules().read_archive(core, from, granules_max, std::move(done));
}

void node_engine::finish_archive(volume_uuid volume, std::function<void(result<punch_report>)> done) {
  auto core = registry_.find(volume);
  if (!core)
    return done(no_volume(volume));
  core->granules().finish_archive(core, std::move(done));
}

void node_engine::abandon_archive(volume_uuid volume) {
  if (const auto core = registry_.find(volume))
    core->granules().abandon_archive();
}

} // namespace gnomon::io
