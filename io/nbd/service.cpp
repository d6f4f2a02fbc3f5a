#include "io/nbd/service.hpp"

#include <algorithm>

#include "config/log.hpp"
#include "io/nbd/connection.hpp"

namespace gnomon::io {

namespace {
constexpr std::chrono::seconds stalled_reader_max{
    5}; // how long a client that takes no replies may hold scarce memory
}

nbd_service::nbd_service(ring& on, data_plane& plane, export_access& exports, const nbd_settings& limits)
    : ring_(on), plane_(plane), exports_(exports), limits_(limits) {}

nbd_service::~nbd_service() {
  while (idle_) {
    nbd_request* request = idle_;
    idle_ = request->next;
    delete request;
  }
}

void nbd_service::adopt(new_client client) {
  const std::uint64_t id = client.id;
  auto made = std::make_unique<nbd_connection>(*this, std::move(client));
  nbd_connection& connection = *made;
  connections_.emplace(id, std::move(made));
  connection.begin();
}

void nbd_service::end_connections(const volume_core* core, const std::optional<instance_id>& instance, manner how) {
  std::vector<nbd_connection*> chosen; // ending one takes it out of connections_
  for (auto& [id, connection] : connections_)
    if ((!core || connection->core() == core) && (!instance || connection->instance() == *instance))
      chosen.push_back(connection.get());
  for (nbd_connection* connection : chosen) {
    if (how == manner::drain)
      connection->drain();
    else
      connection->drop();
  }
}

void nbd_service::drop_unless(const permitted_function& permitted) {
  std::vector<nbd_connection*> chosen; // ending one takes it out of connections_
  for (auto& [id, connection] : connections_)
    if (connection->core() && !permitted(*connection->core(), connection->instance()))
      chosen.push_back(connection.get());
  for (nbd_connection* connection : chosen)
    connection->drop();
}

void nbd_service::gone(nbd_connection& connection) {
  const auto found = connections_.find(connection.id());
  if (found == connections_.end())
    return;
  std::erase(hungry_, &connection);
  std::replace(feeding_.begin(), feeding_.end(), &connection, static_cast<nbd_connection*>(nullptr));
  graveyard_.push_back(std::move(found->second));
  connections_.erase(found);
}

void nbd_service::end_of_turn() {
  if (!hungry_.empty()) {
    feeding_.swap(hungry_);
    for (std::size_t i = 0; i < feeding_.size(); ++i)
      if (feeding_[i])
        feeding_[i]->resume();
    feeding_.clear();
  }
  if (!graveyard_.empty()) {
    std::vector<std::uint64_t> ids;
    for (const auto& dead : graveyard_)
      ids.push_back(dead->id());
    graveyard_.clear(); // gives the attachment back
    std::lock_guard lock{status_mutex_};
    for (const auto id : ids) {
      statuses_.erase(id);
      count_.fetch_sub(1, std::memory_order_relaxed);
    }
  }
}

void nbd_service::wait_for_memory(nbd_connection& waiting) { hungry_.push_back(&waiting); }

void nbd_service::log_dropped(const nbd_connection& connection, std::string_view why) {
  if (++drops_ > drops_logged_max)
    return;
  const volume_core* core = connection.core();
  log::warning("NBD client {}{}{} was disconnected: {}", connection.peer(), core ? " of volume " : "",
               core ? core->spec().name.value : std::string{}, why);
}

void nbd_service::each_second() {
  if (drops_ > drops_logged_max)
    log::warning("{} more NBD clients were disconnected within a second", drops_ - drops_logged_max);
  drops_ = 0;
  {
    std::lock_guard lock{status_mutex_};
    for (auto& [id, connection] : connections_)
      if (const auto known = statuses_.find(id); known != statuses_.end())
        known->second.requests = connection->requests();
  }
  std::vector<nbd_connection*> late;
  for (auto& [id, connection] : connections_)
    if (connection->login_overdue())
      late.push_back(connection.get());
  for (nbd_connection* connection : late) {
    log_dropped(*connection, "it did not finish its login in time (nbd.handshake_timeout)");
    connection->drop();
  }
  if (!ring_.buffers().under_pressure())
    return;
  nbd_connection* slowest = nullptr;
  for (auto& [id, connection] : connections_)
    if (!slowest || connection->stalled_since() < slowest->stalled_since())
      slowest = connection.get();
  if (slowest && slowest->stalled_since() != boot_time::max() &&
      ring_.now() - slowest->stalled_since() > stalled_reader_max) {
    log_dropped(*slowest, "it takes no replies while memory for replies is scarce (io.buffer_memory_max)");
    slowest->drop();
  }
}

std::vector<connection_status> nbd_service::statuses() const {
  std::lock_guard lock{status_mutex_};
  std::vector<connection_status> all;
  all.reserve(statuses_.size());
  for (const auto& [id, status] : statuses_)
    all.push_back(status);
  return all;
}

void nbd_service::status_changed(const connection_status& status) {
  std::lock_guard lock{status_mutex_};
  statuses_.insert_or_assign(status.id, status);
}

nbd_request* nbd_service::take_request() {
  if (!idle_)
    return new nbd_request;
  nbd_request* request = idle_;
  idle_ = request->next;
  --idle_count_;
  return request;
}

void nbd_service::give_back(nbd_request* request) {
  if (idle_count_ >= idle_requests_max) {
    delete request;
    return;
  }
  request->next = idle_;
  idle_ = request;
  ++idle_count_;
}

} // namespace gnomon::io
