// The data plane's one door: rings, listeners, volume cores. Actors steer it through this header and nothing else.
//
// Threads: every member may be called from any thread and returns at once. Calls that take a `done` do their work on
// the engine's maintenance thread or on a ring and call `done` there, exactly once, also when the engine stops
// (errc::shutting_down). `done` and the event sink must not block and must not call back into a blocking member; an
// actor system is reached by anon_send only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/clock.hpp"
#include "config/error.hpp"
#include "config/settings.hpp"
#include "config/types.hpp"
#include "io/coarse_latency.hpp"
#include "io/latency_histogram.hpp"

namespace gnomon::io {

// What a volume is made of when it is opened; resize and publish change it later.
struct volume_spec {
  volume_uuid uuid;
  volume_name name;                 // NBD export name
  std::string description;
  std::string path;                 // flat file or block device, exists already
  byte_count size;
  cache_mode cache = cache_mode::buffered;
  bool read_only = false;
  bool shared = false;              // several instances may write at once
  bool writes_failed = false;       // an fsync failed earlier and no operator has cleared it: writes get EIO
  bool exclusive_block_device = true;
};

enum class operation : std::uint8_t { read, write, flush, trim, zero, cache, block_status };
inline constexpr std::size_t operation_count = 7;
std::string_view to_string(operation op) noexcept;

// Counters of one volume since it was opened, summed over rings; monotone.
struct operation_counters {
  std::uint64_t requests = 0;
  std::uint64_t bytes = 0;
  std::uint64_t errors = 0;
  latency_histogram latency;        // end to end, from request parsed to reply handed to the socket, nanoseconds
};
struct volume_counters {
  std::array<operation_counters, operation_count> by_operation;
  std::uint64_t connections = 0;    // open now
  std::uint64_t in_flight = 0;      // requests now
};

struct ring_status {
  std::uint32_t index = 0;
  std::uint64_t connections = 0, requests = 0, turns = 0, enters = 0;
  std::uint64_t buffer_bytes = 0;   // request and reply memory in use now
  std::uint64_t cpu_nanoseconds = 0;
};

// One open NBD connection (`gnomon volume who`).
struct connection_status {
  std::uint64_t id = 0;
  std::uint32_t ring = 0;
  volume_uuid volume;
  instance_id instance;             // "anonymous:LISTENER" when the config has no instances
  std::string peer;                 // "127.0.0.1:51422", "unix:pid=4242,uid=1000"
  byte_count size_seen;             // the size it negotiated; smaller than the volume after a resize
  bool read_only = false;
  wall_time since;
  std::uint64_t requests = 0;
};

struct volume_status {
  volume_spec spec;                 // with the current size
  generation_number generation;
  std::vector<instance_id> writers; // instances attached for writing
  bool opened_read_only = false;    // its file is: only reopening it makes it writable
};

// Which instance may open which volume. No entries at all: every client of a listener is one anonymous instance.
struct access_policy {
  struct grant { instance_id instance; std::vector<volume_name> volumes; bool snapshots = false; };
  bool restricted = false;          // true once the config has an `instances` section
  std::vector<grant> grants;
};

// Something the control plane should know, reported from a ring or the maintenance thread.
struct event {
  enum class kind { sync_failed, write_failed, attached, detached, attach_refused, connections_limit, listener_failed };
  kind what;
  volume_uuid volume;               // nil where it does not apply
  instance_id instance;
  int os_errno = 0;
  std::string text;
};

// A request through the in-process door (typed read/write messages). At most 1 MiB of data.
struct local_request {
  operation op = operation::read;
  byte_offset offset;
  byte_count length;
  std::vector<std::byte> data;      // write: exactly `length` bytes
  bool fua = false;
};
using local_reply = result<std::vector<std::byte>>; // read: the bytes; others: empty

// One request as a recorder sees it (`gnomon record`).
struct request_record {
  std::uint64_t time_ns;            // CLOCK_BOOTTIME when the request was parsed
  std::uint64_t offset_bytes;
  std::uint32_t length_bytes;
  operation op;
};

// What one instance did in one chunk of one volume since the last collection.
struct observation {
  volume_uuid volume;
  chunk_index chunk;                // in units of default_chunk_bytes(size when the volume was opened)
  bool whole_volume = false;        // found no cell of its own: counted without its chunk and instance
  instance_id instance;
  std::uint32_t reads = 0, writes = 0; // writes: trims and zeroings too
  std::uint32_t sequential = 0;     // of both: continued where an earlier request of the instance ended
  std::uint64_t read_bytes = 0, write_bytes = 0;
  coarse_latency::counts read_latency{}, write_latency{}; // of requests that were answered since the last collection
};

struct engine_options {
  io_settings io;
  nbd_settings nbd;                 // limits; listen is ignored, see listen()
  std::function<void(event)> on_event;
};

using done_callback = std::function<void(result<void>)>;

class engine {
public:
  // Probes io_uring (one clear errc::unsupported line where a container forbids it) and starts the rings.
  static result<std::unique_ptr<engine>> start(engine_options options);
  // Calls stop() if it was not called.
  virtual ~engine() = default;

  // --- volumes
  virtual void open_volume(volume_spec spec, done_callback done) = 0;
  // Ends the volume's connections, drains its requests, syncs and closes its files. not_found, timed_out.
  virtual void close_volume(volume_uuid volume, done_callback done) = 0;
  // Grows only. The file is extended first; open connections keep the size they negotiated until they reconnect.
  virtual void resize_volume(volume_uuid volume, byte_count new_size, done_callback done) = 0;
  virtual void rename_volume(volume_uuid volume, volume_name name, done_callback done) = 0;
  // Takes effect on new requests at once (a new route is published): writes that come later get EPERM, connections
  // stay. unsupported: made writable, but its file was opened read-only (volume_status says so): close and open it.
  virtual void set_read_only(volume_uuid volume, bool read_only, done_callback done) = 0;
  // What clients are told about it from now on.
  virtual void set_description(volume_uuid volume, std::string description, done_callback done) = 0;
  // An operator accepts what a failed fsync may have lost: writes work again.
  virtual void clear_write_failure(volume_uuid volume, done_callback done) = 0;
  virtual std::optional<volume_status> status(volume_uuid volume) const = 0;
  virtual std::vector<volume_status> volumes() const = 0;
  virtual std::optional<volume_counters> counters(volume_uuid volume) const = 0;

  // --- who uses them
  virtual void set_access(access_policy policy) = 0;
  virtual std::vector<connection_status> connections(std::optional<volume_uuid> volume = {}) const = 0;
  // Ends the connections of `instance` (nil: of everybody) on `volume`, drains their I/O, releases the claim.
  virtual void fence(volume_uuid volume, std::optional<instance_id> instance, done_callback done) = 0;

  // --- the in-process door
  virtual void submit(volume_uuid volume, local_request request, std::function<void(local_reply)> done) = 0;

  // --- listeners. Returns the endpoint really bound (port 0 resolved).
  virtual result<endpoint> listen(const endpoint& where) = 0;
  virtual result<void> listen_fd(int fd) = 0;          // socket activation; takes ownership
  virtual result<void> serve_fd(int in_fd, int out_fd, volume_name volume, std::function<void()> closed) = 0; // --nbd-stdio

  // --- recording. The sink is called from one drain thread with batches in per-ring order; `dropped` counts records
  // lost because the sink was slow (the clients never wait).
  using record_sink = std::function<void(std::span<const request_record> batch, std::uint64_t dropped)>;
  virtual result<void> start_recording(volume_uuid volume, record_sink sink) = 0;
  virtual result<void> stop_recording(volume_uuid volume) = 0; // returns after the last batch was delivered

  // Takes what was observed since the last call; one call at a time, about once a second. `done` gets nothing when
  // the engine stops. Idle volumes cost one load per ring.
  virtual void collect_observations(std::function<void(std::vector<observation>)> done) = 0;

  virtual std::vector<ring_status> rings() const = 0;

  // Ordered stop: refuse new connections, ESHUTDOWN to new requests, drain (at most `grace`), sync, close, join rings.
  // Blocks; call it from main, never from an actor. Idempotent. timed_out if I/O had to be abandoned (a disk that does
  // not answer): the engine must then not be destroyed, end the process with _exit.
  virtual result<void> stop(std::chrono::milliseconds grace) = 0;
};

} // namespace gnomon::io
