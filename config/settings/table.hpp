// One table of every key of the configuration: where it stands, how it is written, its limits and default, what it
// means and whether a running node can follow a change. The parser (config/settings/load.hpp), the reference, the
// JSON Schema and the comparison of two settings are walks over it. Built once, constant afterwards; any thread.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/json.hpp"
#include "config/settings/codecs.hpp"
#include "config/settings/settings.hpp"

namespace gnomon {

enum class setting_kind {
  object,          // {...}; absent = all defaults
  optional_object, // {...}; absent = the feature is off
  object_list,     // [{...}, ...]
  value,
  value_list, // [value, ...]
};

// Whether a running node follows a change when it rereads its file (SIGHUP).
enum class setting_change { live, restart };

// One key. `i` is the position in the one object list a pointer goes through (0 where there is none).
struct setting_row {
  std::string_view pointer; // RFC 6901 with "*" for any position: "/volumes/*/size"; empty: the document
  setting_kind kind = setting_kind::value;
  std::string_view doc;      // one or two sentences
  std::string_view unless{}; // required unless this sibling is there
  bool required = false;
  setting_change change = setting_change::restart;
  std::string expected;                     // for operators; of one element for value_list
  std::string default_words;                // what absence means, "none" if nothing
  json default_value;                       // null if absence is not the same as some value
  json example;                             // consistent with the other rows' examples; null for objects
  json schema;                              // of the value, or of one element for value_list; null for objects
  std::size_t count_min = 0, count_max = 0; // of lists

  // Objects: makes room for one. Lists of values: forgets the defaults.
  std::function<void(settings&, std::size_t i)> enter;
  // object_list, may be empty: the key is there, even if the list has no element.
  std::function<void(settings&)> seen;
  // optional_object, object_list: how many there are.
  std::function<std::size_t(const settings&, std::size_t i)> count;
  // Lists of values: appends one element.
  std::function<decoded<void>(settings&, std::size_t i, const json&)> read;
  // Null: absent, and the default is not a value.
  std::function<json(const settings&, std::size_t i)> write;
  // Values: to[i] = from[j].
  std::function<void(settings& to, std::size_t i, const settings& from, std::size_t j)> copy;
  // object_list: element j becomes the one `to` had at kept[j] or, without such, the j-th of `from`.
  std::function<void(settings& to, const settings& from, std::span<const std::optional<std::size_t>> kept)> merge;
};

// A key with the keys inside it, in the order of the table.
struct setting_node {
  std::string_view key; // last part of the pointer
  const setting_row* row = nullptr;
  std::vector<setting_node> children; // of one element for object_list
};

inline constexpr std::size_t volumes_max = 16'384; // per node, like every limit here
inline constexpr std::size_t instances_max = 65'536;
inline constexpr std::size_t instance_volumes_max = 16'384;
inline constexpr std::size_t instance_listen_max = 16;             // per instance
inline constexpr std::size_t instance_listeners_max = 1'024;       // of all instances together
inline constexpr std::size_t snapshot_groups_max = 4'096;
inline constexpr std::size_t snapshot_group_volumes_max = 1'024;
inline constexpr std::size_t peers_max = 256;
inline constexpr std::size_t listen_max = 64;
inline constexpr std::size_t horizons_max = 8;
inline constexpr std::size_t description_length_max = 4096; // NBD's limit for strings

std::span<const setting_row> settings_table();
const setting_node& settings_tree();

// The document that parses to `value`: every key that has a value, in the order of the table.
json settings_to_json(const settings& value);

// The commented reference of every key: JSON with "//" comments on lines of their own; without them it is a valid
// configuration.
std::string settings_reference();

// JSON Schema, draft 2020-12, for editors. It knows shapes and spellings; ranges of quantities and rules between keys
// are the parser's alone.
std::string settings_schema();

} // namespace gnomon
