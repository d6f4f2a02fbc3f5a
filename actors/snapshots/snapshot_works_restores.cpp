// Restores of snapshot_works. The new volume is served at once: what its own file does not hold yet comes from the layers
// (layer_source), and the data plane's hydrator brings it in. When all of it is there, durably, one commit removes the
// snapshot from the volume's record, and only then the layers may go.
#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "actors/snapshots/restore_progress.hpp"
#include "actors/snapshots/waiting.hpp"
#include "config/log.hpp"

namespace gnomon::actors {
namespace {

constexpr std::chrono::milliseconds open_looked_at_every{2};
constexpr std::chrono::seconds open_waited_for{10}; // until a volume that was made or found is open

} // namespace

void snapshot_works::restore(std::string snapshot, volume_name to, done<restore_info> begun) {
  auto work = [this, snapshot = std::move(snapshot), to = std::move(to), begun] {
    begun(go_on() ? do_begin_restore(snapshot, to) : fail(errc::shutting_down, "the node stops"));
  };
  if (auto sent = submit(std::move(work)); !sent)
    begun(tl::unexpected(sent.error()));
}

bool snapshot_works::wait_until_open(volume_uuid volume) const {
  const auto until = std::chrono::steady_clock::now() + open_waited_for;
  while (go_on() && !options_.engine->status(volume)) {
    if (!options_.catalogue->find(volume) || std::chrono::steady_clock::now() > until)
      return false;
    std::this_thread::sleep_for(open_looked_at_every);
  }
  return go_on();
}

result<std::shared_ptr<layer_source>> snapshot_works::source_for(const store::volume_record& record) {
  {
    std::lock_guard lock(mutex_);
    if (const auto known = sources_.find(record.uuid); known != sources_.end())
      if (auto source = known->second.lock())
        return source;
  }
  if (!record.source)
    return fail(errc::invalid_argument, fmt::format("volume {} comes from no snapshot", record.name.value));
  std::optional<store::snapshot_tree> tree;
  auto used = uses_.take([&] {
    tree.emplace(options_.book->layers());
    return record.source;
  });
  const auto chain = folder_.open_chain(*tree, *record.source);
  if (!chain)
    return tl::unexpected(chain.error());
  auto source = std::make_shared<layer_source>(*chain, std::move(used));
  std::lock_guard lock(mutex_);
  std::erase_if(sources_, [](const auto& known) { return known.second.expired(); });
  sources_[record.uuid] = source;
  return source;
}

result<std::shared_ptr<io::granule_source>> snapshot_works::open_source(const store::volume_record& record) {
  auto source = source_for(record);
  if (!source)
    return tl::unexpected(source.error());
  return std::shared_ptr<io::granule_source>(std::move(*source));
}

result<restore_info> snapshot_works::do_begin_restore(const std::string& snapshot, const volume_name& to) {
  const auto found = use_layer_of(snapshot); // until the volume's record names it
  if (!found)
    return tl::unexpected(found.error());
  const auto& layer = *found->layer;
  // A chain that cannot be read makes no volume.
  if (auto chain = folder_.open_chain(*found->tree, layer.snapshot); !chain)
    return tl::unexpected(chain.error());
  store::volume_request request;
  request.name = to;
  request.size = layer.size;
  request.source = layer.snapshot;
  const auto made = options_.catalogue->create(std::move(request));
  if (!made)
    return tl::unexpected(made.error());
  log::info("volume {} is restored from snapshot {} of {}", to.value, layer.snapshot.to_string(), layer.name.value);
  const auto progress = note_restore(*made);
  if (options_.volumes_changed)
    options_.volumes_changed();
  if (!wait_until_open(made->uuid))
    progress->set_problem("the volume is not served yet; `gnomon status` says why");
  submit_restore(*progress); // where it is refused, the next look goes on with it
  return progress->info(0);
}

void snapshot_works::submit_restore(restore_progress& progress) {
  if (progress.running || progress.queued.exchange(true))
    return;
  if (auto sent = submit([this, volume = progress.volume] { do_restore(volume); }); !sent) {
    progress.queued = false;
    progress.set_problem(sent.error().to_string());
  }
}

std::shared_ptr<snapshot_works::restore_progress> snapshot_works::note_restore(const store::volume_record& record) {
  std::lock_guard lock(mutex_);
  auto& known = restores_[record.uuid];
  if (!known) {
    known = std::make_shared<restore_progress>();
    known->volume = record.uuid;
    known->name = record.name;
    known->snapshot = *record.source;
    known->granules = (record.size.value + granule_bytes - 1) / granule_bytes;
  }
  return known;
}

void snapshot_works::resume_restores() {
  for (const auto& record : options_.catalogue->list()) {
    if (!record.source)
      continue;
    submit_restore(*note_restore(record));
  }
}

// Ends when the hydration has begun; the data plane says when it is over.
void snapshot_works::do_restore(volume_uuid volume) {
  const auto record = options_.catalogue->find(volume);
  if (!go_on() || !record || !record->source)
    return;
  const auto progress = note_restore(*record);
  const bool under_way = progress->running.exchange(true);
  progress->queued = false;
  if (under_way)
    return;
  const auto stands = [&](const std::string& why) {
    progress->set_problem(why);
    progress->running = false;
    log::error("volume {}: its restore does not go on: {}", record->name.value, why);
  };
  if (!wait_until_open(volume)) {
    progress->running = false;
    if (go_on())
      stands("the volume is not served; `gnomon status` says why");
    return;
  }
  const auto source = source_for(*record);
  if (!source)
    return stands(source.error().to_string());
  std::vector<io::granule_run> hot;
  if (options_.hot_first)
    hot = options_.hot_first((*source)->chain().header().volume);
  auto plan = (*source)->learn(hot);
  if (!plan)
    return stands(plan.error().to_string());
  auto control = std::make_shared<work_control>();
  progress->begin(control);
  options_.engine->hydrate(volume, std::move(*plan), std::move(control),
                           [life = life_, volume, progress](result<void> outcome) {
                             std::lock_guard lock(life->mutex);
                             const auto ended = [works = life->works, volume, progress, outcome = std::move(outcome)] {
                               works->end_restore(volume, *progress, outcome);
                             };
                             if (life->works == nullptr || !life->works->submit(ended))
                               progress->running = false; // the next start goes on with it
                           });
}

void snapshot_works::end_restore(volume_uuid volume, restore_progress& progress, const result<void>& hydrated) {
  const auto finish = [&]() -> result<void> {
    if (!hydrated)
      return hydrated;
    const auto there = options_.engine->presence(volume);
    if (there && there->present < there->granules)
      return fail(errc::internal, fmt::format("{} of {} granules are there", there->present, there->granules));
    if (auto cleared = options_.catalogue->clear_source(volume); !cleared)
      return tl::unexpected(cleared.error());
    return wait_for<void>([&](auto done) { options_.engine->drop_source(volume, std::move(done)); });
  };
  const auto outcome = options_.catalogue->find(volume) ? finish() : fail(errc::not_found, "the volume was deleted");
  if (outcome) {
    progress.done = true;
    progress.set_problem({});
    log::info("volume {} is restored", progress.name.value);
  } else if (outcome.error().code != errc::shutting_down) {
    progress.set_problem(outcome.error().to_string());
    log::error("volume {}: its restore does not go on: {}", progress.name.value, outcome.error().to_string());
  }
  progress.running = false;
  if (!outcome)
    return;
  std::shared_ptr<layer_source> source;
  {
    std::lock_guard lock(mutex_);
    if (const auto known = sources_.find(volume); known != sources_.end()) {
      source = known->second.lock();
      sources_.erase(known);
    }
  }
  if (source)
    source->let_go();
  clean_up();
}

std::vector<restore_info> snapshot_works::restores() const {
  std::vector<std::shared_ptr<restore_progress>> all;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [volume, progress] : restores_)
      all.push_back(progress);
  }
  std::vector<restore_info> out;
  for (const auto& progress : all) {
    const auto there = options_.engine->presence(progress->volume);
    out.push_back(progress->info(there ? there->present : 0));
  }
  return out;
}

} // namespace gnomon::actors
