#include "actors/instances/instance.hpp"

#include "actors/runtime/served_volumes.hpp"
#include "actors/runtime/instance_summary.hpp"
#include <algorithm>
#include <utility>

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <fmt/format.h>

#include "actors/instances/instance_profile.hpp"
#include "actors/instances/instance_registry.hpp"
#include "actors/protocol/error_message.hpp"
#include "actors/runtime/ask.hpp"
#include "actors/runtime/background_pool.hpp"
#include "io/engine/engine.hpp"
#include "store/history/history.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::actors {
namespace {
constexpr ask_verb instance_verbs[] = {{"what", "what is known of it from outside"}};
} // namespace

instance_state::~instance_state() {
  for (auto& promise : waiting)
    promise.deliver(to_caf({errc::unavailable, "the instance's profile actor has ended; ask again", 0}));
}

void instance_state::start(node_context* n, instance_id of) {
  node = n;
  id = std::move(of);
}

caf::result<instance_details> instance_state::profile() {
  if (waiting.size() >= profile_requests_max)
    return to_caf({errc::busy, fmt::format("{} requests wait for this profile already", profile_requests_max), 0});
  waiting.push_back(self->make_response_promise<caf::response_promise>());
  if (waiting.size() == 1 && !read()) {
    // Nothing is learned, or too much is under way: what is known without reading is better than no answer.
    instance_details details;
    details.why_not_predicted = "the history cannot be read just now";
    answer(details);
  }
  return caf::delegated<instance_details>{};
}

bool instance_state::read() {
  if (node->history == nullptr || node->fits == nullptr)
    return false;
  reading = std::make_shared<job>();
  ++number;
  auto work = [box = reading, history = node->history, id = id, now = node->clock->wall_now(), number = number,
               volumes = watched_volumes(served_volumes(*node), *node->current_settings()), to = self->address()] {
    const auto loads = recent_load(*history, volumes, now);
    for (const auto& [index, load] : loads)
      if (history->name_of(index) == id) {
        take_load(box->details.summary, load);
        read_profile(*history, index, volumes, now, box->details);
      }
    if (const auto strong = caf::actor_cast<instance_actor>(to))
      caf::anon_send(strong, atom::fitted_v, fit_completion{number});
  };
  const auto sent = node->fits->submit({"instance " + id.value, background_pool::urgency::person_waits, std::move(work)});
  if (!sent)
    reading.reset();
  return sent.has_value();
}

void instance_state::fitted(const fit_completion& done) {
  if (!reading || done.job != number)
    return;
  auto details = std::move(reading->details);
  reading.reset();
  predict(std::move(details));
}

void instance_state::predict(instance_details details) {
  const auto forecaster = node->tree.find_as<forecaster_actor>(node_forecaster_name);
  if (details.volumes.empty() || !forecaster) {
    details.why_not_predicted =
        details.volumes.empty() ? "it did nothing in the last day" : "the forecaster is being restarted";
    return answer(details);
  }
  const auto shared = std::make_shared<instance_details>(std::move(details));
  self->request(forecaster, timeout::query, atom::forecast_v,
                forecast_request{subject_kind::instance, id.value, load_kind::requests})
      .then(
          [this, shared](const forecast_view& view) {
            shared->predicted = load_ahead(view, horizons());
            if (shared->predicted.empty())
              shared->why_not_predicted = "the forecast does not reach that far";
            answer(*shared);
          },
          [this, shared](const caf::error& why) {
            shared->why_not_predicted = from_caf(why).message;
            answer(*shared);
          });
}

void instance_state::answer(const instance_details& details) {
  auto out = details;
  auto known = summary_of(*node, id);
  take_load(known, details.summary);
  for (const auto& connection : node->engine->connections())
    known.connections += connection.instance == id ? 1 : 0;
  out.summary = std::move(known);
  for (const auto& configured : node->current_settings()->instances)
    if (configured.id == id)
      out.allowed = configured.volumes;
  for (auto& promise : std::exchange(waiting, {}))
    promise.deliver(out);
}

// Those of the volumes it may use; the usual ones where it may use any.
std::vector<std::chrono::seconds> instance_state::horizons() const {
  const auto settings = node->current_settings();
  std::vector<std::chrono::seconds> out = volume_settings{}.forecast_horizons;
  for (const auto& instance : settings->instances) {
    if (instance.id != id || instance.volumes.empty())
      continue;
    for (const auto& volume : settings->volumes)
      if (volume.name == instance.volumes.front())
        out = volume.forecast_horizons;
  }
  return out;
}

caf::result<std::string> instance_state::ask(const std::string& message) {
  const auto parsed = parse_asked(message);
  if (!parsed)
    return to_caf(parsed.error());
  if (parsed->verb == "help")
    return help_text(instance_verbs);
  if (parsed->verb != "what")
    return to_caf(unknown_verb(*parsed, instance_verbs).value());
  const auto known = summary_of(*node, id);
  return fmt::format("{}{}{}", known.in_config ? "in the configuration" : "not in the configuration",
                     known.set_by_hand ? ", described by hand" : "",
                     known.metadata.application.empty() ? "" : ", runs " + known.metadata.application);
}

caf::actor spawn_instance(caf::actor_system& system, node_context* node, instance_id id) {
  return caf::actor_cast<caf::actor>(system.spawn(instance, node, std::move(id)));
}

instance_actor::behavior_type instance(instance_actor::stateful_pointer<instance_state> self, node_context* node,
                                       instance_id id) {
  auto* state = &self->state;
  state->start(node, std::move(id));
  return {
      [state](atom::report) {
        return actor_report{state->self->mailbox().size(), state->waiting.empty() ? "" : "being asked"};
      },
      [state](atom::ask, const std::string& message) { return state->ask(message); },
      [state](atom::profile) { return state->profile(); },
      [state](atom::fitted, const fit_completion& done) { state->fitted(done); },
  };
}

} // namespace gnomon::actors
