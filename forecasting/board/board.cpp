#include "forecasting/board/board.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <tuple>

namespace gnomon::forecasting {
namespace {

// The element whose time ahead is nearest; the shorter of two equally near ones.
template <class Outlook>
const Outlook* nearest_ahead(const std::vector<Outlook>& all, double ahead_seconds) {
  const Outlook* best = nullptr;
  for (const auto& one : all)
    if (best == nullptr ||
        std::abs(one.ahead_seconds - ahead_seconds) < std::abs(best->ahead_seconds - ahead_seconds))
      best = &one;
  return best;
}

} // namespace

std::string_view to_string(board_load load) noexcept {
  switch (load) {
  case board_load::requests:
    return "requests";
  case board_load::bytes:
    return "bytes";
  case board_load::reads:
    return "reads";
  case board_load::writes:
    return "writes";
  }
  return "unknown";
}

std::string_view to_string(heat_trend trend) noexcept {
  switch (trend) {
  case heat_trend::falling:
    return "falling";
  case heat_trend::steady:
    return "steady";
  case heat_trend::rising:
    return "rising";
  }
  return "unknown";
}

const load_horizon* load_outlook::at(double ahead_seconds) const { return nearest_ahead(horizons, ahead_seconds); }

const hot_set_outlook* heat_outlook::at(double ahead_seconds) const { return nearest_ahead(hot_sets, ahead_seconds); }

const chunk_outlook* heat_outlook::find(chunk_index chunk) const {
  const auto found = std::lower_bound(chunks.begin(), chunks.end(), chunk,
                                      [](const chunk_outlook& one, chunk_index c) { return one.chunk < c; });
  return found != chunks.end() && found->chunk == chunk ? &*found : nullptr;
}

std::uint64_t chunk_bitmap::count() const {
  std::uint64_t bits = 0;
  for (const auto word : words_)
    bits += static_cast<std::uint64_t>(std::popcount(word));
  return bits;
}

prediction_board::prediction_board(double made_seconds, std::size_t bytes, volume_list volumes,
                                   instance_list instances, load_sum node, std::vector<load_sum> applications)
    : made_seconds_(made_seconds), bytes_(bytes), volumes_(std::move(volumes)), instances_(std::move(instances)),
      node_(std::move(node)), applications_(std::move(applications)) {
  assert(std::is_sorted(volumes_.begin(), volumes_.end(),
                        [](const auto& a, const auto& b) { return a->uuid < b->uuid; }));
  assert(std::is_sorted(instances_.begin(), instances_.end(), [](const auto& a, const auto& b) {
    return std::tie(a->volume, a->instance) < std::tie(b->volume, b->instance);
  }));
}

const volume_outlook* prediction_board::find(volume_uuid volume) const {
  const auto found = std::lower_bound(volumes_.begin(), volumes_.end(), volume,
                                      [](const auto& one, const volume_uuid& uuid) { return one->uuid < uuid; });
  return found != volumes_.end() && (*found)->uuid == volume ? found->get() : nullptr;
}

const volume_outlook* prediction_board::find(const volume_name& volume) const {
  const auto found =
      std::find_if(volumes_.begin(), volumes_.end(), [&](const auto& one) { return one->name == volume; });
  return found != volumes_.end() ? found->get() : nullptr;
}

std::pair<std::size_t, std::size_t> prediction_board::instances_of(volume_uuid volume) const {
  const auto before = [](const auto& one, const volume_uuid& uuid) { return one->volume < uuid; };
  const auto after = [](const volume_uuid& uuid, const auto& one) { return uuid < one->volume; };
  const auto first = std::lower_bound(instances_.begin(), instances_.end(), volume, before);
  const auto last = std::upper_bound(first, instances_.end(), volume, after);
  return {static_cast<std::size_t>(first - instances_.begin()), static_cast<std::size_t>(last - instances_.begin())};
}

const instance_outlook* prediction_board::find(const instance_id& instance, volume_uuid volume) const {
  const auto [first, last] = instances_of(volume);
  for (auto at = first; at < last; ++at)
    if (instances_[at]->instance == instance)
      return instances_[at].get();
  return nullptr;
}

const load_sum* prediction_board::application(std::string_view name) const {
  const auto found = std::lower_bound(applications_.begin(), applications_.end(), name,
                                      [](const load_sum& one, std::string_view n) { return one.name < n; });
  return found != applications_.end() && found->name == name ? &*found : nullptr;
}

chunk_bitmap prediction_board::hot_chunks(const instance_id& instance, volume_uuid volume,
                                          double ahead_seconds) const {
  const auto* on = find(volume);
  if (on == nullptr)
    return {};
  chunk_bitmap hot(on->chunk_count());
  if (const auto* own = find(instance, volume); own != nullptr)
    if (const auto* set = own->heat->at(ahead_seconds); set != nullptr)
      for (const auto& one : set->chunks)
        hot.set(one.chunk);
  return hot;
}

} // namespace gnomon::forecasting
