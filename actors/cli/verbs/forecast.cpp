// `gnomon forecast`: asks the node for a forecast and draws it.
#include "actors/cli/run.hpp"
#include "actors/cli/terminal/terminal_shape.hpp"
#include "actors/cli/view/forecast_text.hpp"
#include "actors/cli/view/json_output.hpp"

namespace gnomon::actors::cli {

int run(const forecast_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto view = (*node)->forecast(wanted.request);
  if (!view)
    return complain(c, view.error());
  const bool terminal = c.io.out_is_terminal;
  c.io.out << (c.json ? json_of(*view)
                      : forecast_text(*view, {terminal_width(terminal), shows_unicode(), shows_colour(terminal)}));
  return exit_done;
}

} // namespace gnomon::actors::cli
