// The NBD connections of one ring: accepts what the engine hands it, owns connection and request objects, retries
// what waits for memory, drops those who are too slow to log in. Ring thread only, unless "any thread" is said.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/settings/settings.hpp"
#include "io/nbd/handshake.hpp"
#include "io/nbd/request.hpp"
#include "io/types.hpp"
#include "io/volume/core.hpp"
#include "io/volume/data_plane.hpp"

namespace gnomon::io {

class nbd_connection;

// A volume opened by one connection: what the engine gives and takes back.
struct attachment {
  std::shared_ptr<volume_core> core;
  instance_id instance;
  instance_slot slot;
  bool writing = false;
  std::uint64_t session = 0; // a gateway's data connection: of this session
  bool fill = false;         // it reads for that gateway's shadow
};

// What a connection asks of the engine while it logs in. Any thread, short locks only.
class export_access {
public:
  virtual ~export_access() = default;
  struct listing {
    std::string name, description;
  };
  virtual std::vector<listing> list(const instance_id& anonymous) const = 0;
  // Looks an export name up for a client of the listener `anonymous`; `attach` claims it (a GO), else INFO.
  // not_found, permission_denied, busy, shutting_down: the text is for the client.
  virtual result<attachment> open(std::string_view export_name, const instance_id& anonymous, bool attach) = 0;
  virtual void closed(const attachment& what) = 0;
  virtual bool stopping() const noexcept = 0;
};

// Who has just connected.
struct new_client {
  int fd = -1; // taken over
  std::uint64_t id = 0;
  std::string peer;
  instance_id anonymous;           // what it is called unless it says who it is
  std::string default_export;      // what the empty export name stands for; empty: nothing
  std::function<void()> on_closed; // may be empty
};

class nbd_service {
public:
  static constexpr std::size_t idle_requests_max = 4096; // kept for reuse
  static constexpr std::uint32_t small_request_bytes_max = 256 * 1024; // may use the last of the reserve
  static constexpr std::uint64_t share_bytes_min = 256 * 1024;         // of a connection, under pressure
  static constexpr unsigned drops_logged_max = 10;       // a second; more are counted in one line

  nbd_service(ring& on, data_plane& plane, export_access& exports, const nbd_settings& limits);
  ~nbd_service();

  // Any thread: adopt() will follow, the connection counts from now on.
  void expect_connection() noexcept { count_.fetch_add(1, std::memory_order_relaxed); }
  // Serves a client until it is over.
  void adopt(new_client client);

  // Ends connections: those of `core` (null: all) and `instance` (nothing: any).
  enum class manner { drain, drop }; // answer what was asked first, or not
  void end_connections(const volume_core* core, const std::optional<instance_id>& instance, manner how);

  // Drops the connections that have a volume open and are not permitted (any more).
  using permitted_function = std::function<bool(const volume_core&, const instance_id&)>;
  void drop_unless(const permitted_function& permitted);

  void each_second();
  void end_of_turn();                              // retries connections that waited for memory
  std::vector<connection_status> statuses() const; // any thread
  std::uint64_t connection_count() const noexcept { return count_.load(std::memory_order_relaxed); } // any thread
  std::uint64_t requests_served() const noexcept { return requests_.load(std::memory_order_relaxed); }

  // --- for connections
  nbd_request* take_request();
  void give_back(nbd_request* request);
  void wait_for_memory(nbd_connection& waiting);
  // Memory for data of a request, from a pool that all connections of the ring share. `held`: what the connection has
  // under way, `requests` of them. While memory is plentiful everybody gets what is asked for; under pressure a
  // connection gets no more than its share; and a part is kept for connections that have nothing under way, so that
  // those who read nothing back hold up nobody else. Empty: not now.
  buffer take_memory(std::uint32_t bytes, std::uint64_t held, std::uint32_t requests) noexcept;
  // Whether a connection with requests under way may begin one that needs no data memory.
  bool room_for_small() const noexcept;
  void holds_memory(bool holds) noexcept { holds ? ++holders_ : --holders_; }
  void gone(nbd_connection& connection); // destroys it
  void status_changed(const connection_status& status);
  // One line in the log for a client whose connection is closed for a limit or for what it sent; `why` says which.
  void log_dropped(const nbd_connection& connection, std::string_view why);
  void count_request() noexcept {
    single_writer_add(requests_, std::uint64_t{1});
    ring_.count_request();
  }
  ring& on() noexcept { return ring_; }
  data_plane& plane() noexcept { return plane_; }
  export_access& exports() noexcept { return exports_; }
  const nbd_settings& limits() const noexcept { return limits_; }

private:
  std::uint64_t share_bytes() const noexcept;
  std::uint64_t signs_of_room() const noexcept {
    return ring_.buffers().releases() + ring_.receive_buffers_returned();
  }

  ring& ring_;
  data_plane& plane_;
  export_access& exports_;
  const nbd_settings limits_;
  std::unordered_map<std::uint64_t, std::unique_ptr<nbd_connection>> connections_;
  std::vector<nbd_connection*> waiting_, retried_; // for memory or room
  std::vector<std::unique_ptr<nbd_connection>> ended_; // destroyed at the end of the turn
  nbd_request* idle_ = nullptr;
  std::size_t idle_count_ = 0;
  std::atomic<std::uint64_t> count_{0}, requests_{0};
  unsigned drops_ = 0; // since the last second
  std::uint32_t holders_ = 0;              // connections with data under way
  std::uint64_t tried_at_ = 0; // signs of room at the last retry

  mutable std::mutex status_mutex_; // login and logout only, not requests
  std::unordered_map<std::uint64_t, connection_status> statuses_;
};

} // namespace gnomon::io
