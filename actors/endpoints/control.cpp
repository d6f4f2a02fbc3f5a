#include "actors/endpoints/control.hpp"

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <fmt/format.h>

#include "actors/endpoints/control_socket.hpp"
#include "actors/learning/board_view.hpp"
#include "actors/protocol/error_message.hpp"
#include "actors/runtime/ask.hpp"
#include "actors/runtime/supervisor.hpp"
#include "actors/telemetry/health.hpp"
#include "actors/volumes/views.hpp"
#include "config/log.hpp"
#include "config/text.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::actors {
namespace {
constexpr ask_verb control_verbs[] = {
    {"problems", "what is wrong with the node"},
    {"accept-clock", "the clock is right: what it leapt over counts as time that has passed"}};

} // namespace

template <class Handle, class Reply, class... Ts>
caf::result<Reply> control_state::pass_on(const char* to, const Ts&... message) {
  const auto handle = node->tree.template find_as<Handle>(to);
  if (!handle)
    return to_caf(node->tree.absence(to));
  return self->delegate(handle, message...);
}

template <class Reply, class Atom>
caf::result<Reply> control_state::pass_on_to_group(const group_name& group, Atom request) {
  const auto actor = group_actor_name(group);
  if (!node->tree.contains(actor))
    return to_caf({errc::not_found,
                   "there is no snapshot group " + quote(group.value) + "; `group ls` lists them", 0});
  return pass_on<group_actor, Reply>(actor.c_str(), request);
}

// Asks every actor at once; who does not answer in time is listed as such.
caf::result<std::vector<actor_info>> control_state::list_actors() {
  struct listing {
    std::vector<actor_info> actors;
    std::size_t left = 0;
    caf::typed_response_promise<std::vector<actor_info>> promise;
    void one_done() {
      if (--left == 0)
        promise.deliver(std::move(actors));
    }
  };
  auto all = std::make_shared<listing>();
  all->actors = node->tree.list();
  all->promise = self->make_response_promise<std::vector<actor_info>>();
  all->left = all->actors.size() + 1; // one for this loop, so that nobody finishes before it
  for (std::size_t i = 0; i < all->actors.size(); ++i) {
    const auto handle = node->tree.find_as<supervised_actor>(all->actors[i].name);
    if (!handle) {
      --all->left;
      continue;
    }
    self->request(handle, timeout::report, atom::report_v)
        .then(
            [all, i](const actor_report& report) {
              all->actors[i].answered = true;
              all->actors[i].report = report;
              all->one_done();
            },
            [all](const caf::error&) { all->one_done(); });
  }
  all->one_done();
  return caf::delegated<std::vector<actor_info>>{};
}

caf::result<std::string> control_state::kill(const std::string& actor) {
  const auto handle = node->tree.find(actor);
  if (!handle)
    return to_caf(node->tree.absence(actor));
  log::warning("actor {} is killed by an operator", actor);
  caf::anon_send_exit(handle, caf::exit_reason::kill);
  return fmt::format("killed {} (id {})", actor, handle.id());
}

caf::result<std::string> control_state::revive(const std::string& actor) {
  if (const auto revived = node->tree.revive(actor); !revived)
    return to_caf(revived.error());
  tell_supervisor(node->tree, node->tree.parent_of(actor));
  return fmt::format("{} gets another chance", actor);
}

caf::result<std::string> control_state::ask(const std::string& actor, const std::string& message) {
  if (!node->tree.contains(actor))
    return to_caf({errc::not_found, fmt::format("there is no actor {}; `gnomon actors` lists them", actor), 0});
  const auto parsed = parse_asked(message);
  if (!parsed)
    return to_caf(parsed.error());
  if (parsed->verb == "kill")
    return kill(actor);
  if (parsed->verb == "revive")
    return revive(actor);
  const auto handle = node->tree.find_as<supervised_actor>(actor);
  if (!handle)
    return to_caf(node->tree.absence(actor));
  if (parsed->verb == "report") {
    auto promise = self->make_response_promise<std::string>();
    self->request(handle, timeout::report, atom::report_v)
        .then(
            [promise](const actor_report& report) mutable {
              promise.deliver(fmt::format("{} messages wait {}", report.mailbox, report.activity));
            },
            [promise](caf::error& why) mutable { promise.deliver(std::move(why)); });
    return caf::delegated<std::string>{};
  }
  return self->delegate(handle, atom::ask_v, message);
}

caf::result<reload_report> control_state::reload(reload_mode mode) {
  const auto number = next_reload++;
  reload_request request{mode, [to = self->address(), number](result<reload_report> outcome) {
                           const auto strong = caf::actor_cast<control_actor>(to);
                           if (!strong)
                             return;
                           reload_completion done;
                           done.request = number;
                           if (outcome)
                             done.report = std::move(*outcome);
                           else
                             done.outcome = error_info(outcome.error());
                           caf::anon_send(strong, atom::completed_v, std::move(done));
                         }};
  if (const auto asked = node->reloads.ask(std::move(request)); !asked)
    return to_caf(asked.error());
  reloads.emplace(number, self->make_response_promise<reload_report>());
  return caf::delegated<reload_report>{};
}

void control_state::reloaded(const reload_completion& done) {
  const auto found = reloads.find(done.request);
  if (found == reloads.end())
    return;
  auto promise = std::move(found->second);
  reloads.erase(found);
  if (done.outcome.ok)
    promise.deliver(done.report);
  else
    promise.deliver(to_caf(done.outcome.to_error()));
}

caf::actor spawn_control(caf::actor_system& system, node_context* node) {
  return caf::actor_cast<caf::actor>(system.spawn(control, node));
}

control_actor::behavior_type control(control_actor::stateful_pointer<control_state> self, node_context* node) {
  auto* state = &self->state;
  state->node = node;
  if (node->control != nullptr)
    node->control->publish(self);
  return {
      [self](atom::report) {
        return actor_report{self->mailbox().size(), {}};
      },
      [state](atom::ask, const std::string& message) -> caf::result<std::string> {
        const auto parsed = parse_asked(message);
        if (!parsed)
          return to_caf(parsed.error());
        if (parsed->verb == "help")
          return help_text(control_verbs);
        if (parsed->verb == "accept-clock" && state->node->ages != nullptr) {
          state->node->ages->accept();
          log::warning("an operator accepted the clock's time");
          return std::string("what is too old by this clock goes with the next trimming");
        }
        if (parsed->verb != "problems")
          return to_caf(unknown_verb(*parsed, control_verbs).value());
        const auto problems = health_problems(*state->node);
        return problems.empty() ? std::string("none") : fmt::format("{}", fmt::join(problems, "\n"));
      },
      [state](atom::status) { return status_of(*state->node); },
      [state](atom::reload, reload_mode mode) { return state->reload(mode); },
      [state](atom::completed, const reload_completion& done) { state->reloaded(done); },
      [state](atom::actors) { return state->list_actors(); },
      [state](atom::ask, const std::string& actor, const std::string& message) { return state->ask(actor, message); },
      [state](atom::top a) { return state->pass_on<telemetry_actor, telemetry_snapshot>(telemetry_name, a); },
      [state](atom::list a, list_filter filter) {
        return state->pass_on<registry_actor, std::vector<volume_summary>>(registry_name, a, filter);
      },
      [state](atom::show a, const volume_ref& ref) {
        return state->pass_on<registry_actor, volume_details>(registry_name, a, ref);
      },
      [state](atom::create a, const volume_request& request) {
        return state->pass_on<registry_actor, volume_summary>(registry_name, a, request);
      },
      [state](atom::resize a, const volume_ref& ref, byte_count size) {
        return state->pass_on<registry_actor, resize_report>(registry_name, a, ref, size);
      },
      [state](atom::erase a, const volume_ref& ref, deletion how) {
        return state->pass_on<registry_actor, volume_summary>(registry_name, a, ref, how);
      },
      [state](atom::undelete a, const volume_ref& ref, const volume_name& n) {
        return state->pass_on<registry_actor, volume_summary>(registry_name, a, ref, n);
      },
      [state](atom::purge a, const volume_ref& ref) {
        return state->pass_on<registry_actor, volume_summary>(registry_name, a, ref);
      },
      [state](atom::rename a, const volume_ref& ref, const volume_name& n) {
        return state->pass_on<registry_actor, volume_summary>(registry_name, a, ref, n);
      },
      [state](atom::describe a, const volume_ref& ref, const std::string& text) {
        return state->pass_on<registry_actor, volume_summary>(registry_name, a, ref, text);
      },
      [state](atom::access a, const volume_ref& ref, volume_access access) {
        return state->pass_on<registry_actor, volume_summary>(registry_name, a, ref, access);
      },
      [state](atom::who a, const volume_ref& ref) {
        return state->pass_on<registry_actor, std::vector<connection_info>>(registry_name, a, ref);
      },
      [state](atom::fence a, const volume_ref& ref, const instance_id& instance, const instance_id& heir) {
        return state->pass_on<registry_actor, std::vector<connection_info>>(registry_name, a, ref, instance, heir);
      },
      [state](atom::unfence a, const volume_ref& ref, const instance_id& instance) {
        return state->pass_on<registry_actor, volume_details>(registry_name, a, ref, instance);
      },
      [state](atom::grant a, const volume_ref& ref, const instance_id& instance) {
        return state->pass_on<registry_actor, volume_details>(registry_name, a, ref, instance);
      },
      [state](atom::revoke a, const volume_ref& ref, const instance_id& instance) {
        return state->pass_on<registry_actor, volume_details>(registry_name, a, ref, instance);
      },
      [state](atom::clear a, const volume_ref& ref) {
        return state->pass_on<registry_actor, volume_summary>(registry_name, a, ref);
      },
      [state](atom::accept a, const volume_ref& ref) {
        return state->pass_on<registry_actor, volume_summary>(registry_name, a, ref);
      },
      [state](atom::record a, const volume_ref& ref) {
        return state->pass_on<recorder_actor, recording_started>(recorder_name, a, ref);
      },
      [state](atom::next a, recording_number number) {
        return state->pass_on<recorder_actor, record_batch>(recorder_name, a, number);
      },
      [state](atom::stop a, recording_number number) {
        return state->pass_on<recorder_actor, record_batch>(recorder_name, a, number);
      },
      [state](atom::heat a, const volume_ref& ref, const heat_request& request) -> caf::result<heat_view> {
        const auto record = resolve_served(*state->node, ref);
        if (!record)
          return to_caf(record.error());
        return state->pass_on<pattern_actor, heat_view>(pattern_actor_name(record->name).c_str(), a, request);
      },
      [state](atom::add a, const event_batch& batch) {
        return state->pass_on<calendar_actor, events_added>(calendar_name, a, batch, event_source::cli);
      },
      [state](atom::list a, const event_query& query) {
        return state->pass_on<calendar_actor, event_page>(calendar_name, a, query);
      },
      [state](atom::remove a, event_id id) {
        return state->pass_on<calendar_actor, event_info>(calendar_name, a, id);
      },
      [state](atom::forecast a, const forecast_request& request) -> caf::result<forecast_view> {
        if (request.kind != subject_kind::volume)
          return state->pass_on<forecaster_actor, forecast_view>(node_forecaster_name, a, request);
        const auto record = resolve_served(*state->node, {request.subject});
        if (!record)
          return to_caf(record.error());
        return state->pass_on<forecaster_actor, forecast_view>(forecaster_actor_name(record->name).c_str(), a,
                                                               request);
      },
      [state](atom::board, const board_request& request) -> caf::result<board_view> {
        std::optional<volume_uuid> only;
        if (!request.volume.empty()) {
          const auto record = resolve_served(*state->node, {request.volume});
          if (!record)
            return to_caf(record.error());
          only = record->uuid;
        }
        auto view = view_of(*state->node->predictions.board(), only, state->node->clock->wall_now());
        view.refused = state->node->predictions.refused();
        return view;
      },
      [state](atom::profiles a) {
        return state->pass_on<instance_registry_actor, std::vector<instance_summary>>(instance_registry_name, a);
      },
      [state](atom::profile a, const instance_id& id) -> caf::result<instance_details> {
        const auto name = instance_actor_name(id);
        if (!state->node->tree.contains(name))
          return to_caf(
              {errc::not_found, "there is no instance " + quote(id.value) + "; `instance ls` lists them", 0});
        return state->pass_on<instance_actor, instance_details>(name.c_str(), a);
      },
      [state](atom::describe a, const instance_id& id, const instance_change& change) {
        return state->pass_on<instance_registry_actor, instance_summary>(instance_registry_name, a, id, change);
      },
      [state](atom::take_in a, const volume_ref& ref) {
        return state->pass_on<importer_actor, import_terms>(importer_name, a, ref);
      },
      [state](atom::take_in a, const volume_ref& ref, const import_note& note) {
        return state->pass_on<importer_actor, import_receipt>(importer_name, a, ref, note);
      },
      [state](atom::take_in a, const volume_ref& ref, const history_rows& rows) {
        return state->pass_on<importer_actor, import_receipt>(importer_name, a, ref, rows);
      },
      [state](atom::create a, const snapshot_request& request) {
        return state->pass_on<snapshots_actor, snapshot_info>(snapshots_name, a, request);
      },
      [state](atom::list a, const snapshot_query& query) {
        return state->pass_on<snapshots_actor, std::vector<snapshot_info>>(snapshots_name, a, query);
      },
      [state](atom::show a, const snapshot_ref& ref) {
        return state->pass_on<snapshots_actor, snapshot_info>(snapshots_name, a, ref);
      },
      [state](atom::erase a, const snapshot_ref& ref) {
        return state->pass_on<snapshots_actor, snapshot_info>(snapshots_name, a, ref);
      },
      [state](atom::verify a, const snapshot_ref& ref) {
        return state->pass_on<snapshots_actor, snapshot_check>(snapshots_name, a, ref);
      },
      [state](atom::merge a, const snapshot_ref& ref) {
        return state->pass_on<snapshots_actor, snapshot_info>(snapshots_name, a, ref);
      },
      [state](atom::diff a, const snapshot_diff_request& request) {
        return state->pass_on<snapshots_actor, snapshot_diff>(snapshots_name, a, request);
      },
      [state](atom::restore a, const restore_request& request) {
        return state->pass_on<snapshots_actor, restore_info>(snapshots_name, a, request);
      },
      [state](atom::restore a) {
        return state->pass_on<snapshots_actor, std::vector<restore_info>>(snapshots_name, a);
      },
      [state](atom::rebuild a) { return state->pass_on<snapshots_actor, rebuild_report>(snapshots_name, a); },
      [state](atom::create a, const group_request& request) {
        return state->pass_on<snapshots_actor, group_info>(snapshots_name, a, request);
      },
      [state](atom::describe a, const group_change& change) {
        return state->pass_on<snapshots_actor, group_info>(snapshots_name, a, change);
      },
      [state](atom::erase a, const group_ref& group) {
        return state->pass_on<snapshots_actor, group_info>(snapshots_name, a, group);
      },
      [state](atom::group a) {
        return state->pass_on<snapshots_actor, std::vector<group_info>>(snapshots_name, a);
      },
      [state](atom::status a, const group_ref& group) {
        return state->pass_on_to_group<group_info>(group.name, a);
      },
      [state](atom::plan a, const group_ref& group) { return state->pass_on_to_group<group_plan>(group.name, a); },
      [state](atom::snapshot a, const group_ref& group) {
        return state->pass_on_to_group<group_info>(group.name, a);
      },
  };
}

} // namespace gnomon::actors
