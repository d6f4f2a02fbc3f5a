#include "actors/node/node.hpp"

#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "actors/endpoints/admin_http.hpp"
#include "actors/endpoints/client.hpp"
#include "actors/endpoints/control.hpp"
#include "actors/endpoints/control_socket.hpp"
#include "actors/instances/instance_registry.hpp"
#include "actors/learning/events.hpp"
#include "actors/learning/forecaster.hpp"
#include "actors/learning/importer.hpp"
#include "actors/learning/observer.hpp"
#include "actors/learning/pattern.hpp"
#include "actors/learning/import_journal.hpp"
#include "actors/node/service_manager.hpp"
#include "actors/protocol/error_message.hpp"
#include "actors/runtime/background_pool.hpp"
#include "actors/runtime/supervisor.hpp"
#include "actors/runtime/system_config.hpp"
#include "actors/runtime/terminator.hpp"
#include "actors/runtime/watchdog.hpp"
#include "actors/telemetry/alerts.hpp"
#include "actors/telemetry/recorder.hpp"
#include "actors/telemetry/telemetry.hpp"
#include "actors/volumes/registry.hpp"
#include "actors/volumes/volume.hpp"
#include "config/log.hpp"
#include "config/settings/changes.hpp"
#include "store/history/history.hpp"
#include "store/meta/catalogue.hpp"
#include "store/meta/data_directory.hpp"
#include "store/meta/event_book.hpp"

namespace gnomon::actors {

// In the order of construction: what stands below relies on what stands above.
struct node::parts {
  node_options options;
  node_context context;
  std::unique_ptr<store::data_directory> directory;
  std::unique_ptr<store::environment> meta;
  std::unique_ptr<store::catalogue> catalogue;
  std::unique_ptr<store::event_book> event_book;
  std::unique_ptr<store::instance_book> instances;
  std::unique_ptr<store::history> history;
  std::unique_ptr<fit_pool> fits;
  std::unique_ptr<io::engine> engine;
  std::unique_ptr<system_config> config;
  std::unique_ptr<caf::actor_system> system;
  std::unique_ptr<local_door> door;
  std::unique_ptr<root_guard> guard;
  std::unique_ptr<admin_door> admin;
  bool stopped = false;
};

node::node(std::unique_ptr<parts> p) : parts_(std::move(p)) {}
node::~node() { (void)stop(); }
node_context& node::context() { return parts_->context; }

result<std::unique_ptr<node>> node::start(settings wanted, node_options options) {
  auto p = std::make_unique<parts>();
  p->options = std::move(options);
  node_facts facts;
  facts.node = wanted.node;
  facts.data_dir = wanted.data_dir;
  facts.started_us = to_microseconds(p->context.clock->wall_now());
  p->context.set_facts(std::move(facts));
  p->context.set_settings(std::move(wanted));
  std::unique_ptr<node> made(new node(std::move(p)));
  for (const auto step : {&node::open_store, &node::start_engine, &node::start_actors}) {
    if (auto done = (made.get()->*step)(); !done)
      return tl::unexpected(done.error());
  }
  if (auto applied = made->apply(); !applied)
    return tl::unexpected(applied.error());
  if (made->parts_->options.outside == doors::open)
    if (auto opened = made->open_doors(); !opened)
      return tl::unexpected(opened.error());
  made->parts_->context.state = node_state::serving;
  return made;
}

result<void> node::open_store() {
  auto& p = *parts_;
  const auto wanted = p.context.current_settings();
  auto directory = store::data_directory::open({.path = wanted->data_dir, .node = wanted->node});
  if (!directory)
    return tl::unexpected(directory.error());
  p.directory = std::move(*directory);
  auto meta = store::environment::open(store::meta_environment_options(p.directory->meta_path()));
  if (!meta)
    return tl::unexpected(meta.error());
  p.meta = std::move(*meta);

  store::catalogue_options options;
  options.meta = p.meta.get();
  options.volumes_path = p.directory->volumes_path();
  options.trash_path = p.directory->trash_path();
  options.node = wanted->node;
  options.undelete_for = wanted->undelete_for;
  store::catalogue_opening opening;
  auto catalogue = store::catalogue::open(options, &opening);
  if (!catalogue)
    return tl::unexpected(catalogue.error());
  p.catalogue = std::move(*catalogue);
  p.context.catalogue = p.catalogue.get();
  store::event_book_opening told;
  auto book = store::event_book::open(
      {.meta = p.meta.get(),
       .clock = p.context.clock,
       .changed = [context = &p.context](const store::event_list& events) { context->set_events(events); }},
      &told);
  if (!book)
    return tl::unexpected(book.error());
  p.event_book = std::move(*book);
  p.context.event_book = p.event_book.get();

  auto facts = *p.context.facts();
  if (auto opened = open_history(); !opened) {
    log::error("history: {}; nothing is learned until the next start", opened.error().to_string());
    facts.problems.push_back("history: " + opened.error().to_string());
  }
  store::instance_book_opening described;
  if (auto instances = store::instance_book::open(p.meta.get(), &described)) {
    p.instances = std::move(*instances);
    p.context.instances = p.instances.get();
  } else {
    facts.problems.push_back("descriptions of instances: " + instances.error().to_string());
  }
  facts.problems.insert(facts.problems.end(), described.problems.begin(), described.problems.end());
  facts.previous_stop = to_string(p.directory->stopped());
  for (const auto& problem : opening.problems) {
    log::error("{}", problem.text);
    facts.problems.push_back(problem.text);
  }
  for (const auto& problem : told.problems) {
    log::error("{}", problem);
    facts.problems.push_back(problem);
  }
  if (told.problems_unlisted > 0)
    log::error("{} more told events cannot be read", told.problems_unlisted);
  log::info("data directory {}: {} volumes, {} deleted; the node before ended: {}", wanted->data_dir, opening.volumes,
            opening.deleted, facts.previous_stop);
  if (opening.records_recovered > 0)
    log::warning("{} records recovered from their files", opening.records_recovered);
  if (opening.orphans_swept > 0)
    log::info("{} unfinished volumes moved to trash", opening.orphans_swept);
  p.context.set_facts(std::move(facts));
  return {};
}

// What has been learned is worth keeping, not worth staying down for.
result<void> node::open_history() {
  auto& p = *parts_;
  const auto wanted = p.context.current_settings();
  p.fits = std::make_unique<fit_pool>(fit_pool::options{.cpu_budget = wanted->forecast.cpu_budget});
  p.context.fits = p.fits.get();
  store::history_options options;
  options.directory = p.directory->history_path();
  options.disk_max = wanted->history.disk_max;
  options.keep_chunks[static_cast<std::size_t>(store::resolution::five_minutes)] = wanted->history.retention;
  options.lasting_models = {imports_model_name}; // cannot be learned again
  auto opened = store::history::open(std::move(options));
  if (!opened)
    return tl::unexpected(opened.error());
  p.history = std::move(*opened);
  p.context.history = p.history.get();
  if (p.history->status().begun_anew)
    return fail(errc::corrupt, "it was damaged and has been set aside");
  return {};
}

result<void> node::start_engine() {
  auto& p = *parts_;
  const auto wanted = p.context.current_settings();
  io::engine_options options;
  options.io = wanted->io;
  options.nbd = wanted->nbd;
  options.on_event = [context = &p.context](io::event event) { context->inbox.push(std::move(event)); };
  auto engine = p.options.make_engine(std::move(options));
  if (!engine)
    return tl::unexpected(engine.error());
  p.engine = std::move(*engine);
  p.context.engine = p.engine.get();
  return {};
}

result<void> node::start_actors() {
  auto& p = *parts_;
  auto* context = &p.context;
  const bool open = p.options.outside == doors::open;
  p.config = std::make_unique<system_config>(open ? networking::local_door : networking::none);
  p.system = std::make_unique<caf::actor_system>(*p.config);
  if (open) {
    p.door = std::make_unique<local_door>(*p.system, control_socket_path(p.directory->path()));
    context->door = p.door.get();
  }
  auto* tree = &context->tree;
  const auto add = [tree](std::string name, std::string parent, std::function<caf::actor(caf::actor_system&)> spawn) {
    if (const auto added = tree->add({std::move(name), std::move(parent), std::move(spawn), {}}); !added)
      log::error("{}", added.error().to_string());
  };
  context->volume_children = volume_child_table{{volume_kind, volumes_name, spawn_volume},
                                                {pattern_kind, patterns_name, spawn_pattern},
                                                {forecaster_kind, forecasters_name, spawn_forecaster}};
  add(root_name, "", [tree](caf::actor_system& s) { return spawn_supervisor(s, tree, root_name); });
  add(volumes_name, root_name, [tree](caf::actor_system& s) { return spawn_supervisor(s, tree, volumes_name); });
  add(registry_name, root_name, [context](caf::actor_system& s) { return spawn_registry(s, context); });
  add(events_name, root_name, [context](caf::actor_system& s) { return spawn_events(s, context); });
  add(telemetry_name, root_name, [context](caf::actor_system& s) { return spawn_telemetry(s, context); });
  add(recorder_name, root_name, [context](caf::actor_system& s) { return spawn_recorder(s, context); });
  add(calendar_name, root_name, [context](caf::actor_system& s) { return spawn_calendar(s, context); });
  add(patterns_name, root_name, [tree](caf::actor_system& s) { return spawn_supervisor(s, tree, patterns_name); });
  add(forecasters_name, root_name,
      [tree](caf::actor_system& s) { return spawn_supervisor(s, tree, forecasters_name); });
  add(node_forecaster_name, forecasters_name,
      [context](caf::actor_system& s) { return spawn_forecaster(s, context, {}); });
  add(observer_name, root_name, [context](caf::actor_system& s) { return spawn_observer(s, context); });
  add(instances_name, root_name, [tree](caf::actor_system& s) { return spawn_supervisor(s, tree, instances_name); });
  add(roster_name, root_name, [context](caf::actor_system& s) { return spawn_roster(s, context); });
  add(importer_name, root_name, [context](caf::actor_system& s) { return spawn_importer(s, context); });
  add(control_name, root_name, [context](caf::actor_system& s) { return spawn_control(s, context); });
  context->inbox.on_event([tree] {
    if (const auto events = tree->find_as<event_actor>(events_name))
      caf::anon_send(events, atom::drain_v);
  });
  p.guard = std::make_unique<root_guard>(*p.system, *tree, p.options.needs_attention);
  attend();

  // The root answers once it has started its children.
  caf::scoped_actor self{*p.system};
  result<void> outcome = fail(errc::internal, "the root supervisor does not answer");
  self->request(tree->find_as<supervised_actor>(root_name), timeout::volume_io, atom::report_v)
      .receive([&](const actor_report&) { outcome = {}; },
               [&](const caf::error& why) { outcome = tl::unexpected(from_caf(why)); });
  return outcome;
}

result<apply_report> node::apply() {
  auto& p = *parts_;
  const auto registry = p.context.tree.find_as<registry_actor>(registry_name);
  if (!registry)
    return fail(errc::unavailable, "the registry is being restarted");
  caf::scoped_actor self{*p.system};
  result<apply_report> outcome = fail(errc::internal, "no reply");
  self->request(registry, timeout::apply, atom::apply_v)
      .receive([&](apply_report& report) { outcome = std::move(report); },
               [&](const caf::error& why) { outcome = tl::unexpected(from_caf(why)); });
  if (outcome)
    log::info("volumes: {} created, {} changed, {} as they were, {} refused", outcome->created, outcome->changed,
              outcome->unchanged, outcome->refused.size());
  return outcome;
}

result<void> node::open_doors() {
  auto& p = *parts_;
  const auto wanted = p.context.current_settings();
  auto facts = *p.context.facts();
  for (const int fd : p.options.passed_sockets) {
    const auto where = endpoint_of(fd);
    if (!where)
      return tl::unexpected(where.error());
    if (auto taken = p.engine->listen_fd(fd); !taken)
      return tl::unexpected(taken.error());
    facts.nbd.push_back(where->to_string());
  }
  for (const auto& where : wanted->nbd.listen) {
    // What the service manager has opened already needs no second listener.
    if (std::find(facts.nbd.begin(), facts.nbd.end(), where.to_string()) != facts.nbd.end())
      continue;
    const auto bound = p.engine->listen(where);
    if (!bound)
      return tl::unexpected(bound.error());
    facts.nbd.push_back(bound->to_string());
  }
  if (facts.nbd.empty())
    log::warning("no NBD listener is configured: nobody can attach a volume");
  if (wanted->admin.listen) {
    auto admin = admin_door::open(p.context, *p.system, *wanted->admin.listen);
    if (!admin)
      return tl::unexpected(admin.error());
    p.admin = std::move(*admin);
    facts.admin.push_back(p.admin->bound().to_string());
  }
  p.context.set_facts(std::move(facts));
  return p.door->wait_published(door_timeout);
}

std::string node::ready_line() const {
  const auto facts = parts_->context.facts();
  const auto joined = [](const std::vector<std::string>& all) {
    return all.empty() ? std::string("none") : fmt::format("{}", fmt::join(all, ","));
  };
  return fmt::format("gnomond ready node={} nbd={} cluster={} admin={}", facts->node.value, joined(facts->nbd),
                     joined(facts->cluster), joined(facts->admin));
}

result<void> node::serve(int in_fd, int out_fd, const volume_name& volume, std::function<void()> closed) {
  return parts_->engine->serve_fd(in_fd, out_fd, volume, std::move(closed));
}

std::optional<std::chrono::milliseconds> node::attend() { return parts_->guard->check(); }

result<apply_report> node::reload(const settings& wanted) {
  auto& p = *parts_;
  const auto changes = settings_difference(*p.context.current_settings(), wanted);
  for (const auto& change : changes.all) {
    switch (change.effect) {
    case change_effect::live:
      log::info("config: {}", change.to_string());
      break;
    case change_effect::restart:
      log::warning("config: {} takes effect with the next start", change.to_string());
      break;
    case change_effect::refused:
      log::error("config: {} is refused", change.to_string());
      break;
    }
  }
  if (changes.all.empty())
    log::info("config: nothing has changed");
  p.context.set_settings(changes.applied);
  if (p.fits)
    p.fits->set_cpu_budget(changes.applied.forecast.cpu_budget);
  return apply();
}

void node::stop_actors(watchdog& dog) {
  auto& p = *parts_;
  if (!p.system)
    return;
  if (p.door)
    p.door->close();
  dog.stage("actors");
  const auto left = terminate_actors(*p.system, p.context.tree).left;
  // The inbox must not reach for an actor any more; the engine has been joined before.
  p.context.inbox.on_event({});
  p.context.recordings.stop_all();
  p.guard.reset();
  p.context.tree.release();
  if (!left.empty())
    dog.stage(fmt::format("actors that hang: {}", fmt::join(left, ", ")));
}

result<void> node::stop() {
  auto& p = *parts_;
  if (p.stopped)
    return {};
  p.stopped = true;
  const bool served = p.context.state == node_state::serving;
  p.context.state = node_state::stopping;
  watchdog dog({.total = p.options.stop_limit});
  result<void> drained;

  dog.stage("recordings");
  p.context.recordings.stop_all();
  std::vector<volume_uuid> open;
  if (p.engine) {
    dog.stage("draining requests and closing volumes");
    for (const auto& volume : p.engine->volumes())
      open.push_back(volume.spec.uuid);
    drained = p.engine->stop(p.options.drain_grace);
    if (!drained)
      log::error("stopping: {}", drained.error().to_string());
  }
  stop_actors(dog);
  dog.stage("admin door");
  p.admin.reset();
  if (p.catalogue) {
    dog.stage("catalogue");
    // Only what was closed in order counts as clean.
    if (drained && !open.empty())
      if (const auto marked = p.catalogue->set_clean(open, true); !marked)
        log::error("stopping: {}", marked.error().to_string());
    p.catalogue->stop();
  }
  if (p.meta)
    p.meta->stop();
  dog.stage("fits and history");
  if (p.fits)
    p.fits->stop();
  if (p.history)
    p.history->stop();
  dog.stage("actor system");
  p.door.reset();
  p.context.door = nullptr;
  p.system.reset();
  // I/O that a disk never answered still uses the engine's memory: the process has to end without freeing it.
  if (!drained && drained.error().code == errc::timed_out)
    (void)p.engine.release();
  else
    p.engine.reset();
  // A node that never served has repaired nothing: what its predecessor left behind must stay visible.
  const bool was_clean = p.directory && (p.directory->stopped() == store::previous_stop::clean ||
                                         p.directory->stopped() == store::previous_stop::none);
  if (p.directory && drained && (served || was_clean)) {
    dog.stage("data directory");
    if (const auto marked = p.directory->mark_clean(); !marked)
      log::error("stopping: {}", marked.error().to_string());
  }
  return drained;
}

} // namespace gnomon::actors
