// The main thread's hand on the configuration's file: rereads it on SIGHUP or when `gnomon reload` asks, has the node
// follow, and tells those who asked, the log and the service manager when the new settings are in force, or that they
// are not. Main thread only.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "actors/node/node.hpp"
#include "actors/runtime/configuration.hpp"

namespace gnomon::actors {

class configuration_follower {
public:
  // `running` outlives it.
  configuration_follower(node& running, std::string path);
  ~configuration_follower(); // those who still wait are answered
  // SIGHUP.
  void reread() { begin({reload_mode::follow, {}}); }
  // Serves the desk and those who wait. Returns when to be called again at the latest, if somebody waits.
  std::optional<std::chrono::milliseconds> attend();

private:
  struct waiting {
    reload_request request;
    reload_report report;
    boot_time until;
  };
  void begin(reload_request request);
  bool is_in_force(const waiting& one) const;
  void finish(waiting& one);

  node& node_;
  const std::string path_;
  std::vector<waiting> waiting_; // at most reload_requests_max from the desk, and one per signal
};

} // namespace gnomon::actors
