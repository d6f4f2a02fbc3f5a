// What the prediction board shows of a volume's pattern: heat, hot sets and the mix of users, with each instance's
// part of the hot sets. Pure; takes milliseconds for a volume of thousands of chunks: fit threads only.
#pragma once

#include <cstdint>
#include <vector>

#include "actors/learning/volume_pattern.hpp"
#include "forecasting/board/board.hpp"

namespace gnomon::actors {

inline constexpr std::size_t board_hot_set_size = 32;      // chunks of one hot set
inline constexpr std::size_t board_users_per_volume = 256; // instances; the busiest
inline constexpr double board_user_share_min = 0.05;       // of a chunk's requests, from which on it is an instance's

struct pattern_outlook {
  struct user {
    std::uint32_t instance = 0; // its number in the history
    double share = 0;
    forecasting::heat_outlook heat; // hot sets only
  };
  forecasting::heat_outlook heat;
  std::vector<user> users; // busiest first
};

pattern_outlook outlook_of(const volume_pattern& pattern, double now_seconds);

} // namespace gnomon::actors
