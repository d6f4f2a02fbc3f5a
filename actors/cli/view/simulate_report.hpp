// How the scores of a simulation read: for operators and as JSON. Pure; any thread.
#pragma once

#include "actors/cli/import/simulate_model.hpp"

namespace gnomon::actors::cli {

std::string report_text(const simulation_outcome& outcome);
std::string report_json(const simulation_outcome& outcome);

} // namespace gnomon::actors::cli
