// A planner's input as text: written by a daemon, read by a simulation, so that both decide alike. One line per row,
// `KIND FIELD FIELD ...`, in the order of the structs; numbers in the shortest form that reads back as the same
// value; names with everything but letters, digits and ._-:@/ as %XX, an empty one as %. Equal inputs give equal
// text. Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>

#include "config/error.hpp"
#include "forecasting/planner/planner_input.hpp"

namespace gnomon::forecasting {

inline constexpr std::string_view planner_text_header = "gnomon planner input 1";

std::string to_text(const planner_input& input);
// errc::corrupt, with the line's number: not such a text; errc::unsupported: a version this build does not know.
// What it holds is checked as plan() checks it.
result<planner_input> planner_input_from(std::string_view text);

} // namespace gnomon::forecasting
