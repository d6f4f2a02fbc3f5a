// Whether the long campaigns are wanted: GNOMON_LONG=1, as tests/run.sh sets it.
#pragma once

#include <cstdlib>
#include <string_view>

namespace gnomon::tests {

inline bool is_long_run() {
  const char* wanted = std::getenv("GNOMON_LONG");
  return wanted != nullptr && std::string_view(wanted) == "1";
}

} // namespace gnomon::tests
