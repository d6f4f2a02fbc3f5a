// Randomness of the io tests: every test that uses it prints its seed and is rerun with it by GNOMON_SEED=N.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace gnomon::io::test {

inline std::uint64_t seed_for(const char* test) {
  const char* const given = std::getenv("GNOMON_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("%s: GNOMON_SEED=%llu\n", test, static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  return seed;
}

class random_source {
public:
  explicit random_source(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t below(std::uint64_t bound) { return engine_() % bound; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

private:
  std::mt19937_64 engine_;
};

} // namespace gnomon::io::test
