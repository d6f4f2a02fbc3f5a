// Carries requests out on a volume's file. An operation is a short sequence of device operations; `step` names the
// one under way. The order is fixed: generation, then checks against the route, then the block gate, then the device,
// then (FUA) a sync.
#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io/block_status.hpp"
#include "io/volume_core.hpp"
#include "io/volume_request.hpp"

namespace gnomon::io {

namespace {

constexpr std::uint64_t inline_write_bytes_max = 256 * 1024; // a larger one would keep the ring from others too long
constexpr std::uint32_t zero_piece_bytes = 1 << 20;          // where the file system cannot zero a range by itself
constexpr std::uint64_t zero_by_writing_bytes_max = 4ull << 30; // more would keep the disk busy for minutes
constexpr std::uint64_t will_need_bytes_max = 256ull << 20;  // one CACHE request must not sweep the page cache

enum step : std::uint8_t {
  idle,
  read_all,
  read_head,
  read_tail,
  write_all,
  zero_head,
  zero_head_write,
  zero_middle,
  zero_pieces,
  zero_tail,
  zero_tail_write,
  punch,
  will_need,
  syncing
};

constexpr std::uint64_t down(std::uint64_t value, std::uint64_t unit) { return value / unit * unit; }
constexpr std::uint64_t up(std::uint64_t value, std::uint64_t unit) { return down(value + unit - 1, unit); }
constexpr bool changes_data(operation op) {
  return op == operation::write || op == operation::trim || op == operation::zero;
}

// The blocks a request touches, and whether it covers its first and last one only in part.
struct span_of_blocks {
  std::uint64_t begin, end; // block-aligned
  bool partial_head, partial_tail;
  span_of_blocks(const volume_request& r, std::uint64_t unit)
      : begin(down(r.offset, unit)), end(up(r.offset + r.length, unit)), partial_head(begin != r.offset),
        partial_tail(end != r.offset + r.length) {}
  bool partial() const { return partial_head || partial_tail; }
};

void enter(volume_request& r);
void carry_out(volume_request& r);
void next_step(volume_request& r);
void submit_piece(volume_request& r);

std::uint64_t alignment_of(const volume_request& r) { return r.core->file().alignment_bytes(); }

void complete(volume_request& r, int error) {
  r.error = error;
  volume_core& core = *r.core;
  if (r.gated) {
    r.gated = false;
    core.block_gate()->release(r.gate);
  }
  if (r.scratch)
    r.on->buffers().release(r.scratch);
  if (r.counted) {
    r.counted = false;
    core.generations().leave(ring_index{r.on->index()}, r.generation);
  }
  r.finish(r, *r.on);
}

// --- one device operation of [io_offset, io_offset + io_bytes), however many pieces it takes

void fail_or_fall_back(volume_request& r, int error) {
  const bool not_supported = error == EOPNOTSUPP || error == ENOSYS || error == EINVAL || error == ENODEV;
  if (r.step == will_need)
    return complete(r, 0); // advice
  if (r.step == punch && not_supported)
    return next_step(r); // a trim may do nothing
  if (r.step == zero_middle && not_supported) {
    if (r.fast_only)
      return complete(r, ENOTSUP);
    if (r.io_bytes > zero_by_writing_bytes_max)
      return complete(r, EOVERFLOW);
    r.step = zero_middle; // next_step() goes on to zero_pieces
    r.io_mode = -1;
    return next_step(r);
  }
  complete(r, error);
}

void piece_done(completion& self, ring&, int result, unsigned) {
  auto& r = static_cast<volume_request&>(self);
  if (r.fault_write != 0) [[unlikely]] {
    r.core->faults()->after_write(r.core->file().data_fd(), fault_plan::write_id{r.fault_write});
    r.fault_write = 0;
  }
  if (result == -EINTR || result == -EAGAIN)
    return submit_piece(r);
  if (result < 0)
    return fail_or_fall_back(r, -result);
  if (!r.io_memory)
    return next_step(r); // fallocate and advice: all or nothing
  const auto moved = static_cast<std::uint64_t>(result);
  r.io_done += moved;
  if (r.io_done >= r.io_bytes)
    return next_step(r);
  const bool broken_block = r.io_done % alignment_of(r) != 0;
  if (!r.writing && (moved == 0 || broken_block)) { // the file ends here; the volume goes on with zeros
    std::memset(r.io_memory + r.io_done, 0, r.io_bytes - r.io_done);
    return next_step(r);
  }
  if (moved == 0)
    return complete(r, EIO);
  if (broken_block)
    r.io_done = down(r.io_done, alignment_of(r)); // O_DIRECT: write that block again
  submit_piece(r);
}

void piece_faked(completion& self, ring& on, int, unsigned) {
  auto& r = static_cast<volume_request&>(self);
  r.on_complete = piece_done;
  piece_done(r, on, r.fault_result, 0);
}

// A fault plan is attached (tests): ask it, and do less, later or nothing.
void submit_with_faults(volume_request& r, std::uint32_t bytes) {
  fault_plan& plan = *r.core->faults();
  const int fd = r.core->file().data_fd();
  const std::uint64_t offset = r.io_offset + r.io_done;
  const disk_operation kind = !r.io_memory ? (r.step == punch ? disk_operation::trim : disk_operation::zero)
                              : r.writing  ? disk_operation::write
                                           : disk_operation::read;
  const std::uint64_t length = r.io_memory ? bytes : r.io_bytes;
  const fault_decision decision = plan.decide(kind, byte_offset{offset}, byte_count{length});
  if (decision.power_loss)
    plan.cut_power();
  if (decision.os_errno != 0 || decision.latency.count() > 0) {
    r.fault_result = decision.os_errno != 0 ? -decision.os_errno : -EINTR; // late: tried again after the wait
    r.on_complete = piece_faked;
    if (decision.latency.count() == 0)
      return r.on->complete_later(r, 0);
    r.fault_wait = {decision.latency.count() / 1'000'000, decision.latency.count() % 1'000'000 * 1000};
    return r.on->submit_timeout(r, &r.fault_wait);
  }
  if (r.writing) {
    const auto id = plan.before_write(fd, byte_offset{offset}, byte_count{length});
    if (!id)
      return r.on->complete_later(r, -EIO);
    r.fault_write = id->value;
  }
  if (!r.io_memory)
    return r.on->submit_fallocate(r, fd, r.io_mode, r.io_offset, r.io_bytes);
  const auto less = static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes, decision.length.value));
  if (r.writing)
    return r.on->submit_write(r, fd, r.io_memory + r.io_done, less, offset);
  r.on->submit_read(r, fd, r.io_memory + r.io_done, less, offset);
}

void submit_piece(volume_request& r) {
  const int fd = r.core->file().data_fd();
  r.on_complete = piece_done;
  const auto bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(r.io_bytes - r.io_done, 1u << 30));
  if (r.step == will_need)
    return r.on->submit_will_need(r, fd, r.io_offset, r.io_bytes);
  if (r.core->faults()) [[unlikely]]
    return submit_with_faults(r, bytes);
  if (!r.io_memory)
    return r.on->submit_fallocate(r, fd, r.io_mode, r.io_offset, r.io_bytes);
  if (r.writing)
    return r.on->submit_write(r, fd, r.io_memory + r.io_done, bytes, r.io_offset + r.io_done);
  r.on->submit_read(r, fd, r.io_memory + r.io_done, bytes, r.io_offset + r.io_done);
}

void device(volume_request& r, step s, bool writing, std::byte* memory, std::uint64_t offset, std::uint64_t bytes) {
  r.step = s, r.writing = writing;
  r.io_memory = memory, r.io_offset = offset, r.io_bytes = bytes, r.io_done = 0;
  submit_piece(r);
}

// --- sync

void sync_answered(parked& node) {
  auto& r = *static_cast<sync_link&>(static_cast<sync_waiter&>(node)).request;
  complete(r, r.sync.os_errno);
}

void sync_then_complete(volume_request& r) {
  r.step = syncing;
  r.sync.request = &r;
  r.sync.ring = ring_index{r.on->index()};
  r.sync.resume = sync_answered;
  r.core->request_sync(r.sync, *r.on);
}

void changed(volume_request& r) { // the data is in place
  if (r.fua)
    return sync_then_complete(r);
  complete(r, 0);
}

// --- read

// From the page cache, if all of it is there: without a trip through the ring. True when the request is over.
bool read_inline(volume_request& r) {
  const block_file& file = r.core->file();
  if (file.is_direct() || r.core->has_faults())
    return false;
  iovec into{r.memory.data, r.length};
  const ssize_t got = preadv2(file.data_fd(), &into, 1, static_cast<off_t>(r.offset), file.lives_in_memory() ? 0 : RWF_NOWAIT);
  if (got != static_cast<ssize_t>(r.length))
    return false;
  complete(r, 0);
  return true;
}

// --- write

// Straight into the page cache from this thread. True when the request is over.
bool write_inline(volume_request& r) {
  volume_core& core = *r.core;
  if (!takes_payload_at_once(core, r.length, *r.on))
    return false;
  const boot_time before = r.on->now();
  std::uint64_t done = 0;
  while (done < r.length) {
    const ssize_t wrote =
        pwrite(core.file().data_fd(), r.data + done, r.length - done, static_cast<off_t>(r.offset + done));
    if (wrote > 0) {
      done += static_cast<std::uint64_t>(wrote);
    } else if (wrote < 0 && errno != EINTR) {
      complete(r, errno);
      return true;
    } else if (wrote == 0) {
      complete(r, EIO);
      return true;
    }
  }
  const boot_time after = r.on->read_clock();
  core.note_inline_write(after, after - before);
  changed(r);
  return true;
}

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

// --- zero: first part of a block, whole blocks, last part of a block

struct zero_plan {
  std::uint64_t head_end, middle_end, end;
  explicit zero_plan(const volume_request& r) : end(r.offset + r.length) {
    const bool any_byte = r.core->file().alignment_bytes() == 1 && !r.core->file().is_block_device();
    const std::uint64_t unit = any_byte ? 1 : block_bytes;
    head_end = std::min(end, up(r.offset, unit));
    middle_end = std::max(head_end, down(end, unit));
  }
};

void zero_edge(volume_request& r, step s, std::uint64_t from, std::uint64_t to) {
  const std::uint64_t unit = alignment_of(r);
  if (!r.scratch)
    r.scratch = r.on->buffers().acquire_reserved();
  if (!r.scratch)
    return complete(r, ENOMEM);
  if (unit > 1) { // whole blocks of `unit` around [from, to), which lie inside one 4 KiB block
    const std::uint64_t begin = down(from, unit), end = up(to, unit);
    return device(r, s, false, r.scratch.data, begin, end - begin);
  }
  std::memset(r.scratch.data, 0, to - from);
  device(r, s == zero_head ? zero_head_write : zero_tail_write, true, r.scratch.data, from, to - from);
}

void zero_edge_read(volume_request& r, step write_step, std::uint64_t from, std::uint64_t to) {
  std::memset(r.scratch.data + (from - r.io_offset), 0, to - from);
  device(r, write_step, true, r.scratch.data, r.io_offset, r.io_bytes);
}

void zero_blocks(volume_request& r, const zero_plan& plan) {
  const block_file& file = r.core->file();
  const bool punch_it = r.may_punch && file.can_punch_hole();
  if (!punch_it && !file.can_zero_range()) {
    r.io_mode = -1;
    r.step = zero_middle;
    r.io_offset = plan.head_end, r.io_bytes = plan.middle_end - plan.head_end;
    return fail_or_fall_back(r, EOPNOTSUPP);
  }
  r.io_mode = (punch_it ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) | FALLOC_FL_KEEP_SIZE;
  device(r, zero_middle, true, nullptr, plan.head_end, plan.middle_end - plan.head_end);
}

void zero_by_writing(volume_request& r, std::uint64_t from, std::uint64_t to) {
  if (r.scratch && r.scratch.capacity < zero_piece_bytes)
    r.on->buffers().release(r.scratch);
  if (!r.scratch) {
    r.scratch = r.on->buffers().acquire(zero_piece_bytes);
    if (!r.scratch)
      r.scratch = r.on->buffers().acquire_reserved();
    if (!r.scratch)
      return complete(r, ENOMEM);
    std::memset(r.scratch.data, 0, r.scratch.capacity);
  }
  device(r, zero_pieces, true, r.scratch.data, from, std::min<std::uint64_t>(to - from, r.scratch.capacity));
}

void zero_after(volume_request& r, step done) {
  const zero_plan plan(r);
  switch (done) {
  case idle:
    if (r.offset < plan.head_end)
      return zero_edge(r, zero_head, r.offset, plan.head_end);
    [[fallthrough]];
  case zero_head_write:
    if (plan.head_end < plan.middle_end)
      return zero_blocks(r, plan);
    [[fallthrough]];
  case zero_middle:
    if (done == zero_middle && r.io_mode == -1)
      return zero_by_writing(r, plan.head_end, plan.middle_end);
    [[fallthrough]];
  case zero_pieces:
    if (done == zero_pieces && r.core->current_route().closing)
      return complete(r, ESHUTDOWN); // a close does not wait for gigabytes of zeros
    if (done == zero_pieces && r.io_offset + r.io_bytes < plan.middle_end)
      return zero_by_writing(r, r.io_offset + r.io_bytes, plan.middle_end);
    if (plan.middle_end < plan.end) {
      if (r.scratch && done == zero_pieces)
        r.on->buffers().release(r.scratch);
      return zero_edge(r, zero_tail, plan.middle_end, plan.end);
    }
    return changed(r);
  case zero_head:
    return zero_edge_read(r, zero_head_write, r.offset, plan.head_end);
  case zero_tail:
    return zero_edge_read(r, zero_tail_write, plan.middle_end, plan.end);
  case zero_tail_write:
    return changed(r);
  default:
    assert(false && "not a step of zeroing");
  }
}

// --- trim: whole blocks only, the rest is advice that may be ignored

void trim(volume_request& r) {
  const std::uint64_t from = up(r.offset, block_bytes), to = down(r.offset + r.length, block_bytes);
  if (from >= to || !r.core->file().can_punch_hole())
    return changed(r);
  r.io_mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  device(r, punch, true, nullptr, from, to - from);
}

// --- block status: seeking for holes may wait for the disk, so it is not done on the ring

void block_status(volume_request& r) {
  volume_request* request = &r;
  const bool queued = r.core->plane().blocking.submit([request] {
    volume_request& r = *request;
    auto found = extents_of(r.core->file().data_fd(), byte_offset{r.offset}, byte_count{r.length}, r.extents_max);
    const int error = found ? 0 : (found.error().os_errno != 0 ? found.error().os_errno : EIO);
    if (found)
      r.extents = std::move(*found);
    const bool posted = r.on->post([request, error](ring&) { complete(*request, error); });
    assert(posted && "a ring outlives its requests");
    (void)posted;
  });
  if (!queued)
    complete(r, ENOMEM);
}

void next_step(volume_request& r) {
  switch (r.step) {
  case read_all:
    return complete(r, 0);
  case read_head:
    return copy_neighbours(r, true);
  case read_tail:
    return copy_neighbours(r, false);
  case write_all:
  case punch:
    return changed(r);
  case will_need:
    return complete(r, 0);
  default:
    return zero_after(r, static_cast<step>(r.step));
  }
}

// --- the way in

void gate_granted(parked& node) {
  auto& r = *static_cast<gate_link&>(static_cast<gate_waiter&>(node)).request;
  r.gated = true;
  carry_out(r);
}

void acquire_gate(volume_request& r) {
  granule_gate* gate = r.core->block_gate();
  if (!gate || !changes_data(r.op))
    return carry_out(r);
  const span_of_blocks blocks(r, alignment_of(r));
  const span_of_blocks zero_blocks(r, block_bytes);
  const bool alone = r.op == operation::write ? blocks.partial() : r.op == operation::zero && zero_blocks.partial();
  r.gate.request = &r;
  r.gate.ring = ring_index{r.on->index()};
  r.gate.resume = gate_granted;
  switch (gate->try_acquire(byte_offset{r.offset}, byte_count{r.length},
                            alone ? gate_mode::exclusive : gate_mode::shared, r.gate)) {
  case granule_gate::outcome::acquired:
    r.gated = true;
    return carry_out(r);
  case granule_gate::outcome::parked:
    return;
  case granule_gate::outcome::full:
    return complete(r, ENOMEM);
  }
}

void carry_out(volume_request& r) {
  r.step = idle;
  switch (r.op) {
  case operation::read: {
    if (read_inline(r))
      return;
    const span_of_blocks blocks(r, alignment_of(r));
    return device(r, read_all, false, r.memory.data, blocks.begin, blocks.end - blocks.begin);
  }
  case operation::write:
    if (r.core->file().is_direct())
      return write_direct(r);
    if (write_inline(r))
      return;
    if (!keep_payload(r))
      return complete(r, ENOMEM);
    return device(r, write_all, true, r.data, r.offset, r.length);
  case operation::zero:
    return zero_after(r, idle);
  case operation::trim:
    return trim(r);
  case operation::flush:
    return sync_then_complete(r);
  case operation::cache:
    if (r.core->file().is_direct())
      return complete(r, 0);
    return device(r, will_need, false, nullptr, r.offset, std::min(r.length, will_need_bytes_max));
  case operation::block_status:
    return block_status(r);
  }
}

void hold_ended(parked& node) { enter(*static_cast<hold_link&>(node).request); }

void enter(volume_request& r) {
  volume_core& core = *r.core;
  const ring_index here{r.on->index()};
  const auto entry = core.generations().enter(here, changes_data(r.op) ? hold_rule::park : hold_rule::pass);
  if (entry.held) {
    if (!keep_payload(r))
      return complete(r, ENOMEM);
    r.hold.request = &r;
    r.hold.ring = here;
    r.hold.resume = hold_ended;
    return core.plane().holds[here.value].park(core, r.hold);
  }
  r.generation = entry.generation;
  r.counted = true;
  const route& way = core.current_route();
  if (way.closing)
    return complete(r, ESHUTDOWN);
  if (r.offset > way.size.value || r.length > way.size.value - r.offset)
    return complete(r, changes_data(r.op) ? ENOSPC : EINVAL);
  if (changes_data(r.op) || r.op == operation::flush) {
    if (way.read_only && changes_data(r.op))
      return complete(r, EPERM);
    if (core.writes_failed())
      return complete(r, EIO);
  }
  if (way.recording)
    way.recording->push(here, {static_cast<std::uint64_t>(r.started.time_since_epoch().count()), r.offset,
                               static_cast<std::uint32_t>(std::min<std::uint64_t>(r.length, 0xffffffffu)), r.op});
  acquire_gate(r);
}

} // namespace

std::uint32_t memory_bytes(const volume_core& core, std::uint64_t offset, std::uint64_t length) noexcept {
  const std::uint64_t unit = core.file().alignment_bytes();
  return static_cast<std::uint32_t>(up(offset + length, unit) - down(offset, unit));
}

std::uint32_t memory_skew(const volume_core& core, std::uint64_t offset) noexcept {
  return static_cast<std::uint32_t>(offset - down(offset, core.file().alignment_bytes()));
}

bool takes_payload_at_once(const volume_core& core, std::uint64_t length, const ring& on) noexcept {
  return length <= inline_write_bytes_max && core.may_write_inline(on.now()) && !core.has_faults();
}

void start(volume_request& request, ring& on) {
  request.on = &on;
  request.error = 0;
  request.counted = request.gated = false;
  enter(request);
}

} // namespace gnomon::io
