// The registry as an actor: its life, what it tells, and which message calls what.
#include "actors/volumes/registry.hpp"

#include <algorithm>

#include <caf/actor_cast.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/protocol/error_message.hpp"
#include "actors/runtime/ask.hpp"
#include "actors/runtime/background_pool.hpp"
#include "actors/volumes/views.hpp"
#include "config/log.hpp"
#include "store/history/history.hpp"
#include "store/meta/access_book.hpp"

namespace gnomon::actors {
namespace {

constexpr ask_verb registry_verbs[] = {
    {"list", "the volumes"},
    {"reconcile", "looks at every volume now, repairs what differs from the catalogue"},
};

} // namespace

void registry_state::tick() {
  self->delayed_send(self, probe_every, atom::tick_v);
  if (node->state != node_state::serving || applying)
    return;
  if (settings_pending())
    return begin_apply();
  probe();
  since_purge += probe_every;
  since_repair += probe_every;
  if (since_repair >= reconcile_every || node->problems.any()) {
    since_repair = std::chrono::seconds{0};
    repair();
  }
  if (since_purge < purge_every)
    return;
  since_purge = std::chrono::seconds{0};
  node->catalogue->purge_expired([](const result<std::size_t>& purged) {
    if (!purged)
      return log::warning("purging deleted volumes: {}", purged.error().to_string());
    if (*purged > 0)
      log::info("purged {} deleted volumes", *purged);
  });
  forget_purged();
}

void registry_state::forget_purged() const {
  if (node->history == nullptr || node->fits == nullptr)
    return;
  // What was learned of volumes of other nodes stays: which ones there are is known once all peers have said so.
  const auto peers = node->engine->nodes().peers;
  const bool all_told = std::all_of(peers.begin(), peers.end(), [](const auto& peer) { return peer.state == "open"; });
  const auto forget = [node = node, history = node->history, catalogue = node->catalogue, access = node->access,
                       all_told] {
    const auto objects = history->list_objects();
    if (!objects)
      return log::warning("forgetting purged volumes: {}", objects.error().to_string());
    std::unordered_set<volume_uuid> known;
    for (const auto& record : catalogue->list())
      known.insert(record.uuid);
    for (const auto& record : catalogue->list_deleted())
      known.insert(record.uuid);
    for (const auto& remote : *node->remote_volumes())
      known.insert(remote.uuid);
    if (access != nullptr)
      for (const auto& record : access->list())
        if (!known.contains(record.volume))
          access->forget(record.volume, [](const result<void>&) {}); // the next hour tries again
    for (const auto& object : all_told ? *objects : std::vector<std::string>{}) { // else the next hour tries again
      const auto uuid = volume_uuid::parse(object);
      if (!uuid || known.contains(*uuid))
        continue;
      auto forgotten = history->forget(*uuid);
      if (forgotten)
        forgotten = history->erase_models(object);
      if (!forgotten)
        log::warning("forgetting volume {}: {}", object, forgotten.error().to_string());
    }
  };
  if (const auto sent = node->fits->submit({"forget purged volumes", background_pool::urgency::low, forget}); !sent)
    log::warning("forgetting purged volumes: {}", sent.error().to_string()); // the next hour will
}

void registry_state::probe() const {
  node->catalogue->probe([node = node](std::vector<std::string> problems) {
    if (const auto before = node->problems.store(); before != problems)
      for (const auto& problem : problems)
        log::error("{}", problem);
    node->problems.set_store(std::move(problems));
  });
}

void registry_state::start(node_context* n) {
  node = n;
  self->delayed_send(self, probe_every, atom::tick_v);
  // After a death: what was half done is finished, and every live volume has its actor.
  if (node->state == node_state::serving) {
    sync_actors();
    if (settings_pending())
      return begin_apply(); // the incarnation before did not get to the end of them
    repair();
  }
}

// --- reads

std::vector<volume_summary> registry_state::list(list_filter filter) const {
  std::vector<volume_summary> out;
  if (filter != list_filter::deleted)
    for (const auto& record : node->catalogue->list())
      out.push_back(summary_of(*node, record));
  if (filter != list_filter::present)
    for (const auto& record : node->catalogue->list_deleted())
      out.push_back(summary_of(*node, record));
  return out;
}

caf::result<volume_details> registry_state::show(const volume_ref& ref) const {
  const auto record = resolve(*node->catalogue, ref, list_filter::all);
  if (!record)
    return to_caf(record.error());
  return details_of(*node, *record);
}

caf::result<std::vector<connection_info>> registry_state::who(const volume_ref& ref) const {
  const auto record = resolve(*node->catalogue, ref);
  if (!record)
    return to_caf(record.error());
  return connections_of(*node, record->uuid, record->name);
}

caf::result<std::string> registry_state::ask(const std::string& message) {
  const auto parsed = parse_asked(message);
  if (!parsed)
    return to_caf(parsed.error());
  if (parsed->verb == "help")
    return help_text(registry_verbs);
  if (parsed->verb == "list") {
    std::string out;
    for (const auto& volume : list(list_filter::all))
      out += to_text(volume) + "\n";
    return out;
  }
  if (parsed->verb == "reconcile") {
    sync_actors();
    repair();
    return std::string("looking at every volume");
  }
  return to_caf(unknown_verb(*parsed, registry_verbs).value());
}

caf::actor spawn_registry(caf::actor_system& system, node_context* node) {
  return caf::actor_cast<caf::actor>(system.spawn(registry, node));
}

registry_actor::behavior_type registry(registry_actor::stateful_pointer<registry_state> self, node_context* node) {
  auto& state = self->state;
  state.start(node);
  return {
      [self](atom::report) {
        return actor_report{self->mailbox().size(), fmt::format("{} changes", self->state.claimed.size())};
      },
      [self](atom::ask, const std::string& message) { return self->state.ask(message); },
      [self](atom::list, list_filter filter) { return self->state.list(filter); },
      [self](atom::show, const volume_ref& ref) { return self->state.show(ref); },
      [self](atom::create, const volume_request& request) { return self->state.create(request); },
      [self](atom::resize, const volume_ref& ref, byte_count size) { return self->state.resize(ref, size); },
      [self](atom::erase, const volume_ref& ref, deletion how) { return self->state.erase(ref, how); },
      [self](atom::undelete, const volume_ref& ref, const volume_name& n) { return self->state.undelete(ref, n); },
      [self](atom::purge, const volume_ref& ref) { return self->state.purge(ref); },
      [self](atom::rename, const volume_ref& ref, const volume_name& n) { return self->state.rename(ref, n); },
      [self](atom::who, const volume_ref& ref) { return self->state.who(ref); },
      [self](atom::fence, const volume_ref& ref, const instance_id& i, const instance_id& heir) {
        return self->state.fence(ref, i, heir);
      },
      [self](atom::unfence, const volume_ref& ref, const instance_id& i) { return self->state.unfence(ref, i); },
      [self](atom::grant, const volume_ref& ref, const instance_id& i) { return self->state.set_grant(ref, i, true); },
      [self](atom::revoke, const volume_ref& ref, const instance_id& i) {
        return self->state.set_grant(ref, i, false);
      },
      [self](atom::describe, const volume_ref& ref, const std::string& d) { return self->state.describe(ref, d); },
      [self](atom::access, const volume_ref& ref, volume_access a) { return self->state.set_access(ref, a); },
      [self](atom::clear, const volume_ref& ref) { return self->state.clear(ref); },
      [self](atom::apply) { return self->state.apply(); },
      [self](atom::accept, const volume_ref& ref) { return self->state.accept_loss(ref); },
      [self](atom::completed, const step_completion& done) { self->state.complete(done); },
      [self](atom::tick) { self->state.tick(); },
  };
}

} // namespace gnomon::actors
