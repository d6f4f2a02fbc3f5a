#include "actors/learning/forecaster.hpp"

#include <algorithm>

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <fmt/format.h>

#include "actors/protocol/error_message.hpp"
#include "actors/runtime/ask.hpp"
#include "actors/runtime/instance_summary.hpp"
#include "actors/runtime/served_volumes.hpp"
#include "config/log.hpp"
#include "store/history/history.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::actors {
namespace {

constexpr ask_verb forecaster_verbs[] = {{"fits", "what is fitted, what is under way"}};

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

forecasting::event_target target_of(event_scope scope) {
  switch (scope) {
  case event_scope::volume:
    return forecasting::event_target::volume;
  case event_scope::instance:
    return forecasting::event_target::instance;
  case event_scope::application:
    return forecasting::event_target::application;
  case event_scope::everything:
    break;
  }
  return forecasting::event_target::everything;
}

// As the forecasting library wants them; on a fit thread, since there may be thousands.
std::vector<forecasting::load_event> told(const std::vector<calendar_event>& events) {
  std::vector<forecasting::load_event> out;
  out.reserve(events.size());
  for (const auto& event : events)
    out.push_back({event.notice.type, target_of(event.notice.target.scope), event.notice.target.name,
                   seconds_of(event.notice.start), static_cast<double>(event.notice.duration.count()) * 1e-6});
  return out;
}

// Tells the forecaster that its job has ended, however it ends: one that threw must not stay under way for ever.
class end_of_fit {
public:
  end_of_fit(caf::actor_addr to, std::uint64_t number) : to_(std::move(to)), number_(number) {}
  end_of_fit(const end_of_fit&) = delete;
  ~end_of_fit() {
    if (const auto strong = caf::actor_cast<forecaster_actor>(to_))
      caf::anon_send(strong, atom::fitted_v, fit_completion{number_});
  }

private:
  caf::actor_addr to_;
  std::uint64_t number_;
};

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
    const auto record = served_volume(*node, uuid);
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
        if (auto application = summary_of(*node, instance.id).metadata.application; !application.empty())
          subject.concerns.applications.push_back(std::move(application));
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
    if (auto application = summary_of(*node, instance_id{request.subject}).metadata.application; !application.empty())
      subject.concerns.applications = {std::move(application)};
  } else {
    subject.name = wanted->node.value;
    subject.object = "node";
  }
  for (const auto& record : served_volumes(*node))
    subject.sources.push_back({record.uuid, instance});
  return subject;
}

result<void> forecaster_state::submit(const std::shared_ptr<fit>& job, std::uint64_t number, background_pool::urgency level,
                                      std::chrono::seconds model_age_max) {
  const auto work = [job, history = node->history, now = node->clock->wall_now(), model_age_max, to = self->address(),
                     number] {
    if (job->begun.exchange(true))
      return;
    const end_of_fit tell(to, number);
    job->view = make_forecast(*history, job->subject, job->load, told(*job->events), now, {model_age_max});
    if (job->view && job->outlook_wanted())
      job->outlook = outlook_of(*job->view, recent_ratios(*history, job->subject, now));
  };
  job->urgent = level == background_pool::urgency::person_waits;
  return node->fits->submit({"forecast " + job->key, level, work});
}

// One fit of a subject at a time: who comes later shares it, and a person makes one that waits for its turn urgent.
std::shared_ptr<forecaster_state::fit> forecaster_state::begin(const forecast_subject& subject, load_kind load,
                                                               background_pool::urgency level,
                                                               std::chrono::seconds model_age_max) {
  const auto key = key_of(subject, load);
  for (const auto& [number, job] : under_way) {
    if (job->key != key)
      continue;
    if (level == background_pool::urgency::person_waits && !job->urgent)
      if (const auto sent = submit(job, number, level, model_age_max); !sent)
        log::warning("{}", sent.error().to_string()); // it still has its old place
    return job;
  }
  const auto job = std::make_shared<fit>();
  job->subject = subject;
  job->load = load;
  job->key = key;
  job->events = node->events();
  const auto number = next_fit++;
  if (!submit(job, number, level, model_age_max))
    return nullptr;
  under_way.emplace(number, job);
  return job;
}

caf::result<forecast_view> forecaster_state::forecast(const forecast_request& request) {
  if (node->history == nullptr || node->fits == nullptr)
    return to_caf(no_history());
  const auto subject = subject_of(request);
  if (!subject)
    return to_caf(subject.error());
  asked_at = node->clock->boot_now();
  const auto now_us = to_microseconds(node->clock->wall_now());
  const auto key = key_of(*subject, request.load);
  const auto known = latest.find(key);
  // A saved model does not know what was told since; without any events it need not.
  const auto told_before = known_events.find(key);
  const auto told_now = node->events();
  const bool nothing_new = told_before == known_events.end() ? told_now->empty() : told_before->second == told_now;
  if (nothing_new && known != latest.end() && now_us - known->second->fitted_us >= 0 &&
      microseconds{now_us - known->second->fitted_us} < forecast_fresh_for)
    return *known->second;
  const auto job = begin(*subject, request.load, background_pool::urgency::person_waits,
                         nothing_new ? forecast_fresh_for : std::chrono::seconds{0});
  if (!job || job->waiting.size() >= forecast_waiting_max)
    return to_caf({errc::busy, "too many forecasts are being made; try again", 0});
  job->waiting.push_back(self->make_response_promise<caf::response_promise>());
  return caf::delegated<forecast_view>{};
}

// A young past changes fast: it is fitted more often, at most once a minute.
void forecaster_state::tick() {
  const auto usual = node->current_settings()->forecast.refit_every;
  fit_after(std::min(usual, std::max(refit_every_min, past_known / 4)));
}

void forecaster_state::round() {
  if (node->clock->boot_now() - asked_at > forecast_kept_for) {
    latest.clear(); // weeks of slots that nobody looks at
    known_events.clear();
  }
  fit_after(node->current_settings()->forecast.refit_every * idle_refit_factor);
}

void forecaster_state::fit_after(std::chrono::seconds age) {
  const auto now = node->clock->boot_now();
  const auto wanted = node->current_settings();
  if (node->history == nullptr || node->fits == nullptr || (fitted_once && now - fitted_at < age))
    return;
  const auto subject = subject_of({subject_kind::volume, {}, load_kind::requests});
  if (!subject)
    return;
  auto level = background_pool::urgency::normal;
  for (const auto& instance : wanted->instances)
    for (const auto& volume : instance.volumes)
      if (volume.value == subject->name && summary_of(*node, instance.id).metadata.level == criticality::high)
        level = background_pool::urgency::critical;
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
  // Whoever tells an event and then asks wants to see it, also when a fit was under way already.
  if (job->view && !job->waiting.empty() && !job->again && job->events != node->events())
    if (const auto second =
            begin(job->subject, job->load, background_pool::urgency::person_waits, std::chrono::seconds{0})) {
      second->again = true;
      second->waiting = std::move(job->waiting);
      return;
    }
  if (const auto record = served_volume(*node, uuid); job->outlook && record)
    if (const auto put = node->predictions.put({uuid, record->name, record->size}, std::move(*job->outlook)); !put)
      log::debug("forecast {}: {}", job->key, put.error().to_string());
  if (job->view) {
    if (job->outlook_wanted())
      past_known = std::chrono::duration_cast<std::chrono::seconds>(
          microseconds{job->view->step_us * static_cast<std::int64_t>(job->view->past_slots)});
    if (!job->waiting.empty()) {
      if (latest.size() >= forecasts_kept_max && !latest.contains(job->key)) {
        known_events.erase(latest.begin()->first);
        latest.erase(latest.begin());
      }
      known_events[job->key] = job->events;
      latest[job->key] = std::make_shared<const forecast_view>(*job->view);
    }
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
    return help_text(forecaster_verbs);
  if (parsed->verb != "fits")
    return to_caf(unknown_verb(*parsed, forecaster_verbs).value());
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
      [state](atom::round) { state->round(); },
      [state](atom::reload) { state->reload(); },
      [state](atom::fitted, const fit_completion& done) { state->fitted(done); },
  };
}

} // namespace gnomon::actors
