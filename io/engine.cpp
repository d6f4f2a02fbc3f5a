// The engine: makes the rings and what they share, keeps the registry, and turns control calls into work on
// maintenance threads and rings.
#include "io/engine.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <thread>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/log.hpp"
#include "io/data_plane.hpp"
#include "io/listener.hpp"
#include "io/local_door.hpp"
#include "io/nbd_service.hpp"
#include "io/socket.hpp"
#include "io/stdio_bridge.hpp"
#include "io/volume_core.hpp"
#include "io/volume_registry.hpp"

namespace gnomon::io {

std::string_view to_string(operation op) noexcept {
  switch (op) {
  case operation::read:
    return "read";
  case operation::write:
    return "write";
  case operation::flush:
    return "flush";
  case operation::trim:
    return "trim";
  case operation::zero:
    return "zero";
  case operation::cache:
    return "cache";
  case operation::block_status:
    return "block_status";
  }
  return "unknown";
}

namespace {

constexpr std::uint32_t rings_default_max = 16;
constexpr std::chrono::seconds drain_patience{60}; // how long a close or fence waits for requests under way

class node_engine final : public engine {
public:
  explicit node_engine(engine_options options, std::uint32_t ring_count)
      : options_(std::move(options)), plane_(ring_count) {
    plane_.on_event = options_.on_event;
    registry_.on_event = [this](event e) { plane_.report(std::move(e)); };
  }
  ~node_engine() override { (void)stop(std::chrono::seconds{10}); }

  result<void> start_rings(std::uint32_t ring_count);

  void open_volume(volume_spec spec, done_callback done) override;
  void close_volume(volume_uuid volume, done_callback done) override;
  void resize_volume(volume_uuid volume, byte_count new_size, done_callback done) override;
  void rename_volume(volume_uuid volume, volume_name name, done_callback done) override;
  void set_read_only(volume_uuid volume, bool read_only, done_callback done) override;
  void clear_write_failure(volume_uuid volume, done_callback done) override;
  std::optional<volume_status> status(volume_uuid volume) const override;
  std::vector<volume_status> volumes() const override;
  std::optional<volume_counters> counters(volume_uuid volume) const override;

  void set_access(access_policy policy) override { registry_.set_access(std::move(policy)); }
  std::vector<connection_status> connections(std::optional<volume_uuid> volume) const override;
  void fence(volume_uuid volume, std::optional<instance_id> instance, done_callback done) override;
  void submit(volume_uuid volume, local_request request, std::function<void(local_reply)> done) override;

  result<endpoint> listen(const endpoint& where) override;
  result<void> listen_fd(int fd) override;
  result<void> serve_fd(int in_fd, int out_fd, volume_name volume, std::function<void()> closed) override;

  result<void> start_recording(volume_uuid volume, record_sink sink) override;
  result<void> stop_recording(volume_uuid volume) override;
  void collect_observations(std::function<void(std::vector<observation>)> done) override;
  std::vector<ring_status> rings() const override;
  result<void> stop(std::chrono::milliseconds grace) override;

private:
  using job = std::function<result<void>(volume_core&)>;
  // Runs `what` on a maintenance thread with the volume's `control` held.
  void on_maintenance(volume_uuid volume, done_callback done, job what);
  // Ends connections on every ring; drained() tells when they are gone and their requests answered.
  void end_connections(const volume_core* core, const std::optional<instance_id>& instance, nbd_service::manner how);
  bool connected(const volume_core& core, const std::optional<instance_id>& instance) const;
  result<void> wait_until_gone(const volume_core& core, const std::optional<instance_id>& instance);
  result<void> close_core(const std::shared_ptr<volume_core>& core);
  static result<void> drain(volume_core& core, std::chrono::steady_clock::time_point until);
  void wait_for_quiescence();
  void accepted(new_client client);
  nbd_service& least_busy();

  engine_options options_;
  data_plane plane_;
  volume_registry registry_;
  std::vector<std::unique_ptr<nbd_service>> services_; // [ring index]
  std::mutex listeners_mutex_;
  std::vector<std::unique_ptr<listener>> listeners_;
  std::atomic<std::uint64_t> next_connection_{1};
  std::atomic<std::size_t> next_ring_{0};
  std::mutex recorders_mutex_;
  std::unordered_map<volume_uuid, std::unique_ptr<recorder>> recorders_;
  std::mutex bridges_mutex_;
  std::vector<std::unique_ptr<stdio_bridge>> bridges_;
  std::mutex stop_mutex_;
  bool stopped_ = false;
  result<void> stop_result_{};
};

tl::unexpected<error> no_volume(volume_uuid volume) {
  return fail(errc::not_found, "no volume " + volume.to_string() + " is open here");
}

// --- rings

result<void> node_engine::start_rings(std::uint32_t ring_count) {
  for (std::uint32_t i = 0; i < ring_count; ++i) {
    ring_options o;
    o.index = i;
    o.entries = options_.io.ring_entries;
    o.busy_poll = options_.io.busy_poll;
    o.buffer_memory_max = byte_count{options_.io.buffer_memory_max.value / ring_count};
    auto made = ring::create(o);
    if (!made)
      return tl::unexpected(made.error());
    plane_.rings.push_back(std::move(*made));
    services_.push_back(std::make_unique<nbd_service>(*plane_.rings.back(), plane_, registry_, options_.nbd));
    plane_.holds[i].set_ring(*plane_.rings.back());
  }
  for (std::uint32_t i = 0; i < ring_count; ++i) {
    const ring_index index{i};
    nbd_service* service = services_[i].get();
    ring::hooks h;
    h.at_start = [this, index](ring&) { plane_.epochs.online(index); };
    h.before_sleep = [this, index](ring&) { plane_.epochs.offline(index); };
    h.after_wake = [this, index](ring&) { plane_.epochs.online(index); };
    // Clients on this machine, and whatever else it is for, need processors too: at least as many as the rings.
    h.may_spin = [this, processors = std::thread::hardware_concurrency()] {
      return plane_.epochs.online_count() * 2 <= processors;
    };
    h.each_turn = [this, index, service](ring&) {
      plane_.inboxes[index.value].resume_all();
      plane_.holds[index.value].turn();
      service->end_of_turn();
      plane_.epochs.quiescent(index);
    };
    h.each_second = [this, index, service](ring&) {
      service->each_second();
      if (index.value == 0)
        plane_.epochs.reclaim();
    };
    h.at_exit = [this, index](ring&) { plane_.epochs.offline(index); };
    plane_.rings[i]->start(std::move(h));
  }
  return {};
}

std::vector<ring_status> node_engine::rings() const {
  std::vector<ring_status> all;
  for (std::size_t i = 0; i < plane_.rings.size(); ++i) {
    const auto& s = plane_.rings[i]->stats();
    ring_status one;
    one.index = static_cast<std::uint32_t>(i);
    one.connections = services_[i]->connection_count();
    one.requests = services_[i]->requests_served();
    one.turns = s.turns.load(std::memory_order_relaxed);
    one.enters = s.enters.load(std::memory_order_relaxed);
    one.buffer_bytes = s.buffer_bytes.load(std::memory_order_relaxed);
    one.cpu_nanoseconds = s.cpu_ns.load(std::memory_order_relaxed);
    all.push_back(one);
  }
  return all;
}

// --- volumes

void node_engine::on_maintenance(volume_uuid volume, done_callback done, job what) {
  auto core = registry_.find(volume);
  if (!core)
    return done(no_volume(volume));
  const bool queued = plane_.blocking.submit([core = std::move(core), done, what = std::move(what)] {
    std::lock_guard lock{core->control};
    done(what(*core));
  });
  if (!queued)
    done(fail(errc::shutting_down, "the node is stopping, or too many changes are waiting"));
}

void node_engine::open_volume(volume_spec spec, done_callback done) {
  const bool queued = plane_.blocking.submit([this, spec = std::move(spec), done] {
    if (registry_.stopping())
      return done(fail(errc::shutting_down, "the node is stopping"));
    auto core = volume_core::open(spec, plane_);
    if (!core)
      return done(tl::unexpected(core.error()));
    done(registry_.add(std::move(*core)));
  });
  if (!queued)
    done(fail(errc::shutting_down, "the node is stopping, or too many changes are waiting"));
}

result<void> node_engine::drain(volume_core& core, std::chrono::steady_clock::time_point until) {
  // Two steps of the generation: what is in flight now is in the current one or in the one before.
  for (int step = 0; step < 2; ++step) {
    std::optional<generation_number> next;
    while (!(next = core.generations().advance()) && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
    if (!next)
      return fail(errc::timed_out, "requests on volume " + core.spec().name.value + " do not end");
    while (!core.generations().drained(generation_number{next->value - 1})) {
      if (std::chrono::steady_clock::now() >= until)
        return fail(errc::timed_out, "requests on volume " + core.spec().name.value + " do not end");
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
  }
  return {};
}

result<void> node_engine::close_core(const std::shared_ptr<volume_core>& core) {
  std::lock_guard lock{core->control};
  const auto until = std::chrono::steady_clock::now() + drain_patience;
  core->refuse_attach(std::optional<std::optional<instance_id>>{std::in_place, std::nullopt});
  core->publish([](route& r) { r.closing = true; });
  end_connections(core.get(), {}, nbd_service::manner::drain);
  if (auto gone = wait_until_gone(*core, {}); !gone)
    return gone;
  if (auto drained = drain(*core, until); !drained)
    return drained;
  if (!core->spec().read_only && fdatasync(core->file().sync_fd()) != 0)
    return fail_errno("sync of volume " + core->spec().name.value);
  return {};
}

void node_engine::close_volume(volume_uuid volume, done_callback done) {
  auto core = registry_.find(volume);
  if (!core)
    return done(no_volume(volume));
  const bool queued = plane_.blocking.submit([this, volume, core, done]() mutable {
    (void)stop_recording(volume);
    auto closed = close_core(core);
    if (closed) {
      registry_.remove(volume);
      core.reset(); // the files are closed before `done` hears of it
    }
    done(std::move(closed));
  });
  if (!queued)
    done(fail(errc::shutting_down, "the node is stopping, or too many changes are waiting"));
}

void node_engine::resize_volume(volume_uuid volume, byte_count new_size, done_callback done) {
  on_maintenance(volume, std::move(done), [new_size](volume_core& core) -> result<void> {
    const auto spec = core.spec();
    if (new_size.value % sector_bytes != 0 || new_size.value > volume_bytes_max)
      return fail(errc::invalid_argument, "size must be a multiple of 512 up to 1 PiB");
    if (new_size < spec.size)
      return fail(errc::invalid_argument, "volume " + spec.name.value + " cannot shrink: it has " +
                                              std::to_string(spec.size.value) + " bytes");
    if (auto grown = core.grow_file(new_size); !grown)
      return grown;
    core.change_spec([&](volume_spec& s) { s.size = new_size; });
    core.publish([&](route& r) { r.size = new_size; });
    return {};
  });
}

void node_engine::rename_volume(volume_uuid volume, volume_name name, done_callback done) {
  done(registry_.rename(volume, name));
}

void node_engine::set_read_only(volume_uuid volume, bool read_only, done_callback done) {
  on_maintenance(volume, std::move(done), [read_only](volume_core& core) -> result<void> {
    if (!read_only && core.opened_read_only())
      return fail(errc::unsupported, "the volume was opened read-only; reopen it for writing");
    core.change_spec([&](volume_spec& s) { s.read_only = read_only; });
    core.publish([&](route& r) { r.read_only = read_only; });
    return {};
  });
}

void node_engine::clear_write_failure(volume_uuid volume, done_callback done) {
  on_maintenance(volume, std::move(done), [](volume_core& core) -> result<void> {
    core.clear_write_failure();
    return {};
  });
}

static volume_status status_of(volume_core& core) {
  return {core.spec(), core.generations().current(), core.writers()};
}

std::optional<volume_status> node_engine::status(volume_uuid volume) const {
  const auto core = registry_.find(volume);
  if (!core)
    return std::nullopt;
  return status_of(*core);
}

std::vector<volume_status> node_engine::volumes() const {
  std::vector<volume_status> all;
  for (const auto& core : registry_.all())
    all.push_back(status_of(*core));
  return all;
}

std::optional<volume_counters> node_engine::counters(volume_uuid volume) const {
  const auto core = registry_.find(volume);
  if (!core)
    return std::nullopt;
  return core->meter().sum();
}

void node_engine::submit(volume_uuid volume, local_request request, std::function<void(local_reply)> done) {
  auto core = registry_.find(volume);
  if (!core)
    return done(no_volume(volume));
  submit_local(std::move(core), std::move(request), std::move(done));
}

// --- connections

std::vector<connection_status> node_engine::connections(std::optional<volume_uuid> volume) const {
  std::vector<connection_status> all;
  for (const auto& service : services_)
    for (auto& status : service->statuses())
      if (!volume || status.volume == *volume)
        all.push_back(std::move(status));
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return all;
}

void node_engine::end_connections(const volume_core* core, const std::optional<instance_id>& instance,
                                  nbd_service::manner how) {
  for (std::size_t i = 0; i < plane_.rings.size(); ++i)
    plane_.rings[i]->post([service = services_[i].get(), core, instance, how](ring&) {
      service->end_connections(core, instance, how);
    });
}

bool node_engine::connected(const volume_core& core, const std::optional<instance_id>& instance) const {
  for (const auto& service : services_)
    for (const auto& status : service->statuses())
      if (status.volume == core.uuid() && (!instance || status.instance == *instance))
        return true;
  return false;
}

result<void> node_engine::wait_until_gone(const volume_core& core, const std::optional<instance_id>& instance) {
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds{5};
  const auto until = std::chrono::steady_clock::now() + drain_patience;
  bool dropped = false;
  while (connected(core, instance)) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= until)
      return fail(errc::timed_out, "connections of volume " + core.spec().name.value + " do not end");
    if (now >= patience && !dropped) { // a client that does not take its replies
      end_connections(&core, instance, nbd_service::manner::drop);
      dropped = true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  return {};
}

void node_engine::fence(volume_uuid volume, std::optional<instance_id> instance, done_callback done) {
  on_maintenance(volume, std::move(done), [this, instance](volume_core& core) -> result<void> {
    core.refuse_attach(instance);
    end_connections(&core, instance, nbd_service::manner::drop);
    auto gone = wait_until_gone(core, instance);
    core.refuse_attach({});
    return gone;
  });
}

// Among equals the next one in turn, so that few connections spread over all rings.
nbd_service& node_engine::least_busy() {
  const std::size_t first = next_ring_.fetch_add(1, std::memory_order_relaxed);
  nbd_service* chosen = nullptr;
  for (std::size_t i = 0; i < services_.size(); ++i) {
    nbd_service* one = services_[(first + i) % services_.size()].get();
    if (!chosen || one->connection_count() < chosen->connection_count())
      chosen = one;
  }
  return *chosen;
}

void node_engine::accepted(new_client client) {
  std::uint64_t open = 0;
  for (const auto& service : services_)
    open += service->connection_count();
  if (open >= options_.nbd.connections_max || registry_.stopping()) {
    if (!registry_.stopping())
      plane_.report({event::kind::connections_limit,
                     {},
                     client.anonymous,
                     0,
                     "nbd.connections_max (" + std::to_string(options_.nbd.connections_max) + ") reached"});
    close(client.fd);
    if (client.on_closed)
      client.on_closed();
    return;
  }
  nbd_service& service = least_busy();
  client.id = next_connection_.fetch_add(1, std::memory_order_relaxed);
  client.peer = describe_peer(client.fd);
  service.expect_connection();
  if (!service.on().post([&service, client](ring&) { service.adopt(client); })) {
    close(client.fd);
    if (client.on_closed)
      client.on_closed();
  }
}

// --- listeners

result<endpoint> node_engine::listen(const endpoint& where) {
  auto opened = listener::open(
      where, options_.nbd.socket_mode, *plane_.rings[0],
      [this](int fd, const instance_id& who) {
        new_client client;
        client.fd = fd;
        client.anonymous = who;
        accepted(std::move(client));
      },
      [this](event e) { plane_.report(std::move(e)); });
  if (!opened)
    return tl::unexpected(opened.error());
  std::lock_guard lock{listeners_mutex_};
  listeners_.push_back(std::move(*opened));
  return listeners_.back()->bound();
}

result<void> node_engine::listen_fd(int fd) {
  auto opened = listener::take_over(
      fd, *plane_.rings[0],
      [this](int fd, const instance_id& who) {
        new_client client;
        client.fd = fd;
        client.anonymous = who;
        accepted(std::move(client));
      },
      [this](event e) { plane_.report(std::move(e)); });
  if (!opened)
    return tl::unexpected(opened.error());
  std::lock_guard lock{listeners_mutex_};
  listeners_.push_back(std::move(*opened));
  return {};
}

result<void> node_engine::serve_fd(int in_fd, int out_fd, volume_name volume, std::function<void()> closed) {
  if (!registry_.find(volume))
    return fail(errc::not_found, "no volume " + volume.value);
  auto bridge = stdio_bridge::open(in_fd, out_fd);
  if (!bridge)
    return tl::unexpected(bridge.error());
  const int fd = (*bridge)->take_socket();
  {
    std::lock_guard lock{bridges_mutex_};
    bridges_.push_back(std::move(*bridge));
  }
  new_client client;
  client.fd = fd;
  client.anonymous = instance_id{"anonymous:stdio"};
  client.default_export = volume.value;
  client.on_closed = std::move(closed);
  accepted(std::move(client));
  return {};
}

// --- recording

result<void> node_engine::start_recording(volume_uuid volume, record_sink sink) {
  auto core = registry_.find(volume);
  if (!core)
    return no_volume(volume);
  std::lock_guard lock{recorders_mutex_};
  if (recorders_.contains(volume))
    return fail(errc::busy, "volume " + core->spec().name.value + " is being recorded");
  auto made = std::make_unique<recorder>(plane_.ring_count(), std::move(sink));
  core->publish_recording(made.get());
  recorders_.emplace(volume, std::move(made));
  return {};
}

void node_engine::wait_for_quiescence() {
  const auto epoch = plane_.epochs.begin_epoch();
  for (auto& one : plane_.rings)
    one->wake();
  while (!plane_.epochs.passed(epoch))
    std::this_thread::sleep_for(std::chrono::microseconds{200});
}

result<void> node_engine::stop_recording(volume_uuid volume) {
  std::unique_ptr<recorder> ended;
  {
    std::lock_guard lock{recorders_mutex_};
    const auto found = recorders_.find(volume);
    if (found == recorders_.end())
      return fail(errc::not_found, "the volume is not being recorded");
    ended = std::move(found->second);
    recorders_.erase(found);
  }
  if (auto core = registry_.find(volume))
    core->publish_recording(nullptr);
  wait_for_quiescence();
  ended->stop();
  return {};
}

// --- observation

void node_engine::collect_observations(std::function<void(std::vector<observation>)> done) {
  const bool queued = plane_.blocking.submit([this, done] {
    const auto cores = registry_.all();
    for (const auto& core : cores)
      core->observations().flip();
    const auto epoch = plane_.epochs.begin_epoch();
    while (!plane_.epochs.passed(epoch)) // a ring is between two turns within a moment, or asleep
      std::this_thread::sleep_for(std::chrono::microseconds{200});
    std::vector<observation> seen;
    for (const auto& core : cores) {
      const auto add = [&](const chunk_activity& a) -> observation& {
        observation o;
        o.volume = core->uuid();
        o.reads = a.reads, o.writes = a.writes, o.sequential = a.sequential;
        o.read_bytes = a.read_bytes, o.write_bytes = a.write_bytes;
        seen.push_back(std::move(o));
        return seen.back();
      };
      core->observations().collect(
          [&](chunk_index chunk, instance_slot slot, const chunk_activity& a) {
            observation& o = add(a);
            o.chunk = chunk;
            o.instance = registry_.instance_of(slot);
          },
          [&](const chunk_activity& a) { add(a).whole_volume = true; });
    }
    done(std::move(seen));
  });
  if (!queued)
    done({});
}

// --- stop

result<void> node_engine::stop(std::chrono::milliseconds grace) {
  std::lock_guard lock{stop_mutex_};
  if (stopped_)
    return stop_result_;
  stopped_ = true;
  registry_.stop(); // no new connections, ESHUTDOWN to whoever logs in
  {
    std::lock_guard listeners_lock{listeners_mutex_};
    for (auto& l : listeners_)
      l->close();
  }
  const auto until = std::chrono::steady_clock::now() + grace;
  for (const auto& core : registry_.all()) {
    std::lock_guard control{core->control};
    core->publish([](route& r) { r.closing = true; });
  }
  end_connections(nullptr, {}, nbd_service::manner::drain);
  const auto open = [this] {
    return std::any_of(services_.begin(), services_.end(), [](const auto& s) { return s->connection_count() != 0; });
  };
  while (open() && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  if (open()) {
    end_connections(nullptr, {}, nbd_service::manner::drop);
    const auto last = std::chrono::steady_clock::now() + std::chrono::seconds{2};
    while (open() && std::chrono::steady_clock::now() < last)
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  plane_.blocking.stop();
  bool abandoned = open();
  for (const auto& core : registry_.all()) {
    if (auto drained = drain(*core, std::max(until, std::chrono::steady_clock::now() + std::chrono::seconds{1}));
        !drained) {
      log::error("{}", drained.error().to_string());
      abandoned = true;
    } else if (!core->spec().read_only && fdatasync(core->file().sync_fd()) != 0) {
      stop_result_ = fail_errno("sync of volume " + core->spec().name.value);
      log::error("{}", stop_result_.error().to_string());
    }
  }
  {
    std::lock_guard recorders_lock{recorders_mutex_};
    for (auto& [uuid, one] : recorders_) {
      if (auto core = registry_.find(uuid))
        core->publish_recording(nullptr);
    }
    if (!recorders_.empty())
      wait_for_quiescence();
    for (auto& [uuid, one] : recorders_)
      one->stop();
    recorders_.clear();
  }
  if (abandoned) {
    stop_result_ = fail(errc::timed_out, "the node stopped with requests under way");
    // The kernel may still write into their memory: nothing of it is freed, the process ends soon.
    for (auto& one : plane_.rings)
      one->request_stop();
    return stop_result_;
  }
  for (auto& one : plane_.rings)
    one->request_stop();
  for (auto& one : plane_.rings)
    one->join();
  std::lock_guard listeners_lock{listeners_mutex_};
  listeners_.clear();
  return stop_result_;
}

} // namespace

result<std::unique_ptr<engine>> engine::start(engine_options options) {
  if (auto ok = ring::probe(); !ok)
    return tl::unexpected(ok.error());
  std::uint32_t count = options.io.rings;
  if (count == 0)
    count = std::clamp(std::thread::hardware_concurrency(), 1u, rings_default_max);
  auto made = std::make_unique<node_engine>(std::move(options), count);
  if (auto ok = made->start_rings(count); !ok)
    return tl::unexpected(ok.error());
  return made;
}

} // namespace gnomon::io
