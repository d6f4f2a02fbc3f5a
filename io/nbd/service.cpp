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
    idle_ = static_cast<nbd_request*>(request->next_outgoing);
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
  std::erase(waiting_, &connection);
  std::replace(retried_.begin(), retried_.end(), &connection, static_cast<nbd_connection*>(nullptr));
  ended_.push_back(std::move(found->second));
  connections_.erase(found);
}

void nbd_service::end_of_turn() {
  if (!waiting_.empty() && signs_of_room() != tried_at_) {
    tried_at_ = signs_of_room();
    retried_.swap(waiting_);
    for (std::size_t i = 0; i < retried_.size(); ++i)
      if (retried_[i])
        retried_[i]->resume();
    retried_.clear();
  }
  if (!ended_.empty()) {
    std::vector<std::uint64_t> ids;
    for (const auto& one : ended_)
      ids.push_back(one->id());
    ended_.clear(); // gives the attachment back
    std::lock_guard lock{status_mutex_};
    for (const auto id : ids) {
      statuses_.erase(id);
      count_.fetch_sub(1, std::memory_order_relaxed);
    }
  }
}

void nbd_service::wait_for_memory(nbd_connection& waiting) { waiting_.push_back(&waiting); }

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
  tried_at_ = signs_of_room() - 1; // whatever else may have changed: those who wait try again
  if (!ring_.buffers().under_pressure())
    return;
  std::vector<nbd_connection*> stalled;
  for (auto& [id, connection] : connections_)
    if (connection->stalled_since() < ring_.now() - stalled_reader_max &&
        connection->bytes_under_way() * std::max(holders_, 1u) > ring_.buffers().memory_max() / 4)
      stalled.push_back(connection.get());
  for (nbd_connection* connection : stalled) {
    log_dropped(*connection, "it takes no replies while memory for replies is scarce (io.buffer_memory_max)");
    connection->drop();
  }
}

std::uint64_t nbd_service::share_bytes() const noexcept {
  return std::max<std::uint64_t>(share_bytes_min, ring_.buffers().memory_max() / 2 / std::max(holders_, 1u));
}

buffer nbd_service::take_memory(std::uint32_t bytes, std::uint64_t held, std::uint32_t requests) noexcept {
  buffer_pool& pool = ring_.buffers();
  const std::uint64_t after = std::uint64_t{pool.used_bytes()} + bytes, max = pool.memory_max();
  if (requests != 0 && (after > max / 4 * 3 || (after > max / 2 && held + bytes > share_bytes())))
    return {};
  if (bytes > small_request_bytes_max && after > max / 16 * 15 && pool.used_bytes() > max / 16)
    return {};
  return pool.acquire(bytes);
}

bool nbd_service::room_for_small() const noexcept {
  return ring_.buffers().used_bytes() <= ring_.buffers().memory_max() / 8 * 7;
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
  ring_.buffers().charge(sizeof(nbd_request));
  if (!idle_)
    return new nbd_request;
  nbd_request* request = idle_;
  idle_ = static_cast<nbd_request*>(request->next_outgoing);
  --idle_count_;
  return request;
}

void nbd_service::give_back(nbd_request* request) {
  ring_.buffers().discharge(sizeof(nbd_request));
  if (idle_count_ >= idle_requests_max) {
    delete request;
    return;
  }
  request->next_outgoing = idle_;
  idle_ = request;
  ++idle_count_;
}

} // namespace gnomon::io
