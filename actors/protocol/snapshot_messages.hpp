// What messages about snapshots and groups of them carry: plain values, each with its `inspect`; as
// actors/protocol/volume_messages.hpp, of which this is a further part. Times are microseconds since 1970 UTC. A snapshot
// is named by its id or the first characters of it. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "actors/protocol/inspect.hpp"
#include "actors/protocol/volume_messages.hpp"

namespace gnomon::actors {

inline constexpr std::size_t snapshot_list_max = 10'000;     // snapshots in one reply, the newest
inline constexpr std::size_t snapshot_findings_shown_max = 20; // of a check, in one reply

struct snapshot_ref {
  std::string text;
  friend bool operator==(const snapshot_ref&, const snapshot_ref&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, snapshot_ref& x) {
  return f(caf::meta::type_name("snapshot_ref"), x.text);
}

struct snapshot_request {
  volume_ref volume;
  std::string note;
  friend bool operator==(const snapshot_request&, const snapshot_request&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, snapshot_request& x) {
  return f(caf::meta::type_name("snapshot_request"), x.volume, x.note);
}

enum class snapshot_state : std::uint8_t { capturing, complete, failed };
std::string_view to_string(snapshot_state state) noexcept;

struct snapshot_info {
  std::string id, parent; // uuids; parent: empty for a baseline
  volume_uuid volume;
  volume_name name; // of the volume at the cut
  byte_count size;  // of the volume at the cut
  std::int64_t cut_us = 0;
  snapshot_state state = snapshot_state::complete;
  std::string failure; // why it failed
  std::string note;
  std::uint32_t done_permille = 1000;                    // of a capture
  std::uint64_t file_bytes = 0;                          // of its own layer
  std::uint64_t unique_bytes = 0, all_bytes = 0;         // that go with it alone; of all layers it needs
  std::uint32_t layers = 0;                              // that it needs
  std::uint64_t data_granules = 0, zero_granules = 0;    // in its own layer
  std::string group, group_cut;                          // empty: of no group
  bool group_complete = false;                           // every member's layer is there
  friend bool operator==(const snapshot_info&, const snapshot_info&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, snapshot_info& x) {
  return f(caf::meta::type_name("snapshot_info"), x.id, x.parent, x.volume, x.name, x.size, x.cut_us, x.state,
           x.failure, x.note, x.done_permille, x.file_bytes, x.unique_bytes, x.all_bytes, x.layers, x.data_granules,
           x.zero_granules, x.group, x.group_cut, x.group_complete);
}

struct snapshot_query {
  std::string volume, group; // empty: any; a volume's name or uuid
  friend bool operator==(const snapshot_query&, const snapshot_query&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, snapshot_query& x) {
  return f(caf::meta::type_name("snapshot_query"), x.volume, x.group);
}

struct snapshot_check {
  std::uint32_t layers = 0;
  std::uint64_t granules = 0, bytes = 0, findings = 0;
  std::vector<std::string> first_findings; // the first findings, "KIND: what"
  friend bool operator==(const snapshot_check&, const snapshot_check&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, snapshot_check& x) {
  return f(caf::meta::type_name("snapshot_check"), x.layers, x.granules, x.bytes, x.findings, x.first_findings);
}

struct restore_request {
  snapshot_ref snapshot;
  volume_name to;
  friend bool operator==(const restore_request&, const restore_request&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, restore_request& x) {
  return f(caf::meta::type_name("restore_request"), x.snapshot, x.to);
}

// A volume that comes from a snapshot.
struct restore_info {
  volume_uuid volume;
  volume_name name;
  std::string snapshot;
  bool done = false; // every granule lies in the volume's own file
  std::uint64_t granules = 0, present = 0;
  std::string problem; // why it does not go on just now
  friend bool operator==(const restore_info&, const restore_info&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, restore_info& x) {
  return f(caf::meta::type_name("restore_info"), x.volume, x.name, x.snapshot, x.done, x.granules, x.present, x.problem);
}

struct rebuild_report {
  std::uint64_t found = 0, added = 0, unsealed_removed = 0;
  std::vector<std::string> problems;
  friend bool operator==(const rebuild_report&, const rebuild_report&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, rebuild_report& x) {
  return f(caf::meta::type_name("rebuild_report"), x.found, x.added, x.unsealed_removed, x.problems);
}

struct group_ref {
  group_name name;
  friend bool operator==(const group_ref&, const group_ref&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, group_ref& x) {
  return f(caf::meta::type_name("group_ref"), x.name.value);
}

struct group_request {
  group_name name;
  std::vector<volume_ref> volumes;
  bool prediction = false;
  std::int64_t every_s = 0; // 0: on demand only
  std::uint32_t retain = 30;
  friend bool operator==(const group_request&, const group_request&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, group_request& x) {
  return f(caf::meta::type_name("group_request"), x.name.value, x.volumes, x.prediction, x.every_s, x.retain);
}

enum class member_phase : std::uint8_t { idle, holding, capturing, complete, failed };
std::string_view to_string(member_phase phase) noexcept;

struct group_member_info {
  volume_uuid volume;
  volume_name name; // empty: it is no more
  member_phase phase = member_phase::idle;
  std::string snapshot; // of the latest cut
  std::uint32_t done_permille = 0;
  std::int64_t held_us = 0; // how long its new writes waited
  std::string failure;
  friend bool operator==(const group_member_info&, const group_member_info&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, group_member_info& x) {
  return f(caf::meta::type_name("group_member_info"), x.volume, x.name, x.phase, x.snapshot, x.done_permille, x.held_us,
           x.failure);
}

struct group_info {
  group_name name;
  bool prediction = false;
  std::int64_t every_s = 0;
  std::uint32_t retain = 30;
  std::vector<group_member_info> members;
  std::string cut;              // the latest, complete or not; empty: none yet
  std::int64_t cut_us = 0;
  std::int64_t span_us = 0;     // from the last member's hold to the first release
  std::int64_t deadline_ms = 0; // the longest that a hold may last
  std::string failure;          // of the latest cut
  std::uint32_t complete = 0;   // cuts whose every layer is there
  std::int64_t newest_complete_us = 0;
  std::int64_t next_us = 0; // when the plan takes the next one; 0: on demand only
  friend bool operator==(const group_info&, const group_info&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, group_info& x) {
  return f(caf::meta::type_name("group_info"), x.name.value, x.prediction, x.every_s, x.retain, x.members, x.cut, x.cut_us,
           x.span_us, x.deadline_ms, x.failure, x.complete, x.newest_complete_us, x.next_us);
}

// Work on another thread is over. From there.
struct snapshot_completion {
  std::uint64_t operation = 0;
  friend bool operator==(const snapshot_completion&, const snapshot_completion&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, snapshot_completion& x) {
  return f(caf::meta::type_name("snapshot_completion"), x.operation);
}

} // namespace gnomon::actors
