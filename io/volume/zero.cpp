// Zeroing and trimming a range: by the file system where it can, else by writing zeros.
#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include <linux/falloc.h>

#include "io/volume/block_status.hpp"
#include "io/volume/steps.hpp"

namespace gnomon::io::volume_steps {

namespace {

constexpr std::uint32_t zero_piece_bytes = 1 << 20;             // where the file system cannot zero a range by itself
constexpr std::uint64_t zero_by_writing_bytes_max = 4ull << 30; // more would keep the disk busy for minutes

// First part of a block, whole blocks, last part of a block.
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

void zero_by_writing(volume_request& r, std::uint64_t from, std::uint64_t to);

void zero_space_found(volume_request& r) {
  const zero_plan plan(r);
  if (r.io_mode == -1)
    return zero_by_writing(r, plan.head_end, plan.middle_end);
  device(r, zero_middle, true, nullptr, plan.head_end, plan.middle_end - plan.head_end);
}

void space_counted(parked& node) {
  auto& r = *static_cast<hold_link&>(node).request;
  if (r.error != 0)
    return complete(r, r.error);
  zero_space_found(r);
}

// The whole blocks, in `r.io_mode` (-1: by writing). What may take space looks at it first: a file system that runs full
// half way keeps what it has allocated, and every other volume on it would notice.
void zero_blocks(volume_request& r) {
  if (r.io_mode != -1 && (r.io_mode & FALLOC_FL_PUNCH_HOLE))
    return zero_space_found(r);
  const zero_plan plan(r);
  const std::uint64_t wanted = r.asked_offset + r.asked_length - plan.head_end; // this window and those that follow
  const auto free = r.core->file().free_bytes();
  if (free >= wanted)
    return zero_space_found(r);
  // Tight: what is allocated already takes nothing. Looking that up may wait for the disk.
  r.hold.request = &r;
  r.hold.ring = ring_index{r.on->index()};
  r.hold.resume = space_counted;
  const bool queued = r.core->plane().seeking.submit(r.core->seek_lane(), [&r, free, wanted, from = plan.head_end] {
    const std::uint64_t there = allocated_bytes(r.core->file().data_fd(), byte_offset{from}, byte_count{wanted});
    r.error = wanted - std::min(wanted, there) <= free ? 0 : ENOSPC;
    r.core->plane().resume.resume(r.hold); // the last access: its ring may end it at once
  });
  if (!queued)
    complete(r, ESHUTDOWN);
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

// The part is done: on with the next one that there is, under its own gate.
void next_zero_part(volume_request& r) {
  if (r.scratch)
    r.on->buffers().release(r.scratch);
  for (zero_part part{}; part.begin == part.end; part = zero_part_of(r, r.zero_part_number))
    if (++r.zero_part_number == zero_parts)
      return changed(r);
  if (r.gated) {
    r.gated = false;
    r.core->block_gate()->release(r.gate);
  }
  acquire_gate(r);
}

void begin_part(volume_request& r) {
  const auto part = zero_part_of(r, r.zero_part_number);
  if (part.begin == part.end)
    return next_zero_part(r);
  if (r.zero_part_number != 0)
    return zero_edge(r, r.zero_part_number == 1 ? zero_head : zero_tail, part.begin, part.end);
  const block_file& file = r.core->file();
  if (r.may_punch && file.can_punch_hole())
    r.io_mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  else if (file.can_zero_range())
    r.io_mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
  else
    return r.io_mode = 0, zero_another_way(r);
  zero_blocks(r);
}

} // namespace

zero_part zero_part_of(const volume_request& r, std::uint8_t number) {
  const zero_plan plan(r);
  if (number == 0)
    return {plan.head_end, plan.middle_end, false};
  if (number == 1)
    return {r.offset, plan.head_end, true};
  return {plan.middle_end, plan.end, true};
}

void zero_another_way(volume_request& r) {
  const bool punched = r.io_mode > 0 && (r.io_mode & FALLOC_FL_PUNCH_HOLE);
  if (punched && r.core->file().can_zero_range()) {
    r.io_mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
    return zero_blocks(r);
  }
  const zero_plan plan(r);
  if (r.fast_only)
    return complete(r, ENOTSUP);
  if (r.asked_length > zero_by_writing_bytes_max)
    return complete(r, EOVERFLOW);
  r.io_mode = -1;
  zero_blocks(r);
}

void out_of_space(volume_request& r, int error) {
  const zero_plan plan(r);
  if ((r.step != zero_middle && r.step != zero_pieces) || !r.core->file().can_punch_hole())
    return complete(r, error);
  r.io_mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  device(r, zero_give_back, true, nullptr, plan.head_end, plan.middle_end - plan.head_end);
}

void zero_after(volume_request& r, step done) {
  const zero_plan plan(r);
  switch (done) {
  case idle:
    return begin_part(r);
  case zero_pieces:
    if (r.core->current_route().closing)
      return complete(r, ESHUTDOWN); // a close does not wait for gigabytes of zeros
    if (r.io_offset + r.io_bytes < plan.middle_end)
      return zero_by_writing(r, r.io_offset + r.io_bytes, plan.middle_end);
    return next_zero_part(r);
  case zero_head:
    return zero_edge_read(r, zero_head_write, r.offset, plan.head_end);
  case zero_tail:
    return zero_edge_read(r, zero_tail_write, plan.middle_end, plan.end);
  case zero_middle:
  case zero_head_write:
  case zero_tail_write:
    return next_zero_part(r);
  case zero_give_back:
    return complete(r, ENOSPC);
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

} // namespace gnomon::io::volume_steps
