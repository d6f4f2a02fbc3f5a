// Zeroing and trimming a range: by the file system where it can, else by writing zeros.
#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include <linux/falloc.h>

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

void zero_blocks(volume_request& r, const zero_plan& plan) {
  const block_file& file = r.core->file();
  const bool punch_it = r.may_punch && file.can_punch_hole();
  if (!punch_it && !file.can_zero_range()) {
    r.step = zero_middle;
    r.io_offset = plan.head_end, r.io_bytes = plan.middle_end - plan.head_end;
    return zero_without_help(r);
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

} // namespace

void zero_without_help(volume_request& r) {
  if (r.fast_only)
    return complete(r, ENOTSUP);
  if (r.asked_length > zero_by_writing_bytes_max)
    return complete(r, EOVERFLOW);
  r.io_mode = -1; // zero_after() goes on to zero_pieces
  zero_after(r, zero_middle);
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

} // namespace gnomon::io::volume_steps
