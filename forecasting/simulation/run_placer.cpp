#include "forecasting/simulation/run_placer.hpp"

#include <algorithm>
#include <cmath>

namespace gnomon::forecasting {

run_placer::run_placer(std::size_t capacity, const link_model& link, const run_options& options)
    : placement_policy(std::max<std::size_t>(1, capacity), link), options_(options),
      cache_(make_cache(cache_policy::lru, capacity, [this](cache_item i) { store.drop(i); })) {
  store.on_outcome = [this](cache_item i, bool used) { judge(i, used); };
}

void run_placer::judge(cache_item i, bool used) {
  if (!used || i >= label_.size())
    return;
  const std::uint32_t label = label_[i];
  volumes_[label / (distances * lengths)][label % (distances * lengths)].used += 1;
}

bool run_placer::worth_copying(tally& t) {
  if (t.used < options_.used_min * t.copied && ++refused_ % options_.tried_every != 0)
    return false;
  if (t.copied > options_.memory_copies) {
    t.copied /= 2;
    t.used /= 2;
  }
  t.copied += 1;
  return true;
}

// A read goes on where a stream is, or up to one granule after it.
std::size_t run_placer::follow(const placed_read& r) {
  ++reads_;
  const std::uint64_t end = r.first + r.granules.size() - 1;
  stream* oldest = &streams_.front();
  for (stream& s : streams_) {
    if (s.reads > 0 && s.volume == r.volume && s.end <= r.first && r.first <= s.end + 1) {
      s.end = end;
      s.used = reads_;
      ++s.reads;
      return s.reads <= 2 ? 1 : s.reads <= 4 ? 2 : s.reads <= 8 ? 3 : 4;
    }
    if (s.used < oldest->used)
      oldest = &s;
  }
  *oldest = {r.volume, end, 1, reads_};
  return r.granules.size() > 1 ? 1 : 0;
}

void run_placer::read(const placed_read& r, granule_numbers& numbers) {
  const std::size_t length = follow(r);
  for (const cache_item i : r.granules)
    if (!cache_->access(i))
      store.admit(i, r.there_at);
  if (r.volume >= volumes_.size())
    volumes_.resize(r.volume + 1);
  for (std::uint32_t d = 0; d < distances; ++d) {
    const cache_item i = numbers.of(r.volume, r.first + r.granules.size() + d);
    if (cache_->holds(i))
      continue;
    const auto at = length * distances + d;
    if (store.backlogged(r.now))
      return;
    if (!worth_copying(volumes_[r.volume][at]))
      continue;
    cache_->access(i);
    store.fetch(i, r.now, prediction_kind::run);
    if (i >= label_.size())
      label_.resize(std::max<std::size_t>(i + 1, label_.size() * 2));
    label_[i] = static_cast<std::uint32_t>(r.volume * (distances * lengths) + at);
  }
}

} // namespace gnomon::forecasting
