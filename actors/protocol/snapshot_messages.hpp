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

inline constexpr std::uint32_t diff_extents_max = 65'536; // in one answer

// What differs between two snapshots of a volume, or (without an older one) what a snapshot holds.
struct snapshot_diff_request {
  std::string older; // empty: all that is not zero
  snapshot_ref newer;
  std::uint64_t from_offset = 0;
  std::uint32_t extents_max = 1024;
  friend bool operator==(const snapshot_diff_request&, const snapshot_diff_request&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, snapshot_diff_request& x) {
  return f(caf::meta::type_name("snapshot_diff_request"), x.older, x.newer, x.from_offset, x.extents_max);
}

struct diff_extent {
  std::uint64_t offset = 0, length = 0;
  bool zero = false; // the newer one reads as zeros there
  friend bool operator==(const diff_extent&, const diff_extent&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, diff_extent& x) {
  return f(caf::meta::type_name("diff_extent"), x.offset, x.length, x.zero);
}

struct snapshot_diff {
  std::string older, newer; // ids
  byte_count size;          // of the newer one
  std::vector<diff_extent> extents;
  std::uint64_t next_offset = 0; // where the next answer begins; the size: this was the last
  friend bool operator==(const snapshot_diff&, const snapshot_diff&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, snapshot_diff& x) {
  return f(caf::meta::type_name("snapshot_diff"), x.older, x.newer, x.size, x.extents, x.next_offset);
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
  std::uint64_t bytes_per_second = 0; // lately
  std::int64_t left_s = -1;           // until it is done at that rate; -1: not known
  std::string problem; // why it does not go on just now
  friend bool operator==(const restore_info&, const restore_info&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, restore_info& x) {
  return f(caf::meta::type_name("restore_info"), x.volume, x.name, x.snapshot, x.done, x.granules, x.present,
           x.bytes_per_second, x.left_s, x.problem);
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

// When a group's snapshots are taken and which are kept.
struct group_rule {
  bool prediction = false;
  std::int64_t every_s = 0;          // 0: on demand only
  std::int64_t latest_by_s = 0;      // the longest time between two good ones; 0: twice `every`
  std::int64_t baseline_every_s = 0; // 0: layers are merged when they become many
  std::uint32_t quiet_below_permille = 300;
  std::uint32_t retain = 30, hourly = 0, daily = 0, weekly = 0;
  friend bool operator==(const group_rule&, const group_rule&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, group_rule& x) {
  return f(caf::meta::type_name("group_rule"), x.prediction, x.every_s, x.latest_by_s, x.baseline_every_s,
           x.quiet_below_permille, x.retain, x.hourly, x.daily, x.weekly);
}

struct group_request {
  group_name name;
  std::vector<volume_ref> volumes;
  group_rule rule;
  friend bool operator==(const group_request&, const group_request&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, group_request& x) {
  return f(caf::meta::type_name("group_request"), x.name.value, x.volumes, x.rule);
}

// Another rule from now on; -1: as it was.
struct group_change {
  group_name name;
  std::int64_t prediction = -1, every_s = -1, latest_by_s = -1, baseline_every_s = -1, quiet_below_permille = -1;
  std::int64_t retain = -1, hourly = -1, daily = -1, weekly = -1;
  friend bool operator==(const group_change&, const group_change&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, group_change& x) {
  return f(caf::meta::type_name("group_change"), x.name.value, x.prediction, x.every_s, x.latest_by_s,
           x.baseline_every_s, x.quiet_below_permille, x.retain, x.hourly, x.daily, x.weekly);
}

// Writes what `change` names into `rule`. Numbers beyond its fields become their largest: whether they are in their
// range is checked where the rule is taken.
void apply(const group_change& change, group_rule& rule);

inline constexpr std::size_t group_plan_rows_max = 64; // in one answer

// A snapshot that a group is going to take, as of now.
struct planned_layer {
  std::int64_t start_us = 0, latest_us = 0; // latest: the last moment that keeps the rule
  bool baseline = false;                    // the layers are merged into one afterwards
  std::string reason;                       // why at this time
  finite load_fraction = -1;                // expected meanwhile, over the mean; -1: nothing is predicted
  friend bool operator==(const planned_layer&, const planned_layer&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, planned_layer& x) {
  return f(caf::meta::type_name("planned_layer"), x.start_us, x.latest_us, x.baseline, x.reason, x.load_fraction);
}

struct group_plan {
  group_name name;
  bool prediction = false;
  std::string fallback; // why the plain schedule is kept although prediction is on; empty: it is not
  std::int64_t from_us = 0, until_us = 0;
  std::vector<planned_layer> layers; // the first group_plan_rows_max
  friend bool operator==(const group_plan&, const group_plan&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, group_plan& x) {
  return f(caf::meta::type_name("group_plan"), x.name.value, x.prediction, x.fallback, x.from_us, x.until_us, x.layers);
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
  group_rule rule;
  std::vector<group_member_info> members;
  std::string cut;              // the latest, complete or not; empty: none yet
  std::int64_t cut_us = 0;
  std::int64_t span_us = 0;     // from the last member's hold to the first release
  std::int64_t deadline_ms = 0; // the longest that a hold may last
  std::string failure;          // of the latest cut
  std::uint32_t complete = 0;   // cuts whose every layer is there
  std::int64_t newest_complete_us = 0;
  std::int64_t next_us = 0; // when the plan takes the next one; 0: on demand only
  planned_layer next;       // the same, and why; nothing where next_us is 0
  std::string fallback;     // why the plain schedule is kept although prediction is on
  std::int64_t bound_s = 0; // within which a good one must follow the last one; 0: nothing is promised
  bool late = false;        // the newest good one is older than that
  std::uint64_t bytes = 0;  // of all layers of its complete cuts
  friend bool operator==(const group_info&, const group_info&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, group_info& x) {
  return f(caf::meta::type_name("group_info"), x.name.value, x.rule, x.members, x.cut, x.cut_us, x.span_us, x.deadline_ms,
           x.failure, x.complete, x.newest_complete_us, x.next_us, x.next, x.fallback, x.bound_s, x.late, x.bytes);
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
