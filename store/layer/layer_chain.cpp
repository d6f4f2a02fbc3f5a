#include "store/layer/layer_chain.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace gnomon::store {

layer_chain::layer_chain(std::vector<std::shared_ptr<const layer_reader>> layers) : layers_(std::move(layers)) {
  zero_hash_ = hash_content(bytes(granule_bytes), header().hash_seed);
}

result<std::shared_ptr<const layer_chain>>
layer_chain::make(std::vector<std::shared_ptr<const layer_reader>> layers, needs what) {
  if (layers.empty() || layers.size() > layer_chain_length_max)
    return fail(errc::invalid_argument, fmt::format("a chain of {} layers; 1 to {} are one", layers.size(),
                                                    layer_chain_length_max));
  for (std::size_t i = 0; i + 1 < layers.size(); ++i) {
    const auto& upper = layers[i]->header();
    const auto& lower = layers[i + 1]->header();
    const bool fits = upper.parent == lower.snapshot && upper.volume == lower.volume &&
                      upper.hash_seed == lower.hash_seed && upper.size >= lower.size;
    if (!fits)
      return fail(errc::invalid_argument, fmt::format("{} does not lie on {}", layers[i]->name(), layers[i + 1]->name()));
  }
  if (what == needs::baseline && layers.back()->header().parent)
    return fail(errc::invalid_argument,
                fmt::format("{} needs the layer of snapshot {} below it", layers.back()->name(),
                            layers.back()->header().parent->to_string()));
  return std::shared_ptr<const layer_chain>(new layer_chain(std::move(layers)));
}

result<std::optional<layer_chain::place>> layer_chain::find(granule_index granule) const {
  for (const auto& layer : layers_) {
    auto entry = layer->find(granule);
    if (!entry)
      return tl::unexpected(entry.error());
    if (*entry)
      return place{layer.get(), **entry};
  }
  return std::nullopt;
}

result<void> layer_chain::read(granule_index granule, std::span<std::byte> into) const {
  auto where = find(granule);
  if (!where)
    return tl::unexpected(where.error());
  if (*where)
    return (*where)->layer->read((*where)->entry, granule, into);
  std::fill_n(into.begin(), granule_bytes, std::byte{0});
  return {};
}

result<content_hash> layer_chain::hash(granule_index granule) const {
  return find(granule).map([&](const std::optional<place>& where) { return where ? where->entry.hash : zero_hash_; });
}

layer_walk::layer_walk(const layer_chain& chain) : chain_(&chain) {
  for (const auto& layer : chain.layers())
    cursors_.emplace_back(*layer);
}

result<layer_chain::run> layer_walk::at(std::uint64_t granule) {
  const auto end = chain_->header().granules();
  if (granule >= end)
    return fail(errc::out_of_range, fmt::format("granule {} of {}", granule, end));
  layer_chain::run next{granule_index(granule), end - granule, {}};
  for (std::size_t i = 0; i < cursors_.size(); ++i) {
    auto entry = cursors_[i].at_or_after(granule);
    if (!entry)
      return tl::unexpected(entry.error());
    if (!*entry)
      continue;
    const auto first = (*entry)->granule.value;
    if (first <= granule) { // the newest entry that covers it decides, up to where a newer layer has one
      next.granules = std::min(next.granules, (*entry)->end() - granule);
      next.from = layer_chain::place{chain_->layers()[i].get(), **entry};
      break;
    }
    next.granules = std::min(next.granules, first - granule);
  }
  return next;
}

result<void> layer_chain::walk(const std::function<result<void>(const run&)>& visit) const {
  layer_walk walk(*this);
  const auto end = header().granules();
  for (std::uint64_t at = 0; at < end;) {
    const auto next = walk.at(at);
    if (!next)
      return tl::unexpected(next.error());
    if (auto visited = visit(*next); !visited)
      return visited;
    at += next->granules;
  }
  return {};
}

result<sealed_layer> merge_layers(const layer_chain& chain, const merge_request& request,
                                  const std::function<bool()>& go_on) {
  auto header = chain.header();
  header.id = request.id;
  header.parent = chain.layers().back()->header().parent;
  auto writer = layer_writer::create(request.path, header);
  if (!writer)
    return tl::unexpected(writer.error());
  bytes stored(granule_bytes);
  std::uint64_t visits = 0;
  auto copied = chain.walk([&](const layer_chain::run& r) -> result<void> {
    if (go_on && visits++ % page_entries_max == 0 && !go_on())
      return fail(errc::shutting_down, request.path + ": the merge was stopped");
    if (!r.from)
      return {};
    if (r.from->entry.is_zero())
      return (*writer)->add_zeros(r.first, r.granules);
    auto record = r.from->layer->read_stored(r.from->entry, stored);
    if (!record)
      return tl::unexpected(record.error());
    return (*writer)->add_stored(r.first, record->coding, record->data, r.from->entry.hash);
  });
  if (!copied)
    return tl::unexpected(copied.error());
  return (*writer)->seal(chain.layers().front()->footer());
}

} // namespace gnomon::store
