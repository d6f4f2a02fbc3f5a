#include "actors/telemetry/health.hpp"

#include <cstring>
#include <unordered_map>

#include <unistd.h>

#include <fmt/format.h>

#include "actors/volumes/volume_plan.hpp"
#include "io/engine/engine.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::actors {

std::vector<std::string> health_problems(const node_context& node) {
  std::vector<std::string> out;
  if (const auto state = node.state.load(); state != node_state::serving)
    out.push_back(fmt::format("the node is {}", to_string(state)));
  for (auto& problem : node.tree.problems())
    out.push_back(std::move(problem));
  for (const auto& problem : node.facts()->problems)
    out.push_back(problem);
  for (const auto& problem : *node.refused())
    out.push_back(problem);
  for (const auto& problem : node.problems.store())
    out.push_back(problem);
  if (node.ages != nullptr)
    if (const auto clock = node.ages->now(); clock.held)
      out.push_back(fmt::format("the clock is {} days ahead of what this node last saw: nothing is trimmed or purged by "
                                "age until `gnomon ask control accept-clock`, or for {} h",
                                std::chrono::duration_cast<std::chrono::hours>(clock.shown - clock.believed).count() / 24,
                                std::chrono::duration_cast<std::chrono::hours>(clock.confirmed_in).count() + 1));
  const auto now = node.clock->wall_now();
  for (const auto& [name, age] : node.group_ages.all())
    if (age.late(now))
      out.push_back(fmt::format("snapshot group {}: its last good snapshot is {} s old and must not be older than {} s; "
                                "see `gnomon group status {}`",
                                name.value, std::chrono::duration_cast<std::chrono::seconds>(age.age(now)).count(),
                                age.bound.count(), name.value));
  const auto configuration = node.configuration();
  if (configuration.in_force < configuration.wanted &&
      node.clock->boot_now() - configuration.wanted_since > settings_late)
    out.push_back(fmt::format("the settings of generation {} are not in force yet, those of {} are",
                              configuration.wanted, configuration.in_force));
  if (!configuration.file_refused.empty())
    out.push_back(fmt::format("the configuration file was refused when it was reread, generation {} stays in force: {}",
                              configuration.in_force, configuration.file_refused));

  if (node.engine != nullptr && node.catalogue != nullptr) {
    std::unordered_map<volume_uuid, bool> open; // uuid -> writes failed
    for (const auto& volume : node.engine->volumes())
      open[volume.spec.uuid] = volume.spec.writes_failed;
    const auto configured = node.configured();
    for (const auto& record : node.catalogue->list()) {
      if (!is_wanted(record, *configured))
        continue;
      const auto found = open.find(record.uuid);
      const auto problem = node.problems.of(record.uuid);
      if (const auto closing = node.engine->status(record.uuid); closing && closing->closing)
        out.push_back(fmt::format("volume {}: a close does not come to its end; it is tried again", record.name.value));
      if (found == open.end())
        out.push_back(fmt::format("volume {} is not served{}{}", record.name.value, problem ? ": " : "",
                                  problem ? problem->message : ""));
      else if (found->second || record.failure)
        out.push_back(fmt::format(
            "volume {}: writes fail after a failed fsync ({}) until `gnomon volume clear {}`", record.name.value,
            record.failure ? std::strerror(record.failure->os_errno) : "not recorded yet", record.name.value));
      else if (record.doubt)
        out.push_back(fmt::format("volume {}: {}; check it, then `gnomon volume clear {}`", record.name.value,
                                  to_string(record.doubt->why), record.name.value));
    }
    if (node.engine->rings().empty())
      out.push_back("no ring is running");
  }
  if (out.size() > problems_shown_max) {
    const auto more = out.size() - problems_shown_max;
    out.resize(problems_shown_max);
    out.push_back(fmt::format("and {} more", more));
  }
  return out;
}

node_status status_of(const node_context& node) {
  const auto facts = node.facts();
  node_status out;
  out.node = facts->node;
  out.version = GNOMON_VERSION;
  out.state = node.state;
  out.pid = static_cast<std::uint64_t>(::getpid());
  out.started_us = facts->started_us;
  out.data_dir = facts->data_dir;
  out.previous_stop = facts->previous_stop;
  out.nbd = facts->nbd;
  out.cluster = facts->cluster;
  out.admin = facts->admin;
  out.actors = node.tree.size();
  if (node.catalogue != nullptr)
    out.volumes = node.catalogue->list().size();
  if (node.engine != nullptr)
    for (const auto& ring : node.engine->rings()) {
      out.connections += ring.connections;
      out.rings.push_back({ring.index, ring.connections, ring.requests, ring.buffer_bytes, 0.0, 0.0});
    }
  out.problems = health_problems(node);
  const auto configuration = node.configuration();
  out.generation_wanted = configuration.wanted;
  out.generation_in_force = configuration.in_force;
  out.waiting = configuration.waiting;
  out.warnings = configuration.warnings;
  return out;
}

} // namespace gnomon::actors
