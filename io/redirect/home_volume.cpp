#include "io/redirect/home_volume.hpp"

#include <cerrno>

#include "io/volume/request.hpp"

namespace gnomon::io {

namespace {
granule_gate::options ensemble_options(data_plane& plane) {
  granule_gate::options o;
  o.waiters_max = volume_core::admitted_max;
  o.resume = plane.resume;
  return o;
}
} // namespace

// One request on its way; owns what was replaced in it.
struct home_volume::errand {
  struct gate_node : gate_waiter {
    errand* e = nullptr;
  } gate;
  struct wake_node : parked {
    errand* e = nullptr;
  } wake;
  session::change change;
  home_volume* self = nullptr;
  volume_request* request = nullptr;
  ring* on = nullptr;
  volume_request::finish_function finish = nullptr;
  void* owner = nullptr;
  bool gated = false, fill = false;
};

home_volume::home_volume(session::home_side& home, data_plane& plane, const volume_uuid& volume)
    : home_(home), plane_(plane), volume_(volume), gate_(ensemble_options(plane)) {
  if (home_.has_shadows(volume))
    shadowed();
}

void home_volume::start(volume_request& r, ring& on) {
  const bool fill = r.fill && r.op == operation::read;
  const bool waits = all_wait_.load(std::memory_order_acquire);
  if (!is_change(r.op) && !fill && !waits)
    return start_on_file(r, on);
  auto* e = new errand;
  e->self = this;
  e->request = &r;
  e->on = &on;
  e->fill = fill;
  e->finish = r.finish;
  e->owner = r.owner;
  e->gate.e = e->wake.e = e;
  e->gate.ring = e->wake.ring = ring_index{on.index()};
  e->gate.resume = [](parked& node) {
    auto& e = *static_cast<errand::gate_node&>(static_cast<gate_waiter&>(node)).e;
    e.gated = true;
    e.self->gate_held(e);
  };
  e->wake.resume = [](parked& node) {
    auto& e = *static_cast<errand::wake_node&>(node).e;
    e.self->begin(e);
  };
  e->change.volume = volume_;
  e->change.run = session::granules_of(r.offset, r.length);
  e->change.session = session::session_id{r.session};
  e->change.owner = e;
  e->change.resume = [](session::change& c) {
    auto& e = *static_cast<errand*>(c.owner);
    e.self->plane_.resume.resume(e.wake);
  };
  r.on = &on;
  begin(*e);
}

// From the top, also after a wait.
void home_volume::begin(errand& e) {
  const volume_request& r = *e.request;
  if (!is_change(r.op) && !e.fill) { // only until the leases of before are over
    if (home_.recovering(volume_, boot_clock::now())) {
      using verdict = session::home_side::verdict;
      e.change.run = {};
      auto v = home_.enter(e.change);
      if (v == verdict::go)
        v = home_.look(e.change, boot_clock::now());
      if (v == verdict::wait)
        return;
      if (v != verdict::go)
        return end(e, ESHUTDOWN);
      home_.leave(e.change);
    } else {
      all_wait_.store(false, std::memory_order_release);
    }
    return carry_out(e);
  }
  if (!e.fill && home_.enter(e.change) == session::home_side::verdict::ended)
    return end(e, ESHUTDOWN);
  switch (gate_.try_acquire(byte_offset{r.offset}, byte_count{r.length},
                            e.fill ? gate_mode::exclusive : gate_mode::shared, e.gate)) {
  case granule_gate::outcome::acquired:
    e.gated = true;
    return gate_held(e);
  case granule_gate::outcome::parked:
    return;
  case granule_gate::outcome::full:
    return end(e, ENOMEM);
  }
}

void home_volume::gate_held(errand& e) {
  using verdict = session::home_side::verdict;
  verdict v = verdict::go;
  if (e.fill)
    v = home_.begin_fill(e.change.session, volume_, e.change.run, boot_clock::now());
  else if (e.change.session.value != 0 || shadowed_.load(std::memory_order_acquire))
    v = home_.look(e.change, boot_clock::now()); // may be resumed at once, on this ring: not before we return
  switch (v) {
  case verdict::go:
    return carry_out(e);
  case verdict::wait:
    e.gated = false;
    return gate_.release(e.gate);
  case verdict::ended:
    return end(e, ESHUTDOWN);
  case verdict::later:
    return end(e, ENOMEM);
  }
}

void home_volume::carry_out(errand& e) {
  e.request->finish = carried_out;
  e.request->owner = &e;
  start_on_file(*e.request, *e.on);
}

void home_volume::carried_out(volume_request& request, ring&) {
  auto& e = *static_cast<errand*>(request.owner);
  e.self->end(e, request.error);
}

void home_volume::end(errand& e, int error) {
  if (e.fill)
    home_.end_fill(e.change.session, volume_, e.change.run);
  home_.leave(e.change);
  if (e.gated)
    gate_.release(e.gate);
  home_.answered(e.change);
  volume_request& r = *e.request;
  ring& on = *e.on;
  r.error = error;
  r.finish = e.finish;
  r.owner = e.owner;
  delete &e;
  r.finish(r, on);
}

} // namespace gnomon::io
