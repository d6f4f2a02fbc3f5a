#include "actors/learning/pattern.hpp"

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <fmt/format.h>

#include "actors/learning/heat_picture.hpp"
#include "actors/protocol/error_message.hpp"
#include "actors/runtime/ask.hpp"
#include "config/log.hpp"
#include "store/history/history.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::actors {
namespace {

constexpr ask_verb pattern_verbs[] = {
    {"known", "how many chunks have a history, what is open"},
    {"reload", "learns the volume again from its history"},
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
  for (auto& [number, job] : heat_jobs)
    job->promise.deliver(to_caf({errc::unavailable, "the volume's pattern actor has ended; ask again", 0}));
  if (node == nullptr || node->history == nullptr)
    return;
  keep(slot.close());
  save();
}

void pattern_state::start(node_context* n, volume_uuid of) {
  node = n;
  uuid = of;
  saved_at = node->clock->boot_now();
}

std::optional<volume_pattern::shape> pattern_state::shape() const {
  const auto record = node->catalogue->find(uuid);
  if (!record)
    return std::nullopt;
  return shape_of(*record, *node->current_settings());
}

fit_pool::job pattern_state::job_of(const char* what, std::function<void()> work, std::uint64_t number) const {
  return {fmt::format("{} {} {}", what, uuid.to_string(), number), fit_pool::urgency::person_waits,
          [work = std::move(work), to = self->address(), number] {
            work();
            if (const auto strong = caf::actor_cast<pattern_actor>(to))
              caf::anon_send(strong, atom::fitted_v, fit_completion{number});
          }};
}

void pattern_state::need_pattern(bool use_saved) {
  const auto wanted = shape();
  if (loading || !wanted || node->history == nullptr)
    return;
  loading = std::make_shared<load_job>();
  loading_number = next_job++;
  const auto work = [box = loading, history = node->history, volume = uuid, shape = *wanted,
                     now = node->clock->wall_now(), use_saved] {
    auto loaded = load_pattern(*history, volume, shape, now, use_saved);
    if (loaded)
      box->pattern = std::move(*loaded);
    else
      log::error("volume {}: nothing can be learned: {}", volume.to_string(), loaded.error().to_string());
  };
  if (const auto sent = node->fits->submit(job_of("pattern", work, loading_number)); !sent)
    loading.reset(); // the next second tries again
}

void pattern_state::learn(const observed& second) {
  const double time = static_cast<double>(second.time_us) * 1e-6;
  for (const auto& row : second.rows) {
    if (row.whole_volume || row.reads + row.writes == 0) // answered only
      continue;
    const double requests = static_cast<double>(row.reads) + row.writes;
    const double bytes = static_cast<double>(row.read_bytes + row.write_bytes);
    pattern->add({time, row.chunk, static_cast<double>(row.reads), static_cast<double>(row.writes), bytes,
                  requests > 0 ? bytes * row.sequential / requests : 0});
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
  if (pattern && !loading)
    return learn(second);
  need_pattern(true);
  if (waiting.size() >= pattern_seconds_waiting_max)
    waiting.pop_front(); // it is in the history all the same
  waiting.push_back(second);
}

void pattern_state::tick() {
  const double now = seconds_of(node->clock->wall_now());
  keep(slot.close_before(now));
  if (pattern)
    pattern->advance_to(now);
  const auto forgotten = [now](const auto& known) { return known.second.forgotten(now); };
  std::erase_if(chunk_latencies, forgotten);
  std::erase_if(instance_latencies, forgotten);
}

void pattern_state::reload() {
  if (loading) {
    reload_again = true;
    return;
  }
  need_pattern(false);
}

caf::result<heat_view> pattern_state::heat(const heat_request& request) {
  if (heat_jobs.size() >= heat_requests_max)
    return to_caf({errc::busy, fmt::format("{} heat maps are being drawn already", heat_requests_max), 0});
  if (node->history == nullptr)
    return to_caf({errc::unavailable, "the history could not be opened: nothing is learned until the next start", 0});
  const auto record = node->catalogue->find(uuid);
  const auto wanted = shape();
  if (!record || !wanted)
    return to_caf({errc::not_found, "there is no volume " + uuid.to_string(), 0});
  heat_knowledge known;
  known.uuid = uuid, known.name = record->name, known.size = record->size, known.shape = *wanted;
  known.now = node->clock->wall_now();
  const double now = seconds_of(known.now);
  for (const auto& [chunk, tally] : chunk_latencies)
    known.chunk_latencies.emplace(chunk, tally.at(now));
  for (const auto& [instance, tally] : instance_latencies)
    known.instance_latencies.emplace(instance, tally.at(now));
  if (pattern) {
    pattern->advance_to(now);
    known.heat = pattern->heat(now);
    known.hot_sets = pattern->hot_sets(hot_set_size);
  }
  const auto job = std::make_shared<heat_job>();
  job->promise = self->make_response_promise<caf::response_promise>();
  const auto number = next_job++;
  heat_jobs.emplace(number, job);
  const auto work = [job, known = std::move(known), request, history = node->history, load = !pattern,
                     now]() mutable {
    if (load) // nothing has happened since the start: what the history holds
      if (const auto loaded = load_pattern(*history, known.uuid, known.shape, known.now, true)) {
        known.heat = loaded->heat(now);
        known.hot_sets = loaded->hot_sets(hot_set_size);
      }
    job->view = draw_heat(*history, known, request);
  };
  // The picture shows this very second: it is drawn when the open slot is in the history (and goes on as another
  // part).
  keep(slot.close(), [fits = node->fits, drawing = job_of("heat", work, number)] {
    if (const auto sent = fits->submit(drawing); !sent)
      log::warning("{}: {}", drawing.name, sent.error().to_string()); // who asked is answered by its timeout
  });
  return caf::delegated<heat_view>{};
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
  if (!loading || done.job != loading_number)
    return;
  if (loading->pattern)
    pattern = std::move(loading->pattern);
  loading.reset();
  changed = true;
  if (std::exchange(reload_again, false))
    return reload();
  if (!pattern)
    return waiting.clear();
  for (const auto& second : waiting)
    learn(second);
  waiting.clear();
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
                     loading   ? "being loaded"
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
      [state](atom::heat, const heat_request& request) { return state->heat(request); },
      [state](atom::fitted, const fit_completion& done) { state->fitted(done); },
  };
}

} // namespace gnomon::actors
