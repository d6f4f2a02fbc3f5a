// gnomon: the command line. Grows into actors/cli/; this is its smallest useful form.
#include <iostream>

#include <CLI/CLI.hpp>

#include "actors/client.hpp"
#include "actors/daemon.hpp"
#include "config/load_settings.hpp"

namespace {
using namespace gnomon;
using namespace gnomon::actors;

int complain(const error& why) {
  std::cerr << "gnomon: " << why.to_string() << std::endl;
  return exit_failed;
}

int show_status(client& node) {
  const auto status = node.status();
  if (!status)
    return complain(status.error());
  std::cout << status->node.value << " " << to_string(status->state) << ", version " << status->version << ", "
            << status->volumes << " volumes, " << status->connections << " connections\n";
  for (const auto& problem : status->problems)
    std::cout << "problem: " << problem << "\n";
  return exit_done;
}

int show_actors(client& node) {
  const auto all = node.actors();
  if (!all)
    return complain(all.error());
  for (const auto& actor : *all)
    std::cout << actor.name << "\t" << actor.id << "\t" << to_string(actor.state) << "\trestarts " << actor.restarts
              << "\tmailbox " << (actor.answered ? std::to_string(actor.report.mailbox) : "?") << "\t"
              << actor.report.activity << "\t" << actor.last_error << "\n";
  return exit_done;
}

int ask(client& node, const std::string& actor, const std::vector<std::string>& words) {
  std::string message;
  for (const auto& word : words)
    message += (message.empty() ? "" : " ") + word;
  const auto answer = node.ask(actor, message);
  if (!answer)
    return complain(answer.error());
  std::cout << *answer << "\n";
  return exit_done;
}

} // namespace

int main(int argc, char** argv) {
  CLI::App app{"Gnomon's command line"};
  std::string config;
  app.add_option("--config", config, "the node's configuration file");
  app.set_version_flag("--version", "gnomon " GNOMON_VERSION);
  app.require_subcommand(1);
  std::string file, actor;
  std::vector<std::string> words;
  auto* check = app.add_subcommand("check", "say what is wrong with a configuration file");
  check->add_option("FILE", file)->required();
  auto* status = app.add_subcommand("status", "how the node is");
  auto* actors = app.add_subcommand("actors", "the live supervision tree");
  auto* asking = app.add_subcommand("ask", "send a message to an actor");
  asking->add_option("ACTOR", actor)->required();
  asking->add_option("MESSAGE", words)->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    return app.exit(problem) == 0 ? exit_done : exit_usage;
  }
  if (*check)
    return check_config(file);

  const auto settings = load_settings(config);
  if (!settings)
    return complain(settings.error());
  auto node = client::connect(control_socket_path(settings->value.data_dir));
  if (!node)
    return complain(node.error());
  if (*status)
    return show_status(**node);
  if (*actors)
    return show_actors(**node);
  if (*asking)
    return ask(**node, actor, words);
  return exit_usage;
}
