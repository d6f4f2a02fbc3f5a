// What snapshot_works does with points in time: merges of their layers, what differs between two, what a group has and
// what it keeps.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "actors/snapshots/snapshot_works.hpp"
#include "config/log.hpp"
#include "store/layer/layer_diff.hpp"

namespace gnomon::actors {

// --- merges

void snapshot_works::merge(std::string snapshot, done<snapshot_info> finished) {
  auto work = [this, snapshot = std::move(snapshot), finished] {
    finished(go_on() ? do_merge(snapshot) : fail(errc::shutting_down, "the node stops"));
  };
  if (auto sent = submit(std::move(work)); !sent)
    finished(tl::unexpected(sent.error()));
}

result<snapshot_info> snapshot_works::do_merge(const std::string& snapshot) {
  const store::snapshot_tree all(options_.book->layers());
  const auto found = all.resolve(snapshot);
  if (!found)
    return tl::unexpected(found.error());
  const auto merged = merge_point((*found)->snapshot);
  if (!merged)
    return tl::unexpected(merged.error());
  const store::snapshot_tree tree(options_.book->layers(merged->volume));
  const auto* best = tree.best(merged->snapshot);
  if (best == nullptr)
    return fail(errc::not_found, "the snapshot was deleted meanwhile");
  return info_of(tree, *best);
}

// The new file is named in one commit, after it is sealed. A crash before that leaves an unsealed file, which goes at
// the next start, or a sealed one, which is taken in then.
result<store::layer_record> snapshot_works::merge_point(snapshot_uuid point) {
  std::lock_guard one_at_a_time(merge_mutex_);
  std::optional<store::snapshot_tree> tree;
  const store::layer_record* best = nullptr;
  const auto used = uses_.take([&]() -> std::optional<snapshot_uuid> {
    tree.emplace(options_.book->layers());
    best = tree->best(point);
    return best != nullptr ? std::optional(point) : std::nullopt;
  });
  if (best == nullptr)
    return fail(errc::not_found, "there is no snapshot " + point.to_string());
  if (!best->parent)
    return *best;
  const auto chain = folder_.open_chain(*tree, point);
  if (!chain)
    return tl::unexpected(chain.error());
  const auto id = layer_id::random();
  const auto path = folder_.path(best->volume, id);
  if (auto sealed = store::merge_layers(**chain, {id, path}, [this] { return go_on(); }); !sealed)
    return tl::unexpected(sealed.error());
  const auto layer = store::layer_reader::open(path);
  if (!layer)
    return tl::unexpected(layer.error());
  auto record = store::record_of(**layer);
  {
    std::lock_guard lock(points_mutex_);
    const auto now = options_.book->find(best->id);
    record.state = now ? now->state : store::layer_state::removed; // deleted meanwhile: it goes with the next look
    record.locked_until = now ? now->locked_until : std::nullopt;
    if (record.state == store::layer_state::deleting)
      record.state = store::layer_state::removed;
    store::snapshot_changes changes;
    changes.put_layers = {record};
    if (auto committed = options_.book->commit_and_wait(std::move(changes)); !committed) {
      (void)folder_.remove(record);
      return tl::unexpected(committed.error());
    }
  }
  log::info("volume {}: {} layers of snapshot {} are merged into {} bytes", record.name.value, (*chain)->layers().size(),
            point.to_string(), record.file_bytes);
  clean_up();
  return record;
}

void snapshot_works::merge_cut(const store::group_point& point, when_complete then) {
  for (const auto& member : point.members) {
    if (then == when_complete::keep_layers) {
      const store::snapshot_tree tree(options_.book->layers(member.volume));
      if (const auto chain = tree.chain(member.snapshot); !chain || chain->size() <= chain_length_merged)
        continue;
    }
    if (auto merged = merge_point(member.snapshot); !merged && merged.error().code != errc::shutting_down)
      log::error("group {}: the layers of snapshot {} are not merged: {}", point.name.value,
                 member.snapshot.to_string(), merged.error().to_string());
  }
}

// --- what differs

void snapshot_works::diff(snapshot_diff_request request, done<snapshot_diff> finished) {
  auto work = [this, request = std::move(request), finished] {
    finished(go_on() ? do_diff(request) : fail(errc::shutting_down, "the node stops"));
  };
  if (auto sent = submit(std::move(work)); !sent)
    finished(tl::unexpected(sent.error()));
}

result<snapshot_diff> snapshot_works::do_diff(const snapshot_diff_request& request) {
  if (request.extents_max == 0 || request.extents_max > diff_extents_max)
    return fail(errc::invalid_argument, fmt::format("1 to {} extents at once", diff_extents_max));
  const auto newer = use_layer_of(request.newer.text);
  if (!newer)
    return tl::unexpected(newer.error());
  result<layer_in_use> older = layer_in_use{}; // none: what the newer one holds
  if (!request.older.empty())
    older = use_layer_of(request.older);
  if (!older)
    return tl::unexpected(older.error());
  const auto* const below_layer = older->layer;
  const auto& above_layer = *newer->layer;
  if (below_layer != nullptr && below_layer->volume != above_layer.volume)
    return fail(errc::invalid_argument, "these are snapshots of two volumes");
  if (request.from_offset > above_layer.size.value || request.from_offset % granule_bytes != 0)
    return fail(errc::invalid_argument, fmt::format("an offset within the volume, a multiple of {}", granule_bytes));
  const auto above = folder_.open_chain(*newer->tree, above_layer.snapshot);
  if (!above)
    return tl::unexpected(above.error());
  std::shared_ptr<const store::layer_chain> below;
  if (below_layer != nullptr) {
    auto opened = folder_.open_chain(*older->tree, below_layer->snapshot);
    if (!opened)
      return tl::unexpected(opened.error());
    below = std::move(*opened);
  }
  const auto found = store::diff_layers(below.get(), **above, granule_index{request.from_offset / granule_bytes},
                                        request.extents_max, [this] { return go_on(); });
  if (!found)
    return tl::unexpected(found.error());
  snapshot_diff out;
  out.older = below_layer != nullptr ? below_layer->snapshot.to_string() : "";
  out.newer = above_layer.snapshot.to_string();
  out.size = above_layer.size;
  const auto bytes = [&](std::uint64_t granule) { return std::min(granule * granule_bytes, out.size.value); };
  for (const auto& run : found->runs)
    out.extents.push_back({bytes(run.first.value), bytes(run.first.value + run.granules) - bytes(run.first.value), run.zero});
  out.next_offset = bytes(found->next.value);
  return out;
}

// --- groups

group_past snapshot_works::past_of(const store::group_record& group) const {
  group_past out;
  const auto first = options_.book->layers(group.volumes.front());
  std::unordered_set<group_cut_id> looked_at;
  for (auto layer = first.rbegin(); layer != first.rend() && !out.newest_baseline; ++layer) {
    if (layer->state != store::layer_state::live || !layer->group || layer->group->name != group.name ||
        layer->cut < group.created || !looked_at.insert(layer->group->cut).second || !is_complete(*layer->group))
      continue;
    if (!out.newest)
      out.newest = layer->cut;
    const bool baseline = std::all_of(
        layer->group->members.begin(), layer->group->members.end(), [&](const store::group_member& member) {
          const store::snapshot_tree tree(options_.book->layers(member.volume));
          const auto* best = tree.best(member.snapshot);
          return best != nullptr && !best->parent;
        });
    if (baseline)
      out.newest_baseline = layer->cut;
  }
  return out;
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
  for (const auto& snapshot : store::given_up(in_order, {group.retain, group.hourly, group.daily, group.weekly}, options_.clock->wall_now()))
    for (const auto& point : points)
      if (point.snapshot == snapshot)
        gone.insert(gone.end(), members[point.group->cut].begin(), members[point.group->cut].end());
  if (gone.empty())
    return;
  give_up(gone);
  clean_up();
}

} // namespace gnomon::actors
