// Configurations that the tests of settings start from, and a way to change one value of them.
#pragma once

#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include "config/json.hpp"
#include "config/settings/load.hpp"

namespace gnomon::test {

// The example of the design, as it stands there.
inline constexpr std::string_view design_example = R"({ "node": "alpha", "data_dir": "/var/lib/gnomon",
  "nbd":     { "listen": ["unix:/run/gnomon/nbd.sock", "127.0.0.1:10809"] },
  "admin":   { "listen": "127.0.0.1:10880" },
  "cluster": { "listen": "127.0.0.1:10900", "data_listen": "127.0.0.1:10902", "peers": [ { "node": "beta", "address": "127.0.0.1:10901" } ] },
  "stage":   { "path": "/nvme/gnomon", "capacity": "64GiB" },
  "archive": { "path": "/mnt/archive" },
  "volumes": [ { "name": "db", "size": "8GiB", "shadow": { "granularity": "1GiB" },
                 "forecast": { "horizons": ["5m", "30m", "2h"] }, "archive_after": "30d" } ],
  "instances": [ { "id": "web-1", "volumes": ["db"], "application": "postgresql", "criticality": "high",
                   "sla": { "read_p99": "2ms", "rpo": "1h" } } ],
  "snapshot_groups": [ { "name": "nightly", "volumes": ["db"], "prediction": true, "every": "1h", "quiet_below": "30%", "latest_by": "24h", "retain": 30 } ] })";

// The example with `value` (JSON) at `pointer`; "remove" as the value removes what is there, "-" as the last part of
// the pointer appends.
inline std::string changed_example(std::string_view pointer, std::string_view value) {
  auto document = *parse_json(design_example);
  const json::json_pointer at{std::string(pointer)};
  if (value == "remove") {
    auto& parent = document.at(at.parent_pointer());
    if (parent.is_array())
      parent.erase(std::stoul(at.back()));
    else
      parent.erase(at.back());
  } else {
    const auto parsed = parse_json(value);
    BOOST_REQUIRE_MESSAGE(parsed, value);
    document[at] = *parsed;
  }
  return dump_json(document);
}

// The settings of a text that must be right.
inline settings parse_valid(std::string_view text) {
  auto parsed = parse_settings(text);
  BOOST_REQUIRE_MESSAGE(parsed.ok(), parsed.to_string() << "\nin " << text);
  return std::move(parsed.value);
}

} // namespace gnomon::test
