#include "actors/registry.hpp"

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/ask.hpp"
#include "actors/error_message.hpp"
#include "actors/forecaster.hpp"
#include "actors/pattern.hpp"
#include "actors/supervisor.hpp"
#include "actors/views.hpp"
#include "actors/volume.hpp"
#include "config/log.hpp"

namespace gnomon::actors {
namespace {

constexpr ask_verb verbs[] = {
    {"list", "the volumes"},
    {"reconcile", "looks at every volume now, repairs what differs from the catalogue"},
};

// A catalogue callback as a step's.
auto forward(registry_state::step_done done) {
  return [done = std::move(done)](result<store::volume_record> outcome) {
    if (outcome)
      done(outcome->uuid);
    else
      done(tl::unexpected(outcome.error()));
  };
}
auto forward(registry_state::step_done done, volume_uuid uuid) {
  return [done = std::move(done), uuid](result<void> outcome) {
    if (outcome)
      done(uuid);
    else
      done(tl::unexpected(outcome.error()));
  };
}
template <class T>
caf::result<T> later() {
  return caf::delegated<T>{};
}

} // namespace

// --- the machinery
// ----------------------------------------------------------------------------------------------------

void registry_state::run(const launch& step, continuation then) {
  const auto number = next_step_number++;
  waiting.emplace(number, std::move(then));
  step([to = self->address(), number](const outcome& result) {
    const auto strong = caf::actor_cast<registry_actor>(to);
    if (!strong)
      return;
    step_completion done;
    done.operation = number;
    if (result)
      done.volume = *result;
    else
      done.outcome = error_info(result.error());
    caf::anon_send(strong, atom::completed_v, std::move(done));
  });
}

void registry_state::complete(const step_completion& done) {
  const auto found = waiting.find(done.operation);
  if (found == waiting.end())
    return;
  const auto then = std::move(found->second);
  waiting.erase(found);
  then(done.outcome.ok ? outcome(done.volume) : outcome(tl::unexpected(done.outcome.to_error())));
}

void registry_state::run_all(std::vector<launch> steps, std::function<void(std::size_t, const outcome&)> each,
                             std::function<void()> then) {
  if (steps.empty())
    return then();
  struct batch {
    std::vector<launch> steps;
    std::function<void(std::size_t, const outcome&)> each;
    std::function<void()> then;
    std::size_t started = 0, finished = 0;
  };
  auto all = std::make_shared<batch>();
  all->steps = std::move(steps);
  all->each = std::move(each);
  all->then = std::move(then);
  // Each finished step starts the next one that waits.
  auto start_next = std::make_shared<std::function<void()>>();
  std::weak_ptr<std::function<void()>> weak = start_next;
  *start_next = [this, all, weak] {
    const auto index = all->started++;
    run(all->steps[index], [all, index, next = weak.lock()](const outcome& result) {
      all->each(index, result);
      ++all->finished;
      if (all->started < all->steps.size())
        return (*next)();
      if (all->finished == all->steps.size())
        all->then();
    });
  };
  for (std::size_t i = 0; i < apply_window && all->started < all->steps.size(); ++i)
    (*start_next)();
}

result<void> registry_state::claim(volume_uuid uuid) {
  if (claimed.size() >= changes_max)
    return fail(errc::limit_reached, fmt::format("{} changes are in flight already", changes_max));
  if (!claimed.insert(uuid).second)
    return fail(errc::busy, "another change of this volume is under way; try again when it is done");
  return {};
}

registry_state::launch registry_state::step_for(volume_step step, volume_uuid uuid,
                                                const std::optional<store::volume_record>& record) {
  auto* engine = node->engine;
  auto* catalogue = node->catalogue;
  switch (step) {
  case volume_step::none:
    return [uuid](const step_done& done) { done(uuid); };
  case volume_step::mark_unclean:
    return [=](const step_done& done) {
      catalogue->set_clean({uuid}, false, [=](const auto& r) { r ? done(uuid) : done(tl::unexpected(r.error())); });
    };
  case volume_step::open:
    return [=, spec = spec_of(*record, catalogue->data_path(*record))](const step_done& done) {
      engine->open_volume(spec, forward(done, uuid));
    };
  case volume_step::close:
    return [=](const step_done& done) {
      engine->close_volume(uuid, [=](const result<void>& closed) {
        if (!closed)
          return done(tl::unexpected(closed.error()));
        catalogue->set_clean({uuid}, true, [=](const auto& r) { r ? done(uuid) : done(tl::unexpected(r.error())); });
      });
    };
  case volume_step::resize:
    return
        [=, size = record->size](const step_done& done) { engine->resize_volume(uuid, size, forward(done, uuid)); };
  case volume_step::rename:
    return
        [=, name = record->name](const step_done& done) { engine->rename_volume(uuid, name, forward(done, uuid)); };
  case volume_step::set_read_only:
    return [=, read_only = record->read_only](const step_done& done) {
      engine->set_read_only(uuid, read_only, forward(done, uuid));
    };
  }
  return [uuid](const step_done& done) { done(uuid); };
}

std::optional<store::volume_record> registry_state::wanted(volume_uuid uuid) const {
  auto record = node->catalogue->find(uuid);
  if (record && !is_wanted(*record, *node->configured()))
    record.reset();
  return record;
}

result<void> registry_state::check_not_configured(const store::volume_record& record, std::string_view what) const {
  if (!node->configured()->contains(record.name))
    return {};
  return fail(
      errc::invalid_argument,
      fmt::format("volume {} stands in the config: remove it there and reload, then {} it", record.name.value, what));
}

void registry_state::bring_in_line(volume_uuid uuid, continuation then, unsigned steps_left) {
  const auto record = wanted(uuid);
  const auto step = next_step(record, node->engine->status(uuid));
  if (step == volume_step::none)
    return then(uuid);
  if (steps_left == 0)
    return then(fail(errc::internal, fmt::format("volume {}: still differs after {} steps; next would be \"{}\"",
                                                 uuid.to_string(), steps_per_change_max, to_string(step))));
  run(step_for(step, uuid, record), [this, uuid, then = std::move(then), steps_left](const outcome& done) {
    if (!done)
      return then(done);
    bring_in_line(uuid, then, steps_left - 1);
  });
}

void registry_state::add_actors(const store::volume_record& record) {
  const auto add = [this, uuid = record.uuid](std::string name, const char* parent, auto spawn) {
    child_spec spec;
    spec.name = std::move(name);
    spec.parent = parent;
    spec.spawn = [node = node, uuid, spawn](caf::actor_system& system) { return spawn(system, node, uuid); };
    if (const auto added = node->tree.add(std::move(spec)); !added && added.error().code != errc::already_exists)
      log::error("{}", added.error().to_string());
  };
  add(volume_actor_name(record.name), volumes_name, spawn_volume);
  add(pattern_actor_name(record.name), patterns_name, spawn_pattern);
  add(forecaster_actor_name(record.name), forecasters_name, spawn_forecaster);
}

void registry_state::sync_actors() {
  std::unordered_set<std::string> names{node_forecaster_name};
  const auto configured = node->configured();
  for (const auto& record : node->catalogue->list()) {
    if (!is_wanted(record, *configured))
      continue;
    for (auto name :
         {volume_actor_name(record.name), pattern_actor_name(record.name), forecaster_actor_name(record.name)})
      names.insert(std::move(name));
    add_actors(record);
  }
  for (const auto& actor : node->tree.list()) {
    const bool ours =
        actor.parent == volumes_name || actor.parent == patterns_name || actor.parent == forecasters_name;
    if (!ours || names.contains(actor.name))
      continue;
    const auto gone = node->tree.remove(actor.name);
    if (gone && *gone)
      caf::anon_send_exit(*gone, caf::exit_reason::user_shutdown);
  }
  for (const char* parent : {volumes_name, patterns_name, forecasters_name})
    tell_supervisor(node->tree, parent);
}

void registry_state::repair() {
  std::unordered_set<volume_uuid> all;
  for (const auto& record : node->catalogue->list())
    all.insert(record.uuid);
  for (const auto& volume : node->engine->volumes())
    all.insert(volume.spec.uuid);
  for (const auto& uuid : all) {
    if (next_step(wanted(uuid), node->engine->status(uuid)) == volume_step::none)
      continue;
    if (!claim(uuid))
      continue;
    bring_in_line(uuid, [this, uuid](const outcome& done) {
      claimed.erase(uuid);
      const auto text = done ? std::string{} : done.error().to_string();
      auto& last = last_problem[uuid];
      if (!done && last != text)
        log::error("volume {}: {}", uuid.to_string(), text);
      if (done)
        log::info("volume {}: brought in line with the catalogue", uuid.to_string());
      last = text;
      if (done)
        last_problem.erase(uuid);
    });
  }
}

void registry_state::tick() {
  self->delayed_send(self, reconcile_every, atom::tick_v);
  if (node->state != node_state::serving || applying)
    return;
  repair();
  since_purge += reconcile_every;
  if (since_purge < purge_every)
    return;
  since_purge = std::chrono::seconds{0};
  node->catalogue->purge_expired([](const result<std::size_t>& purged) {
    if (!purged)
      return log::warning("purging deleted volumes: {}", purged.error().to_string());
    if (*purged > 0)
      log::info("purged {} deleted volumes", *purged);
  });
}

void registry_state::start(node_context* n) {
  node = n;
  self->delayed_send(self, reconcile_every, atom::tick_v);
  // After a death: what was half done is finished, and every live volume has its actor.
  if (node->state == node_state::serving) {
    sync_actors();
    repair();
  }
}

// --- reads
// ------------------------------------------------------------------------------------------------------------

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
    return help_text(verbs);
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
  return to_caf(unknown_verb(*parsed, verbs).value());
}

// --- changes
// ----------------------------------------------------------------------------------------------------------

caf::result<volume_summary> registry_state::change(volume_uuid uuid, const launch& in_catalogue,
                                                   std::function<void()> on_success) {
  if (const auto free = claim(uuid); !free)
    return to_caf(free.error());
  auto answer = promise<volume_summary>();
  const auto finish = [this, uuid, answer](const outcome& done) {
    claimed.erase(uuid);
    sync_actors();
    if (!done)
      return answer->refuse(done.error());
    if (const auto record = node->catalogue->find(uuid))
      return answer->give(summary_of(*node, *record));
    for (const auto& record : node->catalogue->list_deleted())
      if (record.uuid == uuid)
        return answer->give(summary_of(*node, record));
    volume_summary gone;
    gone.uuid = uuid;
    gone.state = volume_state::deleted;
    answer->give(std::move(gone));
  };
  run(in_catalogue, [this, uuid, finish, on_success = std::move(on_success)](const outcome& done) {
    if (!done)
      return finish(done);
    if (on_success)
      on_success();
    bring_in_line(uuid, finish);
  });
  return later<volume_summary>();
}

caf::result<volume_summary> registry_state::create(const volume_request& asked_for) {
  if (claimed.size() >= changes_max)
    return to_caf({errc::limit_reached, fmt::format("{} changes are in flight already", changes_max), 0});
  store::volume_request request;
  request.name = asked_for.name;
  request.description = asked_for.description;
  request.size = asked_for.size;
  if (!asked_for.external_path.empty())
    request.external_path = asked_for.external_path;
  request.cache = asked_for.cache;
  request.read_only = asked_for.read_only;
  request.shared = asked_for.shared;

  auto answer = promise<volume_summary>();
  const auto create = [catalogue = node->catalogue, request](const step_done& done) {
    catalogue->create({request},
                      [done](const auto& r) { r ? done(r->front().uuid) : done(tl::unexpected(r.error())); });
  };
  run(create, [this, answer](const outcome& created) {
    if (!created)
      return answer->refuse(created.error());
    const auto uuid = *created;
    claimed.insert(uuid);
    sync_actors();
    bring_in_line(uuid, [this, answer, uuid](const outcome& done) {
      claimed.erase(uuid);
      if (!done)
        return answer->refuse(done.error());
      const auto record = node->catalogue->find(uuid);
      if (!record)
        return answer->refuse({errc::not_found, "it was deleted meanwhile", 0});
      answer->give(summary_of(*node, *record));
    });
  });
  return later<volume_summary>();
}

caf::result<resize_report> registry_state::resize(const volume_ref& ref, byte_count size) {
  const auto record = resolve(*node->catalogue, ref);
  if (!record)
    return to_caf(record.error());
  const auto uuid = record->uuid;
  if (const auto free = claim(uuid); !free)
    return to_caf(free.error());
  auto answer = promise<resize_report>();
  const auto finish = [this, uuid, answer](const outcome& done) {
    claimed.erase(uuid);
    if (!done)
      return answer->refuse(done.error());
    const auto now = node->catalogue->find(uuid);
    if (!now)
      return answer->refuse({errc::not_found, "it was deleted meanwhile", 0});
    resize_report report;
    report.volume = summary_of(*node, *now);
    for (auto& connection : connections_of(*node, uuid, now->name))
      if (connection.size_seen < now->size)
        report.must_reconnect.push_back(std::move(connection));
    answer->give(std::move(report));
  };
  run([catalogue = node->catalogue, uuid,
       size](const step_done& done) { catalogue->resize(uuid, size, forward(done)); },
      [this, uuid, finish](const outcome& done) {
        if (!done)
          return finish(done);
        bring_in_line(uuid, finish);
      });
  return later<resize_report>();
}

caf::result<volume_summary> registry_state::erase(const volume_ref& ref) {
  const auto record = resolve(*node->catalogue, ref);
  if (!record)
    return to_caf(record.error());
  if (const auto ours = check_not_configured(*record, "delete"); !ours)
    return to_caf(ours.error());
  return change(record->uuid, [catalogue = node->catalogue, uuid = record->uuid](const step_done& done) {
    catalogue->remove(uuid, forward(done));
  });
}

caf::result<volume_summary> registry_state::undelete(const volume_ref& ref, const volume_name& new_name) {
  const auto record = resolve(*node->catalogue, ref, list_filter::deleted);
  if (!record)
    return to_caf(record.error());
  const auto under = new_name.value.empty() ? std::nullopt : std::optional(new_name);
  return change(record->uuid, [catalogue = node->catalogue, uuid = record->uuid, under](const step_done& done) {
    catalogue->undelete(uuid, under, forward(done));
  });
}

caf::result<volume_summary> registry_state::purge(const volume_ref& ref) {
  const auto record = resolve(*node->catalogue, ref, list_filter::deleted);
  if (!record)
    return to_caf(record.error());
  return change(record->uuid, [catalogue = node->catalogue, uuid = record->uuid](const step_done& done) {
    catalogue->purge(uuid, forward(done));
  });
}

caf::result<volume_summary> registry_state::rename(const volume_ref& ref, const volume_name& new_name) {
  const auto record = resolve(*node->catalogue, ref);
  if (!record)
    return to_caf(record.error());
  if (const auto ours = check_not_configured(*record, "rename"); !ours)
    return to_caf(ours.error());
  const auto in_catalogue = [catalogue = node->catalogue, uuid = record->uuid, new_name](const step_done& done) {
    catalogue->rename(uuid, new_name, forward(done));
  };
  // The actor stays the same; only its name changes.
  return change(record->uuid, in_catalogue, [this, from = volume_actor_name(record->name), new_name] {
    if (const auto renamed = node->tree.rename(from, volume_actor_name(new_name)); !renamed)
      log::warning("{}", renamed.error().to_string());
  });
}

caf::result<volume_summary> registry_state::clear(const volume_ref& ref) {
  const auto record = resolve(*node->catalogue, ref);
  if (!record)
    return to_caf(record.error());
  return change(record->uuid, [this, uuid = record->uuid](const step_done& done) {
    node->catalogue->clear_write_failure(uuid, [done, engine = node->engine, uuid](const auto& cleared) {
      if (!cleared)
        return done(tl::unexpected(cleared.error()));
      engine->clear_write_failure(uuid, forward(done, uuid));
    });
  });
}

caf::result<std::vector<connection_info>> registry_state::fence(const volume_ref& ref, const instance_id& instance) {
  const auto record = resolve(*node->catalogue, ref);
  if (!record)
    return to_caf(record.error());
  auto answer = promise<std::vector<connection_info>>();
  auto ended = connections_of(*node, record->uuid, record->name);
  if (!instance.value.empty())
    std::erase_if(ended, [&](const auto& c) { return c.instance != instance; });
  const auto whom = instance.value.empty() ? std::nullopt : std::optional(instance);
  run([engine = node->engine, uuid = record->uuid,
       whom](const step_done& done) { engine->fence(uuid, whom, forward(done, uuid)); },
      [answer, ended](const outcome& done) {
        if (!done)
          return answer->refuse(done.error());
        answer->give(ended);
      });
  return later<std::vector<connection_info>>();
}

caf::result<atom::ok> registry_state::failed(volume_uuid uuid, int os_errno) {
  auto answer = promise<atom::ok>();
  run([catalogue = node->catalogue, uuid,
       os_errno](const step_done& done) { catalogue->mark_write_failure(uuid, os_errno, forward(done)); },
      [answer](const outcome& done) {
        if (!done)
          return answer->refuse(done.error());
        answer->give(atom::ok_v);
      });
  return later<atom::ok>();
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
      [self](atom::erase, const volume_ref& ref) { return self->state.erase(ref); },
      [self](atom::undelete, const volume_ref& ref, const volume_name& n) { return self->state.undelete(ref, n); },
      [self](atom::purge, const volume_ref& ref) { return self->state.purge(ref); },
      [self](atom::rename, const volume_ref& ref, const volume_name& n) { return self->state.rename(ref, n); },
      [self](atom::who, const volume_ref& ref) { return self->state.who(ref); },
      [self](atom::fence, const volume_ref& ref, const instance_id& i) { return self->state.fence(ref, i); },
      [self](atom::clear, const volume_ref& ref) { return self->state.clear(ref); },
      [self](atom::apply) { return self->state.apply(); },
      [self](atom::failed, volume_uuid uuid, std::int32_t os_errno) { return self->state.failed(uuid, os_errno); },
      [self](atom::completed, const step_completion& done) { self->state.complete(done); },
      [self](atom::tick) { self->state.tick(); },
  };
}

} // namespace gnomon::actors
