#include "actors/instances/instance_registry.hpp"

#include <algorithm>
#include <set>
#include <unordered_set>

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <fmt/format.h>

#include "actors/instances/instance.hpp"
#include "actors/protocol/error_message.hpp"
#include "actors/runtime/served_volumes.hpp"
#include "actors/runtime/ask.hpp"
#include "actors/runtime/instance_summary.hpp"
#include "actors/runtime/supervisor.hpp"
#include "config/log.hpp"
#include "config/names.hpp"
#include "io/engine/engine.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::actors {
namespace {
constexpr ask_verb instance_registry_verbs[] = {{"count", "how many instances have a profile actor"}};
constexpr std::uint32_t index_gap_max = 64; // numbers of the history whose names are lost, in a row

// Ends a job on another thread: it tells the actor, if that still lives.
std::function<void(std::uint64_t)> teller(instance_registry_actor::pointer self) {
  return [to = self->address()](std::uint64_t number) {
    if (const auto strong = caf::actor_cast<instance_registry_actor>(to))
      caf::anon_send(strong, atom::fitted_v, fit_completion{number});
  };
}
} // namespace

instance_registry_state::~instance_registry_state() {
  for (auto& [number, job] : jobs)
    job->promise.deliver(to_caf({errc::unavailable, "the instance registry has ended; ask again", 0}));
}

void instance_registry_state::start(node_context* n) {
  node = n;
  for (const auto& actor : node->tree.list()) // of a former incarnation
    if (actor.parent == instances_name)
      children.insert(actor.name);
  tick();
}

void instance_registry_state::tick() {
  self->delayed_send(self, instances_look_every, atom::tick_v);
  look();
}

void instance_registry_state::look() {
  if (node->history != nullptr)
    for (auto index = seen_until + 1; index <= seen_until + index_gap_max; ++index)
      if (auto id = node->history->name_of(store::instance_index{index})) {
        seen.push_back(*std::move(id));
        seen_until = index; // the search goes on from here
      }
  sync();
}

// The configuration's and the described ones first: they are never left out for those who merely came by.
std::vector<instance_id> instance_registry_state::wanted() const {
  std::vector<instance_id> out;
  std::unordered_set<instance_id> known;
  const auto add = [&](const instance_id& id) {
    if (known.insert(id).second)
      out.push_back(id);
  };
  for (const auto& instance : node->current_settings()->instances)
    add(instance.id);
  if (node->instances != nullptr)
    for (const auto& record : node->instances->list())
      add(record.id);
  for (auto newest = seen.rbegin(); newest != seen.rend(); ++newest)
    add(*newest);
  return out;
}

void instance_registry_state::sync() {
  auto all = wanted();
  left_out = all.size() - std::min(all.size(), instances_max);
  all.resize(all.size() - left_out);
  if (left_out > 0 && !std::exchange(told, true))
    log::warning("there are more than {} instances; those seen longest ago have no profile", instances_max);
  std::set<std::string> names;
  for (const auto& id : all) {
    const auto& child = *names.insert(instance_actor_name(id)).first;
    if (children.contains(child))
      continue;
    child_spec spec;
    spec.name = child;
    spec.parent = instances_name;
    spec.spawn = [node = node, id](caf::actor_system& system) { return spawn_instance(system, node, id); };
    if (const auto added = node->tree.add(std::move(spec)); !added && added.error().code != errc::already_exists)
      log::error("{}", added.error().to_string());
  }
  for (const auto& child : children)
    if (!names.contains(child)) {
      const auto gone = node->tree.remove(child);
      if (gone && *gone)
        caf::anon_send_exit(*gone, caf::exit_reason::user_shutdown);
    }
  if (children != names)
    tell_supervisor(node->tree, instances_name);
  children = std::move(names);
}

caf::result<std::vector<instance_summary>> instance_registry_state::list() {
  if (jobs.size() >= instance_requests_max)
    return to_caf({errc::busy, fmt::format("{} requests are under way already", instance_requests_max), 0});
  look();
  auto all = wanted();
  all.resize(std::min(all.size(), instances_max));
  std::vector<instance_summary> summaries;
  summaries.reserve(all.size());
  for (const auto& id : all)
    summaries.push_back(summary_of(*node, id));
  std::unordered_map<instance_id, std::uint64_t> connections;
  for (const auto& connection : node->engine->connections())
    ++connections[connection.instance];
  for (auto& summary : summaries)
    if (const auto found = connections.find(summary.id); found != connections.end())
      summary.connections = found->second;
  if (node->history == nullptr || node->fits == nullptr)
    return summaries; // nothing is learned; what is told is still known
  const auto box = std::make_shared<job>();
  const auto number = next_job++;
  auto work = [box, summaries = std::move(summaries), history = node->history,
               volumes = watched_volumes(served_volumes(*node), *node->current_settings()),
               now = node->clock->wall_now(), tell = teller(self), number]() mutable {
    std::unordered_map<instance_id, instance_summary> loads;
    for (auto& [index, load] : recent_load(*history, volumes, now))
      loads.emplace(history->name_of(index).value_or(instance_id{}), std::move(load));
    for (auto& summary : summaries)
      if (const auto found = loads.find(summary.id); found != loads.end())
        take_load(summary, found->second);
    box->listed = std::move(summaries);
    tell(number);
  };
  if (const auto sent =
          node->fits->submit({fmt::format("instances {}", number), background_pool::urgency::person_waits, std::move(work)});
      !sent)
    return to_caf(sent.error());
  box->promise = self->make_response_promise<caf::response_promise>();
  jobs.emplace(number, box);
  return caf::delegated<std::vector<instance_summary>>{};
}

caf::result<instance_summary> instance_registry_state::describe(const instance_id& id, const instance_change& change) {
  if (jobs.size() >= instance_requests_max)
    return to_caf({errc::busy, fmt::format("{} requests are under way already", instance_requests_max), 0});
  if (node->instances == nullptr)
    return to_caf({errc::unavailable, "descriptions of instances could not be opened at the start; see `status`", 0});
  // What was seen may have a name that nobody could have given it, such as that of an anonymous listener.
  if (const auto valid = parse_instance_id(id.value); !valid && !node->tree.contains(instance_actor_name(id)))
    return to_caf(valid.error());
  const auto record = changed_by(change, node->instances->find(id), id, node->clock->wall_now());
  if (!record)
    return to_caf(record.error());
  const auto box = std::make_shared<job>();
  box->whom = id;
  box->promise = self->make_response_promise<caf::response_promise>();
  const auto number = next_job++;
  jobs.emplace(number, box);
  const auto done = [box, tell = teller(self), number](result<void> outcome) {
    box->described = std::move(outcome);
    tell(number);
  };
  if (says_nothing(*record))
    node->instances->erase(id, done);
  else
    node->instances->put(*record, done);
  return caf::delegated<instance_summary>{};
}

void instance_registry_state::fitted(const fit_completion& done) {
  const auto found = jobs.find(done.job);
  if (found == jobs.end())
    return;
  const auto box = found->second;
  jobs.erase(found);
  if (box->whom.value.empty())
    return box->listed ? box->promise.deliver(std::move(*box->listed))
                       : box->promise.deliver(to_caf(box->listed.error()));
  if (!box->described)
    return box->promise.deliver(to_caf(box->described.error()));
  sync();
  box->promise.deliver(summary_of(*node, box->whom));
}

caf::result<std::string> instance_registry_state::ask(const std::string& message) {
  const auto parsed = parse_asked(message);
  if (!parsed)
    return to_caf(parsed.error());
  if (parsed->verb == "help")
    return help_text(instance_registry_verbs);
  if (parsed->verb != "count")
    return to_caf(unknown_verb(*parsed, instance_registry_verbs).value());
  return fmt::format("{} instances, {} seen at work, {} left out", children.size(), seen.size(), left_out);
}

caf::actor spawn_instance_registry(caf::actor_system& system, node_context* node) {
  return caf::actor_cast<caf::actor>(system.spawn(instance_registry, node));
}

instance_registry_actor::behavior_type instance_registry(instance_registry_actor::stateful_pointer<instance_registry_state> self, node_context* node) {
  auto* state = &self->state;
  state->start(node);
  return {
      [state](atom::report) {
        return actor_report{state->self->mailbox().size(), fmt::format("{} instances", state->children.size())};
      },
      [state](atom::ask, const std::string& message) { return state->ask(message); },
      [state](atom::profiles) { return state->list(); },
      [state](atom::describe, const instance_id& id, const instance_change& change) {
        return state->describe(id, change);
      },
      [state](atom::tick) { state->tick(); },
      [state](atom::fitted, const fit_completion& done) { state->fitted(done); },
  };
}

} // namespace gnomon::actors
