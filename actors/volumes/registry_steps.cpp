// The registry's machinery: asynchronous steps whose outcomes come back as messages, one change per volume at a time,
// and what brings data plane and volume actors in line with the catalogue.
#include "actors/volumes/registry_steps.hpp"

#include <algorithm>

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/runtime/served_volumes.hpp"
#include "actors/runtime/supervisor.hpp"
#include "actors/volumes/views.hpp"
#include "config/log.hpp"

namespace gnomon::actors {

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

io::volume_spec registry_state::spec_to_open(const store::volume_record& record) const {
  auto out = spec_of(record, node->catalogue->data_path(record), fences(record.uuid));
  out.writes_failed = node->catalogue->failure_noted(record.uuid); // the record may lack one that `meta` refused
  if (record.source && node->open_source) {
    out.presence_path = out.path + ".present";
    out.open_source = [open = node->open_source, record] { return open(record); };
  }
  return out;
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
    return [=, spec = spec_to_open(*record)](const step_done& done) {
      if (record->source && !spec.open_source)
        return done(fail(errc::unsupported, "it comes from a snapshot, and this node keeps none; see `status`"));
      engine->open_volume(spec, forward(done, uuid));
    };
  case volume_step::close:
    return [=](const step_done& done) {
      engine->close_volume(uuid, [=](const result<void>& closed) {
        // Closed, but its last sync failed: it is not clean, and its record must say why before this step is done. A
        // volume that is opened again has failed in any case.
        if (!closed && closed.error().code == errc::io_failed && !engine->status(uuid)) {
          const auto os_errno = closed.error().os_errno != 0 ? closed.error().os_errno : EIO;
          return catalogue->mark_write_failure(uuid, os_errno, [=](const result<store::volume_record>& marked) {
            marked || marked.error().code == errc::not_found ? done(uuid) : done(tl::unexpected(marked.error()));
          });
        }
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
  case volume_step::set_fences:
    return [=, wanted = fences(uuid)](const step_done& done) {
      engine->set_fences(uuid, wanted, forward(done, uuid));
    };
  case volume_step::set_description:
    return [=, text = record->description](const step_done& done) {
      engine->set_description(uuid, text, forward(done, uuid));
    };
  case volume_step::record_failure:
    return [=](const step_done& done) {
      catalogue->mark_write_failure(uuid, EIO, [=](const result<store::volume_record>& marked) {
        if (!marked)
          return done(tl::unexpected(marked.error()));
        engine->failure_recorded(uuid, forward(done, uuid));
      });
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
  return fail(errc::invalid_argument, fmt::format("volume {} stands in the config: {}", record.name.value, what));
}

void registry_state::bring_in_line(volume_uuid uuid, continuation then, unsigned steps_left) {
  const auto record = wanted(uuid);
  const auto step = next_step(record, node->engine->status(uuid), fences(uuid));
  if (step == volume_step::none) {
    node->problems.erase(uuid);
    return then(uuid);
  }
  if (steps_left == 0)
    return then(fail(errc::internal, fmt::format("volume {}: still differs after {} steps; next would be \"{}\"",
                                                 uuid.to_string(), steps_per_change_max, to_string(step))));
  run(step_for(step, uuid, record), [this, uuid, then = std::move(then), steps_left](const outcome& done) {
    if (!done) {
      node->problems.set(uuid, done.error());
      return then(done);
    }
    bring_in_line(uuid, then, steps_left - 1);
  });
}

void registry_state::add_actors(const store::volume_record& record, volume_child::whose of) {
  for (const auto& child : node->volume_children) {
    if (of == volume_child::whose::all && child.of != of)
      continue;
    child_spec spec;
    spec.name = volume_child_name(child.kind, record.name);
    spec.parent = child.parent;
    spec.spawn = [node = node, uuid = record.uuid, spawn = child.spawn](caf::actor_system& system) {
      return spawn(system, node, uuid);
    };
    if (const auto added = node->tree.add(std::move(spec)); !added && added.error().code != errc::already_exists)
      log::error("{}", added.error().to_string());
  }
}

void registry_state::sync_actors() {
  std::unordered_set<std::string> names;
  const auto configured = node->configured();
  for (const auto& record : node->catalogue->list()) {
    if (!is_wanted(record, *configured))
      continue;
    for (const auto& child : node->volume_children)
      names.insert(volume_child_name(child.kind, record.name));
    add_actors(record, volume_child::whose::own);
  }
  for (const auto& remote : *node->remote_volumes()) {
    const auto record = served_volume(*node, remote.uuid);
    if (!record || node->catalogue->find(remote.name)) // a volume of this node has the name
      continue;
    for (const auto& child : node->volume_children)
      if (child.of == volume_child::whose::all)
        names.insert(volume_child_name(child.kind, record->name));
    add_actors(*record, volume_child::whose::all);
  }
  const auto ours = [this](const actor_info& actor) {
    return std::any_of(node->volume_children.begin(), node->volume_children.end(), [&actor](const volume_child& child) {
      return actor.parent == child.parent && actor.name.starts_with(volume_child_name(child.kind, {})) &&
             actor.name != node_forecaster_name;
    });
  };
  for (const auto& actor : node->tree.list()) {
    if (!ours(actor) || names.contains(actor.name))
      continue;
    const auto gone = node->tree.remove(actor.name);
    if (gone && *gone)
      caf::anon_send_exit(*gone, caf::exit_reason::user_shutdown);
  }
  for (const auto& child : node->volume_children)
    tell_supervisor(node->tree, child.parent);
}

void registry_state::repair() {
  std::unordered_set<volume_uuid> all;
  for (const auto& record : node->catalogue->list())
    all.insert(record.uuid);
  for (const auto& volume : node->engine->volumes())
    all.insert(volume.spec.uuid);
  for (const auto& uuid : all) {
    if (next_step(wanted(uuid), node->engine->status(uuid), fences(uuid)) == volume_step::none)
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

} // namespace gnomon::actors
