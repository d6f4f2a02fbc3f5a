// `gnomon board [VOLUME]`: asks the node for its prediction board, or one volume of it.
#include "actors/cli/run.hpp"
#include "actors/cli/view/board_text.hpp"
#include "actors/cli/view/json_output.hpp"

namespace gnomon::actors::cli {

int run(const board_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto view = (*node)->board(wanted.request);
  if (!view)
    return complain(c, view.error());
  c.io.out << (c.json ? json_of(*view) : board_text(*view, wanted.request.volume));
  return exit_done;
}

} // namespace gnomon::actors::cli
