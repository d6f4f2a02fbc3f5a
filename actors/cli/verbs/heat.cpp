// `gnomon heat VOLUME`: asks the node for a chart that fits the terminal, and draws it.
#include <cstdlib>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

#include "actors/cli/run.hpp"
#include "actors/cli/view/heat_view.hpp"
#include "actors/cli/view/json_output.hpp"

namespace gnomon::actors::cli {
namespace {
constexpr std::size_t usual_width = 80;
constexpr std::uint32_t usual_lines = 16;

std::size_t terminal_width() {
  struct winsize size {};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    return size.ws_col;
  return usual_width;
}

// Only a locale that says so is taken for one without Unicode: most containers set none at all.
ink ink_of(const context& c) {
  std::string_view locale;
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"})
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0' && locale.empty())
      locale = value;
  if (locale == "C" || locale == "POSIX")
    return ink::ascii;
  const char* terminal = std::getenv("TERM");
  const char* plain = std::getenv("NO_COLOR"); // https://no-color.org
  const bool dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
  return c.io.out_is_terminal && !dumb && (plain == nullptr || *plain == '\0') ? ink::colour : ink::shades;
}
} // namespace

int run(const heat_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const heat_look look{c.io.out_is_terminal ? terminal_width() : usual_width, ink_of(c)};
  heat_request request;
  request.span_us = wanted.since ? wanted.since->count() : 0;
  request.rows = wanted.rows.value_or(look.with == ink::colour && !c.json ? 2 * usual_lines : usual_lines);
  request.columns = wanted.columns.value_or(heat_columns(look.width));
  request.hottest = wanted.hottest.value_or(request.hottest);
  const auto view = (*node)->heat(wanted.volume, request);
  if (!view)
    return complain(c, view.error());
  c.io.out << (c.json ? json_of(*view) : heat_text(*view, look));
  return exit_done;
}

} // namespace gnomon::actors::cli
