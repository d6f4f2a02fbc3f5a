#include <filesystem>

#include <algorithm>

#include <caf/actor_cast.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "actors/cluster/cluster.hpp"
#include "actors/endpoints/client.hpp"
#include "actors/endpoints/control.hpp"
#include "actors/instances/instance_registry.hpp"
#include "actors/learning/events.hpp"
#include "actors/learning/forecaster.hpp"
#include "actors/learning/importer.hpp"
#include "actors/learning/observer.hpp"
#include "actors/learning/pattern.hpp"
#include "actors/node/node_parts.hpp"
#include "actors/learning/import_journal.hpp"
#include "actors/node/service_manager.hpp"
#include "actors/planning/planner.hpp"
#include "actors/protocol/error_message.hpp"
#include "actors/runtime/liveness.hpp"
#include "actors/runtime/terminator.hpp"
#include "actors/runtime/watchdog.hpp"
#include "actors/snapshots/snapshots.hpp"
#include "actors/telemetry/alerts.hpp"
#include "actors/telemetry/recorder.hpp"
#include "actors/telemetry/telemetry.hpp"
#include "actors/volumes/registry.hpp"
#include "actors/volumes/volume.hpp"
#include "config/log.hpp"
#include "config/settings/inert.hpp"
#include "config/times.hpp"
#include "store/meta/repair.hpp"

namespace gnomon::actors {
namespace {
constexpr std::chrono::seconds snapshots_grace{5}; // for what is captured or restored to come to a stop
}

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
  p->context.note_configuration({}, settings_warnings(wanted), {});
  p->context.set_settings(std::move(wanted));
  std::unique_ptr<node> made(new node(std::move(p)));
  for (const auto step : {&node::open_store, &node::start_engine, &node::start_snapshots, &node::start_actors}) {
    if (auto done = (made.get()->*step)(); !done)
      return tl::unexpected(done.error());
  }
  if (auto applied = made->apply(); !applied)
    return tl::unexpected(applied.error());
  if (made->parts_->options.outside == listeners::open)
    if (auto opened = made->open_doors(); !opened)
      return tl::unexpected(opened.error());
  made->parts_->context.state = node_state::serving;
  return made;
}

namespace {

// A fresh machine has no /run/gnomon and no /var/lib/gnomon: the folders above what is configured are made.
result<void> make_folder_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  std::error_code failed;
  if (folder.empty() || std::filesystem::is_directory(folder, failed))
    return {};
  if (!std::filesystem::create_directories(folder, failed) && failed)
    return fail_errno("folder " + folder.string(), failed.value());
  log::info("folder {} is made", folder.string());
  return {};
}

constexpr std::chrono::minutes clock_mark_every{10};

// By the time that was believed last; without a mark the clock is taken as it is.
std::unique_ptr<clock_guard> open_clock(const store::environment& meta, const clock_source& clock) {
  const auto seen = meta.read([](const store::read_transaction& t) -> result<std::optional<wall_time>> {
    const auto stored = t.get(store::meta_database::node, store::clock_mark_key);
    if (!stored)
      return tl::unexpected(stored.error());
    if (!*stored)
      return std::nullopt;
    return store::decode_clock_mark(**stored, "meta: clock").map([](wall_time t) { return std::optional(t); });
  });
  if (!seen)
    log::warning("{}; the clock is taken as it is", seen.error().to_string());
  auto made = std::make_unique<clock_guard>(clock, seen.value_or(std::nullopt));
  if (const auto now = made->now(); now.held)
    log::error("the clock shows {}, {} days later than this node last saw: nothing is trimmed or purged by age until "
               "`gnomon ask control accept-clock`, or for {} hours",
               format_time(now.shown), std::chrono::duration_cast<std::chrono::hours>(now.shown - now.believed).count() / 24,
               clock_confirmed_after.count());
  return made;
}

} // namespace

// The time that is believed, so that the next start can tell a leap.
void node::mark_clock() {
  auto& p = *parts_;
  p.clock_marked = p.context.clock->boot_now();
  const auto queued = p.meta->submit(
      [believed = p.ages->wall_now()](store::write_transaction& t) {
        return t.put(store::meta_database::node, store::clock_mark_key, store::encode_clock_mark(believed));
      },
      [](const result<void>&) {});
  if (!queued)
    log::debug("clock mark: {}", queued.error().to_string());
}

result<void> node::open_store() {
  auto& p = *parts_;
  const auto wanted = p.context.current_settings();
  if (auto made = make_folder_of(wanted->data_dir); !made)
    return made;
  auto directory = store::data_directory::open({.path = wanted->data_dir, .node = wanted->node});
  if (!directory)
    return tl::unexpected(directory.error());
  p.directory = std::move(*directory);
  auto marks = store::boot_marks::open(p.directory->path(), p.directory->boot_id());
  if (marks)
    p.marks = std::move(*marks);
  else // after an unclean stop every volume that was open will be doubtful
    log::warning("failed syncs cannot be noted in memory: {}", marks.error().to_string());
  auto meta = store::environment::open(store::meta_environment_options(p.directory->meta_path()));
  if (!meta && meta.error().code == errc::corrupt)
    return fail(errc::corrupt, fmt::format("{}; put a copy of meta/ back, or set it aside and have the catalogue written "
                                           "anew from the volumes' descriptors with: {}",
                                           meta.error().message, store::repair_command));
  if (!meta)
    return tl::unexpected(meta.error());
  p.meta = std::move(*meta);

  p.ages = open_clock(*p.meta, *p.context.clock);
  p.context.ages = p.ages.get();
  store::catalogue_options options;
  options.ages = p.ages.get();
  options.meta = p.meta.get();
  options.volumes_path = p.directory->volumes_path();
  options.trash_path = p.directory->trash_path();
  options.node = wanted->node;
  options.undelete_for = wanted->undelete_for;
  options.boot_id = p.directory->boot_id();
  options.marks = p.marks.get();
  store::catalogue_opening opening;
  auto catalogue = store::catalogue::open(options, &opening);
  if (!catalogue)
    return tl::unexpected(catalogue.error());
  p.catalogue = std::move(*catalogue);
  p.context.catalogue = p.catalogue.get();
  store::access_book_opening access_opening;
  auto access = store::access_book::open(p.meta.get(), *p.context.clock, &access_opening);
  if (!access) // without it fenced instances would come back
    return tl::unexpected(access.error());
  p.access = std::move(*access);
  p.context.access = p.access.get();
  store::event_book_opening told;
  auto book = store::event_book::open(
      {.meta = p.meta.get(),
       .clock = p.context.clock,
       .changed = [context = &p.context](const store::event_list& events) { context->set_events(events); },
       .ages = p.ages.get()},
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
  for (const auto& problem : access_opening.problems) {
    log::error("{}", problem);
    facts.problems.push_back(problem);
  }
  facts.previous_stop = to_string(p.directory->stopped());
  for (const auto& problem : opening.problems) {
    log::error("{}", problem.text);
    facts.problems.push_back(problem.text);
  }
  for (const auto& problem : opening.damaged)
    log::error("{}", problem.text);
  for (const auto& record : p.catalogue->list()) {
    if (record.failure)
      log::warning("volume {}: its writes fail since a failed fsync, until `gnomon volume clear {}`",
                   record.name.value, record.name.value);
    else if (record.doubt)
      log::warning("volume {}: {}; check it, then `gnomon volume clear {}`", record.name.value,
                   store::to_string(record.doubt->why), record.name.value);
  }
  for (const auto& problem : told.problems) {
    log::error("{}", problem);
    facts.problems.push_back(problem);
  }
  if (told.problems_unlisted > 0)
    log::error("{} more events cannot be read", told.problems_unlisted);
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
  p.fits = std::make_unique<background_pool>(background_pool::options{.cpu_budget = wanted->forecast.cpu_budget});
  p.context.fits = p.fits.get();
  store::history_options options;
  options.directory = p.directory->history_path();
  options.ages = p.ages.get();
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
  options.on_alert = [context = &p.context](io::alert event) { context->inbox.push(std::move(event)); };
  options.record_failure = [catalogue = p.catalogue.get()](volume_uuid volume, int os_errno,
                                                           io::done_callback done) {
    catalogue->mark_write_failure(volume, os_errno, [done](const result<store::volume_record>& marked) {
      // A volume that is gone for good has nothing left to protect.
      if (marked || marked.error().code == errc::not_found)
        return done({});
      done(tl::unexpected(marked.error()));
    });
  };
  if (!wanted->cluster.secret_file.empty())
    options.cluster = io::cluster_options{wanted->node, wanted->cluster, p.directory->path(), wanted->stage};
  else if (wanted->cluster.listen || !wanted->cluster.peers.empty())
    log::warning("the section cluster has no secret_file: this node is in no cluster");
  auto engine = p.options.make_engine(std::move(options));
  if (!engine)
    return tl::unexpected(engine.error());
  p.engine = std::move(*engine);
  p.context.engine = p.engine.get();
  const auto bound = p.engine->listen_cluster(); // before a volume is opened: a lease on it may be out
  if (!bound)
    return tl::unexpected(bound.error());
  auto facts = *p.context.facts();
  for (const auto& one : {bound->sessions, bound->data})
    if (one)
      facts.cluster.push_back(one->to_string());
  p.context.set_facts(std::move(facts));
  return {};
}

// The part that a restore brings in first. None, where the hot sets of the volume did not come true lately: the layers are
// then brought in in their own order.
static std::vector<io::granule_run> hot_runs(const forecasting::prediction_board& board, volume_uuid volume) {
  constexpr double ahead_seconds = 1800, recall_min = 0.5;
  std::vector<io::granule_run> out;
  const auto* outlook = board.find(volume);
  const auto* hot = outlook != nullptr ? outlook->heat->at(ahead_seconds) : nullptr;
  if (hot == nullptr || hot->recall < recall_min)
    return out;
  const auto granules = outlook->chunk_size.value / granule_bytes;
  for (const auto& chunk : hot->chunks)
    out.push_back({granule_index{chunk.chunk.value * granules}, granules});
  return out;
}

// A catalogue of snapshots that cannot be read keeps no volume from being served.
result<void> node::start_snapshots() {
  auto& p = *parts_;
  auto facts = *p.context.facts();
  store::snapshot_book_opening opening;
  auto book = store::snapshot_book::open(p.meta.get(), &opening);
  if (!book) {
    log::error("snapshots: {}; none can be taken before the next start", book.error().to_string());
    facts.problems.push_back("snapshots: " + book.error().to_string());
    p.context.set_facts(std::move(facts));
    return {};
  }
  p.snapshot_book = std::move(*book);
  snapshot_works_options options;
  options.engine = p.engine.get();
  options.catalogue = p.catalogue.get();
  options.book = p.snapshot_book.get();
  options.layers_path = p.directory->layers_path();
  options.clock = p.context.clock;
  options.volumes_changed = [tree = &p.context.tree] {
    if (const auto registry = tree->find_as<registry_actor>(registry_name))
      caf::anon_send(registry, atom::ask_v, std::string("reconcile"));
  };
  options.hot_first = [context = &p.context](volume_uuid volume) { return hot_runs(*context->predictions.board(), volume); };
  p.snapshots = std::make_unique<snapshot_works>(std::move(options));
  const auto recovered = p.snapshots->recover();
  auto problems = std::move(opening.problems);
  if (!recovered)
    problems.push_back("snapshots: " + recovered.error().to_string());
  else
    problems.insert(problems.end(), recovered->problems.begin(), recovered->problems.end());
  for (auto& problem : problems) {
    log::error("{}", problem);
    facts.problems.push_back(std::move(problem));
  }
  if (recovered && recovered->unsealed_removed > 0)
    log::info("{} unfinished layers removed", recovered->unsealed_removed);
  if (recovered && recovered->added > 0)
    log::info("{} sealed layers taken in that the catalogue did not name", recovered->added);
  p.context.snapshots = p.snapshots.get();
  p.context.open_source = [works = p.snapshots.get()](const store::volume_record& record) {
    return works->open_source(record);
  };
  p.context.set_facts(std::move(facts));
  return {};
}

result<void> node::start_actors() {
  auto& p = *parts_;
  auto* context = &p.context;
  const bool open = p.options.outside == listeners::open;
  p.config = std::make_unique<system_config>(open ? networking::control_socket : networking::none);
  p.system = std::make_unique<caf::actor_system>(*p.config);
  if (open) {
    p.control = std::make_unique<control_socket>(*p.system, control_socket_path(p.directory->path()));
    context->control = p.control.get();
  }
  auto* tree = &context->tree;
  const auto add = [tree](std::string name, std::string parent, std::function<caf::actor(caf::actor_system&)> spawn) {
    // Each of these is one of its kind: without it something is missing on the whole node.
    if (const auto added = tree->add({std::move(name), std::move(parent), std::move(spawn), retried_for_ever()}); !added)
      log::error("{}", added.error().to_string());
  };
  context->volume_children = volume_child_table{{volume_kind, volumes_name, spawn_volume},
                                                {pattern_kind, patterns_name, spawn_pattern, volume_child::whose::all},
                                                {forecaster_kind, forecasters_name, spawn_forecaster, volume_child::whose::all}};
  add(root_name, "", [tree](caf::actor_system& s) { return spawn_supervisor(s, tree, root_name); });
  add(volumes_name, root_name, [tree](caf::actor_system& s) { return spawn_supervisor(s, tree, volumes_name); });
  add(liveness_name, root_name,
      [context](caf::actor_system& s) { return spawn_liveness(s, &context->tree, context->clock); });
  add(registry_name, root_name, [context](caf::actor_system& s) { return spawn_registry(s, context); });
  add(alerts_name, root_name, [context](caf::actor_system& s) { return spawn_alerts(s, context); });
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
  add(instance_registry_name, root_name, [context](caf::actor_system& s) { return spawn_instance_registry(s, context); });
  add(groups_name, root_name, [tree](caf::actor_system& s) { return spawn_supervisor(s, tree, groups_name); });
  add(snapshots_name, root_name, [context](caf::actor_system& s) { return spawn_snapshots(s, context); });
  add(importer_name, root_name, [context](caf::actor_system& s) { return spawn_importer(s, context); });
  add(cluster_name, root_name, [context](caf::actor_system& s) { return spawn_cluster(s, context); });
  add(planner_name, root_name, [context](caf::actor_system& s) { return spawn_planner(s, context); });
  add(control_name, root_name, [context](caf::actor_system& s) { return spawn_control(s, context); });
  context->inbox.on_alert([tree] {
    if (const auto alerts = tree->find_as<alert_actor>(alerts_name))
      caf::anon_send(alerts, atom::drain_v);
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
  for (const auto& where : wanted->nbd.listen)
    if (where.type == endpoint::kind::unix_socket)
      if (auto made = make_folder_of(where.path); !made)
        return made;
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
  if (auto opened = open_instance_listeners(*wanted, facts); !opened)
    return tl::unexpected(opened.error());
  if (facts.nbd.empty())
    log::warning("no NBD listener is configured: nobody can attach a volume");
  if (wanted->admin.listen) {
    auto admin = admin_http::open(p.context, *p.system, wanted->admin);
    if (!admin)
      return tl::unexpected(admin.error());
    p.admin = std::move(*admin);
    facts.admin.push_back(p.admin->bound().to_string());
  }
  p.context.set_facts(std::move(facts));
  return p.control->wait_published(endpoint_timeout);
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

std::optional<std::chrono::milliseconds> node::attend() {
  const auto now = parts_->context.clock->boot_now();
  if (parts_->clock_marked == boot_time{} || now - parts_->clock_marked >= clock_mark_every)
    mark_clock();
  const auto repair = parts_->guard->check();
  const std::chrono::milliseconds next_mark = clock_mark_every;
  return repair ? std::min(*repair, next_mark) : next_mark;
}

void node::stop_actors(watchdog& dog) {
  auto& p = *parts_;
  if (!p.system)
    return;
  if (p.control)
    p.control->close();
  dog.stage("actors");
  const auto left = terminate_actors(*p.system, p.context.tree).left;
  // The inbox must not reach for an actor any more; the engine has been joined before.
  p.context.inbox.on_alert({});
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
  std::vector<volume_uuid> synced;
  if (p.snapshots) {
    dog.stage("snapshots under way");
    p.snapshots->ask_to_stop(snapshots_grace);
  }
  if (p.engine) {
    dog.stage("draining requests and closing volumes");
    drained = p.engine->stop(p.options.drain_grace);
    if (!drained)
      log::error("stopping: {}", drained.error().to_string());
    for (const auto& volume : p.engine->volumes())
      if (volume.synced)
        synced.push_back(volume.spec.uuid);
  }
  // Threads of the snapshots may wait for the disk that hangs: the volumes that are clean must be recorded before that.
  const bool hangs = !drained && drained.error().code == errc::timed_out;
  if (p.snapshots && !hangs)
    p.snapshots->stop();
  stop_actors(dog);
  dog.stage("admin endpoint");
  p.admin.reset();
  if (p.catalogue) {
    dog.stage("catalogue");
    // Only what was synced last of all counts as clean.
    if (!synced.empty())
      if (const auto marked = p.catalogue->set_clean(synced, true); !marked) {
        log::error("stopping: the volumes are synced, but this cannot be recorded: {}", marked.error().to_string());
        // On a full disk nothing is lost by it: the volumes are synced, and the next start looks at them as after a kill.
        if (drained && marked.error().code != errc::no_space)
          drained = tl::unexpected(marked.error());
      }
    p.catalogue->stop();
    const auto closed = [](const store::volume_record& record) { return record.clean; };
    const auto live = p.catalogue->list(), deleted = p.catalogue->list_deleted();
    if (drained && p.marks && std::all_of(live.begin(), live.end(), closed) &&
        std::all_of(deleted.begin(), deleted.end(), closed))
      p.marks->discard();
  }
  if (p.meta && p.ages)
    mark_clock();
  if (p.meta)
    p.meta->stop();
  dog.stage("fits and history");
  if (p.fits)
    p.fits->stop();
  if (p.history)
    p.history->stop();
  dog.stage("actor system");
  p.context.snapshots = nullptr;
  if (hangs)
    (void)p.snapshots.release();
  else
    p.snapshots.reset();
  p.control.reset();
  p.context.control = nullptr;
  p.system.reset();
  // I/O that a disk never answered still uses the engine's memory: the process has to end without freeing it.
  if (hangs)
    (void)p.engine.release();
  else
    p.engine.reset();
  // A node that never served has repaired nothing: what its predecessor left behind must stay visible.
  const bool was_clean = p.directory && (p.directory->stopped() == store::previous_stop::clean ||
                                         p.directory->stopped() == store::previous_stop::none);
  if (p.directory && drained && (served || was_clean)) {
    dog.stage("data directory");
    if (const auto marked = p.directory->mark_clean(); !marked) {
      log::error("stopping: {}", marked.error().to_string());
      drained = marked;
    }
  }
  return drained;
}

} // namespace gnomon::actors
