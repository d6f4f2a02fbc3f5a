#include "actors/cli/shell/shell.hpp"

#include <cstdlib>
#include <filesystem>
#include <iostream>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gnomon::actors::cli {
namespace {

class stream_lines final : public line_source {
public:
  explicit stream_lines(std::istream& in) : in_(in) {}
  std::optional<std::string> next() override {
    std::string line;
    if (!std::getline(in_, line))
      return std::nullopt;
    return line;
  }
  bool interactive() const override { return false; }

private:
  std::istream& in_;
};

// Names for completion; a node that is down completes nothing.
std::vector<std::string> names_at(node_access& access, name_kind kind) {
  std::vector<std::string> names;
  const auto node = access.get();
  if (!node)
    return names;
  if (kind == name_kind::actors || kind == name_kind::instances) {
    const std::string_view prefix = kind == name_kind::instances ? "instance/" : ""; // each has a profile actor
    if (const auto actors = (*node)->actors())
      for (const auto& actor : *actors)
        if (actor.name.starts_with(prefix))
          names.push_back(actor.name.substr(prefix.size()));
    return names;
  }
  if (kind == name_kind::events) {
    if (const auto events = (*node)->list_events({}))
      for (const auto& event : *events)
        names.push_back(std::to_string(event.id.value));
    return names;
  }
  const auto filter = kind == name_kind::volumes ? list_filter::present : list_filter::deleted;
  if (const auto volumes = (*node)->list(filter))
    for (const auto& volume : *volumes)
      names.push_back(volume.name.value);
  return names;
}

int run_line(const std::vector<std::string>& words, context& c) {
  auto parsed = parse_command(words, parse_place::shell);
  if (const auto* stop = std::get_if<parse_stop>(&parsed)) {
    (stop->exit_code == exit_done ? c.io.out : c.io.err) << stop->text;
    if (words.size() == 1 && words[0] == "help")
      c.io.out << "\nhelp VERB says more about one; quit (or Ctrl-D) leaves.\n";
    return stop->exit_code;
  }
  const auto& wanted = std::get<invocation>(parsed);
  context mine{c.io, c.node, c.json || wanted.json};
  return run_command(wanted.what, mine);
}

} // namespace

std::unique_ptr<line_source> plain_lines(std::istream& in) { return std::make_unique<stream_lines>(in); }

std::string history_path() {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::filesystem::path folder;
  if (state != nullptr && *state == '/')
    folder = state;
  else if (home != nullptr && *home == '/')
    folder = std::filesystem::path(home) / ".local/state";
  else
    return {};
  folder /= "gnomon";
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed)
    return {};
  (void)::chmod(folder.c_str(), 0700);
  return folder / "shell_history";
}

int run_shell(line_source& lines, context& c) {
  int worst = exit_done;
  while (true) {
    const auto line = lines.next();
    if (!line)
      break;
    const auto words = split_words(*line);
    if (!words) {
      worst = complain(c, words.error());
      continue;
    }
    if (words->empty())
      continue;
    if (words->front() == "quit" || words->front() == "exit")
      break;
    interruption ctrl_c; // ends the command, not the shell
    if (run_line(*words, c) != exit_done)
      worst = exit_failed;
    c.io.out.flush();
    c.io.err.flush();
    if (interruption::terminated())
      break;
  }
  return lines.interactive() ? exit_done : worst;
}

int run(const shell_command&, context& c) {
  if (::isatty(STDIN_FILENO) != 1 || !c.io.out_is_terminal)
    return run_shell(*plain_lines(std::cin), c);
  const auto node = c.node.get();
  if (!node)
    complain(c, node.error()); // it may come later
  else if (const auto status = (*node)->status())
    c.io.out << fmt::format("node {}, gnomon {}. help lists the commands, Tab completes, quit leaves.\n",
                            status->node.value, status->version)
             << std::flush;
  const auto lines = edited_lines([&](name_kind kind) { return names_at(c.node, kind); }, history_path());
  return run_shell(*lines, c);
}

} // namespace gnomon::actors::cli
