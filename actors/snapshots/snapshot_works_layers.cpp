// What snapshot_works does with layers that are there: deletion, checks, restores, and the catalogue made from the files.
#include <algorithm>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "actors/snapshots/restore_progress.hpp"
#include "actors/snapshots/snapshot_works.hpp"
#include "actors/snapshots/waiting.hpp"
#include "config/log.hpp"
#include "store/layer/layer_verify.hpp"

namespace gnomon::actors {

namespace {

constexpr std::uint64_t granules_between_looks = 256; // 16 MiB

result<void> write_at(int fd, std::uint64_t offset, std::span<const std::byte> data, const std::string& path) {
  while (!data.empty()) {
    const auto written = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR)
        continue;
      return fail_errno(path + ": write");
    }
    offset += static_cast<std::uint64_t>(written);
    data = data.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

} // namespace

// --- deletion

void snapshot_works::remove(std::string snapshot, done<snapshot_info> finished) {
  auto work = [this, snapshot = std::move(snapshot), finished] {
    finished(go_on() ? do_remove(snapshot) : fail(errc::shutting_down, "the node stops"));
  };
  if (auto sent = submit(std::move(work)); !sent)
    finished(tl::unexpected(sent.error()));
}

result<snapshot_info> snapshot_works::do_remove(const std::string& snapshot) {
  const store::snapshot_tree all(options_.book->layers());
  const auto found = all.resolve(snapshot);
  if (!found)
    return tl::unexpected(found.error());
  const auto record = **found;
  if (record.locked_until && *record.locked_until > options_.clock->wall_now())
    return fail(errc::permission_denied, fmt::format("snapshot {} is locked", record.snapshot.to_string()));
  const store::snapshot_tree tree(options_.book->layers(record.volume));
  const auto info = info_of(tree, *tree.best(record.snapshot));
  give_up({record.snapshot});
  clean_up();
  log::info("snapshot {} of volume {} was deleted", record.snapshot.to_string(), record.name.value);
  return info;
}

void snapshot_works::give_up(const std::vector<snapshot_uuid>& points) {
  store::snapshot_changes changes;
  for (auto layer : options_.book->layers())
    if (layer.state == store::layer_state::live &&
        std::find(points.begin(), points.end(), layer.snapshot) != points.end()) {
      layer.state = store::layer_state::removed;
      changes.put_layers.push_back(std::move(layer));
    }
  if (changes.put_layers.empty())
    return;
  if (auto committed = options_.book->commit_and_wait(std::move(changes)); !committed)
    log::error("deleting snapshots: {}", committed.error().to_string());
}

// A layer that nothing needs: marked in one commit, then the file goes, then the record. A crash in between is finished
// by the next call.
void snapshot_works::clean_up() {
  const auto marked = uses_.while_nothing_is_taken([&](std::unordered_set<snapshot_uuid> in_use) {
    for (const auto& volume : options_.catalogue->list())
      if (volume.source)
        in_use.insert(*volume.source);
    for (const auto& volume : options_.catalogue->list_deleted())
      if (volume.source)
        in_use.insert(*volume.source);
    std::vector<store::layer_record> going;
    store::snapshot_changes changes;
    const store::snapshot_tree tree(options_.book->layers());
    for (const auto& id : tree.unneeded(in_use)) {
      auto record = options_.book->find(id);
      if (!record || (record->locked_until && *record->locked_until > options_.clock->wall_now()))
        continue;
      record->state = store::layer_state::deleting;
      if (options_.book->head(record->volume) == record->snapshot)
        changes.erase_heads.push_back(record->volume);
      changes.put_layers.push_back(*record);
      going.push_back(std::move(*record));
    }
    if (going.empty())
      return going;
    if (auto committed = options_.book->commit_and_wait(std::move(changes)); !committed) {
      log::error("deleting layers: {}", committed.error().to_string());
      going.clear();
    }
    return going;
  });
  store::snapshot_changes gone;
  for (const auto& record : marked) {
    if (auto removed = folder_.remove(record); !removed)
      log::error("deleting a layer: {}", removed.error().to_string());
    else
      gone.erase_layers.push_back(record.id);
  }
  if (gone.erase_layers.empty())
    return;
  if (auto committed = options_.book->commit_and_wait(std::move(gone)); !committed)
    log::error("deleting layers: {}", committed.error().to_string());
}

void snapshot_works::retain(store::group_record group) {
  // A cut counts once, by its first member's layer, if it is complete; what is incomplete is nobody's to keep.
  std::vector<store::layer_record> points;
  std::map<group_cut_id, std::vector<snapshot_uuid>> members;
  const auto layers = options_.book->layers();
  for (const auto& layer : layers)
    if (layer.state == store::layer_state::live && layer.group && layer.group->name == group.name) {
      auto& cut = members[layer.group->cut];
      if (cut.empty() && is_complete(*layer.group))
        points.push_back(layer);
      cut.push_back(layer.snapshot);
    }
  std::vector<const store::layer_record*> in_order;
  for (const auto& point : points)
    in_order.push_back(&point);
  std::vector<snapshot_uuid> gone;
  for (const auto& snapshot : store::given_up(in_order, {.count = group.retain}, options_.clock->wall_now()))
    for (const auto& point : points)
      if (point.snapshot == snapshot)
        gone.insert(gone.end(), members[point.group->cut].begin(), members[point.group->cut].end());
  if (gone.empty())
    return;
  give_up(gone);
  clean_up();
}

// --- checks

void snapshot_works::check(std::string snapshot, done<snapshot_check> finished) {
  auto work = [this, snapshot = std::move(snapshot), finished] {
    finished(go_on() ? do_check(snapshot) : fail(errc::shutting_down, "the node stops"));
  };
  if (auto sent = submit(std::move(work)); !sent)
    finished(tl::unexpected(sent.error()));
}

result<snapshot_check> snapshot_works::do_check(const std::string& snapshot) {
  std::optional<store::snapshot_tree> tree;
  result<const store::layer_record*> found = fail(errc::not_found, "");
  const auto used = uses_.take([&]() -> std::optional<snapshot_uuid> {
    tree.emplace(options_.book->layers());
    found = tree->resolve(snapshot);
    return found ? std::optional((*found)->snapshot) : std::nullopt;
  });
  if (!found)
    return tl::unexpected(found.error());
  snapshot_check out;
  const auto chain = tree->chain((*found)->snapshot);
  if (!chain) {
    out.findings = 1;
    out.first_findings.push_back("layer: " + chain.error().message);
    return out;
  }
  for (const auto* record : *chain) {
    store::layer_expectation expected;
    expected.id = record->id;
    expected.volume = record->volume;
    expected.seal = store::layer_seal{record->seal_low, record->seal_high};
    const auto report = store::verify_layer(folder_.path(*record), expected, [this] { return go_on(); });
    if (!go_on())
      return fail(errc::shutting_down, "the node stops");
    ++out.layers;
    out.granules += report.granules_checked;
    out.bytes += report.bytes_checked;
    out.findings += report.findings_count;
    for (const auto& finding : report.findings)
      if (out.first_findings.size() < snapshot_findings_shown_max)
        out.first_findings.push_back(fmt::format("{}: {}", store::to_string(finding.kind), finding.text));
  }
  if (out.findings > 0)
    log::error("snapshot {} is damaged: {} findings, the first: {}", (*found)->snapshot.to_string(), out.findings,
               out.first_findings.front());
  return out;
}

// --- restores

void snapshot_works::restore(std::string snapshot, volume_name to, done<restore_info> begun) {
  auto work = [this, snapshot = std::move(snapshot), to = std::move(to), begun] {
    begun(go_on() ? do_begin_restore(snapshot, to) : fail(errc::shutting_down, "the node stops"));
  };
  if (auto sent = submit(std::move(work)); !sent)
    begun(tl::unexpected(sent.error()));
}

result<restore_info> snapshot_works::do_begin_restore(const std::string& snapshot, const volume_name& to) {
  std::optional<store::snapshot_tree> tree;
  result<const store::layer_record*> found = fail(errc::not_found, "");
  // In use until the volume's record names it.
  const auto used = uses_.take([&]() -> std::optional<snapshot_uuid> {
    tree.emplace(options_.book->layers());
    found = tree->resolve(snapshot);
    return found ? std::optional((*found)->snapshot) : std::nullopt;
  });
  if (!found)
    return tl::unexpected(found.error());
  const auto& layer = **found;
  // A chain that cannot be read makes no volume.
  if (auto chain = folder_.open_chain(*tree, layer.snapshot); !chain)
    return tl::unexpected(chain.error());
  store::volume_request request;
  request.name = to;
  request.size = layer.size;
  request.source = layer.snapshot;
  const auto made = options_.catalogue->create(std::move(request));
  if (!made)
    return tl::unexpected(made.error());
  log::info("volume {} is restored from snapshot {} of {}", to.value, layer.snapshot.to_string(), layer.name.value);
  auto progress = note_restore(*made);
  const auto info = progress->info();
  if (auto sent = submit([this, volume = made->uuid] { do_restore(volume); }); !sent)
    progress->set_problem(sent.error().to_string()); // the next look goes on with it
  return info;
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
    const auto progress = note_restore(record);
    if (progress->running)
      continue;
    if (auto sent = submit([this, volume = record.uuid] { do_restore(volume); }); !sent)
      progress->set_problem(sent.error().to_string());
  }
}

void snapshot_works::do_restore(volume_uuid volume) {
  const auto record = options_.catalogue->find(volume);
  if (!go_on() || !record || !record->source)
    return;
  const auto progress = note_restore(*record);
  if (progress->running.exchange(true))
    return;
  const auto copied = copy_in(*record, *progress);
  if (copied) {
    progress->present = progress->granules.load();
    progress->done = true;
    progress->set_problem({});
    log::info("volume {} is restored", record->name.value);
    if (options_.volumes_changed)
      options_.volumes_changed();
    clean_up();
  } else if (copied.error().code != errc::shutting_down) {
    progress->set_problem(copied.error().to_string());
    log::error("volume {}: its restore does not go on: {}", record->name.value, copied.error().to_string());
  }
  progress->running = false;
}

// The volume is not served before its record names no source, so that its file belongs to this thread. Content that was
// written before a crash is written again.
result<void> snapshot_works::copy_in(const store::volume_record& record, restore_progress& progress) {
  const store::snapshot_tree tree(options_.book->layers());
  const auto chain = folder_.open_chain(tree, *record.source);
  if (!chain)
    return tl::unexpected(chain.error());
  const auto path = options_.catalogue->data_path(record);
  auto file = store::open_file(path, O_WRONLY);
  if (!file)
    return tl::unexpected(file.error());
  store::bytes content(granule_bytes);
  std::uint64_t since_look = 0;
  const auto copied = (*chain)->walk([&](const store::layer_chain::run& run) -> result<void> {
    progress.present = run.first.value;
    if (!run.from || run.from->entry.is_zero())
      return {};
    if (++since_look % granules_between_looks == 0) {
      if (!go_on())
        return fail(errc::shutting_down, "the node stops");
      if (!options_.catalogue->find(record.uuid))
        return fail(errc::not_found, "the volume was deleted");
    }
    if (auto read = run.from->layer->read(run.from->entry, run.first, content); !read)
      return read;
    const auto offset = run.first.value * granule_bytes;
    const auto length = std::min<std::uint64_t>(granule_bytes, record.size.value - offset);
    return write_at(file->get(), offset, std::span(content).first(length), path);
  });
  if (!copied)
    return copied;
  if (::fsync(file->get()) != 0)
    return fail_errno(path + ": fsync");
  file->reset();
  const auto cleared = options_.catalogue->clear_source(record.uuid);
  return cleared ? result<void>() : tl::unexpected(cleared.error());
}

// --- the catalogue from the files

void snapshot_works::rebuild(done<rebuild_report> finished) {
  auto work = [this, finished] {
    finished(go_on() ? do_rebuild(store::layer_folder::unsealed::keep) : fail(errc::shutting_down, "the node stops"));
  };
  if (auto sent = submit(std::move(work)); !sent)
    finished(tl::unexpected(sent.error()));
}

result<rebuild_report> snapshot_works::do_rebuild(store::layer_folder::unsealed swept) {
  std::unordered_set<layer_id> known;
  for (const auto& layer : options_.book->layers())
    known.insert(layer.id);
  auto contents = folder_.scan(swept, known);
  if (!contents)
    return tl::unexpected(contents.error());
  rebuild_report out;
  out.found = known.size() + contents->layers.size();
  out.unsealed_removed = contents->unsealed_removed;
  out.problems = std::move(contents->problems);
  for (const auto& layer : options_.book->layers())
    if (layer.state != store::layer_state::deleting && !store::path_exists(folder_.path(layer)) &&
        out.problems.size() < store::layer_problems_listed_max)
      out.problems.push_back(fmt::format("{}: the layer of snapshot {} of volume {} is missing", folder_.path(layer),
                                         layer.snapshot.to_string(), layer.name.value));
  store::snapshot_changes changes;
  out.added = contents->layers.size();
  changes.put_layers = std::move(contents->layers);
  if (out.added > 0)
    if (auto committed = options_.book->commit_and_wait(std::move(changes)); !committed)
      return tl::unexpected(committed.error());
  return out;
}

result<rebuild_report> snapshot_works::recover() {
  auto report = do_rebuild(store::layer_folder::unsealed::remove);
  if (report)
    clean_up();
  return report;
}

} // namespace gnomon::actors
