// gnomond: the daemon of one node.
#include <iostream>

#include <CLI/CLI.hpp>

#include "actors/node/daemon.hpp"
#include "config/names.hpp"

int main(int argc, char** argv) {
  using namespace gnomon::actors;
  CLI::App app{"Gnomon's node: serves volumes over NBD"};
  daemon_options options;
  std::string stdio_volume;
  bool check = false, repair = false;
  app.add_option("--config", options.config_path, "the node's configuration file")->required();
  app.add_option("--nbd-stdio", stdio_volume, "serve one NBD connection to this volume on standard input and output");
  app.add_flag("--check", check, "only say what is wrong with the configuration");
  app.add_flag("--repair", repair, "write anew what is damaged in the data directory and can be had from what is left");
  app.set_version_flag("--version", "gnomond " GNOMON_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    return app.exit(problem) == 0 ? exit_done : exit_usage;
  }
  if (check)
    return check_config(options.config_path);
  if (repair)
    return repair_node(options.config_path);
  if (!stdio_volume.empty()) {
    auto name = gnomon::parse_volume_name(stdio_volume);
    if (!name) {
      std::cerr << "gnomond: --nbd-stdio: " << name.error().to_string() << std::endl;
      return exit_usage;
    }
    options.nbd_stdio = std::move(*name);
  }
  return run_daemon(options);
}
