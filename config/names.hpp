// What may be called what: the names of nodes, volumes, instances, groups and snapshots, and NBD export names made of
// them. Pure functions, any thread.
//
// Every name is safe as an NBD export name, a file name, a metric label and a command-line argument: 1 to 128 (node:
// 64) ASCII letters, digits, '.', '_' and '-', the first a letter or digit. '@', ':' and '/' are thereby left for
// export names. A volume's name must not look like a uuid, since nodes address volumes by uuid in the same place.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "config/error.hpp"
#include "config/types.hpp"

namespace gnomon {

inline constexpr std::size_t node_name_length_max = 64;
inline constexpr std::size_t instance_id_length_max = 128;
inline constexpr std::size_t group_name_length_max = 128;
inline constexpr std::size_t snapshot_id_length_max = 128;

using snapshot_id = strong_name<struct snapshot_id_tag>;

// invalid_argument: "a volume name begins with a letter or digit, not '-': \"-x\"".
result<node_name> parse_node_name(std::string_view text);
result<volume_name> parse_volume_name(std::string_view text);
result<instance_id> parse_instance_id(std::string_view text);
result<group_name> parse_group_name(std::string_view text);
result<snapshot_id> parse_snapshot_id(std::string_view text);

// What an NBD client asks for: VOLUME, VOLUME@instance:ID, VOLUME@snapshot:ID or, since an instance that may open
// snapshots has to say who it is, VOLUME@instance:ID@snapshot:ID. Either qualifier at most once, in either order.
struct export_name {
  volume_name volume;
  std::optional<instance_id> instance;
  std::optional<snapshot_id> snapshot;
  std::string to_string() const; // instance before snapshot
  friend bool operator==(const export_name&, const export_name&) = default;
};

inline constexpr std::size_t export_name_length_max = volume_name_length_max +
                                                      sizeof "@instance:" + instance_id_length_max +
                                                      sizeof "@snapshot:" + snapshot_id_length_max;

// invalid_argument with the part that is wrong. Whether such a volume exists, and for whom, is not asked here.
result<export_name> parse_export_name(std::string_view text);

} // namespace gnomon
