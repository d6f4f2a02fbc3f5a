#include "actors/runtime/supervision_tree.hpp"

#include <caf/actor_addr.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>

#include <algorithm>

#include <fmt/format.h>

#include "actors/protocol/error_message.hpp"
#include "actors/protocol/protocol.hpp"
#include "config/log.hpp"

namespace gnomon::actors {

supervision_tree::supervision_tree(const clock_source& clock, std::uint64_t jitter_seed)
    : clock_(clock), random_(jitter_seed != 0 ? jitter_seed : std::random_device{}()) {}

result<void> supervision_tree::add(child_spec spec) {
  std::lock_guard lock(mutex_);
  if (entries_.size() >= tree_size_max)
    return fail(errc::limit_reached,
                "actor " + spec.name + ": the node has " + std::to_string(tree_size_max) + " actors");
  if (entries_.contains(spec.name))
    return fail(errc::already_exists, "actor " + spec.name + " exists already");
  entry made;
  made.tracker = restart_tracker(spec.policy);
  auto name = spec.name;
  made.spec = std::move(spec);
  entries_.emplace(std::move(name), std::move(made));
  return {};
}

result<caf::actor> supervision_tree::remove(std::string_view name) {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(name);
  if (found == entries_.end())
    return fail(errc::not_found, "there is no actor " + std::string(name));
  auto handle = found->second.handle;
  if (handle)
    names_.erase(handle.id());
  entries_.erase(found);
  return handle;
}

result<void> supervision_tree::rename(std::string_view name, std::string new_name) {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(name);
  if (found == entries_.end())
    return fail(errc::not_found, "there is no actor " + std::string(name));
  if (entries_.contains(new_name))
    return fail(errc::already_exists, "actor " + new_name + " exists already");
  auto node = entries_.extract(found);
  node.key() = new_name;
  node.mapped().spec.name = new_name;
  if (node.mapped().handle)
    names_[node.mapped().handle.id()] = new_name;
  entries_.insert(std::move(node));
  return {};
}

caf::actor supervision_tree::find(std::string_view name) const {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(name);
  return found == entries_.end() ? caf::actor{} : found->second.handle;
}

std::string supervision_tree::parent_of(std::string_view name) const {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(name);
  return found == entries_.end() ? std::string{} : found->second.spec.parent;
}

bool supervision_tree::contains(std::string_view name) const {
  std::lock_guard lock(mutex_);
  return entries_.contains(name);
}

std::vector<std::string> supervision_tree::to_start(std::string_view parent) const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  if (stopping_)
    return out;
  const auto now = clock_.boot_now();
  for (const auto& [name, child] : entries_)
    if (child.spec.parent == parent && (child.state == actor_state::starting ||
                                        (child.state == actor_state::backing_off && child.restart_at <= now)))
      out.push_back(name);
  return out;
}

std::vector<std::pair<std::string, caf::actor>> supervision_tree::running(std::string_view parent) const {
  std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string, caf::actor>> out;
  for (const auto& [name, child] : entries_)
    if (child.spec.parent == parent && child.state == actor_state::running)
      out.emplace_back(name, child.handle);
  return out;
}

std::vector<std::pair<std::string, std::chrono::milliseconds>>
supervision_tree::waiting(std::string_view parent) const {
  std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string, std::chrono::milliseconds>> out;
  const auto now = clock_.boot_now();
  for (const auto& [name, child] : entries_)
    if (child.spec.parent == parent && child.state == actor_state::backing_off && child.restart_at > now)
      out.emplace_back(name, std::chrono::ceil<std::chrono::milliseconds>(child.restart_at - now));
  return out;
}

caf::actor supervision_tree::spawn(std::string_view name, caf::actor_system& system) {
  std::function<caf::actor(caf::actor_system&)> make;
  {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(name);
    if (stopping_ || found == entries_.end() || found->second.handle)
      return {};
    if (found->second.state != actor_state::starting && found->second.state != actor_state::backing_off)
      return {};
    make = found->second.spec.spawn;
  }
  auto handle = make(system); // outside the lock: a child's first steps may ask the tree
  {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(name);
    if (!stopping_ && found != entries_.end() && !found->second.handle) {
      found->second.handle = handle;
      found->second.state = actor_state::running;
      found->second.started_us = to_microseconds(clock_.wall_now());
      names_[handle.id()] = std::string(name);
      return handle;
    }
  }
  caf::anon_send_exit(handle, caf::exit_reason::kill); // removed or stopped meanwhile
  return {};
}

death_decision supervision_tree::on_death(std::string_view parent, const caf::actor_addr& source,
                                          const caf::error& reason) {
  std::lock_guard lock(mutex_);
  const auto named = names_.find(source.id());
  if (named == names_.end())
    return {};
  const auto found = entries_.find(named->second);
  if (found == entries_.end() || found->second.spec.parent != parent)
    return {};
  names_.erase(named);
  auto& child = found->second;
  child.handle = nullptr;
  child.stuck_since.reset();
  child.last_error = describe(reason);
  if (stopping_) {
    child.state = actor_state::stopped;
    return {};
  }
  death_decision out;
  out.child = found->first;
  const double random = std::uniform_real_distribution<double>(0.0, 1.0)(random_);
  const auto now = clock_.boot_now();
  if (const auto wait = child.tracker.on_death(now, random)) {
    child.state = actor_state::backing_off;
    child.restart_at = now + *wait;
    out.what = verdict::restart_later;
    out.wait = *wait;
  } else {
    child.state = actor_state::given_up;
    child.restart_at = now + child.spec.policy.revive_after;
    out.what = verdict::give_up;
    out.revive_after = child.spec.policy.revive_after;
  }
  return out;
}

result<void> supervision_tree::revive(std::string_view name) {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(name);
  if (found == entries_.end())
    return fail(errc::not_found, "there is no actor " + std::string(name));
  if (found->second.state != actor_state::given_up)
    return fail(errc::busy, "actor " + std::string(name) + " is not given up: it is " +
                                std::string(to_string(found->second.state)));
  found->second.tracker.forget();
  found->second.state = actor_state::starting;
  return {};
}

void supervision_tree::begin_stop() {
  std::lock_guard lock(mutex_);
  stopping_ = true;
}

bool supervision_tree::stopping() const {
  std::lock_guard lock(mutex_);
  return stopping_;
}

void supervision_tree::release() {
  std::lock_guard lock(mutex_);
  stopping_ = true;
  names_.clear();
  for (auto& [name, child] : entries_) {
    child.handle = nullptr;
    child.state = actor_state::stopped;
  }
}

void supervision_tree::list_children(std::string_view parent,
                                     const std::multimap<std::string_view, const entry*>& children,
                                     std::vector<actor_info>& out) const {
  const auto [first, last] = children.equal_range(parent);
  for (auto at = first; at != last; ++at) {
    const auto& child = *at->second;
    actor_info info;
    info.name = child.spec.name;
    info.parent = child.spec.parent;
    info.id = child.handle ? child.handle.id() : 0;
    info.state = child.state;
    info.restarts = child.tracker.restarts();
    info.started_us = child.handle ? child.started_us : 0;
    info.last_error = child.last_error;
    out.push_back(std::move(info));
    if (!child.spec.name.empty())
      list_children(child.spec.name, children, out);
  }
}

std::vector<actor_info> supervision_tree::list() const {
  std::lock_guard lock(mutex_);
  std::multimap<std::string_view, const entry*> children;
  for (const auto& [name, child] : entries_)
    children.emplace(child.spec.parent, &child);
  std::vector<actor_info> out;
  out.reserve(entries_.size());
  list_children("", children, out);
  return out;
}

std::vector<std::string> supervision_tree::given_up() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [name, child] : entries_)
    if (child.state == actor_state::given_up)
      out.push_back(name);
  return out;
}

std::vector<std::pair<std::string, std::chrono::milliseconds>>
supervision_tree::given_up_below(std::string_view parent) const {
  std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string, std::chrono::milliseconds>> out;
  const auto now = clock_.boot_now();
  for (const auto& [name, child] : entries_)
    if (child.spec.parent == parent && child.state == actor_state::given_up)
      out.emplace_back(name, std::chrono::ceil<std::chrono::milliseconds>(std::max(child.restart_at, now) - now));
  return out;
}

std::vector<std::string> supervision_tree::problems() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  const auto now = clock_.boot_now();
  const auto seconds = [](auto d) { return std::chrono::duration_cast<std::chrono::seconds>(d).count(); };
  for (const auto& [name, child] : entries_) {
    if (child.state == actor_state::given_up)
      out.push_back(fmt::format("actor {} ended too often ({}) and was given up; next try in {} s, now with: "
                                "gnomon ask {} revive",
                                name, child.last_error, seconds(std::max(child.restart_at, now) - now), name));
    else if (child.tracker.failing(now))
      out.push_back(fmt::format("actor {} ends again and again ({}); it is restarted every {} s", name,
                                child.last_error, seconds(child.spec.policy.backoff_max)));
    else if (child.stuck_since)
      out.push_back(fmt::format("actor {} has not answered for {} s", name, seconds(now - *child.stuck_since)));
  }
  return out;
}

error supervision_tree::absence(std::string_view name) const {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(name);
  if (found == entries_.end())
    return {errc::not_found, fmt::format("there is no actor {}; `gnomon actors` lists them", name), 0};
  const auto& child = found->second;
  if (child.state == actor_state::given_up)
    return {errc::unavailable,
            fmt::format("actor {} ended too often ({}) and was given up for now; `gnomon ask {} revive` starts it",
                        name, child.last_error, name),
            0};
  return {errc::unavailable, fmt::format("actor {} is being restarted; try again", name), 0};
}

void supervision_tree::note_stuck(std::string_view name, std::optional<boot_time> since) {
  std::lock_guard lock(mutex_);
  if (const auto found = entries_.find(name); found != entries_.end())
    found->second.stuck_since = since;
}

std::size_t supervision_tree::size() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

std::uint64_t supervision_tree::restarts_total() const {
  std::lock_guard lock(mutex_);
  std::uint64_t total = 0;
  for (const auto& [name, child] : entries_)
    total += child.tracker.restarts();
  return total;
}

void tell_supervisor(const supervision_tree& tree, std::string_view name) {
  if (const auto supervisor = tree.find_as<supervisor_actor>(name))
    caf::anon_send(supervisor, atom::adopt_v);
}

std::string_view to_string(actor_state state) noexcept {
  switch (state) {
  case actor_state::starting:
    return "starting";
  case actor_state::running:
    return "running";
  case actor_state::backing_off:
    return "backing off";
  case actor_state::given_up:
    return "given up";
  case actor_state::stopped:
    return "stopped";
  }
  return "unknown";
}

} // namespace gnomon::actors
