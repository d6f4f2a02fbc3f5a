// How a running node takes over new settings: what it follows at once, what the registry is told to carry out, and the
// listeners of instances that are new.
#include <algorithm>

#include <caf/send.hpp>

#include "actors/node/node_parts.hpp"
#include "actors/volumes/volume_plan.hpp"
#include "config/settings/changes.hpp"
#include "config/settings/inert.hpp"

namespace gnomon::actors {

// Those that are not open yet. `facts` gets what was bound.
result<void> node::open_instance_listeners(const settings& wanted, node_facts& facts) {
  auto& p = *parts_;
  for (const auto& instance : wanted.instances)
    for (const auto& where : instance.listen) {
      const auto name = where.to_string();
      if (std::find(p.instance_listeners.begin(), p.instance_listeners.end(), name) != p.instance_listeners.end())
        continue;
      const auto bound = p.engine->listen(where, instance.id);
      if (!bound)
        return tl::unexpected(bound.error());
      p.instance_listeners.push_back(name);
      facts.nbd.push_back(bound->to_string());
    }
  return {};
}

namespace {

// What is not the registry's: single values that their owners take over at once.
void follow_values(node::parts& p, const settings& now) {
  log::set_level(log::level_of(now.log_level));
  if (p.fits)
    p.fits->set_cpu_budget(now.forecast.cpu_budget);
  if (p.history)
    p.history->set_retention(now.history.retention);
  if (p.catalogue)
    p.catalogue->set_undelete_for(now.undelete_for);
}

} // namespace

reload_report node::reload(const settings& wanted, reload_mode mode) {
  auto& p = *parts_;
  const auto changes = settings_difference(*p.context.current_settings(), wanted);
  reload_report report;
  report.warnings = settings_warnings(changes.applied);
  for (const auto& change : changes.all) {
    switch (change.effect) {
    case change_effect::live:
      report.followed.push_back(change.to_string());
      break;
    case change_effect::restart:
      report.waiting.push_back(change.to_string() + " takes effect with the next start");
      break;
    case change_effect::refused:
      report.waiting.push_back(change.to_string() + " is refused");
      break;
    }
  }
  const auto before = p.context.configuration();
  report.generation = before.wanted;
  report.in_force = before.in_force;
  if (mode == reload_mode::dry_run)
    return report;
  // Before the level changes: what is followed is said by the level that was in force.
  for (const auto& line : report.followed)
    log::info("config: {}", line);
  for (const auto& line : report.waiting)
    log::warning("config: {}", line);
  if (changes.all.empty())
    log::info("config: nothing has changed");
  follow_values(p, changes.applied);
  p.context.note_configuration(report.waiting, report.warnings, {});
  if (changes.applied == *p.context.current_settings() && before.in_force == before.wanted)
    return report;
  report.generation = p.context.set_settings(changes.applied);
  // Rights to attach do not wait for an actor: a registry that is down leaves no listener open.
  p.engine->set_access(access_of(changes.applied, p.catalogue->list(), p.access->list()));
  if (p.options.outside == listeners::open) {
    auto facts = *p.context.facts();
    if (auto opened = open_instance_listeners(changes.applied, facts); !opened) {
      log::error("config: {}", opened.error().to_string());
      report.refused.push_back(opened.error().to_string());
    }
    p.context.set_facts(std::move(facts));
  }
  // A registry that is being restarted finds the new generation by itself.
  if (const auto registry = p.context.tree.find_as<registry_actor>(registry_name))
    caf::anon_send(registry, atom::apply_v);
  return report;
}

void node::refuse_reload(const std::string& why) {
  auto now = parts_->context.configuration();
  parts_->context.note_configuration(std::move(now.waiting), std::move(now.warnings), why);
}

} // namespace gnomon::actors
