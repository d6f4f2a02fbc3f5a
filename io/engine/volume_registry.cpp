#include "io/engine/volume_registry.hpp"

#include <algorithm>

#include "config/log.hpp"
#include "config/names.hpp"
#include "io/redirect/data_export.hpp"

namespace gnomon::io {

namespace {
constexpr std::size_t instance_slots_max = 1 << 20; // later ones share slot 0

// "anonymous:ENDPOINT": no instance's id has a colon.
bool is_anonymous(const instance_id& who) { return who.value.find(':') != std::string::npos; }
}

result<void> volume_registry::add(std::shared_ptr<volume_core> core) {
  const volume_spec spec = core->spec();
  std::unique_lock lock{mutex_};
  if (by_uuid_.contains(spec.uuid))
    return fail(errc::already_exists, "volume " + spec.uuid.to_string() + " is open");
  if (by_name_.contains(spec.name))
    return fail(errc::already_exists, "volume name " + spec.name.value + " is taken");
  if (remote_.erase(spec.name) != 0)
    log::error("volume {} of another node is no longer served here: a volume of this node has its name", spec.name.value);
  by_name_.emplace(spec.name, core);
  by_uuid_.emplace(spec.uuid, std::move(core));
  return {};
}

result<void> volume_registry::add_remote(std::shared_ptr<volume_core> core) {
  const volume_name name = core->spec().name;
  std::unique_lock lock{mutex_};
  if (const auto found = remote_.find(name); found != remote_.end() && found->second == core)
    return {};
  if (by_name_.contains(name) || remote_.contains(name))
    return fail(errc::already_exists, "volume name " + name.value + " is taken");
  remote_.emplace(name, std::move(core));
  return {};
}

bool volume_registry::is_remote(const volume_core& core) const {
  std::shared_lock lock{mutex_};
  const auto found = remote_.find(core.spec().name);
  return found != remote_.end() && found->second.get() == &core;
}

void volume_registry::remove_remote(const volume_core& core) {
  std::unique_lock lock{mutex_};
  if (const auto found = remote_.find(core.spec().name); found != remote_.end() && found->second.get() == &core)
    remote_.erase(found);
}

void volume_registry::rename_remote(volume_core& core, const volume_name& name) {
  std::unique_lock lock{mutex_};
  if (const auto found = remote_.find(core.spec().name); found != remote_.end() && found->second.get() == &core)
    remote_.erase(found);
  core.change_spec([&](volume_spec& s) { s.name = name; });
}

std::vector<std::shared_ptr<volume_core>> volume_registry::remotes() const {
  std::shared_lock lock{mutex_};
  std::vector<std::shared_ptr<volume_core>> cores;
  for (const auto& [name, core] : remote_)
    cores.push_back(core);
  return cores;
}

// A gateway logs in by a name that only its session can tell. It claims a volume under its node's name.
result<attachment> volume_registry::open_for_gateway(std::string_view export_name, bool attach) {
  const auto wanted = parse_data_export(export_name);
  const auto node = wanted && data_login ? data_login(wanted->session, wanted->proven) : std::nullopt;
  if (!node)
    return fail(wanted ? errc::shutting_down : errc::permission_denied,
                "this listener is for gateways with an open session"); // a session that has ended gets another one
  attachment opened;
  opened.core = find(wanted->volume);
  if (!opened.core)
    return fail(errc::not_found, "no such volume");
  opened.instance = instance_id{"node:" + node->value};
  opened.session = wanted->session.value;
  opened.fill = wanted->use == data_use::fills;
  opened.writing = wanted->use == data_use::changes && !opened.core->spec().read_only;
  if (!attach)
    return opened;
  // Only a fence and a claim of another are for the gateway's clients to see; the rest passes, and is asked for again.
  if (auto claimed = opened.core->attach(opened.instance, opened.writing); !claimed)
    return tl::unexpected(claimed.error());
  opened.slot = slot_of(opened.instance);
  return opened;
}

std::shared_ptr<volume_core> volume_registry::find(volume_uuid id) const {
  std::shared_lock lock{mutex_};
  const auto found = by_uuid_.find(id);
  return found == by_uuid_.end() ? nullptr : found->second;
}

std::shared_ptr<volume_core> volume_registry::find(const volume_name& name) const {
  std::shared_lock lock{mutex_};
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

std::shared_ptr<volume_core> volume_registry::remove(volume_uuid id) {
  std::unique_lock lock{mutex_};
  const auto found = by_uuid_.find(id);
  if (found == by_uuid_.end())
    return nullptr;
  auto core = std::move(found->second);
  by_uuid_.erase(found);
  by_name_.erase(core->spec().name);
  return core;
}

result<void> volume_registry::rename(volume_uuid id, const volume_name& name) {
  std::unique_lock lock{mutex_};
  const auto found = by_uuid_.find(id);
  if (found == by_uuid_.end())
    return fail(errc::not_found, "no volume " + id.to_string());
  if (by_name_.contains(name))
    return fail(errc::already_exists, "volume name " + name.value + " is taken");
  by_name_.erase(found->second->spec().name);
  found->second->change_spec([&](volume_spec& s) { s.name = name; });
  by_name_.emplace(name, found->second);
  return {};
}

std::vector<std::shared_ptr<volume_core>> volume_registry::all() const {
  std::shared_lock lock{mutex_};
  std::vector<std::shared_ptr<volume_core>> cores;
  cores.reserve(by_name_.size());
  for (const auto& [name, core] : by_name_)
    cores.push_back(core);
  return cores;
}

void volume_registry::set_access(access_policy policy) {
  std::unique_lock lock{mutex_};
  restricted_ = policy.restricted;
  grants_.clear();
  for (auto& grant : policy.grants) {
    instance_id who = grant.instance;
    grants_.emplace(std::move(who), std::move(grant));
  }
}

bool volume_registry::granted(const volume_name& volume, const instance_id& who) const {
  if (!restricted_)
    return true;
  const auto grant = grants_.find(who);
  return grant != grants_.end() &&
         std::find(grant->second.volumes.begin(), grant->second.volumes.end(), volume) != grant->second.volumes.end();
}

bool volume_registry::permits(const volume_name& volume, const instance_id& who) const {
  std::shared_lock lock{mutex_};
  return granted(volume, who);
}

// `anonymous`: what the listener calls its clients; an instance's id where the listener belongs to one.
result<instance_id> volume_registry::authorise(const volume_name& volume, const std::optional<instance_id>& named,
                                               const instance_id& anonymous) const {
  const bool bound = !is_anonymous(anonymous);
  if (bound && named && *named != anonymous)
    return fail(errc::permission_denied, "this listener is for instance " + anonymous.value + " only");
  if (restricted_ && !named && !bound)
    return fail(errc::permission_denied,
                "this node knows its instances: open the volume as " + volume.value + "@instance:ID");
  auto who = named.value_or(anonymous);
  if (!granted(volume, who))
    return fail(errc::permission_denied, "instance " + who.value + " may not open volume " + volume.value);
  return who;
}

std::vector<export_access::listing> volume_registry::list(const instance_id& anonymous) const {
  std::vector<listing> found;
  if (anonymous.value == data_listener_instance)
    return found;
  std::shared_lock lock{mutex_};
  for (const auto& [name, core] : by_name_)
    if (granted(name, anonymous))
      found.push_back({name.value, core->spec().description});
  for (const auto& [name, core] : remote_)
    if (granted(name, anonymous))
      found.push_back({name.value, core->spec().description});
  return found;
}

result<attachment> volume_registry::open(std::string_view export_name, const instance_id& anonymous, bool attach) {
  if (stopping())
    return fail(errc::shutting_down, "this node is shutting down");
  if (anonymous.value == data_listener_instance)
    return open_for_gateway(export_name, attach);
  const auto name = parse_export_name(export_name);
  if (!name)
    return fail(errc::not_found, "no such export");
  if (name->snapshot)
    return fail(errc::not_found, "no such snapshot");
  attachment opened;
  bool remote = false;
  {
    std::shared_lock lock{mutex_};
    auto found = by_name_.find(name->volume);
    const bool known = found != by_name_.end() || (found = remote_.find(name->volume)) != remote_.end();
    // Before it says whether there is such a volume: names are for those who may open them.
    auto who = authorise(name->volume, name->instance, anonymous);
    if (!who) {
      if (attach && on_alert)
        on_alert({alert::kind::attach_refused, known ? found->second->uuid() : volume_uuid{},
                  name->instance.value_or(anonymous), 0, who.error().message});
      return tl::unexpected(who.error());
    }
    if (!known)
      return fail(errc::not_found, "no such export");
    remote = !by_name_.contains(name->volume);
    opened.core = found->second;
    opened.instance = std::move(*who);
  }
  opened.writing = !opened.core->spec().read_only;
  if (!attach)
    return opened;
  if (auto claimed = opened.core->attach(opened.instance, opened.writing); !claimed) {
    if (on_alert)
      on_alert({alert::kind::attach_refused, opened.core->uuid(), opened.instance, 0, claimed.error().message});
    return tl::unexpected(claimed.error());
  }
  opened.slot = slot_of(opened.instance);
  if (remote && opened.writing && on_remote_writer)
    on_remote_writer(*opened.core);
  return opened;
}

void volume_registry::closed(const attachment& what) { what.core->detach(what.instance, what.writing); }

instance_slot volume_registry::slot_of(const instance_id& who) {
  std::lock_guard lock{slots_mutex_};
  if (const auto known = slots_.find(who); known != slots_.end())
    return known->second;
  if (slot_names_.size() >= instance_slots_max)
    return instance_slot{0};
  const instance_slot slot{static_cast<std::uint32_t>(slot_names_.size())};
  slot_names_.push_back(who);
  slots_.emplace(who, slot);
  return slot;
}

instance_id volume_registry::instance_of(instance_slot slot) const {
  std::lock_guard lock{slots_mutex_};
  return slot.value < slot_names_.size() ? slot_names_[slot.value] : slot_names_[0];
}

} // namespace gnomon::io
