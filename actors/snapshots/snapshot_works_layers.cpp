// What snapshot_works does with layers that are there: deletion, checks, and the catalogue made from the files.
#include <algorithm>

#include <fmt/format.h>

#include "actors/snapshots/snapshot_works.hpp"
#include "config/log.hpp"
#include "store/layer/layer_verify.hpp"

namespace gnomon::actors {

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
  std::lock_guard lock(points_mutex_);
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

// --- checks

void snapshot_works::check(std::string snapshot, done<snapshot_check> finished) {
  auto work = [this, snapshot = std::move(snapshot), finished] {
    finished(go_on() ? do_check(snapshot) : fail(errc::shutting_down, "the node stops"));
  };
  if (auto sent = submit(std::move(work)); !sent)
    finished(tl::unexpected(sent.error()));
}

result<snapshot_works::layer_in_use> snapshot_works::use_layer_of(const std::string& snapshot) {
  layer_in_use out;
  result<const store::layer_record*> found = fail(errc::not_found, "");
  out.used = uses_.take([&]() -> std::optional<snapshot_uuid> {
    out.tree = std::make_unique<store::snapshot_tree>(options_.book->layers());
    found = out.tree->resolve(snapshot);
    return found ? std::optional((*found)->snapshot) : std::nullopt;
  });
  if (!found)
    return tl::unexpected(found.error());
  out.layer = *found;
  return out;
}

result<snapshot_check> snapshot_works::do_check(const std::string& snapshot) {
  const auto found = use_layer_of(snapshot);
  if (!found)
    return tl::unexpected(found.error());
  snapshot_check out;
  const auto chain = found->tree->chain(found->layer->snapshot);
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
    log::error("snapshot {} is damaged: {} findings, the first: {}", found->layer->snapshot.to_string(), out.findings,
               out.first_findings.front());
  return out;
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
  // Since the scan a capture may have put its layer in the book, and a deletion may have taken a file: none is marked for
  // deletion while this is held.
  const auto added = uses_.while_nothing_is_taken([&](const auto&) -> result<void> {
    std::erase_if(contents->layers, [this](const store::layer_record& layer) {
      return options_.book->find(layer.id) || !store::path_exists(folder_.path(layer));
    });
    out.added = contents->layers.size();
    if (out.added == 0)
      return {};
    store::snapshot_changes changes;
    changes.put_layers = std::move(contents->layers);
    return options_.book->commit_and_wait(std::move(changes));
  });
  if (!added)
    return tl::unexpected(added.error());
  return out;
}

result<rebuild_report> snapshot_works::recover() {
  auto report = do_rebuild(store::layer_folder::unsealed::remove);
  if (report)
    clean_up();
  return report;
}

} // namespace gnomon::actors
