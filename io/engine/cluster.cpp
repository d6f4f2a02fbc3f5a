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
  registry_.on_remote_writer = [this](const volume_core& core) {
    const std::lock_guard lock(mutex_);
    if (const auto found = remotes_.find(core.uuid()); found != remotes_.end() && !stopped_)
      found->second.way->claim();
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
    const std::lock_guard lock(mutex_); // first: a shadow that comes on record from now on finds it here
    homes_[core.uuid()] = before;
  }
  {
    const std::lock_guard lock(record_mutex_);
    if (record_->contains(core.uuid()))
      before->shadowed();
    if (record_->rebooted() && record_->left_behind().contains(core.uuid()))
      before->wait_for_leases();
  }
  core.set_before(before);
}

void cluster::volumes_changed() {
  if (!streams_)
    return;
  std::vector<session::told_volume> all;
  for (const auto& core : registry_.all()) {
    const auto spec = core->spec();
    const std::lock_guard lock(mutex_);
    const auto rule = planner_rules_.find(spec.name);
    all.push_back({spec.uuid, spec.name, spec.size, spec.read_only, spec.shared,
                   rule == planner_rules_.end() ? planner_rule::act : rule->second});
  }
  streams_->set_catalogue(std::move(all));
  std::vector<node_name> again; // a name may be free now
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [home, c] : catalogues_)
      if (c.incomplete)
        again.push_back(node_name{home});
  }
  for (const auto& home : again)
    queue_catalogue(home);
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
  if (streams_) {
    streams_->stop();
    streams_->home().stop(); // nothing ends a lease any more: what waits for one is answered
  }
  return !busy();
}

// --- this node as a home

result<void> cluster::record_shadow(const node_name& gateway, const volume_uuid& volume) {
  const auto on_record = [&] { // it is served here, and will be again
    const std::lock_guard lock(record_mutex_);
    return record_->contains(volume);
  };
  if (!registry_.find(volume) && !on_record())
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
void cluster::session_over(const node_name& home) {
  {
    const std::lock_guard lock(mutex_);
    catalogues_[home.value].arriving.clear();
  }
  tell_lanes(home, {});
}

void cluster::volume_told(const node_name& home, const session::told_volume& volume) {
  const std::lock_guard lock(mutex_);
  auto& arriving = catalogues_[home.value].arriving;
  if (arriving.size() < session::session_streams::told_volumes_max)
    arriving.push_back(volume);
}

// The end of a catalogue. A volume that is not in it may be opened again: its requests are answered with an error in time.
void cluster::volume_gone(const node_name& home, const volume_uuid&) {
  {
    const std::lock_guard lock(mutex_);
    auto& c = catalogues_[home.value];
    c.last = std::exchange(c.arriving, {});
  }
  queue_catalogue(home);
}

void cluster::queue_catalogue(const node_name& home) {
  if (plane_.maintenance.submit(opening_lane_, [this, home] { take_catalogue(home); }))
    return;
  log::warning("what node {} serves is not taken in now: too many changes are waiting", home.value);
  const std::lock_guard lock(mutex_);
  catalogues_[home.value].incomplete = true;
}

void cluster::take_catalogue(const node_name& home) {
  const std::lock_guard one_at_a_time(catalogue_mutex_);
  std::vector<session::told_volume> told;
  {
    const std::lock_guard lock(mutex_);
    if (stopped_)
      return;
    told = catalogues_[home.value].last;
  }
  free_names(home, told);
  bool complete = true;
  for (const auto& volume : told)
    complete &= open_remote(home, volume);
  const std::lock_guard lock(mutex_);
  catalogues_[home.value].incomplete = !complete;
}

// A name that the home has given to another volume is not that of its former volume any more. That one is renamed, closed
// or deleted there: unless it has a name in the catalogue, its clients would go on with a volume that they did not mean.
void cluster::free_names(const node_name& home, const std::vector<session::told_volume>& told) {
  std::map<volume_name, volume_uuid> named;
  std::set<volume_uuid> present;
  for (const auto& volume : told) {
    named[volume.name] = volume.uuid;
    present.insert(volume.uuid);
  }
  std::vector<std::shared_ptr<volume_core>> former;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [uuid, r] : remotes_)
      if (const auto now = named.find(r.core->spec().name);
          r.home == home && now != named.end() && now->second != uuid) {
        former.push_back(r.core);
        r.named = false;
        r.told = {};
      }
  }
  for (const auto& core : former) {
    registry_.remove_remote(*core);
    if (present.contains(core->uuid()))
      continue; // it gets its new name
    const volume_name name = core->spec().name;
    log::info("volume {} of node {} is another one now; clients of the former one are disconnected", name.value,
              home.value);
    (void)drop_shadow(name); // if it has one
    registry_.rename_remote(*core, volume_name{core->uuid().to_string()});
    hooks_.drop_clients(*core);
  }
}

bool cluster::update_remote(volume_core& core, const session::told_volume& volume) {
  {
    std::lock_guard control{core.control};
    if (volume.size > core.spec().size && core.grow_file(volume.size)) {
      core.change_spec([&](volume_spec& s) { s.size = volume.size; });
      core.publish([&](route& r) { r.size = volume.size; });
    }
    core.change_spec([&](volume_spec& s) {
      s.read_only = volume.read_only;
      s.shared = volume.shared;
    });
  }
  if (core.spec().name != volume.name) {
    log::info("volume {} of another node is named {} now", core.spec().name.value, volume.name.value);
    registry_.rename_remote(core, volume.name);
  }
  const std::lock_guard lock(mutex_);
  const auto found = remotes_.find(volume.uuid);
  if (found == remotes_.end())
    return true;
  auto& r = found->second;
  const auto added = registry_.add_remote(r.core);
  if (!added)
    log::error("volume {} of node {} is not served here: {}", volume.name.value, r.home.value, added.error().message);
  r.named = added.has_value();
  r.told = volume;
  return r.named;
}

bool cluster::open_remote(const node_name& home, const session::told_volume& volume) {
  std::shared_ptr<volume_core> known;
  {
    const std::lock_guard lock(mutex_);
    if (stopped_)
      return true;
    if (const auto found = remotes_.find(volume.uuid); found != remotes_.end()) {
      if (found->second.home != home) {
        log::error("nodes {} and {} both claim volume {}; that of {} is refused", found->second.home.value,
                   home.value, volume.uuid.to_string(), home.value);
        return true;
      }
      known = found->second.core;
      found->second.planner = volume.planner;
      if (found->second.named && found->second.told == volume && registry_.is_remote(*known))
        return true;
    }
  }
  if (known)
    return update_remote(*known, volume);
  if (registry_.find(volume.uuid)) {
    log::error("node {} claims volume {}, which has its home here", home.value, volume.uuid.to_string());
    return false;
  }
  volume_spec spec;
  spec.uuid = volume.uuid;
  spec.name = volume.name;
  spec.description = "at node " + home.value;
  spec.path = shadow_folder() + "/" + volume.uuid.to_string();
  spec.size = volume.size;
  spec.shared = volume.shared;
  ::unlink(spec.path.c_str());
  const int fd = ::open(spec.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const bool made = fd >= 0 && ::ftruncate(fd, static_cast<off_t>(spec.size.value)) == 0;
  const int made_errno = errno;
  if (fd >= 0)
    ::close(fd);
  if (!made) {
    log::error("volume {} of node {}: {}: {}", volume.name.value, home.value, spec.path, std::strerror(made_errno));
    return false;
  }
  auto core = volume_core::open(spec, plane_);
  if (!core) {
    log::error("volume {} of node {}: {}", volume.name.value, home.value, core.error().message);
    return false;
  }
  (*core)->change_spec([&](volume_spec& s) { s.read_only = volume.read_only; });
  remote_options o;
  o.self = options_.self;
  o.home = home;
  o.volume = volume.uuid;
  o.redirect = options_.settings.redirect;
  o.patience = options_.settings.patience;
  o.streams = streams_.get();
  o.drop_clients = [this, core = core->get()] { hooks_.drop_clients(*core); };
  o.has_writers = [core = core->get()] { return !core->writers().empty(); };
  auto way = std::make_shared<remote_volume>(std::move(o), plane_);
  (*core)->set_before(way);
  const std::lock_guard lock(mutex_);
  if (stopped_)
    return true;
  if (auto added = registry_.add_remote(*core); !added) {
    log::error("volume {} of node {} is not served here: {}", volume.name.value, home.value, added.error().message);
    return false;
  }
  way->session_changed(streams_->current(home).home_start);
  auto& r = remotes_[volume.uuid];
  r.home = home;
  r.core = std::move(*core);
  r.way = std::move(way);
  r.planner = volume.planner;
  r.told = volume;
  r.named = true;
  return true;
}

cluster::remote* cluster::find(const volume_name& name) {
  for (auto& [uuid, r] : remotes_)
    if (r.core->spec().name == name)
      return &r;
  return nullptr;
}

} // namespace gnomon::io
