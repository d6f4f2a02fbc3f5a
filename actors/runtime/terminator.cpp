#include "actors/runtime/terminator.hpp"

#include <map>

#include <caf/actor_cast.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "config/log.hpp"

namespace gnomon::actors {
namespace {

using group = std::map<caf::actor_addr, std::string>; // those that have not ended yet

// Waits until all of the group have ended; false if some had not by then.
bool wait_for(caf::scoped_actor& self, group& alive, std::chrono::milliseconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!alive.empty()) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0)
      return false;
    self->receive([&](const caf::down_msg& down) { alive.erase(down.source); }, caf::after(left) >> [] {});
  }
  return true;
}

// Supervision depth: the root 0, its children 1, ...
std::map<std::size_t, std::vector<actor_info>, std::greater<>> by_depth(const std::vector<actor_info>& actors) {
  std::map<std::string, std::size_t> depth;
  std::map<std::size_t, std::vector<actor_info>, std::greater<>> out;
  for (const auto& actor : actors) { // parents come first
    const auto parent = depth.find(actor.parent);
    const auto own = parent == depth.end() ? 0 : parent->second + 1;
    depth[actor.name] = own;
    out[own].push_back(actor);
  }
  return out;
}

} // namespace

termination_report terminate_actors(caf::actor_system& system, supervision_tree& tree, termination_limits limits) {
  tree.begin_stop();
  termination_report report;
  caf::scoped_actor self{system};
  for (const auto& [depth, members] : by_depth(tree.list())) {
    group alive;
    std::vector<caf::actor> handles;
    for (const auto& member : members) {
      auto handle = tree.find(member.name);
      if (!handle)
        continue;
      alive.emplace(handle.address(), member.name);
      self->monitor(handle);
      handles.push_back(std::move(handle));
    }
    for (const auto& handle : handles)
      caf::anon_send_exit(handle, caf::exit_reason::user_shutdown);
    if (wait_for(self, alive, limits.grace))
      continue;
    for (const auto& [address, name] : alive) {
      log::warning("stopping: actor {} did not end by itself; killing it", name);
      report.killed.push_back(name);
      caf::anon_send_exit(address, caf::exit_reason::kill);
    }
    if (wait_for(self, alive, limits.kill))
      continue;
    for (const auto& [address, name] : alive) {
      log::error("stopping: actor {} hangs in a handler", name);
      report.left.push_back(name);
    }
  }
  return report;
}

} // namespace gnomon::actors
