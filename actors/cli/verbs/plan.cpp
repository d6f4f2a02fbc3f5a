// `gnomon plan` and `gnomon why`: they ask the node's planner, which answers in words or JSON.
#include <fmt/format.h>

#include "actors/cli/run.hpp"
#include "config/json.hpp"
#include "store/files/posix_file.hpp"

namespace gnomon::actors::cli {

namespace {
constexpr char planner_actor[] = "planner";
constexpr std::size_t plan_reply_bytes_max = 128u << 20;

result<std::string> ask_planner(context& c, const std::string& message) {
  const auto node = c.node.get();
  if (!node)
    return tl::unexpected(node.error());
  return (*node)->ask(planner_actor, message);
}

int show_planner(context& c, const std::string& message) {
  const auto reply = ask_planner(c, message);
  if (!reply)
    return complain(c, reply.error());
  c.io.out << *reply;
  return exit_done;
}

// The input goes into the file, the decisions that were made from it are printed as `simulate --plan` prints them.
int dump_plan(const plan_command& wanted, context& c) {
  const auto reply = ask_planner(c, "dump");
  if (!reply)
    return complain(c, reply.error());
  const auto parsed = parse_json(*reply, {.bytes_max = plan_reply_bytes_max});
  if (!parsed)
    return complain(c, parsed.error());
  const auto input = parsed->value("input", std::string());
  if (const auto written = store::write_file_durably(wanted.dump_file, store::as_bytes(input)); !written)
    return complain(c, written.error());
  for (const auto& line : (*parsed)["decisions"])
    c.io.out << line.get<std::string>() << "\n";
  if (const auto more = parsed->value("more", 0u); more > 0)
    c.io.out << fmt::format("{} more\n", more);
  return exit_done;
}
} // namespace

int run(const plan_command& wanted, context& c) {
  return wanted.dump_file.empty() ? show_planner(c, c.json ? "plan json" : "plan") : dump_plan(wanted, c);
}

int run(const why_command& wanted, context& c) {
  if (wanted.object.find('"') != std::string::npos)
    return complain(c, {errc::invalid_argument, "no volume or node has such a name", 0});
  return show_planner(c, fmt::format("why \"{}\"{}", wanted.object, c.json ? " json" : ""));
}

} // namespace gnomon::actors::cli
