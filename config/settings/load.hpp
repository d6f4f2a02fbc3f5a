// From a configuration file to settings, or to the list of everything that is wrong with it. parse_settings is pure;
// load_settings reads files and looks at the devices they name. Any thread; both may take milliseconds and allocate,
// so no ring calls them. Never changes anything.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config/error.hpp"
#include "config/problems.hpp"
#include "config/settings/settings.hpp"

namespace gnomon {

inline constexpr std::size_t settings_problems_max = 100; // listed; the others are counted
inline constexpr std::size_t settings_bytes_max = 64u << 20;

struct parsed_settings {
  settings value;                         // meaningless unless ok()
  std::vector<settings_problem> problems; // in the order of the document, then rules between keys
  std::size_t problems_unlisted = 0;      // beyond settings_problems_max; rules are not checked then
  bool ok() const noexcept { return problems.empty(); }
  std::string to_string() const; // the problems, one per line; empty if ok()
};

// Strict: the text must be RFC 8259 JSON without duplicate keys; unknown keys, missing required keys, wrong types,
// units and ranges, and contradictions between keys are refused, all of them in one go.
parsed_settings parse_settings(std::string_view text);

// parse_settings of a file, and further refuses volumes whose paths lead to the same file or device by different
// names. Errors: what opening and reading gives (not_found, permission_denied, io_failed ...), limit_reached for a
// file beyond settings_bytes_max. A file that can be read but is wrong is no error here: see
// parsed_settings::problems.
result<parsed_settings> load_settings(const std::string& path);

// The "data_dir" of a file that may be wrong elsewhere, or not be JSON as a whole: so that the node which runs with an
// earlier version of it can still be reached. not_found: it says none that could be one; and what reading gives.
result<std::string> find_data_dir_in(const std::string& path);

} // namespace gnomon
