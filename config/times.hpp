// Moments as operators write them on the command line and in JSON, and as output shows them. Pure functions on the
// `now` they are given; any thread, no clock.
#pragma once

#include <string>
#include <string_view>

#include "config/clock.hpp"
#include "config/error.hpp"

namespace gnomon {

// What can be written: from 1970 to the end of 9999, in whole microseconds.
inline constexpr wall_time time_min{};
inline constexpr wall_time time_max{microseconds{253'402'300'799'999'999}};

// "2026-11-30T22:00:00Z", "2026-11-30T23:00+01:00" (seconds and up to nine decimals of them may be given, six count; the zone has
// to be, since nobody knows whose local time would be meant), "now", "in 2h", "90m ago" (durations as in
// config/units.hpp). invalid_argument with what is wrong and, where it can be guessed, what to write instead.
result<wall_time> parse_time(std::string_view text, wall_time now);

// "2026-11-30T22:00:00Z", with decimals only where there are any; reads back to the same moment. Outside of
// time_min..time_max the nearer of the two.
std::string format_time(wall_time time);

// What somebody who wrote `text` may have meant; empty if `text` is right or beyond guessing.
std::string suggest_time(std::string_view text);

} // namespace gnomon
