#include "actors/snapshots/snapshots.hpp"

#include <algorithm>

#include <caf/stateful_actor.hpp>

#include <fmt/format.h>

#include "actors/runtime/ask.hpp"
#include "actors/runtime/supervisor.hpp"
#include "actors/snapshots/group.hpp"
#include "actors/volumes/views.hpp"
#include "config/log.hpp"
#include "config/names.hpp"

namespace gnomon::actors {
namespace {
constexpr std::int64_t every_s_predicted = 3600, baseline_every_s_predicted = 86400; // where only prediction is asked for
constexpr ask_verb snapshots_verbs[] = {{"works", "how much snapshot work waits, and the restores under way"}};
// `done(true)` once the groups of `changes` are durable.
template <class Done>
void commit_groups(store::snapshot_book& book, store::snapshot_changes changes, Done done) {
  book.commit(std::move(changes), [done = std::move(done)](result<void> committed) {
    committed ? done(true) : done(tl::unexpected(committed.error()));
  });
}

} // namespace

result<void> snapshots_state::works() const {
  if (node->snapshots == nullptr)
    return fail(errc::unsupported, "this node keeps no snapshots; see `status`");
  return {};
}

void snapshots_state::start(node_context* n) {
  node = n;
  for (const auto& actor : node->tree.list()) // of a former incarnation
    if (actor.parent == groups_name)
      children.insert(actor.name);
  tick();
}

void snapshots_state::tick() {
  self->delayed_send(self, snapshots_every, atom::tick_v);
  if (node->snapshots == nullptr)
    return;
  node->snapshots->resume_restores();
  sync_groups();
}

void snapshots_state::sync_groups() {
  std::set<std::string> names;
  for (const auto& group : node->snapshots->options().book->groups()) {
    const auto& child = *names.insert(group_actor_name(group.name)).first;
    if (children.contains(child))
      continue;
    child_spec spec;
    spec.name = child;
    spec.parent = groups_name;
    spec.spawn = [node = node, name = group.name](caf::actor_system& system) { return spawn_group(system, node, name); };
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
    tell_supervisor(node->tree, groups_name);
  children = std::move(names);
}

caf::result<snapshot_info> snapshots_state::create(const snapshot_request& request) {
  const auto record = resolve(*node->catalogue, request.volume);
  if (!record)
    return to_caf(record.error());
  if (request.note.size() > store::snapshot_note_length_max)
    return to_caf({errc::invalid_argument,
                   fmt::format("a note of more than {} bytes", store::snapshot_note_length_max), 0});
  return replies.run<snapshot_info>([this, volume = record->uuid, note = request.note](auto done) {
    node->snapshots->capture(volume, note, std::move(done));
  });
}

caf::result<group_info> snapshots_state::create_group(const group_request& request) {
  if (const auto named = parse_group_name(request.name.value); !named)
    return to_caf(named.error());
  auto* book = node->snapshots->options().book;
  if (book->find(request.name))
    return to_caf({errc::already_exists, fmt::format("there is a snapshot group {} already", request.name.value), 0});
  if (request.volumes.empty() || request.volumes.size() > store::group_members_max)
    return to_caf({errc::invalid_argument, fmt::format("a group has 1 to {} volumes", store::group_members_max), 0});
  store::group_record record;
  record.name = request.name;
  auto rule = request.rule;
  if (rule.prediction && rule.every_s == 0)
    rule.every_s = every_s_predicted;
  if (rule.prediction && rule.baseline_every_s == 0)
    rule.baseline_every_s = std::max(rule.every_s, baseline_every_s_predicted);
  if (auto ruled = set_rule(record, rule); !ruled)
    return to_caf(ruled.error());
  for (const auto& ref : request.volumes) {
    const auto volume = resolve(*node->catalogue, ref);
    if (!volume)
      return to_caf(volume.error());
    if (std::find(record.volumes.begin(), record.volumes.end(), volume->uuid) != record.volumes.end())
      return to_caf({errc::invalid_argument, fmt::format("volume {} is named twice", volume->name.value), 0});
    for (const auto& other : book->groups())
      if (std::find(other.volumes.begin(), other.volumes.end(), volume->uuid) != other.volumes.end())
        return to_caf({errc::already_exists,
                       fmt::format("volume {} is in group {}; a volume is in at most one", volume->name.value,
                                   other.name.value),
                       0});
    record.volumes.push_back(volume->uuid);
  }
  record.created = node->clock->wall_now();
  const auto done_record = std::make_shared<store::group_record>(record);
  return replies.run<group_info, bool>(
      [book, record](auto done) {
        store::snapshot_changes changes;
        changes.put_groups = {record};
        commit_groups(*book, std::move(changes), std::move(done));
      },
      [this, done_record](bool) {
        sync_groups();
        return info_of_group(*node, *done_record);
      });
}

caf::result<group_info> snapshots_state::change_group(const group_change& change) {
  auto* book = node->snapshots->options().book;
  auto record = book->find(change.name);
  if (!record)
    return to_caf(no_such_group(change.name));
  auto rule = rule_of(*record);
  apply(change, rule);
  if (auto ruled = set_rule(*record, rule); !ruled)
    return to_caf(ruled.error());
  return replies.run<group_info, bool>(
      [book, record](auto done) {
        store::snapshot_changes changes;
        changes.put_groups = {*record};
        commit_groups(*book, std::move(changes), std::move(done));
      },
      [this, record](bool) { return info_of_group(*node, *record); });
}

caf::result<group_info> snapshots_state::erase_group(const group_ref& group) {
  auto* book = node->snapshots->options().book;
  const auto record = book->find(group.name);
  if (!record)
    return to_caf(no_such_group(group.name));
  const auto last = info_of_group(*node, *record);
  return replies.run<group_info, bool>(
      [book, name = group.name](auto done) {
        store::snapshot_changes changes;
        changes.erase_groups = {name};
        commit_groups(*book, std::move(changes), std::move(done));
      },
      [this, last](bool) {
        sync_groups();
        node->group_ages.erase(last.name);
        return last;
      });
}

caf::result<std::vector<group_info>> snapshots_state::list_groups() const {
  std::vector<group_info> out;
  for (const auto& group : node->snapshots->options().book->groups())
    out.push_back(info_of_group(*node, group));
  return out;
}

caf::result<std::string> snapshots_state::ask(const std::string& message) {
  const auto parsed = parse_asked(message);
  if (!parsed)
    return to_caf(parsed.error());
  if (parsed->verb == "help")
    return help_text(snapshots_verbs);
  if (parsed->verb != "works")
    return to_caf(unknown_verb(*parsed, snapshots_verbs).value());
  auto out = fmt::format("{} works wait", node->snapshots->queued());
  for (const auto& restore : node->snapshots->restores())
    out += fmt::format("\nrestore of {}: {} of {} granules{}{}", restore.name.value, restore.present, restore.granules,
                       restore.done ? ", done" : "", restore.problem.empty() ? "" : ": " + restore.problem);
  return out;
}

caf::actor spawn_snapshots(caf::actor_system& system, node_context* node) {
  return caf::actor_cast<caf::actor>(system.spawn(snapshots, node));
}

snapshots_actor::behavior_type snapshots(snapshots_actor::stateful_pointer<snapshots_state> self, node_context* node) {
  auto* state = &self->state;
  state->start(node);
  return {
      [state](atom::report) {
        return actor_report{state->self->mailbox().size(),
                            fmt::format("{} requests wait, {} groups", state->replies.size(), state->children.size())};
      },
      [state](atom::ask, const std::string& message) -> caf::result<std::string> {
        if (const auto can = state->works(); !can)
          return to_caf(can.error());
        return state->ask(message);
      },
      [state](atom::create, const snapshot_request& request) -> caf::result<snapshot_info> {
        if (const auto can = state->works(); !can)
          return to_caf(can.error());
        return state->create(request);
      },
      [state](atom::list, const snapshot_query& query) -> caf::result<std::vector<snapshot_info>> {
        if (const auto can = state->works(); !can)
          return to_caf(can.error());
        return state->node->snapshots->list(query);
      },
      [state](atom::show, const snapshot_ref& ref) -> caf::result<snapshot_info> {
        if (const auto can = state->works(); !can)
          return to_caf(can.error());
        auto found = state->node->snapshots->show(ref.text);
        if (!found)
          return to_caf(found.error());
        return std::move(*found);
      },
      [state](atom::erase, const snapshot_ref& ref) -> caf::result<snapshot_info> {
        if (const auto can = state->works(); !can)
          return to_caf(can.error());
        return state->replies.run<snapshot_info>(
            [state, ref](auto done) { state->node->snapshots->remove(ref.text, std::move(done)); });
      },
      [state](atom::verify, const snapshot_ref& ref) -> caf::result<snapshot_check> {
        if (const auto can = state->works(); !can)
          return to_caf(can.error());
        return state->replies.run<snapshot_check>(
            [state, ref](auto done) { state->node->snapshots->check(ref.text, std::move(done)); });
      },
      [state](atom::merge, const snapshot_ref& ref) -> caf::result<snapshot_info> {
        if (const auto can = state->works(); !can)
          return to_caf(can.error());
        return state->replies.run<snapshot_info>(
            [state, ref](auto done) { state->node->snapshots->merge(ref.text, std::move(done)); });
      },
      [state](atom::diff, const snapshot_diff_request& request) -> caf::result<snapshot_diff> {
        if (const auto can = state->works(); !can)
          return to_caf(can.error());
        return state->replies.run<snapshot_diff>(
            [state, request](auto done) { state->node->snapshots->diff(request, std::move(done)); });
      },
      [state](atom::restore, const restore_request& request) -> caf::result<restore_info> {
        if (const auto can = state->works(); !can)
          return to_caf(can.error());
        if (const auto named = parse_volume_name(request.to.value); !named)
          return to_caf(named.error());
        return state->replies.run<restore_info>([state, request](auto done) {
          state->node->snapshots->restore(request.snapshot.text, request.to, std::move(done));
        });
      },
      [state](atom::restore) -> caf::result<std::vector<restore_info>> {
        if (const auto can = state->works(); !can)
          return to_caf(can.error());
        return state->node->snapshots->restores();
      },
      [state](atom::rebuild) -> caf::result<rebuild_report> {
        if (const auto can = state->works(); !can)
          return to_caf(can.error());
        return state->replies.run<rebuild_report>(
            [state](auto done) { state->node->snapshots->rebuild(std::move(done)); });
      },
      [state](atom::create, const group_request& request) -> caf::result<group_info> {
        if (const auto can = state->works(); !can)
          return to_caf(can.error());
        return state->create_group(request);
      },
      [state](atom::describe, const group_change& change) -> caf::result<group_info> {
        if (const auto can = state->works(); !can)
          return to_caf(can.error());
        return state->change_group(change);
      },
      [state](atom::erase, const group_ref& group) -> caf::result<group_info> {
        if (const auto can = state->works(); !can)
          return to_caf(can.error());
        return state->erase_group(group);
      },
      [state](atom::group) -> caf::result<std::vector<group_info>> {
        if (const auto can = state->works(); !can)
          return to_caf(can.error());
        return state->list_groups();
      },
      [state](atom::completed, const snapshot_completion& done) { state->replies.complete(done); },
      [state](atom::tick) { state->tick(); },
  };
}

} // namespace gnomon::actors
