// What `gnomon heat` shows, made from the history and a volume's pattern. Reads weeks of rows: fit threads only.
#pragma once

#include "actors/learning/volume_pattern.hpp"
#include "actors/protocol/learning_messages.hpp"
#include "store/history/history.hpp"

namespace gnomon::actors {

// What the pattern actor knew when it was asked.
struct heat_knowledge {
  volume_uuid uuid;
  volume_name name;
  byte_count size;
  volume_pattern::shape shape;
  std::vector<forecasting::chunk_heat> heat;
  std::vector<volume_pattern::hot_window> hot_sets;
  std::unordered_map<std::uint64_t, recent_latency> chunk_latencies;
  std::unordered_map<instance_id, recent_latency> instance_latencies;
  wall_time now;
};

// invalid_argument: rows or columns out of range; whatever reading the history gives.
result<heat_view> draw_heat(const store::history& history, const heat_knowledge& known, const heat_request& wanted);

} // namespace gnomon::actors
