#include "forecasting/simulation/near_store.hpp"

#include <algorithm>
#include <cassert>

namespace gnomon::forecasting {

cache_item granule_numbers::of(std::uint32_t volume, std::uint64_t granule) {
  const std::uint64_t chunk = granule / per_chunk_;
  const auto [found, is_new] = number_.try_emplace((static_cast<std::uint64_t>(volume) << 40) | chunk,
                                                   static_cast<std::uint32_t>(chunks_.size()));
  if (is_new)
    chunks_.push_back({volume, chunk});
  return found->second * per_chunk_ + static_cast<cache_item>(granule % per_chunk_);
}

void near_store::grow(cache_item i) {
  if (i < state_.size())
    return;
  const std::size_t size = std::max<std::size_t>(i + 1, state_.size() * 2);
  state_.resize(size);
  arrival_.resize(size);
}

double near_store::demand(double now, std::size_t missing, std::size_t taken_over) {
  const double transfer =
      static_cast<double>(missing + taken_over) * simulated_granule_bytes / link_.demand_bytes_per_second;
  demand_busy_ = std::max(demand_busy_, now) + transfer;
  copies_busy_ = std::max(copies_busy_, demand_busy_);
  moved_ += missing;
  return demand_busy_ + link_.far_seconds;
}

void near_store::use(cache_item i, double there_at) {
  arrival_[i] = std::min(arrival_[i], there_at);
  if ((state_[i] & read_once) != 0)
    return;
  state_[i] |= read_once;
  ++kinds_[state_[i] >> 4].used;
  if (on_outcome)
    on_outcome(i, true);
}

void near_store::admit(cache_item i, double there_at) {
  grow(i);
  assert(!holds(i) && used_ < capacity_);
  state_[i] = held | read_once;
  arrival_[i] = there_at;
  ++used_;
}

void near_store::fetch(cache_item i, double now, prediction_kind kind) {
  grow(i);
  assert(!holds(i) && used_ < capacity_);
  copies_busy_ = std::max(copies_busy_, now) + simulated_granule_bytes / link_.ahead_bytes_per_second;
  arrival_[i] = copies_busy_ + link_.far_seconds;
  state_[i] = static_cast<std::uint8_t>(held | (static_cast<std::uint8_t>(kind) << 4));
  ++used_;
  ++moved_;
  ++kinds_[static_cast<std::size_t>(kind)].fetched;
  if (on_fetch)
    on_fetch(i, kind);
}

void near_store::drop(cache_item i) {
  if (!holds(i))
    return;
  if (unused(i)) {
    ++in_vain_;
    if (on_outcome)
      on_outcome(i, false);
  }
  state_[i] = 0;
  --used_;
  if (on_drop)
    on_drop(i);
}

void near_store::finish() {
  for (cache_item i = 0; i < state_.size(); ++i)
    if (unused(i))
      drop(i);
}

} // namespace gnomon::forecasting
