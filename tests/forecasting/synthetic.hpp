// Loads made for the tests: a daily cycle, bursts, noise, and hostile series. Anything random takes a seed;
// seed_for() prints it, and GNOMON_SEED=N reruns with it.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <numbers>
#include <random>

#include "forecasting/series/grid.hpp"

namespace gnomon::forecasting::test {

inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

inline std::uint64_t seed_for(const char* test) {
  const char* const given = std::getenv("GNOMON_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("%s: GNOMON_SEED=%llu\n", test, static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  return seed;
}

// exp of a cycle of `period` slots with noise: a load as volumes have it.
inline arma::vec cyclic_load(arma::uword slots, arma::uword period, double noise, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  arma::vec out(slots);
  for (arma::uword i = 0; i < slots; ++i)
    out(i) = std::exp(6 + 2 * std::cos(2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(period)) +
                      noise * normal(random));
  return out;
}

// One of many kinds of odd series, by chance.
inline arma::vec odd_series(std::mt19937_64& random) {
  const auto below = [&](std::uint64_t n) { return random() % n; };
  const arma::uword n = below(4) == 0 ? below(6) : below(700);
  const double scales[] = {0, 1e-300, 1e-6, 1, 1e3, 1e12, 1e300};
  const double scale = scales[below(7)];
  arma::vec out(n);
  const auto kind = below(6);
  for (arma::uword i = 0; i < n; ++i)
    switch (kind) {
    case 0:
      out(i) = scale;
      break;
    case 1:
      out(i) = scale * std::uniform_real_distribution<>(0, 1)(random);
      break;
    case 2:
      out(i) = below(50) == 0 ? scale : 0;
      break;
    case 3:
      out(i) = i < n / 2 ? 1 : scale;
      break;
    case 4:
      out(i) = -scale * static_cast<double>(i);
      break;
    default:
      out(i) = i % 48 < 4 ? scale : std::sqrt(scale);
    }
  const auto damage = below(5);
  for (arma::uword i = 0; i < n; ++i) {
    if (damage == 0 && below(3) == 0)
      out(i) = not_a_number;
    if (damage == 1 && i > n / 3 && i < n / 2)
      out(i) = not_a_number;
    if (damage == 2 && below(40) == 0)
      out(i) = std::numeric_limits<double>::infinity();
    if (damage == 3)
      out(i) = not_a_number;
  }
  return out;
}

} // namespace gnomon::forecasting::test
