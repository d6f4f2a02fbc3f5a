// Every planted fault of the session code is noticed by the coherence model; without one it is clean. This executable
// compiles io/session itself, with the faults switched in.
#include <cstdio>
#include <cstdlib>

#include "tests/io/session/coherence_model.hpp"

using namespace gnomon::io::session;

int main() {
  const std::uint64_t seed = gnomon::io::test::seed_for("planted_faults");
  constexpr int rounds_max = 20'000; // the rarest takes a thousand
  int missed = 0;
  for (int which = 1; which < static_cast<int>(fault::count_); ++which) {
    planted_fault = static_cast<fault>(which);
    std::string wrong;
    int rounds = 0;
    simulated::model_counters c;
    while (wrong.empty() && rounds < rounds_max) {
      const std::uint64_t round_seed = seed + static_cast<std::uint64_t>(rounds++) * 1'000'003;
      wrong = simulated::model(round_seed, 1 + round_seed % 3, c).run(10'000);
    }
    std::printf("fault %2d: %s after %d rounds%s%s\n", which, wrong.empty() ? "MISSED" : "noticed", rounds,
                wrong.empty() ? "" : ": ", wrong.c_str());
    std::fflush(stdout);
    missed += wrong.empty();
  }
  planted_fault = fault::none;
  return missed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
