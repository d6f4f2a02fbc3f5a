// An operator's repair of a data directory whose node does not start: what says whose it is, and a catalogue that is
// lost or cannot be read, are written anew from what is left. Nothing is deleted: a damaged meta/ is set aside. For a
// tool, on one thread, while no node runs; blocks. Never touches a volume's data.
#pragma once

#include <string>
#include <vector>

#include "config/error.hpp"
#include "store/meta/data_directory.hpp"

namespace gnomon::store {

inline constexpr const char* repair_command = "gnomond --config FILE --repair";

// What was done and what was found, one sentence each. busy: a node runs; io_failed, no_space.
result<std::vector<std::string>> repair(data_directory_options options);

} // namespace gnomon::store
