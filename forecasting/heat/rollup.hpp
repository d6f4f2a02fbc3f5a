// From requests to the numbers that forecasts are made of: load rolled up into slots of 10 s, 1 min, 5 min and 1 h,
// and what each chunk saw in a window. The same code observes in a simulation and in tests; on a running node the
// rings count (io/measure/observation.hpp) and only the adding up is done here.
// Values without a clock or I/O: time is what they are told. One thread at a time.
#pragma once

#include <array>
#include <deque>
#include <unordered_map>
#include <vector>

#include "forecasting/heat/hot_set.hpp"
#include "forecasting/series/grid.hpp"

namespace gnomon::forecasting {

// What happened in one slot.
struct load_counts {
  double reads = 0;
  double writes = 0;
  double read_bytes = 0;
  double write_bytes = 0;
  load_counts& operator+=(const load_counts& other);
};
enum class load_quantity { requests, bytes, reads, writes, read_bytes, write_bytes };
double quantity_of(const load_counts& counts, load_quantity quantity);

enum class rollup_level { ten_seconds, one_minute, five_minutes, one_hour };
inline constexpr std::array<rollup_level, 4> rollup_levels = {rollup_level::ten_seconds, rollup_level::one_minute,
                                                              rollup_level::five_minutes, rollup_level::one_hour};
double step_seconds_of(rollup_level level) noexcept;
// Slots kept of each level, newest first: 1 hour, 1 day, 2 weeks, 90 days.
std::size_t slots_max_of(rollup_level level) noexcept;

// A volume's load at four resolutions.
class rollup {
public:
  // Counts at a time; a time before the newest slot of a level counts in that level's slot of then if it is still
  // kept, else nowhere. Times that are not finite are ignored.
  void add(double time_seconds, const load_counts& counts);
  // Time goes on without load: slots up to (not including) the one that holds this time are zero, not missing.
  void advance_to(double time_seconds);
  // The closed slots of a level, oldest first: the newest one, which may still grow, is left out.
  grid series_of(rollup_level level, load_quantity quantity) const;

private:
  struct level_slots {
    double first = 0; // number of the oldest slot since 1970
    std::deque<load_counts> slots;
  };
  static load_counts* slot_at(level_slots& level, double slot, std::size_t slots_max);
  std::array<level_slots, rollup_levels.size()> levels_;
};

// What each chunk of a volume saw since the last take(): the input of hot_set.
class chunk_collector {
public:
  static constexpr std::size_t streams = 32; // interleaved sequential streams told apart

  explicit chunk_collector(byte_count chunk_size) : chunk_size_(chunk_size) {}
  // length > 0. A request that touches several chunks counts in each with its bytes there.
  void add(double time_seconds, byte_offset offset, byte_count length);
  // Sorted by chunk; starts anew. Streams are remembered.
  std::vector<chunk_window> take();

private:
  bool continues_a_stream(std::uint64_t offset, std::uint64_t end);
  byte_count chunk_size_;
  std::unordered_map<std::uint64_t, chunk_window> seen_;
  std::array<std::uint64_t, streams> stream_ends_{};
  std::array<std::uint64_t, streams> used_{}; // when; the longest unused one is replaced
  std::uint64_t requests_ = 0;
};

} // namespace gnomon::forecasting
