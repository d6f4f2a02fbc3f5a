#include "actors/cli/terminal/terminal_shape.hpp"

#include <cstdlib>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

namespace gnomon::actors::cli {
namespace {
std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}
} // namespace

std::size_t terminal_width(bool is_terminal) {
  struct winsize size {};
  if (is_terminal && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    return size.ws_col;
  return usual_terminal_width;
}

bool shows_unicode() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) // the first that is set decides
    if (const auto locale = variable(name); !locale.empty())
      return locale != "C" && locale != "POSIX";
  return true;
}

bool shows_colour(bool is_terminal) {
  const auto terminal = variable("TERM");
  return is_terminal && !terminal.empty() && terminal != "dumb" && variable("NO_COLOR").empty();
}

} // namespace gnomon::actors::cli
