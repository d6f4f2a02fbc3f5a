// Bringing a whole config in line: create, grow and update volumes, open all, set the access rules. One at a time.
#include "actors/volumes/registry.hpp"

#include <algorithm>

#include <caf/typed_event_based_actor.hpp>

#include "actors/protocol/error_message.hpp"
#include "config/log.hpp"
#include "io/engine/engine.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::actors {
namespace {

// What is left to do and what was found, kept alive by the steps in flight.
struct application {
  config_plan plan;
  apply_report report;
  std::function<void(apply_report)> answer;
  std::vector<std::string> standing; // refused until the next apply
  void refuse(const std::string& volume, const error& why) {
    not_opened(volume, why);
    standing.push_back(report.refused.back());
  }
  // Tried again all the time; the problem board has it.
  void not_opened(const std::string& volume, const error& why) {
    report.refused.push_back(fmt::format("volume {}: {}", volume, why.to_string()));
  }
};
using shared_application = std::shared_ptr<application>;

registry_state::launch create_step(store::catalogue* catalogue, std::vector<store::volume_request> requests) {
  return [catalogue, requests = std::move(requests)](const registry_state::step_done& done) {
    catalogue->create(requests,
                      [done](const auto& made) { made ? done(volume_uuid{}) : done(tl::unexpected(made.error())); });
  };
}

registry_state::launch resize_step(store::catalogue* catalogue, volume_uuid uuid, byte_count size) {
  return [=](const registry_state::step_done& done) {
    catalogue->resize(uuid, size, [done, uuid](const auto& r) { r ? done(uuid) : done(tl::unexpected(r.error())); });
  };
}

registry_state::launch update_step(store::catalogue* catalogue, volume_uuid uuid, store::volume_changes changes) {
  return [=](const registry_state::step_done& done) {
    catalogue->update(uuid, changes,
                      [done, uuid](const auto& r) { r ? done(uuid) : done(tl::unexpected(r.error())); });
  };
}

// --- the phases, each starting the next

// Opens what is claimed for it, apply_window at once.
struct opening {
  std::vector<store::volume_record> records;
  std::size_t started = 0, finished = 0;
};

void open_next(registry_state* state, const shared_application& work, const std::shared_ptr<opening>& all) {
  if (all->started == all->records.size()) {
    if (all->finished == all->started)
      work->answer(std::move(work->report));
    return;
  }
  const auto& record = all->records[all->started++];
  state->bring_in_line(record.uuid, [state, work, all, &record](const registry_state::outcome& done) {
    state->claimed.erase(record.uuid);
    if (!done)
      work->not_opened(record.name.value, done.error());
    ++all->finished;
    open_next(state, work, all);
  });
}

void open_all(registry_state* state, const shared_application& work) {
  auto all = std::make_shared<opening>();
  std::vector<volume_uuid> unmarked;
  // Those that went from the config are closed in the same way.
  for (auto& record : state->node->catalogue->list()) {
    const auto step = next_step(state->wanted(record.uuid), state->node->engine->status(record.uuid),
                                state->fences(record.uuid));
    if (step == volume_step::none || !state->claimed.insert(record.uuid).second)
      continue;
    if (step == volume_step::mark_unclean)
      unmarked.push_back(record.uuid);
    all->records.push_back(std::move(record));
  }
  const auto start = [state, work, all](const registry_state::outcome&) {
    if (all->records.empty())
      return open_next(state, work, all);
    const auto first = std::min(apply_window, all->records.size());
    for (std::size_t i = 0; i < first; ++i)
      open_next(state, work, all);
  };
  // One commit marks all of them as in use. Should it fail, each tries alone and tells why it cannot.
  if (unmarked.empty())
    return start(volume_uuid{});
  state->run(
      [catalogue = state->node->catalogue, unmarked](const registry_state::step_done& done) {
        catalogue->set_clean(unmarked, false,
                             [done](const auto& r) { r ? done(volume_uuid{}) : done(tl::unexpected(r.error())); });
      },
      start);
}

void grow_and_update(registry_state* state, const shared_application& work) {
  std::vector<registry_state::launch> steps;
  std::vector<std::string> names;
  for (const auto& [uuid, volume, size] : work->plan.grow) {
    steps.push_back(resize_step(state->node->catalogue, uuid, size));
    names.push_back(volume.value);
  }
  for (const auto& [uuid, volume, changes] : work->plan.updates) {
    steps.push_back(update_step(state->node->catalogue, uuid, changes));
    names.push_back(volume.value);
  }
  state->run_all(
      std::move(steps),
      [work, names](std::size_t index, const registry_state::outcome& done) {
        if (done)
          ++work->report.changed;
        else
          work->refuse(names[index], done.error());
      },
      [state, work] {
        state->sync_actors();
        open_all(state, work);
      });
}

// All at once did not work: each alone, so that one bad volume does not keep the others from being made.
void create_one_by_one(registry_state* state, const shared_application& work) {
  std::vector<registry_state::launch> steps;
  for (const auto& request : work->plan.create)
    steps.push_back(create_step(state->node->catalogue, {request}));
  state->run_all(
      std::move(steps),
      [work](std::size_t index, const registry_state::outcome& done) {
        if (done)
          ++work->report.created;
        else
          work->refuse(work->plan.create[index].name.value, done.error());
      },
      [state, work] { grow_and_update(state, work); });
}

void create_all(registry_state* state, const shared_application& work) {
  if (work->plan.create.empty())
    return grow_and_update(state, work);
  if (work->plan.create.size() > store::create_batch_max)
    return create_one_by_one(state, work);
  state->run(create_step(state->node->catalogue, work->plan.create),
             [state, work](const registry_state::outcome& done) {
               if (!done)
                 return create_one_by_one(state, work);
               work->report.created = static_cast<std::uint32_t>(work->plan.create.size());
               grow_and_update(state, work);
             });
}

} // namespace

bool registry_state::settings_pending() const {
  const auto now = node->configuration();
  return now.in_force < now.wanted || !node->refused()->empty();
}

caf::result<apply_report> registry_state::apply() {
  if (appliers.size() >= changes_max)
    return to_caf({errc::busy, "too many wait for the settings to be applied", 0});
  appliers.push_back(promise<apply_report>());
  if (!applying)
    begin_apply();
  return caf::delegated<apply_report>{};
}

void registry_state::begin_apply() {
  applying = true;
  const auto generation = node->configuration().wanted;
  const auto wanted = node->current_settings();
  auto work = std::make_shared<application>();
  work->plan = plan_config(*wanted, node->catalogue->list(), node->engine->volumes());
  work->report.refused = work->standing = work->plan.refused;
  work->report.unchanged = work->plan.unchanged;
  work->answer = [this, generation, weak = std::weak_ptr(work)](apply_report report) {
    const auto done = weak.lock();
    applied(generation, std::move(report), done ? done->standing : std::vector<std::string>{});
  };
  // Rules first: a volume that opens is never open to those who may not.
  refresh_access();
  create_all(this, work);
}

void registry_state::applied(std::uint64_t generation, apply_report report, std::vector<std::string> standing) {
  applying = false;
  refresh_access(); // grants by hand of volumes that were made just now
  const auto before = node->refused();
  for (const auto& line : report.refused)
    if (std::find(before->begin(), before->end(), line) == before->end())
      log::warning("{}", line);
  node->set_refused(std::move(standing));
  node->set_in_force(generation);
  if (report.created + report.changed > 0 || !appliers.empty())
    log::info("settings of generation {} are in force: {} volumes created, {} changed, {} as they were, {} refused",
              generation, report.created, report.changed, report.unchanged, report.refused.size());
  if (node->configuration().wanted != generation)
    return begin_apply(); // newer ones came meanwhile
  for (const auto& one : std::exchange(appliers, {}))
    one->give(report);
}

} // namespace gnomon::actors
