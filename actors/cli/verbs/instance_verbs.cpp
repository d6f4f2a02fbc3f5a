// `gnomon instance …`: one request to the node each, and its answer as text or JSON.
#include <chrono>

#include <fmt/format.h>

#include "actors/cli/run.hpp"
#include "actors/cli/view/instance_view.hpp"
#include "actors/cli/view/json_output.hpp"
#include "config/clock.hpp"

namespace gnomon::actors::cli {
namespace {
} // namespace

int run(const instance_ls_command&, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto instances = (*node)->instances();
  if (!instances)
    return complain(c, instances.error());
  c.io.out << (c.json ? json_of(*instances) : instances_text(*instances, now_us()));
  return exit_done;
}

int run(const instance_show_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto details = (*node)->profile(wanted.instance);
  if (!details)
    return complain(c, details.error());
  c.io.out << (c.json ? json_of(*details) : instance_text(*details, now_us(), c.io.out_is_terminal));
  return exit_done;
}

int run(const instance_set_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto changed = (*node)->describe(wanted.instance, wanted.change);
  if (!changed)
    return complain(c, changed.error());
  if (c.json)
    c.io.out << json_of(*changed);
  else
    c.io.out << instances_text({*changed}, now_us());
  return exit_done;
}

} // namespace gnomon::actors::cli
