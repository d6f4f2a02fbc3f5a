// The node's figures in Prometheus' text format (exposition format 0.0.4,
// https://prometheus.io/docs/instrumenting/exposition_formats/). Reads the data plane and the tree directly, so that
// it works while actors are dead. Any thread; blocks only on short locks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "actors/runtime/node_context.hpp"
#include "io/measure/latency_histogram.hpp"

namespace gnomon::actors {

// Upper bounds of the published latency buckets: powers of two of a nanosecond, 8.2 us to 17.2 s, because those are
// also bounds of the buckets that the rings count in, so that the cumulative counts are exact.
inline constexpr unsigned latency_exponent_first = 13, latency_exponent_last = 34;

std::string metrics_text(const node_context& node);

// Escapes backslash, double quote and newline.
std::string escape_label(std::string_view value);
// Samples of `histogram` that took at most 2^exponent nanoseconds.
std::uint64_t count_up_to(const io::latency_histogram& histogram, unsigned exponent);

} // namespace gnomon::actors
