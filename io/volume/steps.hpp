// What the parts of carrying a request out share: carry_out.cpp (the way in, reads, writes, the end),
// carry_out_duties.cpp (volumes with duties), zero.cpp and device.cpp. An operation is a short sequence of device
// operations; `step` names the one under way. Ring thread of the request only; for these files, not for their callers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "io/volume/core.hpp"
#include "io/volume/request.hpp"

namespace gnomon::io::volume_steps {

enum step : std::uint8_t {
  idle,
  read_all,
  read_piece,
  read_head,
  read_tail,
  write_all,
  zero_head,
  zero_head_write,
  zero_middle,
  zero_pieces,
  zero_tail,
  zero_tail_write,
  zero_give_back,
  punch,
  will_need,
  syncing
};

constexpr std::uint64_t down(std::uint64_t value, std::uint64_t unit) { return value / unit * unit; }
constexpr std::uint64_t up(std::uint64_t value, std::uint64_t unit) { return down(value + unit - 1, unit); }

// The blocks a request touches, and whether it covers its first and last one only in part.
struct span_of_blocks {
  std::uint64_t begin, end; // block-aligned
  bool partial_head, partial_tail;
  span_of_blocks(const volume_request& r, std::uint64_t unit)
      : begin(down(r.offset, unit)), end(up(r.offset + r.length, unit)), partial_head(begin != r.offset),
        partial_tail(end != r.offset + r.length) {}
  bool partial() const { return partial_head || partial_tail; }
};

inline std::uint64_t alignment_of(const volume_request& r) { return r.core->file().alignment_bytes(); }

constexpr bool changes_data(operation op) {
  return op == operation::write || op == operation::trim || op == operation::zero;
}

// From the top: counted, checked against the route, begun.
void enter(volume_request& r);
// Copies a payload that lies in memory which is about to go away. False: no memory.
bool keep_payload(volume_request& r);
// The part is counted, checked, and holds its granules where it must: on to the block gate and the device.
void acquire_gate(volume_request& r);
// A volume with duties: what comes before the block gate, and after the change is in place.
void change_with_duties(volume_request& r);
void changed_with_duties(volume_request& r);
// Reads of a volume with a source go in parts: runs of granules that the file holds, and of such that it does not.
void read_with_presence(volume_request& r);
void next_part(volume_request& r);
// All parts are in place: done, after a sync if it is FUA.
void finish_change(volume_request& r);

// Gives back its place in the generation only.
void leave_generation(volume_request& r);
// Gives back what the request holds: gates, generation, scratch memory.
void leave(volume_request& r);
// The end: gives back what the request holds and calls its `finish`.
void complete(volume_request& r, int error);
// The part is in the request's memory.
inline void part_read(volume_request& r) {
  if (r.has_duties) [[unlikely]]
    return next_part(r);
  complete(r, 0);
}
// The data of the window is in place.
void changed(volume_request& r);
// The device operation of `r.step` is done: what comes next.
void next_step(volume_request& r);

// One device operation on [offset, offset + bytes), however many pieces it takes; next_step() or complete() follows.
// Without memory it is fallocate in `r.io_mode`, or advice.
void device(volume_request& r, step s, bool writing, std::byte* memory, std::uint64_t offset, std::uint64_t bytes);

// --- buffered volumes (buffered.cpp)
void read_buffered(volume_request& r);
void piece_read(volume_request& r); // read_piece is done
void write_buffered(volume_request& r);
void written_by_worker(volume_request& r); // write_all is done
// Before a change touches the file: marks its range, so that reads beside it see all of it or nothing. False: a read
// comes first; `again` is called as its completion, to try again.
bool begin_change(volume_request& r, completion::function again);
void end_change(volume_request& r); // the file has it
void leave_marks(volume_request& r);

// Zeroing is done in up to three parts, each with a gate of its own: the whole blocks, which others may write beside it
// (first, so that a refusal has changed nothing), then the first and the last part of a block, alone.
struct zero_part {
  std::uint64_t begin, end; // of the bytes to zero; empty: nothing to do
  bool alone;
};
constexpr std::uint8_t zero_parts = 3;
zero_part zero_part_of(const volume_request& r, std::uint8_t number);
// Zeroing goes on after the step `done`; `idle` begins the part `r.zero_part_number`.
void zero_after(volume_request& r, step done);
// The file system refuses what was tried: by its other call, or by writing zeros, unless that takes too long.
void zero_another_way(volume_request& r);
// The disk is full: what a zeroing has taken of it is given back.
void out_of_space(volume_request& r, int error);
void trim(volume_request& r);

} // namespace gnomon::io::volume_steps
