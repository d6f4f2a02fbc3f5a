#include "store/meta/snapshot_tree.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "config/text.hpp"

namespace gnomon::store {

namespace {

constexpr std::size_t prefix_length_min = 4;

bool better(const layer_record& a, const layer_record& b) {
  const bool a_alone = !a.parent, b_alone = !b.parent;
  return a_alone != b_alone ? a_alone : a.id < b.id;
}

} // namespace

snapshot_tree::snapshot_tree(std::vector<layer_record> layers) : layers_(std::move(layers)) {
  std::sort(layers_.begin(), layers_.end(),
            [](const auto& a, const auto& b) { return std::tie(a.cut, a.id) < std::tie(b.cut, b.id); });
}

const layer_record* snapshot_tree::best(snapshot_uuid snapshot) const {
  const layer_record* found = nullptr;
  for (const auto& layer : layers_)
    if (layer.snapshot == snapshot && layer.state != layer_state::deleting && (!found || better(layer, *found)))
      found = &layer;
  return found;
}

result<std::vector<const layer_record*>> snapshot_tree::chain(snapshot_uuid snapshot) const {
  std::vector<const layer_record*> out;
  for (std::optional<snapshot_uuid> next = snapshot; next;) {
    const auto* layer = best(*next);
    if (layer == nullptr)
      return fail(out.empty() ? errc::not_found : errc::corrupt,
                  out.empty() ? fmt::format("there is no snapshot {}", next->to_string())
                              : fmt::format("snapshot {} lies on the layer of {}, which is missing",
                                            snapshot.to_string(), next->to_string()));
    if (out.size() > layers_.size())
      return fail(errc::corrupt, fmt::format("snapshot {} lies on itself", snapshot.to_string()));
    out.push_back(layer);
    next = layer->parent;
  }
  return out;
}

std::vector<const layer_record*> snapshot_tree::snapshots() const {
  std::vector<const layer_record*> out;
  for (const auto& layer : layers_)
    if (layer.state == layer_state::live && best(layer.snapshot) == &layer)
      out.push_back(&layer);
  return out;
}

result<const layer_record*> snapshot_tree::resolve(std::string_view text) const {
  const layer_record* found = nullptr;
  if (text.size() >= prefix_length_min)
    for (const auto* layer : snapshots())
      if (layer->snapshot.to_string().starts_with(text)) {
        if (found != nullptr)
          return fail(errc::invalid_argument, fmt::format("several snapshots begin with {}; give more of its id", quote(text)));
        found = layer;
      }
  if (found == nullptr)
    return fail(errc::not_found, fmt::format("there is no snapshot {}; `snapshot ls` lists them", quote(text)));
  return found;
}

std::vector<const layer_record*> snapshot_tree::above(snapshot_uuid snapshot) const {
  std::vector<const layer_record*> out;
  for (const auto& layer : layers_)
    if (layer.parent == snapshot && layer.state != layer_state::deleting && best(layer.snapshot) == &layer)
      out.push_back(&layer);
  return out;
}

std::unordered_set<layer_id> snapshot_tree::needed(const std::unordered_set<snapshot_uuid>& points) const {
  std::unordered_set<layer_id> out;
  for (const auto& point : points)
    for (std::optional<snapshot_uuid> next = point; next;) {
      const auto* layer = best(*next);
      if (layer == nullptr || !out.insert(layer->id).second)
        break;
      next = layer->parent;
    }
  return out;
}

snapshot_tree::usage snapshot_tree::used_by(snapshot_uuid snapshot) const {
  std::unordered_set<snapshot_uuid> others;
  for (const auto* point : snapshots())
    if (point->snapshot != snapshot)
      others.insert(point->snapshot);
  const auto kept = needed(others), mine = needed({snapshot});
  usage out;
  out.layers = mine.size();
  for (const auto& layer : layers_)
    if (mine.contains(layer.id)) {
      out.all_bytes += layer.file_bytes;
      out.unique_bytes += kept.contains(layer.id) ? 0 : layer.file_bytes;
    }
  return out;
}

std::vector<layer_id> snapshot_tree::unneeded(const std::unordered_set<snapshot_uuid>& in_use) const {
  auto points = in_use;
  for (const auto* point : snapshots())
    points.insert(point->snapshot);
  const auto kept = needed(points);
  std::vector<layer_id> out;
  for (const auto& layer : layers_)
    if (!kept.contains(layer.id))
      out.push_back(layer.id);
  return out;
}

std::vector<snapshot_uuid> given_up(const std::vector<const layer_record*>& points, const retention& rule,
                                    wall_time now) {
  if (rule.keeps_all() || points.empty())
    return {};
  std::set<snapshot_uuid> kept{points.back()->snapshot};
  // The newest point of each of the newest `limit` spans that have one.
  const auto keep = [&](std::chrono::seconds span, std::uint32_t limit) {
    std::set<std::int64_t> spans;
    for (auto i = points.rbegin(); i != points.rend() && spans.size() < limit; ++i) {
      const auto at = std::chrono::floor<std::chrono::seconds>((*i)->cut.time_since_epoch()).count();
      if (spans.insert(at / span.count()).second)
        kept.insert((*i)->snapshot);
    }
  };
  for (std::size_t i = 0; i < points.size() && i < rule.count; ++i)
    kept.insert(points[points.size() - 1 - i]->snapshot);
  keep(std::chrono::hours(1), rule.hourly);
  keep(std::chrono::hours(24), rule.daily);
  keep(std::chrono::hours(24 * 7), rule.weekly);
  std::vector<snapshot_uuid> out;
  for (const auto* point : points)
    if (!kept.contains(point->snapshot) && !(point->locked_until && *point->locked_until > now))
      out.push_back(point->snapshot);
  return out;
}

} // namespace gnomon::store
