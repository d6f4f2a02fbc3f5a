#include "actors/snapshots/layer_source.hpp"

#include <algorithm>
#include <map>

namespace gnomon::actors {
namespace {

void append_run(io::granule_plan& to, std::uint64_t first, std::uint64_t granules) {
  if (!to.empty() && to.back().first.value + to.back().granules == first)
    to.back().granules += granules;
  else
    to.push_back({granule_index{first}, granules});
}

// What of `runs` (ascending) lies in `hot`, in the order of `hot`, then the rest.
io::granule_plan hot_ones_first(const io::granule_plan& runs, const std::vector<io::granule_run>& hot) {
  if (hot.empty() || runs.empty())
    return runs;
  io::granule_plan out;
  std::vector<io::granule_run> taken;
  for (const auto& wanted : hot) {
    const auto begin = wanted.first.value, end = begin + wanted.granules;
    auto run = std::partition_point(runs.begin(), runs.end(),
                                    [&](const auto& r) { return r.first.value + r.granules <= begin; });
    for (; run != runs.end() && run->first.value < end; ++run) {
      const auto first = std::max(begin, run->first.value), stop = std::min(end, run->first.value + run->granules);
      append_run(out, first, stop - first);
    }
    taken.push_back(wanted);
  }
  std::sort(taken.begin(), taken.end(), [](const auto& a, const auto& b) { return a.first.value < b.first.value; });
  for (const auto& run : runs) {
    auto at = run.first.value;
    const auto end = at + run.granules;
    for (const auto& gone : taken) {
      const auto gone_end = gone.first.value + gone.granules;
      if (gone_end <= at || gone.first.value >= end)
        continue;
      if (gone.first.value > at)
        append_run(out, at, gone.first.value - at);
      at = gone_end;
    }
    if (at < end)
      append_run(out, at, end - at);
  }
  return out;
}

} // namespace

bool layer_source::holds(granule_index granule) const {
  if (!known_.load(std::memory_order_acquire))
    return true;
  const auto word = granule.value / 64;
  return word < held_.size() && (held_[word] >> (granule.value % 64) & 1) != 0;
}

result<void> layer_source::read(granule_index granule, std::span<std::byte> into) {
  if (into.size() == granule_bytes)
    return chain_->read(granule, into);
  store::bytes whole(granule_bytes);
  auto read = chain_->read(granule, whole);
  if (read)
    std::copy_n(whole.begin(), into.size(), into.begin());
  return read;
}

void layer_source::let_go() {
  layer_uses::use last;
  std::lock_guard lock(mutex_);
  std::swap(last, used_);
}

result<io::granule_plan> layer_source::learn(const std::vector<io::granule_run>& hot_first) {
  const auto granules = chain_->header().granules();
  std::vector<std::uint64_t> held((granules + 63) / 64);
  std::map<const store::layer_reader*, std::size_t> number;
  for (const auto& layer : chain_->layers())
    number.emplace(layer.get(), number.size());
  std::vector<io::granule_plan> of_layer(chain_->layers().size());
  io::granule_plan zeros;
  auto walked = chain_->walk([&](const store::layer_chain::run& run) -> result<void> {
    if (!run.from || run.from->entry.is_zero()) {
      append_run(zeros, run.first.value, run.granules);
      return {};
    }
    append_run(of_layer[number.at(run.from->layer)], run.first.value, run.granules);
    for (auto g = run.first.value; g < run.first.value + run.granules; ++g)
      held[g / 64] |= std::uint64_t{1} << (g % 64);
    return {};
  });
  if (!walked)
    return tl::unexpected(walked.error());
  held_ = std::move(held);
  known_.store(true, std::memory_order_release);
  io::granule_plan out;
  for (const auto& layer : of_layer) { // the chain is newest first
    const auto ordered = hot_ones_first(layer, hot_first);
    out.insert(out.end(), ordered.begin(), ordered.end());
  }
  out.insert(out.end(), zeros.begin(), zeros.end());
  return out;
}

} // namespace gnomon::actors
