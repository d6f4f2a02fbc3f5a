#include "actors/volumes/volume_plan.hpp"

#include <map>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

namespace gnomon::actors {

std::string_view to_string(volume_step step) noexcept {
  switch (step) {
  case volume_step::none:
    return "nothing";
  case volume_step::mark_unclean:
    return "mark as in use";
  case volume_step::open:
    return "open";
  case volume_step::close:
    return "close";
  case volume_step::resize:
    return "resize";
  case volume_step::rename:
    return "rename";
  case volume_step::set_read_only:
    return "set read-only";
  case volume_step::set_description:
    return "describe";
  case volume_step::record_failure:
    return "record a failed sync";
  case volume_step::set_fences:
    return "fence";
  }
  return "unknown";
}

bool is_wanted(const store::volume_record& record, const std::unordered_set<volume_name>& configured) {
  return record.origin == store::volume_origin::created || configured.contains(record.name);
}

volume_step next_step(const std::optional<store::volume_record>& record,
                      const std::optional<io::volume_status>& status, const io::fence_set& fences) {
  if (!record)
    return status ? volume_step::close : volume_step::none;
  if (!status)
    return record->clean ? volume_step::mark_unclean : volume_step::open;
  if (status->closing)
    return volume_step::close;
  if (fences != status->spec.fences)
    return volume_step::set_fences;
  if (record->size > status->spec.size)
    return volume_step::resize;
  if (record->name != status->spec.name)
    return volume_step::rename;
  if (!record->read_only && status->opened_read_only)
    return volume_step::close;
  if (record->read_only != status->spec.read_only)
    return volume_step::set_read_only;
  if (record->description != status->spec.description)
    return volume_step::set_description;
  if (status->spec.writes_failed && (!record->failure || !status->failure_recorded))
    return volume_step::record_failure;
  return volume_step::none;
}

namespace {

store::volume_request request_of(const volume_settings& wanted) {
  store::volume_request out;
  out.name = wanted.name;
  out.description = wanted.description;
  out.size = wanted.size;
  out.external_path = wanted.path;
  out.cache = wanted.cache;
  out.read_only = wanted.read_only;
  out.shared = wanted.shared;
  out.origin = store::volume_origin::config;
  return out;
}

// Fills `plan` with what one existing volume needs.
void plan_existing(const volume_settings& wanted, const store::volume_record& record, bool is_open,
                   config_plan& plan) {
  const auto& name = wanted.name.value;
  bool touched = false;
  if (wanted.path != record.external_path) {
    plan.refused.push_back(fmt::format("volume {}: its data is in {}, a volume cannot move to {}", name,
                                       record.external_path.value_or("the data directory"),
                                       wanted.path.value_or("the data directory")));
    return;
  }
  if (wanted.size < record.size && wanted.size.value != 0)
    plan.refused.push_back(fmt::format("volume {}: it has {} bytes and cannot shrink to {}", name, record.size.value,
                                       wanted.size.value));
  else if (wanted.size > record.size) {
    plan.grow.push_back({record.uuid, record.name, wanted.size});
    touched = true;
  }
  if (is_open && (wanted.cache != record.cache || wanted.shared != record.shared))
    plan.refused.push_back(fmt::format("volume {}: cache mode and sharing change with the next start", name));

  store::volume_changes changes;
  bool differs = false;
  const auto want = [&differs](auto& change, const auto& value, const auto& now) {
    if (value == now)
      return;
    change = value;
    differs = true;
  };
  want(changes.description, wanted.description, record.description);
  want(changes.read_only, wanted.read_only, record.read_only);
  want(changes.origin, store::volume_origin::config, record.origin);
  if (!is_open) {
    want(changes.cache, wanted.cache, record.cache);
    want(changes.shared, wanted.shared, record.shared);
  }
  if (differs) {
    plan.updates.push_back({record.uuid, record.name, changes});
    touched = true;
  }
  if (!touched)
    ++plan.unchanged;
}

} // namespace

config_plan plan_config(const settings& wanted, const std::vector<store::volume_record>& records,
                        const std::vector<io::volume_status>& open) {
  std::unordered_map<volume_name, const store::volume_record*> by_name;
  for (const auto& record : records)
    by_name[record.name] = &record;
  std::unordered_set<volume_uuid> is_open;
  for (const auto& volume : open)
    is_open.insert(volume.spec.uuid);

  config_plan plan;
  for (const auto& volume : wanted.volumes) {
    const auto found = by_name.find(volume.name);
    if (found == by_name.end())
      plan.create.push_back(request_of(volume));
    else
      plan_existing(volume, *found->second, is_open.contains(found->second->uuid), plan);
  }
  return plan;
}

io::access_policy access_of(const settings& wanted, const std::vector<store::volume_record>& known,
                            const std::vector<store::access_record>& by_hand) {
  io::access_policy out;
  out.restricted = wanted.instances_section;
  if (!out.restricted)
    return out;
  std::unordered_map<volume_uuid, const volume_name*> names;
  for (const auto& record : known)
    names.emplace(record.uuid, &record.name);
  std::map<instance_id, std::vector<volume_name>> granted;
  for (const auto& record : by_hand)
    if (const auto volume = names.find(record.volume); volume != names.end())
      for (const auto& instance : record.grants)
        granted[instance].push_back(*volume->second);
  for (const auto& instance : wanted.instances) {
    io::access_policy::grant grant{instance.id, instance.volumes, instance.snapshots};
    if (const auto more = granted.find(instance.id); more != granted.end()) {
      grant.volumes.insert(grant.volumes.end(), more->second.begin(), more->second.end());
      granted.erase(more);
    }
    out.grants.push_back(std::move(grant));
  }
  for (auto& [instance, volumes] : granted)
    out.grants.push_back({instance, std::move(volumes), false});
  return out;
}

io::fence_set fences_of(const store::access_record& record) {
  io::fence_set out{record.epoch, record.everybody_fenced, {}, record.only};
  for (const auto& fence : record.fenced)
    out.fenced.push_back(fence.instance);
  return out;
}

} // namespace gnomon::actors
