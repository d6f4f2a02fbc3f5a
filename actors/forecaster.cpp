#include "actors/forecaster.hpp"

#include <algorithm>

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <fmt/format.h>

#include "actors/ask.hpp"
#include "actors/error_message.hpp"
#include "config/log.hpp"
#include "store/catalogue.hpp"
#include "store/history.hpp"

namespace gnomon::actors {
namespace {

constexpr ask_verb verbs[] = {{"fits", "what is fitted, what is under way"}};

std::string key_of(const forecast_subject& subject, load_kind load) {
  return subject.object + " " + std::string(to_string(load));
}

error no_history() {
  return {errc::unavailable, "the history could not be opened: nothing is learned until the next start", 0};
}

const volume_settings* find_settings(const settings& all, const volume_name& name) {
  for (const auto& volume : all.volumes)
    if (volume.name == name)
      return &volume;
  return nullptr;
}

} // namespace

forecaster_state::~forecaster_state() {
  for (auto& [number, job] : under_way)
    for (auto& promise : job->waiting)
      promise.deliver(to_caf({errc::unavailable, "the forecaster has ended; ask again", 0}));
}

void forecaster_state::start(node_context* n, volume_uuid of) {
  node = n;
  uuid = of;
}

result<forecast_subject> forecaster_state::subject_of(const forecast_request& request) const {
  const auto wanted = node->current_settings();
  forecast_subject subject;
  subject.kind = request.kind;
  subject.horizons = volume_settings{}.forecast_horizons;
  if (request.kind == subject_kind::volume) {
    const auto record = node->catalogue->find(uuid);
    if (!record)
      return fail(errc::not_found, "there is no volume " + uuid.to_string());
    subject.name = record->name.value;
    subject.object = uuid.to_string();
    subject.sources = {{uuid, std::nullopt}};
    if (const auto* own = find_settings(*wanted, record->name))
      subject.horizons = own->forecast_horizons;
    subject.concerns.volume = record->name.value;
    for (const auto& instance : wanted->instances)
      if (std::find(instance.volumes.begin(), instance.volumes.end(), record->name) != instance.volumes.end()) {
        subject.concerns.instances.push_back(instance.id.value);
        if (!instance.application.empty())
          subject.concerns.applications.push_back(instance.application);
      }
    return subject;
  }
  std::optional<store::instance_index> instance;
  if (request.kind == subject_kind::instance) {
    const auto index = node->history->find(instance_id{request.subject});
    if (!index)
      return fail(errc::not_found, "no instance " + request.subject + " was ever seen here");
    instance = *index;
    subject.name = request.subject;
    subject.object = "instance/" + request.subject;
    subject.concerns.instances = {request.subject};
    for (const auto& known : wanted->instances)
      if (known.id.value == request.subject && !known.application.empty())
        subject.concerns.applications = {known.application};
  } else {
    subject.name = wanted->node.value;
    subject.object = "node";
  }
  for (const auto& record : node->catalogue->list())
    subject.sources.push_back({record.uuid, instance});
  return subject;
}

std::shared_ptr<forecaster_state::fit> forecaster_state::begin(const forecast_subject& subject, load_kind load,
                                                               fit_pool::urgency level,
                                                               std::chrono::seconds model_age_max) {
  const auto key = key_of(subject, load);
  for (const auto& [number, job] : under_way)
    if (job->key == key)
      return job;
  const auto job = std::make_shared<fit>();
  job->key = key;
  const auto number = next_fit++;
  const auto work = [job, subject, load, history = node->history, now = node->clock->wall_now(), model_age_max,
                     to = self->address(), number] {
    job->view = make_forecast(*history, subject, load, {}, now, {model_age_max});
    if (const auto strong = caf::actor_cast<forecaster_actor>(to))
      caf::anon_send(strong, atom::fitted_v, fit_completion{number});
  };
  if (const auto sent = node->fits->submit({"forecast " + key, level, work}); !sent) {
    job->view = tl::unexpected(sent.error());
    return nullptr;
  }
  under_way.emplace(number, job);
  return job;
}

caf::result<forecast_view> forecaster_state::forecast(const forecast_request& request) {
  if (node->history == nullptr || node->fits == nullptr)
    return to_caf(no_history());
  const auto subject = subject_of(request);
  if (!subject)
    return to_caf(subject.error());
  const auto now_us = to_microseconds(node->clock->wall_now());
  const auto known = latest.find(key_of(*subject, request.load));
  if (known != latest.end() && now_us - known->second->fitted_us >= 0 &&
      microseconds{now_us - known->second->fitted_us} < forecast_fresh_for)
    return *known->second;
  const auto job = begin(*subject, request.load, fit_pool::urgency::person_waits, forecast_fresh_for);
  if (!job || job->waiting.size() >= forecast_waiting_max)
    return to_caf({errc::busy, "too many forecasts are being made; try again", 0});
  job->waiting.push_back(self->make_response_promise<caf::response_promise>());
  return caf::delegated<forecast_view>{};
}

void forecaster_state::tick() {
  const auto now = node->clock->boot_now();
  const auto wanted = node->current_settings();
  if (node->history == nullptr || node->fits == nullptr ||
      (fitted_once && now - fitted_at < wanted->forecast.refit_every))
    return;
  const auto subject = subject_of({subject_kind::volume, {}, load_kind::requests});
  if (!subject)
    return;
  auto level = fit_pool::urgency::normal;
  for (const auto& instance : wanted->instances)
    for (const auto& volume : instance.volumes)
      if (volume.value == subject->name && instance.level == criticality::high)
        level = fit_pool::urgency::critical;
  fitted_at = now;
  fitted_once = true;
  (void)begin(*subject, load_kind::requests, level, std::chrono::seconds{0}); // a full queue: the next tick
}

void forecaster_state::reload() {
  latest.clear();
  fitted_once = false;
  if (!uuid.is_nil()) // the node's and the instances' are made when somebody asks
    tick();
}

void forecaster_state::fitted(const fit_completion& done) {
  const auto found = under_way.find(done.job);
  if (found == under_way.end())
    return;
  const auto job = found->second;
  under_way.erase(found);
  if (job->view) {
    if (latest.size() >= forecasts_kept_max && !latest.contains(job->key))
      latest.erase(latest.begin());
    latest[job->key] = std::make_shared<const forecast_view>(*job->view);
  } else {
    log::warning("forecast {}: {}", job->key, job->view.error().to_string());
  }
  for (auto& promise : job->waiting) {
    if (job->view)
      promise.deliver(*job->view);
    else
      promise.deliver(to_caf(job->view.error()));
  }
}

caf::result<std::string> forecaster_state::ask(const std::string& message) {
  const auto parsed = parse_asked(message);
  if (!parsed)
    return to_caf(parsed.error());
  if (parsed->verb == "help")
    return help_text(verbs);
  if (parsed->verb != "fits")
    return to_caf(unknown_verb(*parsed, verbs).value());
  std::string out = fmt::format("{} under way\n", under_way.size());
  for (const auto& [key, view] : latest)
    out += fmt::format("{}: {} slots of {} s, fitted in {:.0f} ms\n", key, view->past_slots,
                       view->step_us / 1'000'000, static_cast<double>(view->fit_seconds) * 1000);
  return out;
}

caf::actor spawn_forecaster(caf::actor_system& system, node_context* node, volume_uuid uuid) {
  return caf::actor_cast<caf::actor>(system.spawn(forecaster, node, uuid));
}

forecaster_actor::behavior_type forecaster(forecaster_actor::stateful_pointer<forecaster_state> self,
                                           node_context* node, volume_uuid uuid) {
  auto* state = &self->state;
  state->start(node, uuid);
  return {
      [state](atom::report) {
        return actor_report{state->self->mailbox().size(),
                            state->under_way.empty() ? ""
                                                     : fmt::format("{} fits under way", state->under_way.size())};
      },
      [state](atom::ask, const std::string& message) { return state->ask(message); },
      [state](atom::forecast, const forecast_request& request) { return state->forecast(request); },
      [state](atom::tick) { state->tick(); },
      [state](atom::reload) { state->reload(); },
      [state](atom::fitted, const fit_completion& done) { state->fitted(done); },
  };
}

} // namespace gnomon::actors
