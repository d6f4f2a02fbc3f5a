// Everything Gnomon keeps in LMDB and in its small files, on one page: databases, key layouts, value types and their
// versions. The envelope and the primitive encodings are in store/lmdb/codec.hpp. Values only; any thread.
//
// A change here is a new format: raise the value's version, append fields, keep decoding the old ones, and add golden
// files (tests/golden/store/<value>_v<N>_*.bin); released golden files never change.
//
// Environment `meta` (durability::synchronous)
//   database "node"      key: "node"                       value: node_record
//                        key: "clock"                    value: clock mark, the time that was believed last
//                        key: "next_event_id"              value: event_counter, the id the next event gets
//   database "volumes"   key: uuid, 16 bytes               value: volume_record
//   database "instances" key: instance id                 value: instance_record
//   database "unwritten" key: uuid, 16 bytes               value: none. The volume's descriptor file is older than
//   its
//                                                          record; rewritten and erased after each change, or at
//                                                          start.
//   database "events"    key: u64 event_id, big-endian     value: calendar_event
//   database "layers"    key: layer id, 16 bytes           value: layer_record; a cache of what the layer files say
//   database "heads"     key: volume uuid, 16 bytes        value: the snapshot that `changed` is counted from
//   database "groups"    key: group name                   value: group_record
//   database "access"    key: uuid, 16 bytes               value: access_record, who may and may not attach the volume
// File volumes/<uuid>/volume                               volume_record: the descriptor, to rebuild `volumes` from
// File format                                              node_record: which node's directory this is, format
// version
//
// Environment `history` (durability::relaxed); layouts of the payloads: store/history/codec.hpp
//   database "tails"     key: u8 kind, u8 resolution, volume 16, u64 slot start (s)          value: history_tail
//   database "blocks"    key: u8 kind, u8 resolution, u64 part start (s), volume 16, u32 group of chunks
//                                                                                            value: history_block
//   database "instances" key: u32 index                                                      value: instance name
//   database "models"    key: object name, NUL, model name                                   value: model
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/clock.hpp"
#include "config/event.hpp"
#include "config/settings/settings.hpp"
#include "config/tagged_uuid.hpp"
#include "config/types.hpp"
#include "store/group_point.hpp"
#include "store/lmdb/codec.hpp"
#include "store/lmdb/environment.hpp"

namespace gnomon::store {

namespace meta_database {
inline constexpr database_id node{0}, volumes{1}, unwritten{2}, events{3}, instances{4}, layers{5}, heads{6}, groups{7}, access{8};
}
namespace history_database {
inline constexpr database_id tails{0}, blocks{1}, instances{2}, models{3};
}
std::vector<std::string> meta_database_names();
std::vector<std::string> history_database_names();

inline constexpr std::uint16_t node_record_version = 1;
inline constexpr std::uint16_t volume_record_version = 3; // 2: source; 3: opened, doubt
inline constexpr std::uint16_t event_version = 1;
inline constexpr std::uint16_t event_counter_version = 1;
inline constexpr std::uint16_t instance_record_version = 1;
inline constexpr std::uint16_t layer_record_version = 1;
inline constexpr std::uint16_t snapshot_head_version = 1;
inline constexpr std::uint16_t group_record_version = 2;
inline constexpr std::uint16_t access_record_version = 1;
inline constexpr std::uint16_t clock_mark_version = 1;
inline constexpr std::uint16_t history_tail_version = 1;
inline constexpr std::uint16_t history_block_version = 1;
inline constexpr std::uint16_t history_instance_version = 1;
inline constexpr std::uint16_t model_version = 1;

inline constexpr std::size_t description_length_max = 4096; // NBD's limit for strings
inline constexpr std::size_t path_length_max = 4096;
inline constexpr std::size_t snapshot_note_length_max = 1024;
inline constexpr std::size_t node_name_length_max = 255;
inline constexpr std::size_t evidence_text_length_max = 255;
inline constexpr std::size_t instance_text_length_max = 256; // of an id and of each text
inline constexpr std::uint32_t data_format = 1;              // layout of the whole data directory

// Whose data directory this is.
struct node_record {
  std::uint32_t format = data_format;
  node_name node;
  wall_time created;
  friend bool operator==(const node_record&, const node_record&) = default;
};

enum class volume_origin : std::uint8_t { config, created };

// Why a volume's writes fail until an operator accepts what may be lost.
struct write_failure {
  int os_errno = 0;
  wall_time when;
  friend bool operator==(const write_failure&, const write_failure&) = default;
};

// Where a volume stood when it was opened last. What was written and not synced is still there after an unclean stop
// if all of it is as it was; if not, it may be lost.
struct opening_evidence {
  std::string boot_id;            // of the machine
  std::string file_system;        // file_system_instance() of its file
  std::uint64_t marks_token = 0;  // boot_marks::token(), 0: there were none
  friend bool operator==(const opening_evidence&, const opening_evidence&) = default;
};

// Why a volume may have lost writes that no client has been told of, until an operator takes note.
struct volume_doubt {
  enum class reason : std::uint8_t {
    machine_stopped,    // an unclean stop, then another boot
    remounted,          // an unclean stop, then another mount of the file system under its file
    marks_lost,         // an unclean stop, and the memory that would tell of a failed sync is gone
    without_evidence,   // an unclean stop, and nothing says how it was opened (an older release, a rebuilt catalogue)
  } why = reason::without_evidence;
  wall_time when;
  friend bool operator==(const volume_doubt&, const volume_doubt&) = default;
};
std::string_view to_string(volume_doubt::reason why) noexcept;

struct volume_record {
  volume_uuid uuid;
  volume_name name;
  std::string description;
  byte_count size;
  std::optional<std::string> external_path; // none: volumes/<uuid>/data
  cache_mode cache = cache_mode::buffered;
  bool read_only = false;
  bool shared = false;
  volume_origin origin = volume_origin::created;
  bool clean = true; // closed in order since its last opening
  wall_time created;
  std::optional<wall_time> deleted_at; // can be undeleted until it is purged
  std::optional<write_failure> failure;
  std::uint64_t revision = 1; // grows with every change of the record
  std::optional<snapshot_uuid> source; // what its file does not hold yet comes from this point's layers
  std::optional<opening_evidence> opened;
  std::optional<volume_doubt> doubt;
  friend bool operator==(const volume_record&, const volume_record&) = default;
};

// What an operator said about a compute instance, over the configuration; none: as that says.
struct instance_record {
  instance_id id;
  std::optional<std::string> application;
  std::optional<criticality> level;
  std::optional<microseconds> read_p99; // the SLA; 0: none, whatever the configuration says
  std::optional<std::chrono::seconds> rpo;
  std::optional<std::string> host;
  wall_time changed;
  friend bool operator==(const instance_record&, const instance_record&) = default;
};
// invalid_argument: no id, a text too long, a duration below 0.
result<void> check_instance(const instance_record& record);

enum class layer_state : std::uint8_t {
  live,     // its snapshot is offered
  removed,  // its snapshot was deleted; the layer stays while something names it
  deleting, // nothing names it: the file goes, then the record
};

// What `meta` knows of one sealed layer file. The file says the same, but for `state` and `locked_until`.
struct layer_record {
  layer_id id;
  snapshot_uuid snapshot;
  std::optional<snapshot_uuid> parent; // none: a baseline
  volume_uuid volume;
  volume_name name; // of the volume, at the cut
  byte_count size;  // of the volume, at the cut
  wall_time cut;
  std::uint64_t hash_seed = 0;
  std::uint64_t seal_low = 0, seal_high = 0; // the file that this record means
  std::uint64_t file_bytes = 0, data_granules = 0, zero_granules = 0;
  std::string note;
  std::optional<group_point> group;
  layer_state state = layer_state::live;
  std::optional<wall_time> locked_until; // not deleted before, by anybody
  friend bool operator==(const layer_record&, const layer_record&) = default;
};

// A snapshot group as an operator made it.
struct group_record {
  group_name name;
  std::vector<volume_uuid> volumes; // 1 .. group_members_max
  bool prediction = false;
  std::optional<std::chrono::seconds> every; // none: on demand only
  std::uint32_t retain = 30;
  wall_time created;
  std::chrono::seconds latest_by{0};      // the longest time between two good ones; 0: twice `every`
  std::chrono::seconds baseline_every{0}; // how often the layers are merged into a baseline; 0: when they become many
  std::uint32_t quiet_below_permille = 300; // of the mean load; from there down a time counts as quiet
  std::uint32_t hourly = 0, daily = 0, weekly = 0; // further ones kept: the newest of so many hours, days, weeks
  // The time within which a good snapshot must follow the last one; 0: none is promised.
  std::chrono::seconds bound() const { return latest_by.count() > 0 ? latest_by : every.value_or(std::chrono::seconds(0)) * 2; }
  friend bool operator==(const group_record&, const group_record&) = default;
};

// Who may not attach a volume until an operator says otherwise, and who may although the configuration does not say so.
struct access_record {
  struct fence {
    instance_id instance;
    std::uint64_t epoch = 0; // of the change that fenced it
    wall_time when;
    friend bool operator==(const fence&, const fence&) = default;
  };
  volume_uuid volume;
  std::uint64_t epoch = 0;         // grows with every fence, handing over and unfence; never given again
  bool everybody_fenced = false;
  std::optional<instance_id> only; // handed over: nobody else may attach
  std::vector<fence> fenced;       // by instance
  std::vector<instance_id> grants; // by id
  friend bool operator==(const access_record&, const access_record&) = default;
};
inline constexpr std::size_t access_fences_max = 1'024; // per volume
inline constexpr std::size_t access_grants_max = 1'024; // per volume

bytes encode(const access_record& record);
bytes encode(const node_record& record);
bytes encode(const volume_record& record);
bytes encode(const instance_record& record);
bytes encode(const calendar_event& event);
bytes encode_event_counter(event_id next);
bytes encode(const layer_record& record);
bytes encode(const group_record& record);
bytes encode_head(snapshot_uuid head);
bytes encode_clock_mark(wall_time believed);
// corrupt, unsupported; `what` names the key or file.
result<node_record> decode_node(bytes_view stored, std::string_view what);
result<volume_record> decode_volume(bytes_view stored, std::string_view what);
result<calendar_event> decode_event(bytes_view stored, std::string_view what);
result<wall_time> decode_clock_mark(bytes_view stored, std::string_view what);
result<event_id> decode_event_counter(bytes_view stored, std::string_view what);
result<access_record> decode_access(bytes_view stored, std::string_view what);
result<instance_record> decode_instance(bytes_view stored, std::string_view what);
result<layer_record> decode_layer(bytes_view stored, std::string_view what);
result<group_record> decode_group(bytes_view stored, std::string_view what);
result<snapshot_uuid> decode_head(bytes_view stored, std::string_view what);

std::string volume_key(volume_uuid uuid);
std::string event_key(event_id id);
std::string layer_key(layer_id id);
inline constexpr std::string_view node_key = "node";
inline constexpr std::string_view clock_mark_key = "clock";
inline constexpr std::string_view event_counter_key = "next_event_id";

} // namespace gnomon::store
