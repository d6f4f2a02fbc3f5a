#include "io/redirect/remote_volume.hpp"

#include <cerrno>
#include <utility>

#include "io/redirect/shadow_filler.hpp"

namespace gnomon::io {

namespace {
boot_time boottime(void*) { return boot_clock::now(); }
} // namespace

remote_volume::remote_volume(remote_options options, data_plane& plane)
    : options_(std::move(options)), plane_(plane), shadow_(plane.epochs), predicted_(plane.epochs), choice_(options_.redirect) {
  for (auto& ring : plane.rings) {
    lanes_.emplace_back();
    for (const auto kind : {lane_kind::reads, lane_kind::changes, lane_kind::fills})
      lanes_.back()[static_cast<std::size_t>(kind)] = std::make_unique<remote_lane>(*this, *ring, kind);
  }
}

remote_volume::~remote_volume() = default;

void remote_volume::set_shadow(shadow_parts shadow) {
  shadow_.swap(shadow.granules ? std::make_unique<const shadow_parts>(std::move(shadow)) : nullptr);
}

void remote_volume::start(volume_request& r, ring& on) {
  r.on = &on;
  r.error = 0;
  if (r.core->current_route().closing) {
    r.error = ESHUTDOWN;
    return r.finish(r, on);
  }
  if (r.op != operation::read)
    return send(r, on, nullptr);
  read_counters& reads = reads_.of(r.instance);
  const shadow_parts* const parts = shadow_.load();
  if (!parts) {
    count(reads.no_shadow);
    return send(r, on, &reads);
  }
  const auto run = session::granules_of(r.offset, r.length);
  if (const auto side = choice_.choose(predicted_.load(), r.instance, r.offset, r.length);
      side != read_choice::side::shadow) {
    count(side == read_choice::side::slower ? reads.slower : reads.not_predicted);
    return send(r, on, &reads);
  }
  const auto looked = parts->granules->begin_read(run, boottime, nullptr);
  using refusal = session::gateway_shadow::refusal;
  if (looked.why != refusal::none) {
    const bool no_copy = looked.why == refusal::not_valid && !parts->extent->wants(run.first);
    count(no_copy ? reads.no_shadow : looked.why == refusal::not_valid ? reads.not_valid : reads.no_lease);
    return send(r, on, &reads);
  }
  auto* e = new remote_errand;
  e->self = this;
  e->request = &r;
  e->on = &on;
  e->finish = r.finish;
  e->owner = r.owner;
  e->since = boot_clock::now();
  e->run = run;
  e->reads = &reads;
  e->shadow = *parts;
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
  const bool good = e->shadow.granules->still_valid(e->run, e->ticket);
  if (r.error == 0 && good) {
    const auto took = static_cast<std::uint64_t>((boot_clock::now() - e->since).count());
    count(e->reads->near);
    count(e->reads->near_ns, took);
    self.choice_.near.add(took);
    e->shadow.extent->read(e->run);
    return r.finish(r, on);
  }
  count(r.error != 0 ? e->reads->device_failed : e->reads->overtaken);
  if (r.error == ESHUTDOWN)
    return r.finish(r, on);
  r.error = 0;
  self.send(r, on, e->reads); // within the same request
}

void remote_volume::send(volume_request& r, ring& on, read_counters* reads) {
  auto* e = new remote_errand;
  e->self = this;
  e->request = &r;
  e->on = &on;
  e->since = boot_clock::now();
  e->reads = reads;
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
    count(counters_.changes);
  }
  // A flush covers what was answered before it, and needs no claim for changes where there were none.
  e->changes_before = answered_changes_.load();
  const bool with_changes = change || (r.op == operation::flush && counters_.changes.load() != 0);
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
    count(counters_.lost_changes);
    r.error = EIO;
  }
  if (r.op == operation::read) {
    const auto took = static_cast<std::uint64_t>((boot_clock::now() - e->since).count());
    count(e->reads->far);
    count(e->reads->far_ns, took);
    if (r.error == 0)
      choice_.far.add(took);
  }
  if (is_change(r.op) && r.error == 0) {
    ++answered_changes_;
    // The other half is in session_changed(): one of the two sees the other.
    if (home_start_ != e->home_start && options_.drop_clients)
      options_.drop_clients();
  }
  if (r.op == operation::block_status)
    r.extents = std::move(e->remote.extents);
  r.finish(r, *e->on);
}

void remote_volume::session_changed(session::start_id home_start) {
  if (home_start.value != 0) {
    const auto before = home_start_.exchange(home_start.value);
    // Whether the home has lost what it had not flushed cannot be told from here.
    const auto changes = answered_changes_.load();
    if (before != 0 && before != home_start.value && flushed_.exchange(changes) < changes && options_.drop_clients)
      options_.drop_clients();
  }
  for (std::size_t i = 0; i < lanes_.size(); ++i)
    plane_.rings[i]->post([this, i](ring&) {
      for (auto& one : lanes_[i])
        one->session_changed();
    });
}

void remote_volume::claim() {
  plane_.rings[0]->post([this](ring& on) { lane(on, lane_kind::changes).hold(); });
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
