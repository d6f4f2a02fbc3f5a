// Shadows of this node: made and dropped as a whole by an operator, chunk by chunk by the planner; and what the rings
// are told about the reads to expect.
#include <algorithm>
#include <cstring>

#include <fcntl.h>

#include "config/log.hpp"
#include "io/engine/cluster.hpp"

namespace gnomon::io {

namespace {
constexpr std::chrono::hours announcement_stands_max{1};
constexpr chunk_run all_chunks{chunk_index{0}, ~std::uint64_t{0}};

void add_to(read_report& sum, const read_report& one) {
  sum.near += one.near, sum.far += one.far, sum.not_predicted += one.not_predicted, sum.not_valid += one.not_valid;
  sum.no_lease += one.no_lease, sum.no_shadow += one.no_shadow, sum.slower += one.slower;
  sum.overtaken += one.overtaken, sum.device_failed += one.device_failed;
  sum.near_ns += one.near_ns, sum.far_ns += one.far_ns;
}

read_report report_of(const read_counters& c) {
  read_report r;
  r.near = c.near, r.far = c.far, r.not_predicted = c.not_predicted, r.not_valid = c.not_valid;
  r.no_lease = c.no_lease, r.no_shadow = c.no_shadow, r.slower = c.slower;
  r.overtaken = c.overtaken, r.device_failed = c.device_failed;
  r.near_ns = c.near_ns, r.far_ns = c.far_ns;
  return r;
}
} // namespace

byte_count cluster::taken() const {
  byte_count used;
  for (const auto& [uuid, r] : remotes_)
    used.value += r.taken().value;
  return used;
}

result<void> cluster::check_room(byte_count more, const volume_name& volume) const {
  const auto capacity = options_.stage->capacity.value, used = taken().value;
  if (used + more.value <= capacity)
    return {};
  return fail(errc::no_space, "a shadow of volume " + volume.value + " needs " + std::to_string(more.value) +
                                  " bytes; " + std::to_string(capacity - std::min(capacity, used)) +
                                  " of stage.capacity are left");
}

result<void> cluster::make_shadow(remote& r, maker by) {
  if (!options_.stage)
    return fail(errc::unsupported, "this node has no stage: set stage.path and stage.capacity");
  if (options_.settings.redirect == redirect_rule::off)
    return fail(errc::unsupported, "cluster.redirect is \"off\": no read would be served from a shadow");
  std::erase_if(stopping_, [](const auto& f) { return f->stopped(); });
  if (stopped_ || !stopping_.empty())
    return fail(errc::busy, "a shadow is being dropped; try again");
  const auto size = r.core->spec().size;
  r.extent = std::make_shared<shadow_extent>(size, default_chunk_bytes(size));
  r.shadow = std::make_shared<session::gateway_shadow>(r.core->uuid(), (size.value + granule_bytes - 1) / granule_bytes,
                                                       streams_->lease_of(r.home));
  r.by_hand = by == maker::hand;
  r.trouble.clear();
  r.filler = std::make_unique<shadow_filler>(
      *r.way, *r.core, shadow_parts{r.shadow, r.extent}, by == maker::hand ? nullptr : &budget_,
      *plane_.rings[std::hash<volume_uuid>{}(r.core->uuid()) % plane_.rings.size()]);
  r.way->set_shadow({r.shadow, r.extent});
  return {};
}

// Reads that have found the granules valid look again afterwards, and then go to the home.
void cluster::give_back(remote& r, session::granule_run run) {
  streams_->give_up(*r.shadow, run);
  if (run.count != 0 && ::fallocate(r.core->file().data_fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                    static_cast<off_t>(run.first.value * granule_bytes),
                                    static_cast<off_t>(run.count * granule_bytes)) != 0)
    log::warning("shadow of volume {}: its space cannot be given back: {}", r.core->spec().name.value,
                 std::strerror(errno));
}

std::shared_ptr<session::gateway_shadow> cluster::take_apart(remote& r) {
  r.way->set_shadow({});
  r.filler->stop();
  stopping_.push_back(std::move(r.filler));
  r.extent.reset();
  r.by_hand = false;
  return std::exchange(r.shadow, nullptr);
}

result<void> cluster::create_shadow(const volume_name& name) {
  std::shared_ptr<session::gateway_shadow> shadow;
  node_name home;
  {
    const std::lock_guard lock(mutex_);
    remote* const r = find(name);
    if (!r)
      return registry_.find(name) ? fail(errc::unsupported, "volume " + name.value +
                                                                " has its home here; shadows are made on other nodes")
                                  : fail(errc::not_found, "no volume " + name.value + " of another node is known here");
    if (r->shadow && r->by_hand)
      return fail(errc::already_exists, "volume " + name.value + " has a shadow here");
    if (options_.stage)
      if (auto room = check_room(byte_count{r->core->spec().size.value - r->taken().value}, name); !room)
        return room;
    if (r->shadow) { // what the planner has made becomes the operator's
      r->by_hand = true;
      r->extent->add(all_chunks);
      r->filler->lift_budget();
      return {};
    }
    if (auto made = make_shadow(*r, maker::hand); !made)
      return made;
    r->extent->add(all_chunks);
    home = r->home;
    shadow = r->shadow;
    r->filler->start();
  }
  return streams_->add_shadow(home, shadow);
}

result<void> cluster::drop_shadow(const volume_name& name) {
  node_name home;
  volume_uuid uuid;
  {
    const std::lock_guard lock(mutex_);
    remote* const r = find(name);
    if (!r || !r->shadow)
      return fail(errc::not_found, "volume " + name.value + " has no shadow here");
    home = r->home;
    uuid = r->core->uuid();
    r->extent->remove(all_chunks);
    give_back(*r, r->extent->granules_of(all_chunks));
    (void)take_apart(*r);
  }
  streams_->drop_shadow(home, uuid);
  return {};
}

result<void> cluster::widen_shadow(const volume_uuid& volume, chunk_run run) {
  std::shared_ptr<session::gateway_shadow> made;
  node_name home;
  {
    const std::lock_guard lock(mutex_);
    const auto found = remotes_.find(volume);
    if (found == remotes_.end())
      return fail(errc::not_found, "no volume " + volume.to_string() + " of another node is known here");
    remote& r = found->second;
    if (r.by_hand)
      return {};
    const auto spec = r.core->spec();
    const auto chunk = default_chunk_bytes(spec.size);
    const std::uint64_t chunks = (spec.size.value + chunk.value - 1) / chunk.value;
    if (run.count == 0 || run.first.value >= chunks || run.count > chunks - run.first.value)
      return fail(errc::invalid_argument, "volume " + spec.name.value + " has " + std::to_string(chunks) + " chunks");
    if (options_.stage)
      if (auto room = check_room(byte_count{(r.shadow ? r.extent->missing(run) : run.count) * chunk.value}, spec.name);
          !room)
        return room;
    if (!r.shadow) {
      if (auto done = make_shadow(r, maker::planner); !done)
        return done;
      made = r.shadow;
      home = r.home;
    }
    r.extent->add(run);
    if (made)
      r.filler->start();
  }
  return made ? streams_->add_shadow(home, made) : result<void>{};
}

result<void> cluster::narrow_shadow(const volume_uuid& volume, chunk_run run) {
  std::shared_ptr<session::gateway_shadow> over;
  node_name home;
  {
    const std::lock_guard lock(mutex_);
    const auto found = remotes_.find(volume);
    if (found == remotes_.end() || !found->second.shadow)
      return fail(errc::not_found, "volume " + volume.to_string() + " has no shadow here");
    remote& r = found->second;
    if (r.by_hand)
      return fail(errc::permission_denied, "the shadow of volume " + r.core->spec().name.value + " was made by hand");
    r.extent->remove(run);
    give_back(r, r.extent->granules_of(run));
    if (r.extent->wanted_chunks() == 0) {
      home = r.home;
      over = take_apart(r);
    }
  }
  if (over)
    streams_->drop_shadow(home, volume);
  return {};
}

void cluster::predict_reads(const volume_uuid& volume, read_prediction predicted) {
  std::shared_ptr<remote_volume> way;
  {
    const std::lock_guard lock(mutex_);
    const auto found = remotes_.find(volume);
    if (found == remotes_.end() || stopped_)
      return;
    way = found->second.way;
  }
  std::vector<std::pair<instance_slot, predicted_reads::bitmap>> by_slot;
  for (auto& [instance, bits] : predicted.instances)
    by_slot.emplace_back(registry_.slot_of(instance), std::move(bits));
  way->set_prediction(std::make_unique<const predicted_reads>(predicted.chunk_size, std::move(by_slot),
                                                              std::move(predicted.everybody)));
}

std::vector<remote_volume_entry> cluster::remote_volumes() const {
  std::vector<remote_volume_entry> out;
  const std::lock_guard lock(mutex_);
  for (const auto& [uuid, r] : remotes_) {
    const auto spec = r.core->spec();
    out.push_back({uuid, spec.name, spec.size, r.home, r.planner});
  }
  return out;
}

// Every node may announce: of two that announce the same chunk the larger number counts.
void cluster::reads_announced(const node_name& by, const session::announced_reads& reads) {
  const auto now = boot_clock::now();
  const auto until = now + std::min<nanoseconds>(reads.stands, announcement_stands_max);
  const std::lock_guard lock(mutex_);
  const auto found = remotes_.find(reads.volume);
  if (found == remotes_.end())
    return; // it is not served here
  const auto size = found->second.core->spec().size;
  const auto chunk = default_chunk_bytes(size).value / granule_bytes;
  const auto end = std::min(reads.run.end(), size.value / granule_bytes + 1); // of the volume, whatever the frame says
  for (std::uint64_t g = reads.run.first.value; g < end; g += chunk) {
    if (expected_.size() >= expected_max && !expected_.contains({reads.volume, g / chunk}))
      return log::warning("node {} announces more reads than are kept", by.value);
    auto& e = expected_[{reads.volume, g / chunk}];
    e.reads_per_second = e.until > now ? std::max(e.reads_per_second, reads.reads_per_second) : reads.reads_per_second;
    e.until = std::max(e.until, until);
  }
}

result<void> cluster::announce_reads(const node_name& to, const expected_chunk& reads,
                                     std::chrono::milliseconds stands) {
  const auto core = registry_.find(reads.volume);
  byte_count size = core ? core->spec().size : byte_count{};
  if (!core) {
    const std::lock_guard lock(mutex_);
    if (const auto found = remotes_.find(reads.volume); found != remotes_.end())
      size = found->second.core->spec().size;
  }
  if (size.value == 0)
    return fail(errc::not_found, "no volume " + reads.volume.to_string() + " is known here");
  const auto chunk = default_chunk_bytes(size).value / granule_bytes;
  return streams_->announce(to, {reads.volume, {granule_index{reads.chunk.value * chunk}, chunk},
                                 reads.reads_per_second, stands});
}

void cluster::set_planner_rules(std::map<volume_name, planner_rule> rules) {
  {
    const std::lock_guard lock(mutex_);
    if (planner_rules_ == rules)
      return;
    planner_rules_ = std::move(rules);
  }
  volumes_changed();
}

cluster_report cluster::report() const {
  cluster_report out;
  if (!streams_)
    return out;
  for (const auto& p : streams_->peers())
    out.peers.push_back({p.node, p.address, p.state, p.trouble,
                         std::chrono::duration_cast<microseconds>(p.round_trip), p.sessions, 0});
  for (const auto& g : streams_->home().status())
    out.gateways.push_back({g.node, g.open, g.shadows, g.outstanding, g.invalidations, g.granules});
  if (options_.stage)
    out.stage_capacity = options_.stage->capacity;
  const std::lock_guard lock(mutex_);
  out.stage_used = taken();
  std::erase_if(expected_, [now = boot_clock::now()](const auto& e) { return e.second.until <= now; });
  for (const auto& [where, e] : expected_)
    out.expected.push_back({where.first, chunk_index{where.second}, e.reads_per_second});
  for (const auto& [uuid, r] : remotes_) {
    for (auto& p : out.peers)
      if (p.node == r.home)
        ++p.volumes;
    remote_volume_status s;
    const auto spec = r.core->spec();
    s.volume = spec.name;
    s.uuid = uuid;
    s.home = r.home;
    s.size = spec.size;
    s.has_shadow = r.shadow != nullptr;
    if (r.shadow) {
      s.by_hand = r.by_hand;
      s.wanted_bytes = r.taken();
      if (!r.by_hand)
        s.chunks = r.extent->report();
      s.valid_bytes = byte_count{std::min(r.shadow->valid_granules() * granule_bytes, spec.size.value)};
      s.serving = r.shadow->serving();
      s.filled_bytes = byte_count{r.filler->filled_bytes()};
      s.void_fills = r.filler->void_fills();
      s.passes = r.filler->passes();
      s.trouble = streams_->refusal(r.home, uuid);
      if (r.filler->device_errno() != 0)
        s.trouble = std::string("its file cannot be written: ") + std::strerror(r.filler->device_errno());
    }
    r.way->reads().each([&](std::optional<instance_slot> slot, const read_counters& c) {
      auto one = report_of(c);
      add_to(s.reads, one);
      if (slot)
        one.instance = registry_.instance_of(*slot);
      if (slot || one.near + one.far != 0)
        s.instances.push_back(std::move(one));
    });
    s.changes = r.way->counters().changes;
    s.lost_changes = r.way->counters().lost_changes;
    s.near_p50_ns = r.way->choice().near.ns();
    s.far_p50_ns = r.way->choice().far.ns();
    out.volumes.push_back(std::move(s));
  }
  return out;
}

} // namespace gnomon::io
