// The vocabulary of the data plane: what a volume, a request, a counter, a connection and a report are. Values only.
#pragma once

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
#include "config/settings/settings.hpp"
#include "config/tagged_uuid.hpp"
#include "config/types.hpp"

namespace gnomon::io {

class granule_source;

// Who may not attach a volume, whatever the access policy says. Kept durably by the control plane; the epoch grows with
// every change and is never given again.
struct fence_set {
  std::uint64_t epoch = 0;
  bool everybody = false;           // nobody may attach
  std::vector<instance_id> fenced;  // these may not
  std::optional<instance_id> only;  // handed over: nobody else may
  bool admits(const instance_id& who) const {
    if (everybody || (only && *only != who))
      return false;
    for (const auto& one : fenced)
      if (one == who)
        return false;
    return true;
  }
  friend bool operator==(const fence_set&, const fence_set&) = default;
};

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
  std::shared_ptr<granule_source> source; // of the granules that `path` does not hold; null: it holds them all
  // Makes `source` when the volume is opened; may block. Where it fails, the volume is not opened.
  std::function<result<std::shared_ptr<granule_source>>()> open_source;
  fence_set fences;                 // in force since the file was opened, or since set_fences() was answered
  std::string presence_path;        // with a source: which granules `path` holds; made when it does not exist
  bool presence_expected = false;   // with a source: corrupt where there is no file at `presence_path`
};

enum class operation : std::uint8_t { read, write, flush, trim, zero, cache, block_status };
inline constexpr std::size_t operation_count = 7;
std::string_view to_string(operation op) noexcept;

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
  bool failure_recorded = true;     // false: a failed sync could not be recorded; every request is refused
  bool synced = false;              // after stop(): the last sync covered everything
  bool closing = false;             // a close has begun and has not ended, or has failed: only closing it again helps
};

// --- capture of a volume's content as of a cut, for a layer

enum class capture_kind : std::uint8_t { everything, changed };

// `changed` is counted from one certain layer: the data plane keeps its snapshot with the changed bits, and captures
// everything where `below` is another one (the catalogue may be an older state put back).
struct capture_order {
  capture_kind kind = capture_kind::everything;
  snapshot_uuid snapshot;           // what it becomes when it is sealed
  snapshot_uuid below;              // changed: since this one

  capture_order(capture_kind what, snapshot_uuid becomes = {}, snapshot_uuid since = {}) // NOLINT: a kind is an order
      : kind(what), snapshot(becomes), below(since) {}
};

struct capture_begun {
  std::uint64_t id = 0;             // names the capture until end_capture(); never given twice by one process
  byte_count size;                  // of the volume at the cut; content beyond it is not captured
  generation_number cut;            // the first generation that the capture does not contain
  bool changed_known = false;       // false: what changed since the order's `below` is unknown, all is captured
};

// A run of granules as of the cut. Granules that the capture does not contain are skipped: `first` may lie behind the
// granule that was asked for.
struct capture_piece {
  granule_index first;
  std::vector<std::byte> data;      // `granules` of them (the volume's last one may be shorter); empty where `zero`
  bool zero = false;                // all of the run reads as zeros
  std::uint32_t granules = 0;       // 0: nothing more follows (`end`)
  granule_index next;               // where to go on
  bool end = false;                 // nothing follows this piece
};

// sealed: the layer is durable. failed: it is given up, its granules count as changed again.
enum class capture_end : std::uint8_t { sealed, failed };

// How much of a volume with a source lies in its own file.
struct presence_report {
  std::uint64_t granules = 0, present = 0;
};

// Granules one after the other, and several such runs in the order in which they are wanted.
struct granule_run {
  granule_index first;
  std::uint64_t granules = 0;
  friend bool operator==(const granule_run&, const granule_run&) = default;
};
using granule_plan = std::vector<granule_run>;

// What an archiving has given back.
struct punch_report {
  std::uint64_t cleared = 0;        // granules that the volume's own file does not hold any more
  std::uint64_t kept = 0;           // written meanwhile: they stay
  std::uint64_t freed_bytes = 0;    // of the disk
};

// Which instance may open which volume. No entries at all: every client of a listener is one anonymous instance.
struct access_policy {
  struct grant {
    instance_id instance;
    std::vector<volume_name> volumes;
    bool snapshots = false;
    friend bool operator==(const grant&, const grant&) = default;
  };
  bool restricted = false;          // true once the config has an `instances` section
  std::vector<grant> grants;
  friend bool operator==(const access_policy&, const access_policy&) = default;
};

// Adjacent chunks of one volume.
struct chunk_run {
  chunk_index first;
  std::uint64_t count = 1;
  friend bool operator==(const chunk_run&, const chunk_run&) = default;
};

// A chunk that a shadow is for: granules copied in since it was added, and those of them that clients have read.
struct shadowed_chunk {
  chunk_index chunk;
  std::uint32_t copied = 0, used = 0;
};

// What is predicted of a remote volume's reads: a bit per chunk, for each instance and for all of them together.
struct read_prediction {
  byte_count chunk_size;
  using bitmap = std::vector<std::uint64_t>; // chunk n: bit n % 64 of word n / 64
  std::vector<std::pair<instance_id, bitmap>> instances;
  bitmap everybody;
};

// Something the control plane should know, reported from a ring or the maintenance thread.
struct alert {
  enum class kind { sync_failed, failure_unrecorded, write_failed, attached, detached, attach_refused, connections_limit, listener_failed };
  kind what;
  volume_uuid volume;               // nil where it does not apply
  instance_id instance;
  int os_errno = 0;
  std::string text;
};

// A request through the in-process interface (typed read/write messages). At most 1 MiB of data.
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

using done_callback = std::function<void(result<void>)>;
// Takes what a recorder collected; see engine::start_recording.
using record_sink = std::function<void(std::span<const request_record> batch, std::uint64_t dropped)>;

} // namespace gnomon::io
