#include "actors/learning/pattern.hpp"

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <fmt/format.h>

#include "actors/learning/heat_chart.hpp"
#include "actors/protocol/error_message.hpp"
#include "actors/runtime/ask.hpp"
#include "actors/runtime/instance_summary.hpp"
#include "actors/runtime/served_volumes.hpp"
#include "config/log.hpp"
#include "store/history/history.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::actors {
namespace {

constexpr ask_verb pattern_verbs[] = {
    {"known", "how many chunks have a history, what is open"},
    {"reload", "learns the volume again from its history"},
};

// Tells the actor that its job has ended, however it ends.
class end_of_job {
public:
  end_of_job(caf::actor_addr to, std::uint64_t number) : to_(std::move(to)), number_(number) {}
  end_of_job(const end_of_job&) = delete;
  ~end_of_job() {
    if (const auto strong = caf::actor_cast<pattern_actor>(to_))
      caf::anon_send(strong, atom::fitted_v, fit_completion{number_});
  }

private:
  caf::actor_addr to_;
  std::uint64_t number_;
};

// The chunk that the data plane counts in: of the size the volume had when it was opened.
volume_pattern::shape shape_of(const store::volume_record& record, const settings& wanted) {
  volume_pattern::shape out;
  out.chunk_size = default_chunk_bytes(record.size);
  out.chunk_count = std::max<std::uint64_t>(1, (record.size.value + out.chunk_size.value - 1) / out.chunk_size.value);
  auto horizons = volume_settings{}.forecast_horizons;
  for (const auto& volume : wanted.volumes)
    if (volume.name == record.name)
      horizons = volume.forecast_horizons;
  for (const auto horizon : horizons)
    out.horizons_seconds.push_back(static_cast<double>(horizon.count()));
  return out;
}

} // namespace

pattern_state::~pattern_state() {
  const auto over = to_caf({errc::unavailable, "the volume's pattern actor has ended; ask again", 0});
  for (auto& [number, job] : heat_jobs)
    job->promise.deliver(over);
  for (auto& one : heat_waiting)
    one.promise.deliver(over);
  if (node == nullptr || node->history == nullptr)
    return;
  node->learned.erase(uuid);
  keep(slot.close());
  save();
}

void pattern_state::start(node_context* n, volume_uuid of) {
  node = n;
  uuid = of;
  saved_at = node->clock->boot_now();
}

std::optional<volume_pattern::shape> pattern_state::shape() const {
  const auto record = served_volume(*node, uuid);
  if (!record)
    return std::nullopt;
  return shape_of(*record, *node->current_settings());
}

background_pool::job pattern_state::job_of(const char* what, std::function<void()> work, std::uint64_t number,
                                    background_pool::urgency level) const {
  return {fmt::format("{} {} {}", what, uuid.to_string(), number), level,
          [work = std::move(work), to = self->address(), number] {
            const end_of_job tell(to, number);
            work();
          }};
}

bool pattern_state::submit(const std::shared_ptr<pattern_job>& job, background_pool::urgency level) {
  const auto wanted = shape();
  if (!wanted)
    return false;
  // What waits is learned afterwards: no window may end before it.
  const auto now = node->clock->wall_now();
  const auto until = waiting.empty() ? now : std::min(now, wall_time{microseconds{waiting.front().time_us}});
  const auto work = [job, history = node->history, volume = uuid, shape = *wanted, now, until] {
    if (job->begun.exchange(true))
      return;
    if (job->from != pattern_job::source::memory) {
      auto loaded = load_pattern(*history, volume, shape, now, job->from == pattern_job::source::saved);
      if (!loaded)
        return log::error("volume {}: nothing can be learned: {}", volume.to_string(), loaded.error().to_string());
      job->pattern = std::move(*loaded);
    }
    job->pattern->advance_to(seconds_of(until));
    job->outlook = outlook_of(*job->pattern, seconds_of(now));
  };
  const auto sent = node->fits->submit(job_of("pattern", work, job->number, level));
  if (!sent && sent.error().code != errc::shutting_down)
    log::debug("volume {}: {}", uuid.to_string(), sent.error().to_string());
  return sent.has_value();
}

void pattern_state::send_away(pattern_job::source from, background_pool::urgency level) {
  if (node->history == nullptr || node->fits == nullptr)
    return;
  if (away) {
    away->in_use = away->in_use || level != background_pool::urgency::low;
    if (level == background_pool::urgency::person_waits)
      (void)submit(away, level); // a person takes it along to the front
    return;
  }
  const auto job = std::make_shared<pattern_job>();
  job->from = from;
  job->number = next_job++;
  job->in_use = from == pattern_job::source::memory || level != background_pool::urgency::low;
  if (from == pattern_job::source::memory)
    job->pattern = std::move(*pattern);
  if (submit(job, level)) {
    pattern.reset(); // also a former one, where it is learned anew
    away = job;
  } else if (from == pattern_job::source::memory) {
    pattern = std::move(job->pattern); // the next second tries again
  }
}

// A job that broke off costs a load: the next second has what was saved and the rows since read again.
void pattern_state::came_back(pattern_job& job) {
  const auto now = node->clock->boot_now();
  if (job.pattern && job.outlook)
    pattern = std::move(job.pattern);
  if (job.from != pattern_job::source::memory)
    changed = true;
  if (job.outlook)
    publish(std::move(*job.outlook));
  publish_at = now + (waiting.empty() || published ? heat_publish_every : heat_publish_first);
  published = published || job.outlook.has_value();
}

void pattern_state::publish(pattern_outlook outlook) {
  const auto record = served_volume(*node, uuid);
  if (!record)
    return; // it is being deleted
  std::vector<forecasting::board_builder::user> users;
  for (auto& user : outlook.users) {
    const auto id = node->history->name_of(store::instance_index{user.instance}).value_or(instance_id{});
    users.push_back({id, id.value.empty() ? std::string() : summary_of(*node, id).metadata.application, user.share,
                     std::move(user.heat)});
  }
  if (const auto put =
          node->predictions.put({uuid, record->name, record->size}, std::move(outlook.heat), std::move(users));
      !put)
    log::debug("volume {}: {}", uuid.to_string(), put.error().to_string());
}

void pattern_state::learn(const observed& second) {
  const double time = static_cast<double>(second.time_us) * 1e-6;
  for (const auto& row : second.rows) {
    if (row.whole_volume || row.reads + row.writes == 0) // answered only
      continue;
    const double requests = static_cast<double>(row.reads) + row.writes;
    const double bytes = static_cast<double>(row.read_bytes + row.write_bytes);
    pattern->add({time, row.chunk, static_cast<double>(row.reads), static_cast<double>(row.writes), bytes,
                  requests > 0 ? bytes * row.sequential / requests : 0,
                  node->history->intern(row.instance).value_or(store::instance_index{0}).value});
  }
  changed = true;
}

void pattern_state::keep(std::optional<open_slot::closed> over, std::function<void()> then) {
  if (!over || node->history == nullptr)
    return then ? then() : void();
  const wall_time start{microseconds{static_cast<std::int64_t>(over->start_seconds * 1e6)}};
  // One append has a limit: a slot of more chunks goes in several, the total with the first.
  for (std::size_t begin = 0; begin == 0 || begin < over->rows.size(); begin += store::history_append_rows_max) {
    store::history_batch batch;
    batch.volume = uuid, batch.time = start;
    batch.total = begin == 0 ? over->total : store::access_counters{};
    const auto end = std::min(begin + store::history_append_rows_max, over->rows.size());
    for (std::size_t i = begin; i < end; ++i) {
      const auto& row = over->rows[i];
      // More instances than can be told apart: counted without their name.
      const auto index = node->history->intern(row.instance).value_or(store::instance_index{0});
      batch.rows.push_back({row.chunk, index, row.counters});
    }
    const bool last = end == over->rows.size();
    node->history->append(std::move(batch), [volume = uuid, then = last ? then : nullptr](const result<void>& done) {
      if (!done && done.error().code != errc::shutting_down)
        log::warning("volume {}: ten seconds of its history are lost: {}", volume.to_string(),
                     done.error().to_string());
      if (then)
        then();
    });
    if (last)
      break;
  }
  if (node->clock->boot_now() - saved_at >= pattern_save_every)
    save();
}

void pattern_state::save() {
  if (!pattern || !changed || node->history == nullptr)
    return;
  changed = false;
  saved_at = node->clock->boot_now();
  node->history->put_model(uuid.to_string(), pattern_model_name, pattern_model_version,
                           to_bytes(pattern->to_numbers()), [volume = uuid](const result<void>& done) {
                             if (!done && done.error().code != errc::shutting_down)
                               log::warning("volume {}: its pattern could not be saved: {}", volume.to_string(),
                                            done.error().to_string());
                           });
}

void pattern_state::time(const observed& second) {
  const double now = static_cast<double>(second.time_us) * 1e-6;
  const auto add = [now](auto& to, const auto& key, const observed_chunk& row) {
    auto known = to.find(key);
    if (known == to.end() && to.size() < chunks_timed_max)
      known = to.try_emplace(key).first;
    if (known != to.end())
      known->second.add(now, row);
  };
  for (const auto& row : second.rows)
    if (!row.whole_volume) {
      add(chunk_latencies, row.chunk.value, row);
      add(instance_latencies, row.instance, row);
    }
}

void pattern_state::observe(const observed& second) {
  time(second);
  keep(slot.add(second));
  used_at = node->clock->boot_now();
  const double now = static_cast<double>(second.time_us) * 1e-6;
  if (pattern && !pattern->is_due(now) && !publish_is_due())
    return learn(second);
  await_pattern(second);
  send_away(pattern ? pattern_job::source::memory : pattern_job::source::saved, background_pool::urgency::normal);
  if (pattern) // the fit threads take nothing more now
    catch_up();
}

// While the fit threads have much to do, the board waits for the end of the next window.
bool pattern_state::publish_is_due() {
  const auto now = node->clock->boot_now();
  if (now < publish_at)
    return false;
  if (node->fits->now().queued < heat_publish_jobs_max)
    return true;
  publish_at = now + heat_publish_every;
  return false;
}

void pattern_state::await_pattern(const observed& second) {
  rows_waiting += second.rows.size();
  waiting.push_back(second);
  // The oldest are in the history all the same.
  while (waiting.size() > pattern_seconds_waiting_max ||
         (rows_waiting > pattern_rows_waiting_max && waiting.size() > 1)) {
    rows_waiting -= waiting.front().rows.size();
    waiting.pop_front();
  }
}

// Learns what waited. Where a window ends in it, the job goes on with the next one.
void pattern_state::catch_up() {
  while (!waiting.empty()) {
    const double now = static_cast<double>(waiting.front().time_us) * 1e-6;
    if (pattern->is_due(now)) {
      send_away(pattern_job::source::memory, background_pool::urgency::normal);
      if (away)
        return;
    }
    learn(waiting.front()); // also where no job can be had: then it is learned here
    rows_waiting -= waiting.front().rows.size();
    waiting.pop_front();
  }
}

void pattern_state::tick() {
  const double now = seconds_of(node->clock->wall_now());
  keep(slot.close_before(now));
  if (pattern && (pattern->is_due(now) || (changed && publish_is_due())))
    send_away(pattern_job::source::memory, background_pool::urgency::normal);
  else if (!pattern && !away && !published)
    send_away(pattern_job::source::saved, background_pool::urgency::low); // so that the board knows the volume
  const auto forgotten = [now](const auto& known) { return known.second.forgotten(now); };
  std::erase_if(chunk_latencies, forgotten);
  std::erase_if(instance_latencies, forgotten);
  report_memory();
}

void pattern_state::report_memory() {
  constexpr std::size_t tally_bytes = sizeof(read_write_tally) + 48; // and its node
  if (!pattern && chunk_latencies.empty())
    return node->learned.erase(uuid);
  node->learned.report(
      uuid, (pattern ? pattern->bytes() : 0) + (chunk_latencies.size() + instance_latencies.size()) * tally_bytes,
      used_at);
}

void pattern_state::unload(byte_count most) {
  if (pattern && most.value > 0) {
    pattern->shrink_to(most.value);
    changed = true;
  } else if (pattern) {
    save();
    pattern.reset();
  }
  chunk_latencies.clear();
  report_memory();
}

void pattern_state::reload() {
  if (away) {
    reload_again = true;
    return;
  }
  send_away(pattern_job::source::history, background_pool::urgency::critical);
}

caf::result<heat_view> pattern_state::heat(const heat_request& request) {
  if (heat_jobs.size() + heat_waiting.size() >= heat_requests_max)
    return to_caf({errc::busy, fmt::format("{} heat maps are being drawn already", heat_requests_max), 0});
  if (node->history == nullptr)
    return to_caf({errc::unavailable, "the history could not be opened: nothing is learned until the next start", 0});
  if (!served_volume(*node, uuid))
    return to_caf({errc::not_found, "there is no volume " + uuid.to_string(), 0});
  auto promise = self->make_response_promise<caf::response_promise>();
  used_at = node->clock->boot_now();
  if (!pattern || pattern->is_due(seconds_of(node->clock->wall_now())))
    send_away(pattern ? pattern_job::source::memory : pattern_job::source::saved, background_pool::urgency::person_waits);
  if (away)
    heat_waiting.push_back({request, promise});
  else
    draw(request, promise);
  return caf::delegated<heat_view>{};
}

void pattern_state::draw(const heat_request& request, caf::response_promise promise) {
  const auto record = served_volume(*node, uuid);
  const auto wanted = shape();
  if (!record || !wanted)
    return promise.deliver(to_caf({errc::not_found, "there is no volume " + uuid.to_string(), 0}));
  heat_knowledge known;
  known.uuid = uuid, known.name = record->name, known.size = record->size, known.shape = *wanted;
  known.now = node->clock->wall_now();
  const double now = seconds_of(known.now);
  for (const auto& [chunk, tally] : chunk_latencies)
    known.chunk_latencies.emplace(chunk, tally.at(now));
  for (const auto& [instance, tally] : instance_latencies)
    known.instance_latencies.emplace(instance, tally.at(now));
  if (pattern) {
    known.heat = pattern->heat(now);
    known.hot_sets = pattern->hot_sets(board_hot_set_size);
  }
  const auto job = std::make_shared<heat_job>();
  job->promise = std::move(promise);
  const auto number = next_job++;
  heat_jobs.emplace(number, job);
  const auto work = [job, known = std::move(known), request, history = node->history]() mutable {
    job->view = draw_heat(*history, known, request);
  };
  // The chart shows this very second: it is drawn when the open slot is in the history (and goes on as another
  // part).
  keep(slot.close(), [fits = node->fits, drawing = job_of("heat", work, number, background_pool::urgency::person_waits)] {
    if (const auto sent = fits->submit(drawing); !sent)
      log::warning("{}: {}", drawing.name, sent.error().to_string()); // who asked is answered by its timeout
  });
}

void pattern_state::fitted(const fit_completion& done) {
  if (const auto found = heat_jobs.find(done.job); found != heat_jobs.end()) {
    const auto job = found->second;
    heat_jobs.erase(found);
    if (job->view)
      job->promise.deliver(std::move(*job->view));
    else
      job->promise.deliver(to_caf(job->view.error()));
    return;
  }
  if (!away || done.job != away->number)
    return;
  const auto job = std::exchange(away, nullptr);
  came_back(*job);
  if (std::exchange(reload_again, false))
    return reload();
  for (auto& one : std::exchange(heat_waiting, {}))
    draw(one.request, std::move(one.promise));
  if (pattern) {
    catch_up();
  } else {
    waiting.clear();
    rows_waiting = 0;
  }
  if (pattern && !job->in_use && waiting.empty())
    pattern.reset(); // only its outlook was wanted
  report_memory();
}

caf::result<std::string> pattern_state::ask(const std::string& message) {
  const auto parsed = parse_asked(message);
  if (!parsed)
    return to_caf(parsed.error());
  if (parsed->verb == "help")
    return help_text(pattern_verbs);
  if (parsed->verb == "reload") {
    reload();
    return std::string("learning it again");
  }
  if (parsed->verb != "known")
    return to_caf(unknown_verb(*parsed, pattern_verbs).value());
  return fmt::format("{} chunks known; {}", pattern ? pattern->known_chunks() : 0,
                     away      ? "a job has it"
                     : pattern ? "loaded"
                               : "not needed yet");
}

caf::actor spawn_pattern(caf::actor_system& system, node_context* node, volume_uuid uuid) {
  return caf::actor_cast<caf::actor>(system.spawn(pattern, node, uuid));
}

pattern_actor::behavior_type pattern(pattern_actor::stateful_pointer<pattern_state> self, node_context* node,
                                     volume_uuid uuid) {
  auto* state = &self->state;
  state->start(node, uuid);
  return {
      [state](atom::report) {
        return actor_report{state->self->mailbox().size(),
                            state->pattern ? fmt::format("{} chunks known", state->pattern->known_chunks()) : ""};
      },
      [state](atom::ask, const std::string& message) { return state->ask(message); },
      [state](atom::observe, const observed& second) { state->observe(second); },
      [state](atom::tick) { state->tick(); },
      [state](atom::reload) { state->reload(); },
      [state](atom::unload, byte_count most) { state->unload(most); },
      [state](atom::heat, const heat_request& request) { return state->heat(request); },
      [state](atom::fitted, const fit_completion& done) { state->fitted(done); },
  };
}

} // namespace gnomon::actors
