// The data plane's one interface: rings, listeners, volume cores. Actors steer it through this header and nothing else.
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
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/clock.hpp"
#include "config/error.hpp"
#include "config/settings/settings.hpp"
#include "config/types.hpp"
#include "config/work_control.hpp"
#include "io/granule/generation.hpp"
#include "io/measure/reports.hpp"
#include "io/types.hpp"

namespace gnomon::io {

// What a node needs to be one of a cluster.
struct cluster_options {
  node_name self;
  cluster_settings settings;
  std::string data_dir;
  std::optional<stage_settings> stage;
};

struct peer_report { // a peer, of whose volumes this node is a gateway
  node_name node;
  std::string address, state, trouble;
  microseconds round_trip{0};
  std::uint64_t sessions = 0, volumes = 0;
};
struct gateway_report { // a peer that is a gateway of volumes homed here
  node_name node;
  bool open = false;
  std::uint64_t shadows = 0, outstanding = 0, invalidations = 0, granules = 0;
};
// Reads at a gateway: served near, and at the home by reason.
struct read_report {
  std::optional<instance_id> instance; // none: of those together that found no place in the table
  std::uint64_t near = 0, far = 0, not_predicted = 0, not_valid = 0, no_lease = 0, no_shadow = 0, slower = 0,
                overtaken = 0, device_failed = 0;
  std::uint64_t near_ns = 0, far_ns = 0; // spent, each side
  std::uint64_t near_us() const { return near == 0 ? 0 : near_ns / near / 1000; } // mean
  std::uint64_t far_us() const { return far == 0 ? 0 : far_ns / far / 1000; }
};
struct remote_volume_status {
  volume_name volume;
  volume_uuid uuid;
  node_name home;
  byte_count size;
  bool has_shadow = false, serving = false;
  bool by_hand = false;           // an operator made the shadow: it is for the whole volume, and the planner leaves it
  byte_count valid_bytes, filled_bytes, wanted_bytes;
  std::vector<shadowed_chunk> chunks; // that it is for, where the planner made it
  std::uint64_t void_fills = 0, passes = 0;
  std::string trouble;
  read_report reads; // of all instances
  std::vector<read_report> instances;
  std::uint64_t changes = 0, lost_changes = 0;
  std::uint64_t near_p50_ns = 0, far_p50_ns = 0; // moving medians of reads, each side; 0: not measured
};
struct remote_volume_entry {
  volume_uuid uuid;
  volume_name name;
  byte_count size;
  node_name home;
  planner_rule planner = planner_rule::act; // what its home lets planners do
  friend bool operator==(const remote_volume_entry&, const remote_volume_entry&) = default;
};
// Reads that another node has announced for this one, of one chunk.
struct expected_chunk {
  volume_uuid volume;
  chunk_index chunk;
  double reads_per_second = 0;
};
struct cluster_report {
  std::vector<peer_report> peers;
  std::vector<gateway_report> gateways;
  std::vector<remote_volume_status> volumes; // homed elsewhere, served here
  std::vector<expected_chunk> expected;      // by volume and chunk
  byte_count stage_used, stage_capacity;     // by shadows
};

struct engine_options {
  std::optional<cluster_options> cluster; // with a secret; listen_cluster() begins it
  io_settings io;
  nbd_settings nbd;                 // limits; listen is ignored, see listen()
  std::function<void(alert)> on_alert;
  // Makes a failed sync of a volume durable. Called once per failure from any thread, must return at once; `done` is
  // to be called exactly once, also after stop(). Clients get the failure after that. None: nothing is recorded.
  std::function<void(volume_uuid, int os_errno, done_callback done)> record_failure;
};

class engine {
public:
  // Probes io_uring (one clear errc::unsupported line where a container forbids it) and starts the rings.
  static result<std::unique_ptr<engine>> start(engine_options options);
  // Calls stop() if it was not called.
  virtual ~engine() = default;

  // --- volumes
  // corrupt: its file is shorter than spec.size; busy: another process serves it; limit_reached: too few descriptors.
  virtual void open_volume(volume_spec spec, done_callback done) = 0;
  // Ends the volume's connections, drains its requests, syncs and closes its files. not_found, timed_out; io_failed:
  // closed, but a sync failed: `status` was, and the record is, of a volume whose writes failed.
  virtual void close_volume(volume_uuid volume, done_callback done) = 0;
  // Grows only. The file is extended first; open connections keep the size they negotiated until they reconnect.
  virtual void resize_volume(volume_uuid volume, byte_count new_size, done_callback done) = 0;
  virtual void rename_volume(volume_uuid volume, volume_name name, done_callback done) = 0;
  // Takes effect on new requests at once (a new route is published): writes that come later get EPERM, connections
  // stay. Read-only: answered when the writes under way have ended; timed_out.
  // unsupported: made writable, but its file was opened read-only (volume_status says so): close and open it.
  virtual void set_read_only(volume_uuid volume, bool read_only, done_callback done) = 0;
  // What clients are told about it from now on.
  virtual void set_description(volume_uuid volume, std::string description, done_callback done) = 0;
  // An operator accepts what a failed fsync may have lost: writes work again.
  virtual void clear_write_failure(volume_uuid volume, done_callback done) = 0;
  // A failed sync that could not be recorded is recorded now: reads work again.
  virtual void failure_recorded(volume_uuid volume, done_callback done) = 0;
  virtual std::optional<volume_status> status(volume_uuid volume) const = 0;
  virtual std::vector<volume_status> volumes() const = 0;
  virtual std::optional<volume_counters> counters(volume_uuid volume) const = 0;

  // --- points in time. A hold lets new changes of the volume wait until release() or `deadline` (at most 1 s from now);
  // it is the cut of a group. An id holds once: a repeated hold() gets the recorded report. busy: no generation was
  // free before the deadline, or a capture runs; permission_denied: abandoned before it held.
  virtual void hold(volume_uuid volume, hold_id id, boot_time deadline, std::function<void(result<held_report>)> done) = 0;
  // Ends the hold and tells whether it had lasted until now; repeats get the same answer. not_found: never held.
  virtual void release(volume_uuid volume, hold_id id, std::function<void(result<hold_outcome>)> done) = 0;
  // Ends the hold, or sees to it that `id` never holds. Its cut goes with it, unless a capture has taken it over.
  virtual void abandon(volume_uuid volume, hold_id id) = 0;

  // --- captures, one at a time per volume. begin_capture() makes a cut, or takes over the one that `held` made, and
  // answers once every change from before it is over. busy: a capture runs already; not_found: `held` made no cut
  // here, or it was not taken over within a minute; io_failed: a sync of the volume failed.
  virtual void begin_capture(volume_uuid volume, capture_order order, std::optional<hold_id> held,
                             std::function<void(result<capture_begun>)> done) = 0;
  // Content as of the cut, from granule `from` on, at most `granules_max` granules (and 64). One call at a time; `from`
  // is the `next` of the piece before, since each granule is delivered once.
  // no_space, limit_reached, io_failed: the capture has failed (what a write was about to change could not be kept,
  // or the disk or a source erred): end it as failed. not_found: no such capture.
  virtual void read_capture(volume_uuid volume, std::uint64_t id, granule_index from, std::uint32_t granules_max,
                            std::function<void(result<capture_piece>)> done) = 0;
  virtual void end_capture(volume_uuid volume, std::uint64_t id, capture_end how, done_callback done) = 0;

  // --- granules that a volume's own file does not hold yet (volume_spec::source)
  // Copies [first, first + granules) from the source into the file, those that are missing; client requests go first.
  virtual void bring_in(volume_uuid volume, granule_index first, std::uint32_t granules, done_callback done) = 0;
  // The hydrator: brings in what is missing of `plan`, in its order, in the background. It keeps to the budget of
  // `control` and slows down while clients' latency suffers, pauses and ends (errc::shutting_down) as `control` says, and
  // counts there in bytes. Granules that are present already count as done. It asks for a sync every 64 MiB or 5 s.
  // `done` is called once: ok says that every granule of the plan is present, durably. limit_reached: hydrations_max
  // are under way; else as bring_in(). Several hydrations of one volume may run; what one has brought in the other skips.
  virtual void hydrate(volume_uuid, granule_plan, std::shared_ptr<work_control>, done_callback done) {
    done(no_sources());
  }
  // Nothing: the volume has no source, or is not open.
  virtual std::optional<presence_report> presence(volume_uuid volume) const = 0;
  // Every granule is present, durably, and the catalogue no longer names the source: it is used no more when `done`
  // is called. invalid_argument: granules are missing.
  virtual void drop_source(volume_uuid volume, done_callback done) = 0;

  // From now on missing granules come from `source`, which has every granule that the one before has and that the file
  // does not hold; `done` is called when nobody uses the one before any more. The volume has a source, or an archiving
  // of it is under way; else invalid_argument.
  virtual void set_source(volume_uuid, std::shared_ptr<granule_source>, done_callback done) { done(no_sources()); }

  // --- archiving: the content of `run` is read, stored elsewhere by the caller, and given back by the volume's file.
  // One at a time per volume (busy). From here on the engine notes which granules of `run` change after they were read.
  // unsupported: a block device, or the volume has grown over `run` since its presence was noted first.
  virtual void begin_archive(volume_uuid, granule_run, done_callback done) { done(no_sources()); }
  // Logical content, as read_capture() delivers it: from granule `from` on, at most 64 and none behind the run.
  virtual void read_archive(volume_uuid, granule_index, std::uint32_t, std::function<void(result<capture_piece>)> done) {
    done(no_sources());
  }
  // What was read is durable elsewhere and named durably, and set_source() was answered: granules of the run that did
  // not change since are no longer present, durably, and their space is given back. Ends the archiving, also where it
  // fails: what was not given back is served from wherever it is then.
  virtual void finish_archive(volume_uuid, std::function<void(result<punch_report>)> done) { done(no_sources()); }
  // Ends the archiving; nothing was given back.
  virtual void abandon_archive(volume_uuid) {}

  // --- who uses them
  // In force when it returns. Connections that it does not permit any more are dropped at once.
  virtual void set_access(access_policy policy) = 0;
  virtual std::vector<connection_status> connections(std::optional<volume_uuid> volume = {}) const = 0;
  // From now on nobody attaches `volume` whom `fences` does not admit; connections of others are dropped, and `done` is
  // called when their I/O has ended. timed_out: it has not (a disk that does not answer); attaching stays refused, and
  // volume_status shows the former fences until a repeated call succeeds.
  virtual void set_fences(volume_uuid volume, fence_set fences, done_callback done) = 0;

  // --- the in-process interface
  virtual void submit(volume_uuid volume, local_request request, std::function<void(local_reply)> done) = 0;

  // --- listeners. Returns the endpoint really bound (port 0 resolved).
  // `instance`: every client of this listener is that instance and may name no other.
  virtual result<endpoint> listen(const endpoint& where, std::optional<instance_id> instance) = 0;
  result<endpoint> listen(const endpoint& where) { return listen(where, std::nullopt); }
  virtual result<void> listen_fd(int fd) = 0;          // socket activation; takes ownership
  virtual result<void> serve_fd(int in_fd, int out_fd, volume_name volume, std::function<void()> closed) = 0; // --nbd-stdio

  // --- cluster. listen_cluster() opens the listeners of the section and begins sessions; before volumes are opened.
  struct cluster_endpoints { std::optional<endpoint> sessions, data; };
  virtual result<cluster_endpoints> listen_cluster() { return cluster_endpoints{}; }
  virtual cluster_report nodes() const { return {}; }
  virtual std::vector<remote_volume_entry> remote_volumes() const { return {}; } // of nodes(), what they are
  // A shadow of a volume homed elsewhere, on this node's stage. unsupported, not_found, already_exists, no_space, busy.
  virtual result<void> create_shadow(const volume_name&) { return fail(errc::unsupported, "this node is in no cluster"); }
  virtual result<void> drop_shadow(const volume_name&) { return fail(errc::unsupported, "this node is in no cluster"); }
  // The planner's part of it: adds chunks to the shadow of a remote volume (makes it if there is none) or takes them
  // out. Where an operator made the shadow, adding changes nothing and narrowing is permission_denied. Others as above.
  virtual result<void> widen_shadow(volume_uuid, chunk_run) { return fail(errc::unsupported, "this node is in no cluster"); }
  virtual result<void> narrow_shadow(volume_uuid, chunk_run) { return fail(errc::unsupported, "this node is in no cluster"); }
  // Tells a gateway which reads an event will bring to it; it forgets them after `stands`. limit_reached.
  virtual result<void> announce_reads(const node_name&, const expected_chunk&, std::chrono::milliseconds /*stands*/) {
    return fail(errc::unsupported, "this node is in no cluster");
  }
  // What planners of all nodes may do about volumes homed here; those not named: act.
  virtual void set_planner_rules(std::map<volume_name, planner_rule>) {}
  virtual void set_copy_rate(double /*bytes_per_second*/) {}
  // What reads of a remote volume are expected; replaces what was said before. Rings see it at once.
  virtual void predict_reads(volume_uuid, read_prediction) {}

  // --- recording. The sink is called from one drain thread with batches in per-ring order; `dropped` counts records
  // lost because the sink was slow (the clients never wait).
  virtual result<void> start_recording(volume_uuid volume, record_sink sink) = 0;
  virtual result<void> stop_recording(volume_uuid volume) = 0; // returns after the last batch was delivered

  // Takes what was observed since the last call; one call at a time, about once a second. `done` gets nothing when
  // the engine stops. Idle volumes cost one load per ring.
  virtual void collect_observations(std::function<void(std::vector<observation>)> done) = 0;

  virtual std::vector<ring_status> rings() const = 0;

  // Ordered stop: refuse new connections, ESHUTDOWN to new requests, drain (at most `grace`), sync, close, join rings.
  // Blocks; call it from main, never from an actor. Idempotent. timed_out if I/O had to be abandoned (a disk that does
  // not answer): the engine must then not be destroyed, end the process with _exit. The status of every volume that
  // was synced says so all the same.
  virtual result<void> stop(std::chrono::milliseconds grace) = 0;

private:
  static tl::unexpected<error> no_sources() { return fail(errc::unsupported, "this engine keeps no sources"); }
};

} // namespace gnomon::io
