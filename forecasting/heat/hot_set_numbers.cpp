// The persisted form of a hot_set: written and read in one order, here and nowhere else.
// [magic, version, window, chunk bytes, chunk count, two half-lives, next start, any, score weight, scores, gram,
//  moment, chunks, then per chunk its 15 values, whether it has a profile, and the profile].
#include <cmath>

#include "forecasting/heat/hot_set.hpp"

namespace gnomon::forecasting {

using arma::uword;
using arma::vec;

vec hot_set::to_numbers() const {
  std::vector<double> out = {magic,
                             version,
                             options_.window_seconds,
                             static_cast<double>(options_.chunk_size.value),
                             static_cast<double>(options_.chunk_count),
                             options_.learn_half_life_windows,
                             options_.score_half_life_windows,
                             next_start_,
                             any_ ? 1.0 : 0.0,
                             score_weight_};
  out.insert(out.end(), score_.begin(), score_.end());
  out.insert(out.end(), gram_.begin(), gram_.end());
  out.insert(out.end(), moment_.begin(), moment_.end());
  out.push_back(static_cast<double>(chunks_.size()));
  for (const auto& s : chunks_) {
    out.push_back(static_cast<double>(s.chunk));
    out.insert(out.end(), s.heat.begin(), s.heat.end());
    for (double v : {s.total, s.last_window, s.window_before, s.sequential_share, s.last_seconds, s.bytes_per_request,
                     s.flow, s.visited ? 1.0 : 0.0, s.profile.empty() ? 0.0 : 1.0})
      out.push_back(v);
    out.insert(out.end(), s.profile.begin(), s.profile.end());
  }
  return vec(out);
}

result<hot_set> hot_set::from_numbers(const vec& numbers) {
  uword next = 0;
  bool ok = numbers.is_finite();
  const auto get = [&]() -> double {
    if (!ok || next >= numbers.n_elem) {
      ok = false;
      return 0;
    }
    return numbers(next++);
  };
  const auto damaged = [] { return fail(errc::corrupt, "a hot set that is cut short, too long, or out of range"); };
  if (get() != magic)
    return fail(errc::corrupt, "not a hot set");
  if (get() != version)
    return fail(errc::unsupported, "a hot set of another version");
  hot_set_options options;
  options.window_seconds = get();
  const double chunk_size = get(), chunk_count = get();
  options.learn_half_life_windows = get();
  options.score_half_life_windows = get();
  if (!ok || !(chunk_size >= 1 && chunk_size <= 1e18) || !(chunk_count >= 1 && chunk_count <= hot_chunks_max))
    return damaged();
  options.chunk_size = byte_count{static_cast<std::uint64_t>(chunk_size)};
  options.chunk_count = static_cast<std::uint64_t>(chunk_count);
  auto made = make(options);
  if (!made)
    return damaged();
  hot_set& out = *made;
  out.next_start_ = get();
  out.any_ = get() != 0;
  out.score_weight_ = get();
  for (double& v : out.score_)
    v = get();
  for (double& v : out.gram_)
    v = get();
  for (double& v : out.moment_)
    v = get();
  const double count = get();
  if (!ok || !(count >= 0 && count <= chunk_count))
    return damaged();
  for (double i = 0; i < count; ++i) {
    const double chunk = get();
    if (!ok || !(chunk >= 0 && chunk < chunk_count) || out.find(static_cast<std::uint64_t>(chunk)) != nullptr)
      return damaged();
    chunk_state& s = out.state_of(static_cast<std::uint64_t>(chunk));
    for (double& heat : s.heat)
      heat = get();
    s.total = get();
    s.last_window = get();
    s.window_before = get();
    s.sequential_share = get();
    s.last_seconds = get();
    s.bytes_per_request = get();
    s.flow = get();
    s.visited = get() != 0;
    double least =
        std::min({s.total, s.last_window, s.window_before, s.sequential_share, s.bytes_per_request, s.flow});
    for (double heat : s.heat)
      least = std::min(least, heat);
    if (get() != 0) {
      s.profile.resize(profile_slots);
      for (float& usual : s.profile) {
        usual = static_cast<float>(get());
        least = std::min(least, static_cast<double>(usual));
      }
    }
    if (least < 0)
      return damaged();
  }
  if (!ok || next != numbers.n_elem)
    return damaged();
  out.solve();
  return made;
}

} // namespace gnomon::forecasting
