// What is wrong with a node just now, in sentences for an operator; empty means healthy. One place for `gnomon
// status` and /health. Reads the data plane, the catalogue and the tree directly, so that it works while actors are
// dead. Any thread; blocks only on short locks.
#pragma once

#include <string>
#include <vector>

#include "actors/runtime/node_context.hpp"

namespace gnomon::actors {

inline constexpr std::size_t problems_shown_max = 100; // further ones are counted in one last line

std::vector<std::string> health_problems(const node_context& node);
node_status status_of(const node_context& node);

} // namespace gnomon::actors
