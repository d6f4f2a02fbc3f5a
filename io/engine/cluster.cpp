#include "io/engine/cluster.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

#include "config/log.hpp"
#include "io/nbd/socket.hpp"
#include "io/session/proof.hpp"

namespace gnomon::io {

cluster::cluster(cluster_options options, data_plane& plane, volume_registry& registry, hooks h)
    : options_(std::move(options)), plane_(plane), registry_(registry), hooks_(std::move(h)) {}

cluster::~cluster() = default;

result<void> cluster::open() {
  auto secret = session::read_secret(options_.settings.secret_file);
  if (!secret)
    return tl::unexpected(secret.error());
  prove_ = session::prover(std::move(*secret));
  registry_.data_login = [this](const session::session_id& id, const session::proof& proven) {
    return ready_.load(std::memory_order_acquire) ? streams_->home().check_data_login(id, proven) : std::nullopt;
  };
  auto record = lease_record::open(options_.data_dir + "/leases", options_.settings.lease);
  if (!record)
    return tl::unexpected(record.error());
  record_ = std::move(*record);
  std::error_code ignored;
  std::filesystem::remove_all(shadow_folder(), ignored); // a shadow file is not reused
  if (!std::filesystem::create_directories(shadow_folder(), ignored) && !std::filesystem::is_directory(shadow_folder()))
    return fail(errc::io_failed, "cannot make " + shadow_folder());
  return {};
}

std::string cluster::shadow_folder() const {
  return (options_.stage ? options_.stage->path : options_.data_dir) + "/shadows";
}

result<endpoint> cluster::listen(const std::string& data_address) {
  session::streams_options o;
  o.self = options_.self;
  o.start = session::random_start();
  o.prove = prove_;
  o.lease = options_.settings.lease;
  o.data_address = data_address;
  o.peers = options_.settings.peers;
  endpoint bound;
  if (options_.settings.listen) {
    auto listening = listen_on(*options_.settings.listen, 0600);
    if (!listening)
      return tl::unexpected(listening.error());
    o.listen_fd = listening->fd;
    bound = listening->bound;
  }
  streams_ = std::make_unique<session::session_streams>(std::move(o), *this);
  const auto now = boot_clock::now();
  for (const auto& volume : record_->left_behind())
    streams_->home().recovered(volume, record_->longest_left_behind(), now);
  recovery_over_ = now + session::with_margin(record_->longest_left_behind());
  ready_.store(true, std::memory_order_release);
  streams_->start();
  return bound;
}

void cluster::adopt(volume_core& core) {
  if (!streams_)
    return;
  auto before = std::make_shared<home_volume>(streams_->home(), plane_, core.uuid());
  {
    const std::lock_guard lock(record_mutex_);
    if (record_->rebooted() && record_->left_behind().contains(core.uuid()))
      before->wait_for_leases();
  }
  core.set_before(before);
  const std::lock_guard lock(mutex_);
  homes_[core.uuid()] = before;
}

void cluster::volumes_changed() {
  if (!streams_)
    return;
  std::vector<session::told_volume> all;
  for (const auto& core : registry_.all()) {
    const auto spec = core->spec();
    all.push_back({spec.uuid, spec.name, spec.size, spec.read_only, spec.shared});
  }
  streams_->set_catalogue(std::move(all));
}

bool cluster::stop(boot_time until) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(stopped_, true))
      return true;
    for (auto& [uuid, r] : remotes_) {
      if (r.filler)
        stopping_.push_back(std::move(r.filler));
      r.way->shut();
    }
    for (auto& f : stopping_)
      f->stop();
  }
  const auto busy = [this] {
    const std::lock_guard lock(mutex_);
    return std::any_of(stopping_.begin(), stopping_.end(), [](const auto& f) { return !f->stopped(); }) ||
           std::any_of(remotes_.begin(), remotes_.end(), [](const auto& r) { return !r.second.way->idle(); });
  };
  while (busy() && boot_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  if (streams_)
    streams_->stop();
  return !busy();
}

// --- this node as a home

result<void> cluster::record_shadow(const node_name& gateway, const volume_uuid& volume) {
  if (!registry_.find(volume))
    return fail(errc::not_found, "node " + options_.self.value + " does not serve this volume");
  {
    const std::lock_guard lock(record_mutex_);
    if (boot_clock::now() > recovery_over_)
      (void)record_->recovery_over();
    if (auto added = record_->add(volume); !added) {
      log::error("a shadow at node {} is refused: {}", gateway.value, added.error().message);
      return added;
    }
  }
  const std::lock_guard lock(mutex_);
  if (const auto home = homes_[volume].lock())
    home->shadowed();
  log::info("node {} shadows volume {}", gateway.value, volume.to_string());
  return {};
}

void cluster::shadow_forgotten(const node_name& gateway, const volume_uuid& volume) {
  log::info("node {} no longer shadows volume {}", gateway.value, volume.to_string());
  if (streams_->home().has_shadows(volume))
    return;
  const std::lock_guard lock(record_mutex_);
  if (auto removed = record_->remove(volume); !removed)
    log::warning("{}", removed.error().message); // it costs a wait after the next start, no more
}

// --- this node as a gateway

void cluster::tell_lanes(const node_name& home, session::start_id home_start) {
  const std::lock_guard lock(mutex_);
  for (auto& [uuid, r] : remotes_)
    if (r.home == home)
      r.way->session_changed(home_start);
}

void cluster::session_opened(const node_name& home, const session::open_session& session) {
  tell_lanes(home, session.home_start);
}
void cluster::session_over(const node_name& home) { tell_lanes(home, {}); }

void cluster::volume_told(const node_name& home, const session::told_volume& volume) {
  if (!plane_.blocking.submit([this, home, volume] { open_remote(home, volume); }))
    log::warning("volume {} of node {} is not served here: too many changes are waiting", volume.name.value, home.value);
}

void cluster::volume_gone(const node_name&, const volume_uuid&) {} // its requests are answered with an error in time

void cluster::open_remote(const node_name& home, const session::told_volume& volume) {
  std::shared_ptr<volume_core> known;
  {
    const std::lock_guard lock(mutex_);
    if (stopped_)
      return;
    if (const auto found = remotes_.find(volume.uuid); found != remotes_.end()) {
      if (found->second.home != home) {
        log::error("nodes {} and {} both claim volume {}; that of {} is refused", found->second.home.value,
                   home.value, volume.uuid.to_string(), home.value);
        return;
      }
      known = found->second.core;
    }
  }
  if (known) {
    std::lock_guard control{known->control};
    if (volume.size > known->spec().size && known->grow_file(volume.size)) {
      known->change_spec([&](volume_spec& s) { s.size = volume.size; });
      known->publish([&](route& r) { r.size = volume.size; });
    }
    known->change_spec([&](volume_spec& s) { s.read_only = volume.read_only; });
    return;
  }
  if (registry_.find(volume.uuid)) {
    log::error("node {} claims volume {}, which has its home here", home.value, volume.uuid.to_string());
    return;
  }
  volume_spec spec;
  spec.uuid = volume.uuid;
  spec.name = volume.name;
  spec.description = "at node " + home.value;
  spec.path = shadow_folder() + "/" + volume.uuid.to_string();
  spec.size = volume.size;
  spec.shared = volume.shared;
  ::unlink(spec.path.c_str());
  if (const int fd = ::open(spec.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600); fd < 0)
    return log::error("volume {} of node {}: {}: {}", volume.name.value, home.value, spec.path, std::strerror(errno));
  else
    ::close(fd);
  auto core = volume_core::open(spec, plane_);
  if (!core)
    return log::error("volume {} of node {}: {}", volume.name.value, home.value, core.error().message);
  (*core)->change_spec([&](volume_spec& s) { s.read_only = volume.read_only; });
  remote_options o;
  o.self = options_.self;
  o.home = home;
  o.volume = volume.uuid;
  o.patience = options_.settings.patience;
  o.streams = streams_.get();
  o.drop_clients = [this, core = core->get()] { hooks_.drop_clients(*core); };
  auto way = std::make_shared<remote_volume>(std::move(o), plane_);
  (*core)->set_before(way);
  const std::lock_guard lock(mutex_);
  if (stopped_ || remotes_.contains(volume.uuid))
    return;
  if (auto added = registry_.add_remote(*core); !added)
    return log::error("volume {} of node {} is not served here: {}", volume.name.value, home.value,
                      added.error().message);
  way->session_changed(streams_->current(home).home_start);
  auto& r = remotes_[volume.uuid];
  r.home = home;
  r.core = std::move(*core);
  r.way = std::move(way);
}

cluster::remote* cluster::find(const volume_name& name) {
  for (auto& [uuid, r] : remotes_)
    if (r.core->spec().name == name)
      return &r;
  return nullptr;
}

result<void> cluster::create_shadow(const volume_name& name) {
  if (!options_.stage)
    return fail(errc::unsupported, "this node has no stage: set stage.path and stage.capacity");
  if (options_.settings.redirect == redirect_rule::off)
    return fail(errc::unsupported, "cluster.redirect is \"off\": no read would be served from a shadow");
  std::shared_ptr<session::gateway_shadow> shadow;
  node_name home;
  shadow_filler* filler = nullptr;
  {
    const std::lock_guard lock(mutex_);
    remote* const r = find(name);
    if (!r)
      return registry_.find(name) ? fail(errc::unsupported, "volume " + name.value +
                                                                " has its home here; shadows are made on other nodes")
                                  : fail(errc::not_found, "no volume " + name.value + " of another node is known here");
    if (r->shadow)
      return fail(errc::already_exists, "volume " + name.value + " has a shadow here");
    std::erase_if(stopping_, [](const auto& f) { return f->stopped(); });
    if (!stopping_.empty())
      return fail(errc::busy, "a shadow is being dropped; try again");
    byte_count used;
    for (const auto& [uuid, other] : remotes_)
      if (other.shadow)
        used.value += other.core->spec().size.value;
    const auto size = r->core->spec().size;
    if (used.value + size.value > options_.stage->capacity.value)
      return fail(errc::no_space, "a shadow of volume " + name.value + " needs " + std::to_string(size.value) +
                                      " bytes; " + std::to_string(options_.stage->capacity.value - used.value) +
                                      " of stage.capacity are left");
    home = r->home;
    shadow = std::make_shared<session::gateway_shadow>(r->core->uuid(),
                                                       (size.value + granule_bytes - 1) / granule_bytes,
                                                       streams_->lease_of(home));
    r->shadow = shadow;
    r->trouble.clear();
    r->filler = std::make_unique<shadow_filler>(*r->way, *r->core, shadow,
                                                *plane_.rings[std::hash<volume_uuid>{}(r->core->uuid()) %
                                                              plane_.rings.size()]);
    filler = r->filler.get();
    r->way->set_shadow(shadow);
  }
  filler->start();
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
    r->way->set_shadow(nullptr);
    r->shadow.reset();
    r->filler->stop();
    stopping_.push_back(std::move(r->filler));
  }
  streams_->drop_shadow(home, uuid);
  return {};
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
  const std::lock_guard lock(mutex_);
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
      s.valid_bytes = byte_count{std::min(r.shadow->valid_granules() * granule_bytes, spec.size.value)};
      s.serving = r.shadow->serving();
      s.filled_bytes = byte_count{r.filler->filled_bytes()};
      s.void_fills = r.filler->void_fills();
      s.passes = r.filler->passes();
      s.trouble = streams_->take_refusal(r.home, uuid);
      if (r.filler->device_errno() != 0)
        s.trouble = std::string("its file cannot be written: ") + std::strerror(r.filler->device_errno());
    }
    const auto& c = r.way->counters();
    s.near = c.near;
    s.far = c.far;
    s.not_valid = c.not_valid;
    s.no_lease = c.no_lease;
    s.no_shadow = c.no_shadow;
    s.overtaken = c.overtaken;
    s.device_failed = c.device_failed;
    s.changes = c.changes;
    s.lost_changes = c.lost_changes;
    s.near_us = s.near != 0 ? c.near_ns / s.near / 1000 : 0;
    s.far_us = s.far != 0 ? c.far_ns / s.far / 1000 : 0;
    out.volumes.push_back(std::move(s));
  }
  return out;
}

} // namespace gnomon::io
