#include "actors/learning/importer.hpp"

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <fmt/format.h>

#include "actors/learning/import_journal.hpp"
#include "actors/protocol/error_message.hpp"
#include "actors/runtime/ask.hpp"
#include "actors/runtime/background_pool.hpp"
#include "actors/volumes/views.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::actors {
namespace {
constexpr ask_verb importer_verbs[] = {{"count", "how many rows were imported since the start"}};
// Uses of each resolution by the readers of the history (actors/learning/forecast_fit.cpp, actors/learning/heat_chart.cpp).
constexpr std::chrono::hours fine_for{2}, minute_for{36};

void done_on(const caf::actor_addr& to, std::uint64_t number) {
  if (const auto strong = caf::actor_cast<importer_actor>(to))
    caf::anon_send(strong, atom::fitted_v, fit_completion{number});
}
} // namespace

bool importer_state::job::one_done(const result<void>& part) {
  std::lock_guard lock(mutex);
  if (!part && outcome)
    outcome = part;
  return --left == 0;
}

importer_state::~importer_state() {
  for (auto& [number, job] : jobs)
    job->promise.deliver(to_caf({errc::unavailable, "the importer was restarted while rows were taken in", 0}));
}

result<import_terms> importer_state::terms_of(const volume_ref& ref) const {
  if (node->history == nullptr || node->fits == nullptr)
    return fail(errc::unavailable, "the history could not be opened: nothing is learned until the next start");
  const auto record = resolve_served(*node, ref);
  if (!record)
    return tl::unexpected(record.error());
  import_terms out;
  out.name = record->name, out.uuid = record->uuid, out.size = record->size;
  out.chunk_size = default_chunk_bytes(record->size);
  out.chunk_count = std::max<std::uint64_t>(1, (out.size.value + out.chunk_size.value - 1) / out.chunk_size.value);
  out.now_us = to_microseconds(node->clock->wall_now());
  out.fine_us = microseconds(fine_for).count();
  out.minute_us = microseconds(minute_for).count();
  out.keep_us = microseconds(node->current_settings()->history.retention).count();
  return out;
}

caf::result<import_terms> importer_state::terms(const volume_ref& ref) const {
  const auto known = terms_of(ref);
  if (!known)
    return to_caf(known.error());
  return *known;
}

std::shared_ptr<importer_state::job> importer_state::begin(const volume_name& volume, std::uint64_t number) {
  const auto made = std::make_shared<job>();
  made->volume = volume;
  made->promise = self->make_response_promise<caf::response_promise>();
  jobs.emplace(number, made);
  return made;
}

caf::result<import_receipt> importer_state::note(const volume_ref& ref, const import_note& note) {
  const auto known = terms_of(ref);
  if (!known)
    return to_caf(known.error());
  if (const auto fine = check_import_note(note, *known); !fine)
    return to_caf(fine.error());
  if (jobs.size() >= import_jobs_max)
    return to_caf({errc::busy, "too many imports at once", 0});
  const auto number = next_job++;
  const auto job = begin(known->name, number);
  job->left = 1;
  job->ends = note.finished;
  const auto work = [job, note, history = node->history, uuid = known->uuid, now = node->clock->wall_now(),
                     to = self->address(), number] {
    auto noted = note_import(*history, uuid, note, now);
    if (noted)
      job->receipt = *noted;
    job->one_done(noted ? result<void>() : tl::unexpected(noted.error()));
    done_on(to, number);
  };
  if (const auto sent = node->fits->submit({fmt::format("import {}", number), background_pool::urgency::person_waits, work});
      !sent) {
    jobs.erase(number);
    job->promise.deliver(to_caf(sent.error()));
  }
  return caf::delegated<import_receipt>{};
}

caf::result<import_receipt> importer_state::take_in(const volume_ref& ref, const history_rows& rows) {
  const auto known = terms_of(ref);
  if (!known)
    return to_caf(known.error());
  if (const auto fine = check_import_rows(rows, *known); !fine)
    return to_caf(fine.error());
  if (jobs.size() >= import_jobs_max)
    return to_caf({errc::busy, "too many imports at once", 0});
  if (rows.slots.empty())
    return import_receipt{};
  // One short read of the history: the mark that the batches move on.
  const auto progress = read_progress(*node->history, known->uuid, rows.digest);
  if (!progress)
    return to_caf(progress.error());
  auto made = batches_of(rows, known->uuid, *progress);
  if (!made)
    return to_caf(made.error());
  auto batches = std::move(*made);
  if (batches.empty())
    return import_receipt{};
  const auto number = next_job++;
  const auto job = begin(known->name, number);
  job->left = batches.size();
  job->receipt.slots = batches.size();
  for (const auto& batch : batches)
    job->receipt.rows += batch.rows.size();
  for (auto& batch : batches)
    node->history->append(std::move(batch), [job, to = self->address(), number](const result<void>& done) {
      if (job->one_done(done))
        done_on(to, number);
    });
  return caf::delegated<import_receipt>{};
}

void importer_state::fitted(const fit_completion& done) {
  const auto found = jobs.find(done.job);
  if (found == jobs.end())
    return;
  const auto job = found->second;
  jobs.erase(found);
  if (!job->outcome)
    return job->promise.deliver(to_caf(job->outcome.error()));
  imported_rows += job->receipt.rows;
  if (job->ends) {
    if (const auto pattern = node->tree.find_as<pattern_actor>(pattern_actor_name(job->volume)))
      caf::anon_send(pattern, atom::reload_v);
    for (const auto& forecaster : {forecaster_actor_name(job->volume), std::string(node_forecaster_name)})
      if (const auto actor = node->tree.find_as<forecaster_actor>(forecaster))
        caf::anon_send(actor, atom::reload_v);
  }
  job->promise.deliver(job->receipt);
}

caf::result<std::string> importer_state::ask(const std::string& message) const {
  const auto parsed = parse_asked(message);
  if (!parsed)
    return to_caf(parsed.error());
  if (parsed->verb == "help")
    return help_text(importer_verbs);
  if (parsed->verb != "count")
    return to_caf(unknown_verb(*parsed, importer_verbs).value());
  return fmt::format("{} rows imported, {} messages under way", imported_rows, jobs.size());
}

caf::actor spawn_importer(caf::actor_system& system, node_context* node) {
  return caf::actor_cast<caf::actor>(system.spawn(importer, node));
}

importer_actor::behavior_type importer(importer_actor::stateful_pointer<importer_state> self, node_context* node) {
  auto* state = &self->state;
  state->node = node;
  return {
      [state](atom::report) {
        return actor_report{state->self->mailbox().size(),
                            state->jobs.empty() ? "" : fmt::format("{} messages under way", state->jobs.size())};
      },
      [state](atom::ask, const std::string& message) { return state->ask(message); },
      [state](atom::take_in, const volume_ref& ref) { return state->terms(ref); },
      [state](atom::take_in, const volume_ref& ref, const import_note& note) { return state->note(ref, note); },
      [state](atom::take_in, const volume_ref& ref, const history_rows& rows) { return state->take_in(ref, rows); },
      [state](atom::fitted, const fit_completion& done) { state->fitted(done); },
  };
}

} // namespace gnomon::actors
