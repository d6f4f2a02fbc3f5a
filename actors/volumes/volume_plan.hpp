// What has to be done so that the data plane and the catalogue agree with what is wanted. Pure functions over records
// and statuses; the registry carries the plans out. Any thread.
#pragma once

#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "config/settings/settings.hpp"
#include "io/engine/engine.hpp"
#include "store/meta/catalogue.hpp"
#include "store/meta/schema.hpp"

namespace gnomon::actors {

// The next step that brings one volume's data plane in line with its record.
enum class volume_step {
  none,         // they agree
  mark_unclean, // before it is opened, durably: a crash from now on is one
  open,
  close, // deleted, not wanted any more, unknown to the catalogue; to be opened again, for writing; or a close failed
  resize,
  rename,
  set_read_only,
  set_description,
  record_failure, // a failed sync that could not be recorded when it happened
  set_fences, // who may not attach; ends their connections
};
std::string_view to_string(volume_step step) noexcept;

// Made by hand, or in the config still. A volume that went from the config is not served, and its data stays.
bool is_wanted(const store::volume_record& record, const std::unordered_set<volume_name>& configured);

// `record`: none if there is no live volume, or it is not wanted. `status`: none if the data plane does not have it
// open. `fences`: who may not attach it.
volume_step next_step(const std::optional<store::volume_record>& record,
                      const std::optional<io::volume_status>& status, const io::fence_set& fences = {});

// What a config changes in the catalogue.
struct config_plan {
  struct growth {
    volume_uuid volume;
    volume_name name;
    byte_count size;
  };
  struct update {
    volume_uuid volume;
    volume_name name;
    store::volume_changes changes;
  };
  std::vector<store::volume_request> create;
  std::vector<growth> grow;
  std::vector<update> updates;
  std::vector<std::string> refused; // one sentence each, naming the volume
  std::uint32_t unchanged = 0;
};

// `open`: volumes the data plane serves now; their cache mode and sharing cannot change before a restart.
// A volume that is in the catalogue and not in the config is left alone: deleting data is never a side effect.
config_plan plan_config(const settings& wanted, const std::vector<store::volume_record>& records,
                        const std::vector<io::volume_status>& open);

// The access rules of a config, with the grants made by hand (`known` names their volumes). No "instances" section, no
// restriction; an empty one lets nobody in but those with a grant.
io::access_policy access_of(const settings& wanted, const std::vector<store::volume_record>& known = {},
                            const std::vector<store::access_record>& by_hand = {});
io::fence_set fences_of(const store::access_record& record);

} // namespace gnomon::actors
