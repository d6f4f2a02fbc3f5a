// Who uses the node: listeners, new clients and their rings, and ending connections.
#include "io/engine/ring_engine.hpp"

#include <algorithm>
#include <thread>

#include <unistd.h>

#include "io/nbd/socket.hpp"
#include "io/volume/fences.hpp"

namespace gnomon::io {

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

void node_engine::drop_unless(nbd_service::permitted_function permitted) {
  for (std::size_t i = 0; i < plane_.rings.size(); ++i)
    plane_.rings[i]->post([service = services_[i].get(), permitted](ring&) { service->drop_unless(permitted); });
}

void node_engine::set_access(access_policy policy) {
  registry_.set_access(std::move(policy));
  drop_unless([this](const volume_core& core, const instance_id& who) {
    return registry_.permits(core.spec().name, who);
  });
}

bool node_engine::connected(const volume_core& core, const holder_test& whom) const {
  for (const auto& service : services_)
    for (const auto& status : service->statuses())
      if (status.volume == core.uuid() && whom(status.instance))
        return true;
  return false;
}

result<void> node_engine::wait_until_gone(const volume_core& core, const holder_test& whom) {
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds{5};
  const auto until = std::chrono::steady_clock::now() + drain_patience;
  bool dropped = false;
  while (connected(core, whom)) {
    if (registry_.stopping())
      return fail(errc::shutting_down, "the node is stopping");
    const auto now = std::chrono::steady_clock::now();
    if (now >= until)
      return fail(errc::timed_out, "connections of volume " + core.spec().name.value + " do not end");
    if (now >= patience && !dropped) { // a client that does not take its replies
      drop_unless([uuid = core.uuid(), whom](const volume_core& of, const instance_id& who) {
        return of.uuid() != uuid || !whom(who);
      });
      dropped = true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  return {};
}

void node_engine::set_fences(volume_uuid volume, fence_set fences, done_callback done) {
  on_maintenance(volume, std::move(done), [this, fences](volume_core& core) -> result<void> {
    core.fence(fences);
    drop_unless([uuid = core.uuid(), fences](const volume_core& of, const instance_id& who) {
      return of.uuid() != uuid || admits_connection(fences, who);
    });
    if (auto gone = wait_until_gone(core, [fences](const instance_id& who) { return !admits_connection(fences, who); }); !gone)
      return gone;
    core.change_spec([&](volume_spec& s) { s.fences = fences; });
    return {};
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
      plane_.report({alert::kind::connections_limit,
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

result<endpoint> node_engine::listen(const endpoint& where, std::optional<instance_id> instance) {
  auto opened = listener::open(
      where, options_.nbd.socket_mode, std::move(instance), *plane_.rings[0],
      [this](int fd, const instance_id& who) {
        new_client client;
        client.fd = fd;
        client.anonymous = who;
        accepted(std::move(client));
      },
      [this](alert e) { plane_.report(std::move(e)); });
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
      [this](alert e) { plane_.report(std::move(e)); });
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

} // namespace gnomon::io
