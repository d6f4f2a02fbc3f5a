// What messages carry (actors/protocol/protocol.hpp says which message carries what): plain values, each with its `inspect`.
// Times are microseconds since 1970 UTC (0: never), sizes are bytes. Any thread. Doubles only as `finite`.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "actors/protocol/inspect.hpp"
#include "config/clock.hpp"
#include "config/settings/settings.hpp"
#include "config/types.hpp"

namespace gnomon::actors {

inline constexpr std::size_t io_bytes_max = 1u << 20;         // data of one typed read or write
inline constexpr std::size_t io_requests_max = 1024;          // typed requests in flight per volume actor
inline constexpr std::size_t record_batch_max = 16'384;       // records per batch: about 400 KiB
inline constexpr std::size_t recordings_max = 16;             // recordings at once
inline constexpr std::size_t ask_text_max = 4096;             // length of an `ask` message
inline constexpr std::chrono::seconds recording_idle_max{30}; // a client that stopped asking is gone
inline constexpr std::chrono::milliseconds record_wait{1000}; // longest wait for the first record of a batch

inline std::int64_t to_microseconds(wall_time t) { return t.time_since_epoch().count(); }

// An error inside a message that is not itself an error reply. `ok` says that there is none.
struct error_info {
  bool ok = true;
  errc code = errc::internal;
  std::string message;
  std::int32_t os_errno = 0;

  error_info() = default;
  explicit error_info(const error& e) : ok(false), code(e.code), message(e.message), os_errno(e.os_errno) {}
  error to_error() const { return {code, message, os_errno}; }
  friend bool operator==(const error_info&, const error_info&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, error_info& x) {
  return f(caf::meta::type_name("error_info"), x.ok, x.code, x.message, x.os_errno);
}

// --- supervision

struct actor_report {
  std::uint64_t mailbox = 0; // messages waiting behind this one
  std::string activity;      // what it is doing, in a few words; may be empty
  friend bool operator==(const actor_report&, const actor_report&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, actor_report& x) {
  return f(caf::meta::type_name("actor_report"), x.mailbox, x.activity);
}

enum class actor_state : std::uint8_t { starting, running, backing_off, given_up, stopped };
std::string_view to_string(actor_state state) noexcept;

// One line of `gnomon actors`.
struct actor_info {
  std::string name;     // "volume/db"
  std::string parent;   // empty: the root
  std::uint64_t id = 0; // CAF's id of the present incarnation, 0 while there is none
  actor_state state = actor_state::starting;
  std::uint32_t restarts = 0; // since the node started
  bool answered = false;      // the report came in time; otherwise it is busy or stuck
  actor_report report;
  std::int64_t started_us = 0; // the present incarnation
  std::string last_error;      // why the last incarnation ended, empty if none did
  friend bool operator==(const actor_info&, const actor_info&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, actor_info& x) {
  return f(caf::meta::type_name("actor_info"), x.name, x.parent, x.id, x.state, x.restarts, x.answered, x.report,
           x.started_us, x.last_error);
}

// --- volumes

struct io_data {
  std::vector<std::uint8_t> bytes; // at most io_bytes_max
  friend bool operator==(const io_data&, const io_data&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, io_data& x) {
  return f(caf::meta::type_name("io_data"), x.bytes);
}

enum class write_durability : std::uint8_t { cached, durable };

struct io_completion {
  std::uint64_t request = 0;
  error_info outcome;
  io_data data;
  friend bool operator==(const io_completion&, const io_completion&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, io_completion& x) {
  return f(caf::meta::type_name("io_completion"), x.request, x.outcome, x.data);
}

// A volume by its name or uuid, as a person wrote it. At most volume_name_length_max characters.
struct volume_ref {
  std::string text;
  friend bool operator==(const volume_ref&, const volume_ref&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, volume_ref& x) {
  return f(caf::meta::type_name("volume_ref"), x.text);
}

enum class volume_access : std::uint8_t { read_write, read_only };

// What a delete does about clients.
enum class deletion : std::uint8_t { if_unused, forced };

enum class list_filter : std::uint8_t { present, deleted, all };

enum class volume_state : std::uint8_t {
  serving,       // clients can use it
  writes_failed, // an fsync failed: reads work, writes fail until `clear`
  not_serving,   // in the catalogue, but the data plane could not open it: see `problem`
  deleted,       // can be undeleted until deleted_until_us
  damaged,       // its file is missing or has lost its end: not served until it is put back, or `accept-loss`
  closing,       // a close does not come to its end (a disk that does not answer): it is tried again, see `problem`
};
std::string_view to_string(volume_state state) noexcept;

// One line of `gnomon volume ls`.
struct volume_summary {
  volume_uuid uuid;
  volume_name name;
  byte_count size;
  volume_state state = volume_state::not_serving;
  cache_mode cache = cache_mode::buffered;
  bool read_only = false;
  bool shared = false;
  std::uint64_t connections = 0;
  std::int64_t deleted_until_us = 0;
  std::string problem; // why it is not served, or what failed; empty if all is well
  friend bool operator==(const volume_summary&, const volume_summary&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, volume_summary& x) {
  return f(caf::meta::type_name("volume_summary"), x.uuid, x.name, x.size, x.state, x.cache, x.read_only, x.shared,
           x.connections, x.deleted_until_us, x.problem);
}

struct volume_details {
  volume_summary summary;
  std::string description;
  std::string path;         // file or block device that holds it
  bool from_config = false; // made by the config file, not by `volume create`
  std::int64_t created_us = 0;
  std::uint64_t generation = 0;
  std::uint64_t in_flight = 0; // requests now
  std::vector<instance_id> writers;
  std::uint64_t epoch = 0;          // of the volume's claims: grows with every fence and unfence
  bool everybody_fenced = false;    // nobody may attach until `unfence`
  std::vector<instance_id> fenced;  // these may not
  instance_id handed_to;            // only this instance may attach; empty: it was not handed over
  std::vector<instance_id> granted; // may attach by an operator's hand, besides the configuration
  bool anonymous = false;           // no instances section: the clients of a listener are one instance
  friend bool operator==(const volume_details&, const volume_details&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, volume_details& x) {
  return f(caf::meta::type_name("volume_details"), x.summary, x.description, x.path, x.from_config, x.created_us,
           x.generation, x.in_flight, x.writers, x.epoch, x.everybody_fenced, x.fenced, x.handed_to, x.granted,
           x.anonymous);
}

// What `gnomon volume create` asks for.
struct volume_request {
  volume_name name;
  byte_count size; // external_path: 0 takes the size of what is there
  std::string description;
  std::string external_path; // a block device or file to use; empty: a file in the data directory
  cache_mode cache = cache_mode::buffered;
  bool read_only = false;
  bool shared = false;
  friend bool operator==(const volume_request&, const volume_request&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, volume_request& x) {
  return f(caf::meta::type_name("volume_request"), x.name, x.size, x.description, x.external_path, x.cache,
           x.read_only, x.shared);
}

struct connection_info {
  std::uint64_t id = 0;
  volume_name volume;
  instance_id instance;
  std::string peer;
  byte_count size_seen; // smaller than the volume: must reconnect to see the new size
  bool read_only = false;
  std::int64_t since_us = 0;
  std::uint64_t requests = 0;
  friend bool operator==(const connection_info&, const connection_info&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, connection_info& x) {
  return f(caf::meta::type_name("connection_info"), x.id, x.volume, x.instance, x.peer, x.size_seen, x.read_only,
           x.since_us, x.requests);
}

struct resize_report {
  volume_summary volume;
  std::vector<connection_info> must_reconnect;
  friend bool operator==(const resize_report&, const resize_report&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, resize_report& x) {
  return f(caf::meta::type_name("resize_report"), x.volume, x.must_reconnect);
}

struct apply_report {
  std::uint32_t created = 0, changed = 0, unchanged = 0;
  std::vector<std::string> refused; // one line per volume that could not be brought in line, with the reason
  friend bool operator==(const apply_report&, const apply_report&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, apply_report& x) {
  return f(caf::meta::type_name("apply_report"), x.created, x.changed, x.unchanged, x.refused);
}

// The outcome of one asynchronous step inside the registry.
struct step_completion {
  std::uint64_t operation = 0;
  error_info outcome;
  volume_uuid volume; // of a create: the new volume
  friend bool operator==(const step_completion&, const step_completion&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, step_completion& x) {
  return f(caf::meta::type_name("step_completion"), x.operation, x.outcome, x.volume);
}

// --- telemetry

// Rates of one kind of operation over the last interval.
struct operation_rates {
  finite requests_per_second, bytes_per_second, errors_per_second;
  finite p50_us, p99_us; // end-to-end latency; 0 without requests
  friend bool operator==(const operation_rates&, const operation_rates&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, operation_rates& x) {
  return f(caf::meta::type_name("operation_rates"), x.requests_per_second, x.bytes_per_second, x.errors_per_second,
           x.p50_us, x.p99_us);
}

struct volume_rates {
  volume_uuid uuid;
  volume_name name;
  operation_rates read, write, other; // other: flush, trim, zero, cache, block status
  std::uint64_t connections = 0, in_flight = 0;
  friend bool operator==(const volume_rates&, const volume_rates&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, volume_rates& x) {
  return f(caf::meta::type_name("volume_rates"), x.uuid, x.name, x.read, x.write, x.other, x.connections,
           x.in_flight);
}

struct ring_info {
  std::uint32_t index = 0;
  std::uint64_t connections = 0, requests = 0, buffer_bytes = 0;
  finite cpu_fraction;      // of one core, over the last interval
  finite requests_per_turn; // how well requests are batched, over the last interval
  friend bool operator==(const ring_info&, const ring_info&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, ring_info& x) {
  return f(caf::meta::type_name("ring_info"), x.index, x.connections, x.requests, x.buffer_bytes, x.cpu_fraction,
           x.requests_per_turn);
}

// What `gnomon top` shows.
struct telemetry_snapshot {
  std::int64_t taken_us = 0;
  finite interval_s;
  std::vector<volume_rates> volumes; // all volumes, busiest first
  std::vector<ring_info> rings;
  friend bool operator==(const telemetry_snapshot&, const telemetry_snapshot&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, telemetry_snapshot& x) {
  return f(caf::meta::type_name("telemetry_snapshot"), x.taken_us, x.interval_s, x.volumes, x.rings);
}

// --- recording

using recording_number = strong_integer<struct recording_number_tag>;

struct recording_started {
  recording_number number;
  volume_summary volume;
  friend bool operator==(const recording_started&, const recording_started&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, recording_started& x) {
  return f(caf::meta::type_name("recording_started"), x.number, x.volume);
}

struct trace_record {
  std::uint64_t time_ns = 0; // since the node's boot
  std::uint64_t offset_bytes = 0;
  std::uint32_t length_bytes = 0;
  std::uint8_t operation = 0; // io::operation
  friend bool operator==(const trace_record&, const trace_record&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, trace_record& x) {
  return f(caf::meta::type_name("trace_record"), x.time_ns, x.offset_bytes, x.length_bytes, x.operation);
}

struct record_batch {
  std::vector<trace_record> records; // in each ring's order, not sorted across rings
  std::uint64_t dropped = 0;         // records lost so far because the client was slow
  bool finished = false;             // nothing follows
  friend bool operator==(const record_batch&, const record_batch&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, record_batch& x) {
  return f(caf::meta::type_name("record_batch"), x.records, x.dropped, x.finished);
}

// --- the node

enum class node_state : std::uint8_t { starting, serving, stopping };
std::string_view to_string(node_state state) noexcept;

enum class reload_mode : std::uint8_t { dry_run, follow };

// What came, or would come, of rereading the configuration.
struct reload_report {
  std::uint64_t generation = 0, in_force = 0; // of the settings: after it, and what is carried out so far
  std::vector<std::string> followed;          // changes, one line each
  std::vector<std::string> waiting;           // for a restart, or never followed
  std::vector<std::string> refused;           // volumes that could not be brought in line, with the reason
  std::vector<std::string> warnings;          // keys that do nothing
  std::string file_problems;                  // not empty: the file is refused and nothing has changed
  friend bool operator==(const reload_report&, const reload_report&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, reload_report& x) {
  return f(caf::meta::type_name("reload_report"), x.generation, x.in_force, x.followed, x.waiting, x.refused,
           x.warnings, x.file_problems);
}

struct reload_completion {
  std::uint64_t request = 0;
  error_info outcome;
  reload_report report;
  friend bool operator==(const reload_completion&, const reload_completion&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, reload_completion& x) {
  return f(caf::meta::type_name("reload_completion"), x.request, x.outcome, x.report);
}

struct node_status {
  node_name node;
  std::string version;
  node_state state = node_state::starting;
  std::uint64_t pid = 0;
  std::int64_t started_us = 0;
  std::string data_dir;
  std::string previous_stop;                    // "none", "clean", "process_crash", "machine_crash"
  std::vector<std::string> nbd, cluster, admin; // endpoints really bound
  std::uint64_t volumes = 0, connections = 0, actors = 0;
  std::vector<ring_info> rings;      // without rates
  std::vector<std::string> problems; // empty: healthy
  std::uint64_t generation_wanted = 0, generation_in_force = 0; // of the settings; equal: all is as configured
  std::vector<std::string> waiting;  // changes of the file that wait for a restart, or are never followed
  std::vector<std::string> warnings; // keys that do nothing, an open listener
  friend bool operator==(const node_status&, const node_status&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, node_status& x) {
  return f(caf::meta::type_name("node_status"), x.node, x.version, x.state, x.pid, x.started_us, x.data_dir,
           x.previous_stop, x.nbd, x.cluster, x.admin, x.volumes, x.connections, x.actors, x.rings, x.problems,
           x.generation_wanted, x.generation_in_force, x.waiting, x.warnings);
}

} // namespace gnomon::actors
