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

void work_done(parked& node) { enter(*static_cast<work_link&>(node).request); }

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
      r.waits.request = &r;
      r.waits.ring = ring_index{r.on->index()};
      r.waits.resume = work_done;
      auto kept = d.capturing;
      volume_core& core = *r.core;
      leave(r);
      return core.granules().copy_before_change(r, std::move(kept), range.first, range.end);
    }
  }
  mark_changed(r, d, range);
  acquire_gate(r);
}

void changed_with_duties(volume_request& r) {
  r.has_duties = false;
  finish_change(r);
}

} // namespace gnomon::io::volume_steps
