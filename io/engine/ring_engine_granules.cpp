// Points in time, captures and granules from elsewhere, as the engine's callers ask for them.
#include "io/engine/ring_engine.hpp"

namespace gnomon::io {

namespace {
tl::unexpected<error> not_offered() { return fail(errc::unsupported, "this build cannot capture volumes"); }
} // namespace

void node_engine::hold(volume_uuid, hold_id, boot_time, std::function<void(result<held_report>)> done) {
  done(not_offered());
}

void node_engine::release(volume_uuid, hold_id, std::function<void(result<hold_outcome>)> done) {
  done(not_offered());
}

void node_engine::abandon(volume_uuid, hold_id) {}

void node_engine::begin_capture(volume_uuid, capture_kind, std::optional<hold_id>,
                                std::function<void(result<capture_begun>)> done) {
  done(not_offered());
}

void node_engine::read_capture(volume_uuid, std::uint64_t, granule_index, std::uint32_t,
                               std::function<void(result<capture_piece>)> done) {
  done(not_offered());
}

void node_engine::end_capture(volume_uuid, std::uint64_t, capture_end, done_callback done) { done(not_offered()); }

void node_engine::bring_in(volume_uuid, granule_index, std::uint32_t, done_callback done) { done(not_offered()); }

std::optional<presence_report> node_engine::presence(volume_uuid) const { return std::nullopt; }

void node_engine::drop_source(volume_uuid, done_callback done) { done(not_offered()); }

} // namespace gnomon::io
