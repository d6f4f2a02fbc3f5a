#include "io/redirect/remote_volume.hpp"

#include <cerrno>
#include <utility>

#include "io/redirect/shadow_filler.hpp"

namespace gnomon::io {

namespace {
boot_time boottime(void*) { return boot_clock::now(); }
void add(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) {
  counter.fetch_add(by, std::memory_order_relaxed);
}
} // namespace

remote_volume::remote_volume(remote_options options, data_plane& plane) : options_(std::move(options)), plane_(plane) {
  for (auto& ring : plane.rings) {
    lanes_.emplace_back();
    for (const auto kind : {lane_kind::reads, lane_kind::changes, lane_kind::fills})
      lanes_.back()[static_cast<std::size_t>(kind)] = std::make_unique<remote_lane>(*this, *ring, kind);
  }
}

remote_volume::~remote_volume() = default;

void remote_volume::set_shadow(std::shared_ptr<session::gateway_shadow> shadow) {
  const std::lock_guard lock(mutex_);
  shadow_.store(shadow.get(), std::memory_order_release);
  if (shadow)
    shadows_.push_back(std::move(shadow)); // rings may still look at an older one
}

void remote_volume::start(volume_request& r, ring& on) {
  r.on = &on;
  r.error = 0;
  if (r.core->current_route().closing) {
    r.error = ESHUTDOWN;
    return r.finish(r, on);
  }
  session::gateway_shadow* const shadow = r.op == operation::read ? shadow_.load(std::memory_order_acquire) : nullptr;
  if (r.op != operation::read || !shadow) {
    if (r.op == operation::read)
      add(counters_.no_shadow);
    return send(r, on);
  }
  const auto run = session::granules_of(r.offset, r.length);
  const auto looked = shadow->begin_read(run, boottime, nullptr);
  using refusal = session::gateway_shadow::refusal;
  if (looked.why != refusal::none) {
    add(looked.why == refusal::not_valid ? counters_.not_valid : counters_.no_lease);
    return send(r, on);
  }
  auto* e = new remote_errand;
  e->self = this;
  e->request = &r;
  e->on = &on;
  e->finish = r.finish;
  e->owner = r.owner;
  e->since = boot_clock::now();
  e->run = run;
  e->shadow = shadow;
  e->ticket = looked.ticket;
  r.finish = read_from_shadow;
  r.owner = e;
  start_on_file(r, on);
}

void remote_volume::read_from_shadow(volume_request& r, ring& on) {
  const std::unique_ptr<remote_errand> e{static_cast<remote_errand*>(r.owner)};
  remote_volume& self = *e->self;
  r.finish = e->finish;
  r.owner = e->owner;
  const bool good = e->shadow->still_valid(e->run, e->ticket);
  if (r.error == 0 && good) {
    add(self.counters_.near);
    add(self.counters_.near_ns, static_cast<std::uint64_t>((boot_clock::now() - e->since).count()));
    return r.finish(r, on);
  }
  add(r.error != 0 ? self.counters_.device_failed : self.counters_.overtaken);
  if (r.error == ESHUTDOWN)
    return r.finish(r, on);
  r.error = 0;
  self.send(r, on); // within the same request
}

void remote_volume::send(volume_request& r, ring& on) {
  auto* e = new remote_errand;
  e->self = this;
  e->request = &r;
  e->on = &on;
  e->since = boot_clock::now();
  e->remote.op = r.op;
  e->remote.fua = r.fua;
  e->remote.may_punch = r.may_punch;
  e->remote.fast_only = r.fast_only;
  e->remote.offset = r.offset;
  e->remote.length = r.length;
  e->remote.data = r.data;
  e->remote.extents_max = r.extents_max;
  const bool change = is_change(r.op);
  if (change) {
    add(counters_.changes);
  }
  // A flush needs no claim for changes where there were none.
  e->changes_before = counters_.changes.load();
  const bool with_changes = change || (r.op == operation::flush && e->changes_before != 0);
  lane(on, with_changes ? lane_kind::changes : lane_kind::reads).submit(*e);
}

void remote_volume::finished(remote_errand& errand) {
  if (errand.filler)
    return errand.filler->read_done(errand);
  const std::unique_ptr<remote_errand> e{&errand};
  volume_request& r = *e->request;
  r.error = e->remote.error;
  if (r.op == operation::flush && r.error == 0)
    for (auto seen = flushed_.load(); seen < e->changes_before && !flushed_.compare_exchange_weak(seen, e->changes_before);)
      ;
  if (e->remote.lost && (is_change(r.op) || r.op == operation::flush)) {
    add(counters_.lost_changes);
    r.error = EIO;
  }
  if (r.op == operation::read) {
    add(counters_.far);
    add(counters_.far_ns, static_cast<std::uint64_t>((boot_clock::now() - e->since).count()));
  }
  if (r.op == operation::block_status)
    r.extents = std::move(e->remote.extents);
  r.finish(r, *e->on);
}

void remote_volume::session_changed(session::start_id home_start) {
  if (home_start.value != 0) {
    const auto before = home_start_.exchange(home_start.value);
    // Whether the home has lost what it had not flushed cannot be told from here.
    const auto changes = counters_.changes.load();
    if (before != 0 && before != home_start.value && flushed_.exchange(changes) < changes && options_.drop_clients)
      options_.drop_clients();
  }
  for (std::size_t i = 0; i < lanes_.size(); ++i)
    plane_.rings[i]->post([this, i](ring&) {
      for (auto& one : lanes_[i])
        one->session_changed();
    });
}

void remote_volume::shut() {
  for (std::size_t i = 0; i < lanes_.size(); ++i)
    plane_.rings[i]->post([this, i](ring&) {
      for (auto& one : lanes_[i])
        one->shut();
    });
}

bool remote_volume::idle() const noexcept {
  for (const auto& ring_lanes : lanes_)
    for (const auto& one : ring_lanes)
      if (!one->idle())
        return false;
  return true;
}

} // namespace gnomon::io
