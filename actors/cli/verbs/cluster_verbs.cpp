// `gnomon node ls` and `gnomon shadow …`: they ask the node's actor `cluster`, which answers in words or JSON.
#include <chrono>
#include <sstream>
#include <thread>

#include <fmt/format.h>

#include "actors/cli/run.hpp"

namespace gnomon::actors::cli {

namespace {
constexpr char actor[] = "cluster";

int ask_cluster(context& c, const std::string& message) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto reply = (*node)->ask(actor, message);
  if (!reply)
    return complain(c, reply.error());
  c.io.out << *reply;
  return exit_done;
}
} // namespace

int run(const node_ls_command&, context& c) { return ask_cluster(c, c.json ? "nodes json" : "nodes"); }
int run(const shadow_ls_command&, context& c) { return ask_cluster(c, c.json ? "shadows json" : "shadows"); }

int run(const shadow_show_command& wanted, context& c) {
  return ask_cluster(c, fmt::format("reads {}{}", wanted.volume, c.json ? " json" : ""));
}

int run(const shadow_drop_command& wanted, context& c) {
  return ask_cluster(c, fmt::format("drop {} {}", wanted.volume, wanted.node));
}

// --wait: until all of it has been copied once, or the node says why it cannot be.
int run(const shadow_create_command& wanted, context& c) {
  const auto begun = ask_cluster(c, fmt::format("create {} {}", wanted.volume, wanted.node));
  if (begun != exit_done || !wanted.wait)
    return begun;
  for (;;) {
    const auto node = c.node.get();
    if (!node)
      return complain(c, node.error());
    const auto reply = (*node)->ask(actor, "progress " + wanted.volume);
    if (!reply)
      return complain(c, reply.error());
    std::istringstream words(*reply);
    std::uint64_t valid = 0, size = 0, passes = 0;
    std::string trouble;
    words >> valid >> size >> passes >> std::ws;
    std::getline(words, trouble);
    if (!trouble.empty())
      return complain(c, {errc::unavailable, fmt::format("shadow of {}: {}", wanted.volume, trouble), 0});
    if (valid >= size || passes >= 2) {
      c.io.out << fmt::format("{} of {} bytes are valid\n", valid, size);
      return exit_done;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{100});
  }
}

} // namespace gnomon::actors::cli
