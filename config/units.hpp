// Quantities with their units spelled out, as operators write them in the configuration, on the command line and read
// them in output: sizes, durations, percentages (endpoints: config/endpoint.hpp). Pure functions, any thread.
//
// One spelling per quantity, so that a mistake is seen: whole numbers without sign or leading zeros, no spaces, exact
// case. What format_* prints parses back to the same value, and nothing is rounded. All parsers answer
// invalid_argument with what is wrong and, where it can be guessed, what to write instead.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "config/endpoint.hpp"
#include "config/error.hpp"
#include "config/types.hpp"

namespace gnomon {

// "4096B", "512KiB", "64MiB", "8GiB", "2TiB", "1PiB": units of 1,024. Decimal units ("64MB") and bare letters ("8G")
// are refused, since readers disagree about what they mean. Any value below 2^64 bytes.
result<byte_count> parse_size(std::string_view text);
std::string format_size(byte_count size); // in the largest unit that divides it: "1536MiB", "0B"

// "250us", "5ms", "5s", "5m" (minutes), "24h", "30d" (of 24 hours). Any value below 2^63 microseconds.
result<std::chrono::microseconds> parse_duration(std::string_view text);
std::string format_duration(std::chrono::microseconds duration); // in the largest unit that divides it: "90m", "0s"

// "30%" or "12.5%" as a fraction (0.3, 0.125): digits, optionally a point and digits, at most 24 characters in all.
// The fraction is the double nearest to the decimal number meant, which makes the way there and back exact for every
// parsed value. format_percentage takes finite fractions >= 0 (others print as "0%").
result<double> parse_percentage(std::string_view text);
std::string format_percentage(double fraction);

// What somebody who wrote `text` may have meant ("1GiB" for "1G", "1 gib" or "1gb"); empty if `text` is right or
// beyond guessing.
std::string suggest_size(std::string_view text);
std::string suggest_duration(std::string_view text);
std::string suggest_percentage(std::string_view text);

} // namespace gnomon
