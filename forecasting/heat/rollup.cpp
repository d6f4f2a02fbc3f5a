#include "forecasting/heat/rollup.hpp"

#include <algorithm>
#include <cmath>

namespace gnomon::forecasting {

load_counts& load_counts::operator+=(const load_counts& other) {
  reads += other.reads;
  writes += other.writes;
  read_bytes += other.read_bytes;
  write_bytes += other.write_bytes;
  return *this;
}

double quantity_of(const load_counts& c, load_quantity quantity) {
  switch (quantity) {
  case load_quantity::requests:
    return c.reads + c.writes;
  case load_quantity::bytes:
    return c.read_bytes + c.write_bytes;
  case load_quantity::reads:
    return c.reads;
  case load_quantity::writes:
    return c.writes;
  case load_quantity::read_bytes:
    return c.read_bytes;
  case load_quantity::write_bytes:
    return c.write_bytes;
  }
  return 0;
}

double step_seconds_of(rollup_level level) noexcept {
  constexpr double steps[] = {10 * second, minute, 5 * minute, hour};
  return steps[static_cast<std::size_t>(level)];
}

std::size_t slots_max_of(rollup_level level) noexcept {
  constexpr std::size_t slots[] = {360, 1440, 4032, 2160};
  return slots[static_cast<std::size_t>(level)];
}

// The slot, made if it is the newest or newer; null if it is older than what is kept.
load_counts* rollup::slot_at(level_slots& level, double slot, std::size_t slots_max) {
  const auto limit = static_cast<double>(slots_max);
  if (level.slots.empty() || slot >= level.first + static_cast<double>(level.slots.size()) + limit) {
    level.slots.clear(); // the first one, or a leap beyond everything that is kept
    level.slots.emplace_back();
    level.first = slot;
    return &level.slots.back();
  }
  if (slot < level.first)
    return nullptr;
  while (level.first + static_cast<double>(level.slots.size()) <= slot)
    level.slots.emplace_back();
  while (level.slots.size() > slots_max) {
    level.slots.pop_front();
    level.first += 1;
  }
  return slot < level.first ? nullptr : &level.slots[static_cast<std::size_t>(slot - level.first)];
}

void rollup::add(double time_seconds, const load_counts& counts) {
  if (!(std::abs(time_seconds) <= time_seconds_max))
    return;
  for (rollup_level level : rollup_levels)
    if (load_counts* const slot = slot_at(levels_[static_cast<std::size_t>(level)],
                                          std::floor(time_seconds / step_seconds_of(level)), slots_max_of(level)))
      *slot += counts;
}

void rollup::advance_to(double time_seconds) { add(time_seconds, {}); }

grid rollup::series_of(rollup_level level, load_quantity quantity) const {
  const auto& from = levels_[static_cast<std::size_t>(level)];
  grid out;
  out.step_seconds = step_seconds_of(level);
  out.start_seconds = from.first * out.step_seconds;
  const std::size_t closed = from.slots.empty() ? 0 : from.slots.size() - 1;
  out.value.set_size(closed);
  for (std::size_t i = 0; i < closed; ++i)
    out.value(i) = quantity_of(from.slots[i], quantity);
  return out;
}

bool chunk_collector::continues_a_stream(std::uint64_t offset, std::uint64_t end) {
  ++requests_;
  for (std::size_t i = 0; i < streams; ++i)
    if (offset != 0 && stream_ends_[i] == offset) {
      stream_ends_[i] = end;
      used_[i] = requests_;
      return true;
    }
  const auto oldest = std::min_element(used_.begin(), used_.end()) - used_.begin();
  stream_ends_[static_cast<std::size_t>(oldest)] = end;
  used_[static_cast<std::size_t>(oldest)] = requests_;
  return false;
}

void chunk_collector::add(double time_seconds, byte_offset offset, byte_count length) {
  if (length.value == 0 || offset.value + length.value < offset.value)
    return;
  const std::uint64_t end = offset.value + length.value;
  const bool sequential = continues_a_stream(offset.value, end);
  for (std::uint64_t at = offset.value; at < end;) {
    const std::uint64_t chunk = at / chunk_size_.value;
    const std::uint64_t next = std::min(end, (chunk + 1) * chunk_size_.value);
    auto& seen = seen_[chunk];
    seen.chunk = chunk_index{chunk};
    seen.requests += 1;
    seen.bytes += static_cast<double>(next - at);
    seen.sequential_bytes += sequential ? static_cast<double>(next - at) : 0;
    seen.last_seconds = std::max(seen.last_seconds, time_seconds);
    at = next;
  }
}

std::vector<chunk_window> chunk_collector::take() {
  std::vector<chunk_window> out;
  out.reserve(seen_.size());
  for (const auto& [chunk, seen] : seen_)
    out.push_back(seen);
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.chunk < b.chunk; });
  seen_.clear();
  return out;
}

} // namespace gnomon::forecasting
