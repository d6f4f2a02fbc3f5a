#include "actors/runtime/system_config.hpp"

#include <algorithm>
#include <sstream>
#include <thread>

#include <caf/atom.hpp>
#include <caf/io/middleman.hpp>

#include "actors/protocol/error_message.hpp"
#include "actors/protocol/protocol.hpp"

namespace gnomon::actors {

system_config::system_config(networking network) {
  std::istringstream nothing;
  parse(string_list{}, nothing);
  add_message_types<caf::id_block::gnomon>();
  add_error_category(caf::atom("gnomon"),
                     [](std::uint8_t code, caf::atom_value category, const caf::message& context) {
                       return from_caf(caf::error{code, category, context}).to_string();
                     });

  // One shared queue: idle workers sleep on a condition variable until there is work. CAF's default, work stealing,
  // lets them poll with pauses of up to 10 ms: wake-ups on an idle node, and 250 instead of 47 us for a remote
  // request. Stealing pays with dozens of cores and millions of messages a second; this is a control plane.
  set("scheduler.policy", caf::atom("sharing"));
  set("scheduler.max-threads", static_cast<std::size_t>(std::clamp(std::thread::hardware_concurrency(), 2u, 4u)));
  // A flooded actor lets others run after this many messages.
  set("scheduler.max-throughput", std::size_t{100});
  if (network == networking::none)
    return;

  load<caf::io::middleman>();
  // Both are off by default: a peer that was stopped (SIGSTOP) or cut off would never be noticed.
  set("middleman.heartbeat-interval", caf::timespan{std::chrono::seconds{2}});
  set("middleman.connection-timeout", caf::timespan{std::chrono::seconds{10}});
  // Messages are small: the network thread decodes them itself, which saves a hand-over to another thread.
  set("middleman.workers", std::size_t{0});
  // The middleman's helpers are ordinary actors instead of threads of their own (detached ones hang at shutdown).
  set("middleman.attach-utility-actors", true);
  // No port is ever opened behind our back.
  set("middleman.enable-automatic-connections", false);
  set("middleman.app-identifiers", std::vector<std::string>{"gnomon-1"});
}

} // namespace gnomon::actors
