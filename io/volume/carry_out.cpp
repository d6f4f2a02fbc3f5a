// Carries requests out on a volume's file. The order is fixed: generation, then checks against the route, then the
// block gate, then the device, then (FUA) a sync. A request is counted into the generation only while it touches the
// file: whoever has to wait (hold, gate) leaves and enters again from the top, with a gate that it was granted.
#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

#include "io/volume/block_status.hpp"
#include "io/volume/granule_state.hpp"
#include "io/volume/steps.hpp"

namespace gnomon::io {

namespace volume_steps {

namespace {

constexpr std::uint64_t will_need_bytes_max = 256ull << 20;  // one CACHE request must not sweep the page cache
constexpr std::uint64_t window_bytes = 64ull << 20; // what a trim, zeroing or hint does before it lets others pass

void carry_out(volume_request& r);

constexpr bool goes_in_windows(operation op) {
  return op == operation::trim || op == operation::zero || op == operation::cache;
}

// --- sync

void sync_answered(parked& node) {
  auto& r = *static_cast<sync_link&>(static_cast<sync_waiter&>(node)).request;
  volume_core& core = *r.core;
  complete(r, r.sync.os_errno);
  core.sync_answered();
}

// A flush, or a FUA write whose data is in place, touches the file no more: it leaves for good and is answered from
// its fsync.
void sync_then_complete(volume_request& r) {
  r.step = syncing;
  leave(r);
  r.sync.request = &r;
  r.sync.ring = ring_index{r.on->index()};
  r.sync.resume = sync_answered;
  r.core->request_sync(r.sync, *r.on);
}

// --- parts of a block on an O_DIRECT volume

void write_direct(volume_request& r) {
  const span_of_blocks blocks(r, alignment_of(r));
  if (!blocks.partial())
    return device(r, write_all, true, r.data, r.offset, r.length);
  // The neighbours' bytes of the first and last block are read into `scratch` and copied around the payload.
  const std::uint64_t unit = alignment_of(r);
  r.scratch = r.on->buffers().acquire_reserved();
  if (!r.scratch)
    return complete(r, ENOMEM);
  const bool one_block = blocks.end - blocks.begin == unit;
  if (blocks.partial_head || one_block)
    return device(r, read_head, false, r.scratch.data, blocks.begin, unit);
  device(r, read_tail, false, r.scratch.data, blocks.end - unit, unit);
}

void copy_neighbours(volume_request& r, bool head) {
  const std::uint64_t unit = alignment_of(r);
  const span_of_blocks blocks(r, unit);
  const std::uint64_t end = r.offset + r.length;
  const bool one_block = blocks.end - blocks.begin == unit;
  if (head)
    std::memcpy(r.memory.data, r.scratch.data, r.offset - blocks.begin);
  if (!head || one_block) {
    const std::uint64_t tail_block = blocks.end - unit;
    std::memcpy(r.memory.data + (end - blocks.begin), r.scratch.data + (end - tail_block), blocks.end - end);
  }
  if (head && !one_block && blocks.partial_tail)
    return device(r, read_tail, false, r.scratch.data, blocks.end - unit, unit);
  device(r, write_all, true, r.memory.data, blocks.begin, blocks.end - blocks.begin);
}

// --- block status: seeking for holes may wait for the disk, so it is not done on the ring

void extents_found(parked& node) {
  auto& r = *static_cast<hold_link&>(node).request;
  complete(r, r.error);
}

void block_status(volume_request& r) {
  r.hold.request = &r;
  r.hold.ring = ring_index{r.on->index()};
  r.hold.resume = extents_found;
  const bool queued = r.core->plane().seeking.submit(r.core->seek_lane(), [&r] {
    volume_core& core = *r.core;
    const byte_offset from{r.offset};
    const byte_count length{r.length};
    auto found = core.granules().present() != nullptr
                     ? core.granules().extents(from, length, r.extents_max)
                     : extents_of(core.file().data_fd(), from, length, r.extents_max);
    r.error = found ? 0 : (found.error().os_errno != 0 ? found.error().os_errno : EIO);
    if (found)
      r.extents = std::move(*found);
    r.core->plane().resume.resume(r.hold); // the last access: its ring may end it at once
  });
  if (!queued)
    complete(r, ESHUTDOWN);
}

// --- the way in

void gate_granted(parked& node) {
  auto& r = *static_cast<gate_link&>(static_cast<gate_waiter&>(node)).request;
  r.gated = true;
  enter(r); // with its range held, so that nobody overtakes it twice
}

void carry_out_again(completion& self, ring&, int, unsigned) { carry_out(static_cast<volume_request&>(self)); }

void carry_out(volume_request& r) {
  r.step = idle;
  if (changes_data(r.op) && !r.marked && !begin_change(r, carry_out_again))
    return;
  switch (r.op) {
  case operation::read: {
    if (!r.core->file().is_direct())
      return read_buffered(r);
    const span_of_blocks blocks(r, alignment_of(r));
    return device(r, read_all, false, r.memory.data + r.memory_offset, blocks.begin, blocks.end - blocks.begin);
  }
  case operation::write:
    return r.core->file().is_direct() ? write_direct(r) : write_buffered(r);
  case operation::zero:
    return zero_after(r, idle);
  case operation::trim:
    if (r.trim_must_zero) [[unlikely]]
      return zero_after(r, idle);
    return trim(r);
  case operation::flush:
    return sync_then_complete(r);
  case operation::cache:
    if (r.core->file().is_direct())
      return complete(r, 0);
    return device(r, will_need, false, nullptr, r.offset, r.length);
  case operation::block_status:
    return block_status(r);
  }
}

void hold_ended(parked& node) { enter(*static_cast<hold_link&>(node).request); }

} // namespace

// The payload lies in memory that is about to go away, and the write has to wait: copy it.
bool keep_payload(volume_request& r) {
  if (r.op != operation::write || r.memory)
    return true;
  r.memory = r.on->buffers().acquire_reserved(static_cast<std::uint32_t>(r.length));
  if (!r.memory)
    return false;
  std::memcpy(r.memory.data, r.data, r.length);
  r.data = r.memory.data;
  return true;
}

void enter(volume_request& r) {
  volume_core& core = *r.core;
  const ring_index here{r.on->index()};
  const bool changes = changes_data(r.op);
  const auto entry = core.generations().enter(here, changes ? request_class::changes : request_class::looks,
                                              changes ? hold_rule::park : hold_rule::pass);
  if (entry.held) {
    leave(r); // a gate that it waited for
    if (!keep_payload(r))
      return complete(r, ENOMEM);
    r.hold.request = &r;
    r.hold.ring = here;
    r.hold.resume = hold_ended;
    return core.plane().holds[here.value].park(core, r.hold);
  }
  r.generation = entry.generation;
  r.entered_slot = entry.slot;
  r.counted = true;
  const route& way = core.current_route();
  if (way.closing)
    return complete(r, ESHUTDOWN);
  if (r.asked_offset > way.size.value || r.asked_length > way.size.value - r.asked_offset)
    return complete(r, changes_data(r.op) ? ENOSPC : EINVAL);
  if (way.read_only && changes_data(r.op))
    return complete(r, EPERM);
  if (const auto condition = core.condition(); condition != core_condition::sound) [[unlikely]] {
    if (condition == core_condition::refused)
      return complete(r, EIO);
    if (changes_data(r.op) || r.op == operation::flush)
      return sync_then_complete(r); // answered with the failure, when it is recorded
  }
  if (way.recording && !std::exchange(r.recorded, true)) // a request may enter more than once
    way.recording->push(here,
                        {static_cast<std::uint64_t>(r.started.time_since_epoch().count()), r.asked_offset,
                         static_cast<std::uint32_t>(std::min<std::uint64_t>(r.asked_length, 0xffffffffu)), r.op});
  if (way.duties) [[unlikely]] {
    if (changes)
      return change_with_duties(r);
    if (r.op == operation::read && way.duties->present != nullptr)
      return read_with_presence(r);
  }
  acquire_gate(r);
}

namespace {

// --- windows: a request for a long range gives back its gate and generation now and then, and enters again

std::uint64_t end_of_windows(const volume_request& r) {
  return r.asked_offset + (r.op == operation::cache ? std::min(r.asked_length, will_need_bytes_max) : r.asked_length);
}

// They end at multiples of their size, so that only the first and the last one may cover part of a block.
void set_window(volume_request& r, std::uint64_t offset) {
  r.offset = offset;
  // A part of a block goes with the window behind it: the first one has whole blocks, which a refusal meets first.
  r.length = std::min(down(up(offset, block_bytes), window_bytes) + window_bytes, end_of_windows(r)) - offset;
  r.zero_part_number = 0;
}

bool windows_left(const volume_request& r) {
  return goes_in_windows(r.op) && r.offset + r.length < end_of_windows(r);
}

void enter_next_window(completion& self, ring&, int, unsigned) {
  auto& r = static_cast<volume_request&>(self);
  r.fast_only = false; // the first one was fast; to refuse now would leave the request half done
  set_window(r, r.offset + r.length);
  enter(r);
}

} // namespace

// --- the steps, shared

void acquire_gate(volume_request& r) {
  granule_gate* gate = r.core->block_gate();
  if (!gate || !changes_data(r.op) || r.gated)
    return carry_out(r);
  zero_part range{r.offset, r.offset + r.length, false};
  if (r.op == operation::write)
    range.alone = span_of_blocks(r, alignment_of(r)).partial();
  else if (r.op == operation::zero)
    range = zero_part_of(r, r.zero_part_number);
  if (range.begin == range.end)
    return carry_out(r); // a part without anything to do
  r.gate.request = &r;
  r.gate.ring = ring_index{r.on->index()};
  r.gate.resume = gate_granted;
  switch (gate->try_acquire(byte_offset{range.begin}, byte_count{range.end - range.begin},
                            range.alone ? gate_mode::exclusive : gate_mode::shared, r.gate)) {
  case granule_gate::outcome::acquired:
    r.gated = true;
    return carry_out(r);
  case granule_gate::outcome::parked:
    return leave(r); // enters again from the top
  case granule_gate::outcome::full:
    assert(false && "more waiters than the volume admits");
    return complete(r, EIO);
  }
}

void leave(volume_request& r) {
  volume_core& core = *r.core;
  leave_marks(r);
  if (r.gated) {
    r.gated = false;
    core.block_gate()->release(r.gate);
  }
  if (r.granules_held) [[unlikely]] {
    r.granules_held = false;
    core.granules().gate().release(r.granules);
  }
  if (r.scratch)
    r.on->buffers().release(r.scratch);
  leave_generation(r);
}

void leave_generation(volume_request& r) {
  if (r.counted) {
    r.counted = false;
    r.core->generations().leave(ring_index{r.on->index()}, r.entered_slot);
  }
}

void complete(volume_request& r, int error) {
  r.error = error;
  leave(r);
  if (error == 0 && windows_left(r)) {
    r.on_complete = enter_next_window;
    return r.on->complete_later(r, 0); // others take their turn first
  }
  r.offset = r.asked_offset, r.length = r.asked_length;
  r.finish(r, *r.on);
}

void changed(volume_request& r) {
  end_change(r);
  if (r.has_duties) [[unlikely]]
    return changed_with_duties(r);
  finish_change(r);
}

void finish_change(volume_request& r) {
  if (r.fua && !windows_left(r))
    return sync_then_complete(r);
  complete(r, 0);
}

void next_step(volume_request& r) {
  switch (r.step) {
  case read_all:
    return part_read(r);
  case read_head:
    return copy_neighbours(r, true);
  case read_tail:
    return copy_neighbours(r, false);
  case read_piece:
    return piece_read(r);
  case write_all:
    if (!r.core->file().is_direct())
      written_by_worker(r);
    [[fallthrough]];
  case punch:
    return changed(r);
  case will_need:
    return complete(r, 0);
  default:
    return zero_after(r, static_cast<step>(r.step));
  }
}

} // namespace volume_steps

std::uint32_t memory_bytes(const volume_core& core, std::uint64_t offset, std::uint64_t length) noexcept {
  using namespace volume_steps;
  const std::uint64_t unit = core.file().alignment_bytes();
  return static_cast<std::uint32_t>(up(offset + length, unit) - down(offset, unit));
}

std::uint32_t memory_skew(const volume_core& core, std::uint64_t offset) noexcept {
  return static_cast<std::uint32_t>(offset - volume_steps::down(offset, core.file().alignment_bytes()));
}

void start(volume_request& request, ring& on) {
  if (interposer* const before = request.core->before()) [[unlikely]]
    return before->start(request, on);
  start_on_file(request, on);
}

void start_on_file(volume_request& request, ring& on) {
  request.on = &on;
  request.error = 0;
  request.counted = request.gated = request.granules_held = request.has_duties = request.recorded = false;
  request.marked = request.holds_back = false;
  request.tries = 0;
  request.trim_must_zero = false;
  request.memory_offset = 0;
  request.asked_offset = request.offset, request.asked_length = request.length;
  if (volume_steps::goes_in_windows(request.op))
    volume_steps::set_window(request, request.offset);
  volume_steps::enter(request);
}

} // namespace gnomon::io
