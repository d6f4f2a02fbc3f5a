#include "actors/cli/replay/trace_order.hpp"

#include <algorithm>
#include <utility>

namespace gnomon::actors::cli {

std::vector<trace_record> trace_order::add(std::vector<trace_record> arrived) {
  for (const auto& r : arrived)
    newest_ns_ = std::max(newest_ns_, r.time_ns);
  held_.insert(held_.end(), arrived.begin(), arrived.end());
  const auto until = newest_ns_ > order_window_ns ? newest_ns_ - order_window_ns : 0;
  const auto ready =
      std::stable_partition(held_.begin(), held_.end(), [&](const auto& r) { return r.time_ns < until; });
  std::vector<trace_record> out(held_.begin(), ready);
  held_.erase(held_.begin(), ready);
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.time_ns < b.time_ns; });
  return out;
}

std::vector<trace_record> trace_order::drain() {
  std::stable_sort(held_.begin(), held_.end(), [](const auto& a, const auto& b) { return a.time_ns < b.time_ns; });
  return std::exchange(held_, {});
}

} // namespace gnomon::actors::cli
