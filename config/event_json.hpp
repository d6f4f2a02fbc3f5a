// Events as JSON: reading what came over HTTP, strictly, and writing what is kept. Pure functions; any thread;
// never throws, whatever the bytes are.
//
//   {"type": "deployment", "target": "volume:db", "start": "2026-11-30T22:00:00Z", "duration": "10m", "note": "v42"}
#pragma once

#include <string_view>
#include <vector>

#include "config/event.hpp"
#include "config/json.hpp"
#include "config/problems.hpp"

namespace gnomon {

inline constexpr std::size_t events_body_bytes_max = 1u << 20; // of one document
inline constexpr std::size_t event_problems_max = 100;         // listed; the others are counted

struct parsed_events {
  std::vector<event_notice> events;       // meaningless unless ok()
  bool is_list = false;                   // the document was an array
  std::vector<settings_problem> problems; // pointers into the document
  std::size_t problems_unlisted = 0;
  bool too_large = false; // more bytes or events than one document may have
  bool ok() const noexcept { return problems.empty(); }
};

// One event or an array of 1 to event_batch_max. Unknown keys, missing ones (all but "note" are required), wrong
// types and units, duplicate keys: everything that is wrong, in one go.
parsed_events parse_events(std::string_view text, wall_time now);

// Besides what was told: "id", "end", "source", "added"; `now` decides "past".
json event_to_json(const calendar_event& event, wall_time now);
// {"errors": [{"pointer", "message", "nearest"}], "unlisted": n}; "nearest" is null where nothing comes near.
json event_errors_to_json(const std::vector<settings_problem>& problems, std::size_t unlisted = 0);

} // namespace gnomon
