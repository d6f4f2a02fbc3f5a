// Keys of the configuration that are checked and do nothing yet: the table, and what a configuration says in vain. Who
// builds what a key asks for takes its row out. Pure; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings/settings.hpp"

namespace gnomon {

struct inert_key {
  std::string_view pointer; // as in the table of settings
  std::string_view what;    // that is not there yet
};
std::span<const inert_key> inert_keys();

// One line per key of the table that `value` sets to something else than its default: for the start and `check`.
std::vector<std::string> inert_warnings(const settings& value);

// These, and listeners open to everybody: an operator should have read about both once. For the start, `check` and `status`.
std::vector<std::string> settings_warnings(const settings& value);

} // namespace gnomon
