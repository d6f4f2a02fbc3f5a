// How a simulation of placements or of snapshot times reads: for operators and as JSON. Pure; any thread.
#pragma once

#include "actors/cli/import/placement_model.hpp"

namespace gnomon::actors::cli {

std::string report_text(const placement_report& report);
std::string report_json(const placement_report& report);
std::string report_text(const snapshot_report& report);
std::string report_json(const snapshot_report& report);

} // namespace gnomon::actors::cli
