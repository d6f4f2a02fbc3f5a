// The prediction board as a message: all volumes in short, or one of them with everything. Pure; any thread.
#pragma once

#include <optional>

#include "actors/protocol/board_messages.hpp"
#include "config/clock.hpp"
#include "forecasting/board/board.hpp"

namespace gnomon::actors {

// `only`: that volume with everything; nothing of it where the board does not know it.
board_view view_of(const forecasting::prediction_board& board, std::optional<volume_uuid> only, wall_time now);

} // namespace gnomon::actors
