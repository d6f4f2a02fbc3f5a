// Why something is placed ahead. Every kind earns its own trust. Values only; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gnomon::forecasting {

// The order is part of written planner inputs: append only.
enum class prediction_kind : std::uint8_t {
  demand,    // the chunk is being read: what else of it will be read soon
  run,       // a sequential run is about to get there
  recurring, // it was read at this time on former days, or learned methods expect it
  event,     // an event announced it
};
inline constexpr std::size_t prediction_kind_count = 4;
std::string_view to_string(prediction_kind kind) noexcept;

} // namespace gnomon::forecasting
