// Puts records that arrive ordered per ring, but not across rings, into one order of time: holds back what is younger
// than the newest record minus a window. What arrives still later than that is passed on late rather than dropped.
// Pure; one thread.
#pragma once

#include <cstdint>
#include <vector>

#include "actors/protocol/volume_messages.hpp"

namespace gnomon::actors::cli {

inline constexpr std::uint64_t order_window_ns = 2'000'000'000; // rings hand over at least once a second

class trace_order {
public:
  // Takes `arrived`; returns what may be written now, in order of time.
  std::vector<trace_record> add(std::vector<trace_record> arrived);
  // Everything that is left.
  std::vector<trace_record> drain();

private:
  std::vector<trace_record> held_;
  std::uint64_t newest_ns_ = 0;
};

} // namespace gnomon::actors::cli
