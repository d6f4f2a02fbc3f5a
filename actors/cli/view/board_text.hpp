// `gnomon board` for operators: all volumes in one table, or one volume with its hot sets, users and warmest chunks. Pure
// functions of what the node answered; any thread. Nothing from outside is printed unescaped.
#pragma once

#include <string>
#include <string_view>

#include "actors/protocol/board_messages.hpp"

namespace gnomon::actors::cli {

inline constexpr std::size_t board_lines_max = 50;   // volumes, users, of a table
inline constexpr std::size_t board_chunk_lines = 10; // chunks named

// `volume`: what was asked for; empty: all. Ends in a newline.
std::string board_text(const board_view& view, std::string_view volume);

} // namespace gnomon::actors::cli
