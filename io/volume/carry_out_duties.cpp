// Changes of a volume with duties, before and after their device operations. Order: (counted, route) granule gate, then
// the route again, then copies for a capture, then the changed bits, then the I/O. Whatever has to wait gives back
// everything and enters again from the top; a request that waited at the gate keeps what it was granted.
#include <algorithm>
#include <cassert>
#include <cerrno>

#include "io/fault/planted.hpp"
#include "io/volume/granule_state.hpp"
#include "io/volume/steps.hpp"

namespace gnomon::io::volume_steps {

namespace {

struct granule_range {
  std::uint64_t first, end;
  explicit granule_range(const volume_request& r)
      : first(r.offset / granule_bytes), end((r.offset + r.length + granule_bytes - 1) / granule_bytes) {}
};

void granules_granted(parked& node) {
  auto& r = *static_cast<gate_link&>(static_cast<gate_waiter&>(node)).request;
  r.granules_held = true;
  enter(r);
}

// Something that had to come first is done: again from the top, unless it failed.
void work_done(parked& node) {
  auto& r = *static_cast<work_link&>(node).request;
  if (r.waits.os_errno != 0)
    return complete(r, r.waits.os_errno);
  enter(r);
}

void wait_for_work(volume_request& r, parked::function then) {
  r.waits.request = &r;
  r.waits.ring = ring_index{r.on->index()};
  r.waits.resume = then;
  r.waits.os_errno = 0;
}

void arrival_noted(parked& node) {
  auto& r = *static_cast<work_link&>(node).request;
  if (r.waits.os_errno != 0)
    return complete(r, r.waits.os_errno);
  finish_change(r);
}

void source_read(parked& node) {
  auto& r = *static_cast<work_link&>(node).request;
  if (r.waits.os_errno != 0)
    return complete(r, r.waits.os_errno);
  next_part(r);
}

// A trim leaves out granules that it covers in part and the file does not hold, and zeroes the file under whole ones:
// what lies there may be old. False: nothing is left of the window.
bool shape_trim(volume_request& r, const presence& present, std::uint64_t volume_end) {
  std::uint64_t begin = up(r.offset, block_bytes), end = r.offset + r.length;
  if (end != volume_end)
    end = down(end, block_bytes);
  if (begin < end && begin % granule_bytes != 0 && !present.test(begin / granule_bytes))
    begin = up(begin, granule_bytes);
  if (begin < end && end % granule_bytes != 0 && end != volume_end && !present.test(end / granule_bytes))
    end = down(end, granule_bytes);
  if (begin >= end)
    return false;
  r.offset = begin, r.length = end - begin; // what lies behind is the next window
  const granule_range range(r);
  r.trim_must_zero = present.any_missing(range.first, range.end);
  return true;
}

// What a change covers in part must be in the file first. False: the request waits, or is over.
bool bring_in_ends(volume_request& r, const presence& present, std::uint64_t volume_end) {
  if (r.op == operation::trim) {
    if (shape_trim(r, present, volume_end))
      return true;
    finish_change(r);
    return false;
  }
  const std::uint64_t end = r.offset + r.length;
  const std::uint64_t head = r.offset / granule_bytes, tail = (end - 1) / granule_bytes;
  const bool head_missing = r.offset % granule_bytes != 0 && !present.test(head);
  const bool tail_missing = end % granule_bytes != 0 && end != volume_end && !present.test(tail);
  if ((!head_missing && !tail_missing) || plants(planted::partial_write_without_bring_in))
    return true;
  if (!keep_payload(r)) {
    complete(r, ENOMEM);
    return false;
  }
  wait_for_work(r, work_done);
  volume_core& core = *r.core;
  leave(r);
  core.granules().bring_in_before_change(r, head_missing ? head : tail, tail_missing ? tail : head);
  return false;
}

// True: held now. False: the request waits, or is over.
bool hold_granules(volume_request& r) {
  granule_gate& gate = r.core->granules().gate();
  r.granules.request = &r;
  r.granules.ring = ring_index{r.on->index()};
  r.granules.resume = granules_granted;
  const byte_offset at{r.offset};
  const byte_count length{r.length};
  if (gate.try_acquire_now(at, length, gate_mode::shared, r.granules))
    return r.granules_held = true;
  if (!keep_payload(r)) {
    complete(r, ENOMEM);
    return false;
  }
  switch (gate.try_acquire(at, length, gate_mode::shared, r.granules)) {
  case granule_gate::outcome::acquired:
    return r.granules_held = true;
  case granule_gate::outcome::parked:
    leave_generation(r); // and keeps the block gate, if it was granted that: whoever holds granules does not wait for it
    return false;
  case granule_gate::outcome::full:
    assert(false && "more waiters than the volume admits");
    complete(r, EIO);
    return false;
  }
  return false;
}

void mark_changed(const volume_request& r, const granule_duties& d, const granule_range& range) {
  granule_bits* bits = r.generation < d.cut ? d.before : d.after;
  if (plants(planted::mark_by_parity) && d.before != nullptr)
    bits = r.generation.value % 2 != d.cut.value % 2 ? d.before : d.after;
  if (bits == nullptr || range.first >= bits->granules())
    return; // not tracked; or beyond the bits, and then what changed counts as unknown
  bits->set(range.first, std::min(range.end, bits->granules()) - range.first);
}

} // namespace

void change_with_duties(volume_request& r) {
  if (r.length == 0)
    return complete(r, 0);
  if (!r.granules_held && !hold_granules(r))
    return;
  // Again, now that the gate is held: whoever copied these granules before did so in a generation that began after
  // its route was published.
  const granule_duties& d = *r.core->current_route().duties;
  const granule_range range(r);
  r.has_duties = true;
  r.trim_must_zero = false;
  if (capture* const taken = d.capturing.get()) {
    if (r.generation < d.cut) {
      if (taken->any_settled(range.first, range.end) && !plants(planted::old_change_after_copy)) {
        leave(r);
        return enter(r); // in the new generation
      }
    } else if (taken->next_to_copy(range.first, range.end) != range.end && !plants(planted::change_without_copy) &&
               !(r.op == operation::trim && plants(planted::trim_carried_out))) {
      if (r.op == operation::trim)
        return finish_change(r); // answered and not carried out
      if (!keep_payload(r))
        return complete(r, ENOMEM);
      wait_for_work(r, work_done);
      auto kept = d.capturing;
      volume_core& core = *r.core;
      leave(r);
      return core.granules().copy_before_change(r, std::move(kept), range.first, range.end);
    }
  }
  if (const presence* const present = d.present;
      present != nullptr && !bring_in_ends(r, *present, r.core->current_route().size.value))
    return;
  const granule_range changes(r); // a trim may have become shorter
  mark_changed(r, d, changes);
  if (d.archived != nullptr && !plants(planted::change_unseen_by_archive))
    d.archived->changes(changes.first, changes.end);
  if (plants(planted::trim_relies_on_hole) && r.op == operation::trim && d.present != nullptr)
    return changed(r);
  acquire_gate(r);
}

void changed_with_duties(volume_request& r) {
  r.has_duties = false;
  const granule_range range(r);
  presence* const present = r.core->granules().present();
  if (present == nullptr || !present->any_missing(range.first, range.end))
    return finish_change(r);
  // Whole ones, since the ends were brought in; the request is still counted and holds them.
  wait_for_work(r, arrival_noted);
  r.core->granules().note_arrived(r, range.first, range.end);
}

// --- reads

void read_with_presence(volume_request& r) {
  const granule_duties& d = *r.core->current_route().duties; // of this turn
  const std::uint64_t end = r.asked_offset + r.asked_length;
  r.has_duties = true;
  const std::uint64_t granule = r.offset / granule_bytes;
  const std::uint64_t run = d.present->run_end(granule, (end + granule_bytes - 1) / granule_bytes);
  r.length = std::min(end, run * granule_bytes) - r.offset;
  r.memory_offset = r.offset == r.asked_offset ? 0 : r.offset - down(r.asked_offset, alignment_of(r));
  if (d.present->test(granule))
    return acquire_gate(r);
  wait_for_work(r, source_read);
  r.core->granules().read_from_source(r, d.source);
}

void next_part(volume_request& r) {
  const std::uint64_t end = r.asked_offset + r.asked_length;
  if (r.offset + r.length == end)
    return complete(r, 0);
  r.offset += r.length;
  r.length = end - r.offset;
  if (r.core->current_route().duties->present != nullptr)
    return read_with_presence(r); // still counted
  r.memory_offset = r.offset - down(r.asked_offset, alignment_of(r));
  acquire_gate(r); // the source has gone meanwhile
}

} // namespace gnomon::io::volume_steps
