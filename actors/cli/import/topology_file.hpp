// The nodes of a placement simulation, from a JSON file: who reads which volume through which node, and how far it is
// to the volume's home. Blocks on the disk; any thread.
//
//   { "nodes": [ { "node": "alpha" }, { "node": "beta", "space": 2 } ],
//     "round_trip": "500us", "home_read": "200us", "near_read": "100us",
//     "bandwidth": "1GiB", "copy_bandwidth": "128MiB",
//     "paths": [ { "between": ["alpha", "beta"], "round_trip": "2ms" } ],
//     "volumes": [ { "volume": "db", "home": "alpha", "gateway": "beta" } ] }
//
// All but the nodes may be left out. `space` is a node's part of the whole space in proportion to the others'; rates
// are per second. A volume that is not listed lives on the nodes in turn and is read through the next one.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "config/error.hpp"
#include "forecasting/simulation/placement.hpp"

namespace gnomon::actors::cli {

inline constexpr std::size_t topology_bytes_max = 4u << 20;

struct topology {
  struct place {
    std::uint32_t home = 0, gateway = 0;
  };
  std::vector<forecasting::placed_node> nodes;
  std::map<std::string, place> volumes;
  double round_trip_seconds = 0.0005, home_read_seconds = 0.0002;
  std::map<std::pair<std::uint32_t, std::uint32_t>, double> paths; // (smaller, larger)

  // The `number`-th volume of a trace.
  place place_of(const std::string& volume, std::size_t number) const;
  // What a read at the gateway waits for the home, without the transfer.
  double far_seconds(const place& p) const;
};

// invalid_argument with the JSON pointer of the mistake; not_found, permission_denied: the file.
result<topology> read_topology(const std::string& path);
result<topology> topology_from(std::string_view text);
// Every line of a file, of at most `bytes_max`: limit_reached beyond.
result<std::string> read_whole(const std::string& path, std::size_t bytes_max);

} // namespace gnomon::actors::cli
