// The planner: from what is known at one moment to what should be where. A pure function: no clock, no I/O, no
// randomness, equal input gives equal output in equal order. Any thread. The daemon runs it on live state, a
// simulation on a trace.
//
// How: every chunk that readers at a node want is worth (expected reads x seconds saved per read x weight of the
// readers); expected is what was observed, or a kind of prediction that has earned trust. Per node the chunks are
// taken in order of worth per byte until the space, the copies of one horizon and the volume's quota are used up;
// what is already there counts for more, so that equals do not change places. Differences to what is there become
// decisions; adjacent chunks become one shadow.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/error.hpp"
#include "forecasting/planner/planner_input.hpp"

namespace gnomon::forecasting {

enum class decision_kind : std::uint8_t {
  create,  // copy chunks to a node that is not their home
  stage,   // copy chunks to the home's own fast stage
  merge,   // adjacent shadows of one volume on one node become one
  split,   // a shadow is cut before a chunk
  drop,    // a shadow's space is given back
  archive, // chunks that nobody is expected to read go to the archive
  recall,  // archived chunks come back ahead of their readers
  move,    // the volume's home should be another node
};
std::string_view to_string(decision_kind kind) noexcept;

struct decision {
  decision_kind kind = decision_kind::create;
  std::uint32_t node = 0, volume = 0; // indices into the input; move: the new home
  std::uint64_t first_chunk = 0, chunks = 1;
  prediction_kind because = prediction_kind::demand;
  double saved_seconds_per_second = 0; // waiting saved, weighted
  double bytes = 0;                    // to be copied, or given back
  bool carried_out = true;             // false: mode advise
  std::string reason;                  // one line in words and numbers
};

struct plan_result {
  std::vector<decision> decisions;    // drops first, then by node, volume and chunk
  std::vector<planner_memory> memory; // for the next call
  std::size_t left_out = 0;           // beyond decisions_max
};

// errc::invalid_argument: an index, size or rate out of range; errc::limit_reached: more rows than planner_*_max.
result<plan_result> plan(const planner_input& input);

// One line per decision, with names: what `gnomon simulate` and a daemon print, byte for byte alike.
std::string to_text(const planner_input& input, const decision& d);

} // namespace gnomon::forecasting
