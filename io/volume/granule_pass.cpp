#include "io/volume/granule_pass.hpp"

#include <utility>

#include "io/fault/planted.hpp"
#include "io/volume/core.hpp"
#include "io/volume/granule_state.hpp"

namespace gnomon::io {

// --- generations

internal_visit::internal_visit(volume_core& core, request_class what)
    : core_(core), entered_(core.granules().enter_internal(what)) {}
internal_visit::~internal_visit() { core_.granules().leave_internal(entered_); }

// --- passes

namespace {

struct pass_under_way : gate_waiter {
  volume_core* core = nullptr;
  granule_pass pass;
  std::uint64_t at = 0;
};

void finish_pass(pass_under_way* p, result<void> outcome) {
  const auto done = std::move(p->pass.done);
  granule_state& granules = p->core->granules();
  delete p;
  done(std::move(outcome));
  granules.pass_ended();
}

// With the gate of p->at held.
result<void> work_on_granule(pass_under_way* p) {
  result<void> outcome;
  {
    const internal_visit counted(*p->core, p->pass.what);
    if (p->pass.needed(p->at))
      outcome = p->pass.work(p->at);
  }
  p->core->granules().gate().release(*p);
  ++p->at;
  return outcome;
}

// On a worker.
void go_on(pass_under_way* p) {
  for (;;) {
    while (p->at < p->pass.end && !p->pass.needed(p->at))
      ++p->at;
    if (p->at == p->pass.end)
      return finish_pass(p, {});
    if (plants(planted::bring_in_without_gate) && p->pass.what == request_class::changes) {
      const auto ok = p->pass.work(p->at++);
      if (!ok)
        return finish_pass(p, ok);
      continue;
    }
    switch (p->core->granules().gate().try_acquire(byte_offset{p->at * granule_bytes}, byte_count{granule_bytes},
                                                   gate_mode::exclusive, *p)) {
    case granule_gate::outcome::acquired:
      if (auto ok = work_on_granule(p); !ok)
        return finish_pass(p, std::move(ok));
      break;
    case granule_gate::outcome::parked:
      return; // granule_granted()
    case granule_gate::outcome::full:
      return finish_pass(p, fail(errc::limit_reached, "too many requests wait for granules of this volume", EAGAIN));
    }
  }
}

void granule_granted(parked& node) {
  auto* p = static_cast<pass_under_way*>(&static_cast<gate_waiter&>(node));
  p->core->granules().on_worker_of(p->pass.background, [p] {
    if (auto ok = work_on_granule(p); !ok)
      return finish_pass(p, std::move(ok));
    go_on(p);
  });
}

} // namespace

void start_pass(volume_core& core, granule_pass pass) {
  auto* p = new pass_under_way;
  p->core = &core;
  p->at = pass.first;
  p->pass = std::move(pass);
  p->ring = ring_index{static_cast<std::uint32_t>(p->at % core.plane().ring_count())};
  p->resume = granule_granted;
  core.granules().pass_begins();
  core.granules().on_worker_of(p->pass.background, [p] { go_on(p); });
}

} // namespace gnomon::io
