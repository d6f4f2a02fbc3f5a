// What a running node does with a configuration it rereads (SIGHUP): which changes it follows, which wait for a
// restart and which it will never make. Pure functions over two settings that are both ok(); any thread.
#pragma once

#include <string>
#include <vector>

#include "config/settings/settings.hpp"

namespace gnomon {

enum class change_effect {
  live,    // followed at once
  restart, // ignored until the node is restarted
  refused, // never followed: a volume does not shrink
};

// One key whose value differs, or one element that came or went.
struct setting_difference {
  std::string pointer; // in the new document; of an element that went: in the old one
  std::string object;  // name of the volume, instance, group or peer the pointer leads into, or empty
  std::string from;    // as JSON, "nothing" where it is absent
  std::string to;
  change_effect effect = change_effect::live;
  std::string to_string() const; // "/volumes/0/size (db): "8GiB" -> "16GiB""
};

struct changed_volume {
  volume_settings before;
  volume_settings after; // `before` with the live changes, what the volume is from now on
};

struct settings_differences {
  std::vector<setting_difference> all; // in the order of the table

  // The live part, ready to be carried out. Everything below follows from `old` and `applied`.
  settings applied; // `old` with the live changes: what the node runs with from now on
  std::vector<volume_settings> volumes_added;
  std::vector<volume_name> volumes_removed; // no longer served; their data stays
  std::vector<changed_volume> volumes_changed;
  bool instances_changed = false; // including whether there is such a section at all
  bool snapshot_groups_changed = false;
  bool log_level_changed = false;
  bool forecast_changed = false;
  bool history_changed = false;
  bool undelete_changed = false;

  bool any(change_effect effect) const;
};

settings_differences settings_difference(const settings& old, const settings& now);

} // namespace gnomon
