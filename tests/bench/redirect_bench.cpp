// What choosing a side costs a gateway's read: the look at the prediction, the choice by rule, and the count of it, as
// io/redirect/remote_volume.cpp does them. Prints nanoseconds per request (median of rounds); exits 1 above 100 ns when
// the machine was not busy with something else. Usage: redirect_bench [requests]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "config/clock.hpp"
#include "io/redirect/read_choice.hpp"
#include "tests/bench/measure.hpp"

namespace {

using namespace gnomon;
using namespace gnomon::io;
using bench::measure;
using bench::scatter;

constexpr double ns_max = 100;

predicted_reads prediction(std::uint32_t instances) {
  std::vector<std::pair<instance_slot, predicted_reads::bitmap>> all;
  for (std::uint32_t i = 0; i < instances; ++i)
    all.push_back({instance_slot{i}, predicted_reads::bitmap(64, 0x5555555555555555ull)});
  return predicted_reads(byte_count{16u << 20}, std::move(all), predicted_reads::bitmap(64, 1));
}

} // namespace

int main(int argc, char** argv) {
  const std::uint64_t requests = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 2'000'000;
  if (requests == 0) {
    std::fprintf(stderr, "usage: redirect_bench [requests]\n");
    return 2;
  }
  double most = 0;
  std::uint64_t sink = 0;
  for (const std::uint32_t instances : {1u, 256u})
    for (const auto rule : {redirect_rule::predicted, redirect_rule::nearest}) {
      const auto predicted = prediction(instances);
      read_choice choice(rule);
      read_counter_table counters;
      char name[64];
      std::snprintf(name, sizeof name, "%s, %u instances", rule == redirect_rule::predicted ? "predicted" : "nearest",
                    instances);
      most = std::max(most, measure(name, requests, [&](std::uint64_t n) {
        const instance_slot who{static_cast<std::uint32_t>(scatter(n) >> 40) % instances};
        const std::uint64_t offset = (scatter(n) >> 28) & ~std::uint64_t{4095}; // 64 GiB: 4,096 chunks
        auto& mine = counters.of(who);
        const auto side = choice.choose(&predicted, who, offset, 4096);
        count(side == read_choice::side::shadow ? mine.near : mine.not_predicted);
        choice.near.add(scatter(n) >> 44);
        sink += static_cast<std::uint64_t>(side);
      }));
    }
  std::printf("(%llu)\n", static_cast<unsigned long long>(sink % 10));
  return most > ns_max && requests >= 1'000'000 ? 1 : 0;
}
