// What the microbenchmarks share: the median over rounds of what one call costs, and offsets that look random.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "config/clock.hpp"

namespace gnomon::bench {

inline constexpr int rounds = 9;

// Prints and returns the median over rounds of the nanoseconds that one call of `body(n)` takes.
template <class Body>
double measure(const char* name, std::uint64_t requests, Body body) {
  std::vector<double> each;
  for (int round = 0; round < rounds; ++round) {
    const auto start = boot_clock::now();
    for (std::uint64_t n = 0; n < requests; ++n)
      body(n);
    each.push_back(static_cast<double>((boot_clock::now() - start).count()) / static_cast<double>(requests));
  }
  std::nth_element(each.begin(), each.begin() + rounds / 2, each.end());
  std::printf("%-58s %8.1f ns\n", name, each[rounds / 2]);
  return each[rounds / 2];
}

// Cheap and different every time, so that tables and histograms are not touched in one place only.
inline std::uint64_t scatter(std::uint64_t n) { return n * 0x9e3779b97f4a7c15ull; }

} // namespace gnomon::bench
