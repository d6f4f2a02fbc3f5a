// What can be said of a compute instance: its metadata as configuration and operators give it, and what the history
// tells of its load, of which chunks it touches and will touch. Functions without state, clock or actors; those that
// take a history read for tens of milliseconds: fit threads only.
#pragma once

#include <optional>
#include <vector>

#include "actors/learning/volume_pattern.hpp"
#include "actors/protocol/instance_messages.hpp"
#include "config/clock.hpp"
#include "config/settings/settings.hpp"
#include "store/history/history.hpp"
#include "store/meta/schema.hpp"

namespace gnomon::actors {

// A volume whose history is looked at.
struct watched_volume {
  volume_uuid uuid;
  volume_name name;
  volume_pattern::shape shape;
};
std::vector<watched_volume> watched_volumes(const std::vector<store::volume_record>& records, const settings& wanted);

// --- metadata

// `before`: none if nothing was set. invalid_argument: a duration below 0, a text too long or that is no text.
result<store::instance_record> changed_by(const instance_change& change,
                                          const std::optional<store::instance_record>& before, const instance_id& id,
                                          wall_time now);
// Nothing is left of it: the record can go.
bool says_nothing(const store::instance_record& record);

// --- load

// What every instance did lately, by its index in the history (0: what was counted without an instance). Fills the
// figures of load only.
std::vector<std::pair<store::instance_index, instance_summary>>
recent_load(const store::history& history, const std::vector<watched_volume>& volumes, wall_time now);

// Puts the figures of load of one into the other, and leaves the rest.
void take_load(instance_summary& into, const instance_summary& load);

// Volumes, chunks, past and hot sets of one instance over the last day. Volumes whose history cannot be read are left
// out and logged.
void read_profile(const store::history& history, store::instance_index instance,
                  const std::vector<watched_volume>& volumes, wall_time now, instance_details& into);

// Means of what is ahead, up to each horizon that the forecast reaches.
std::vector<predicted_load> load_ahead(const forecast_view& forecast,
                                       const std::vector<std::chrono::seconds>& horizons);

} // namespace gnomon::actors
