#include "actors/learning/pattern_outlook.hpp"

#include <algorithm>
#include <cmath>

namespace gnomon::actors {
namespace {

using forecasting::heat_class;

constexpr std::size_t half_hour = 1, a_day = 3; // indices of heat_half_lives_seconds
constexpr std::size_t looked_at = 4;            // times the size of a hot set, to find each instance's part in
constexpr float trend_factor_max = 1000;

forecasting::heat_trend trend_of(heat_class kind) {
  if (kind == heat_class::rising)
    return forecasting::heat_trend::rising;
  return kind == heat_class::falling ? forecasting::heat_trend::falling : forecasting::heat_trend::steady;
}

forecasting::chunk_outlook outlook_of(const forecasting::chunk_heat& h) {
  forecasting::chunk_outlook out;
  out.chunk = h.chunk;
  out.requests_per_second = static_cast<float>(h.request_rate[half_hour]);
  out.reads_per_second = static_cast<float>(h.request_rate[half_hour] * (1 - h.write_share));
  out.trend_factor =
      h.request_rate[a_day] > 0
          ? std::min(trend_factor_max, static_cast<float>(h.request_rate[half_hour] / h.request_rate[a_day]))
          : 1;
  out.trend = trend_of(h.kind);
  out.read_share = static_cast<float>(1 - h.write_share);
  out.last_access_seconds = h.last_seconds;
  return out;
}

// The score of the serving method at the scored size nearest to a rank.
double trust_at(const forecasting::hot_prediction& of_small, const forecasting::hot_prediction& of_all,
                std::size_t rank) {
  const auto& from = rank < forecasting::scored_set_sizes[0] ? of_small : of_all;
  return from.windows_scored > 0 ? from.score[static_cast<std::size_t>(of_all.method)] : 0;
}

} // namespace

pattern_outlook outlook_of(const volume_pattern& pattern, double now_seconds) {
  pattern_outlook out;
  out.heat.as_of_seconds = now_seconds;
  for (const auto& chunk : pattern.heat(now_seconds)) // in order of chunk
    if (chunk.kind != heat_class::cold)
      out.heat.chunks.push_back(outlook_of(chunk));
  out.heat.read_share_by_hour = pattern.mix().read_share_by_hour();
  auto users = pattern.mix().instances();
  users.resize(std::min(users.size(), board_users_per_volume));
  for (const auto& user : users)
    out.users.push_back({user.instance, user.share, {}});
  for (auto& user : out.users)
    user.heat.as_of_seconds = now_seconds;

  const auto small = pattern.hot_sets(forecasting::scored_set_sizes[0]);
  const auto wide = pattern.hot_sets(looked_at * board_hot_set_size);
  const auto usual = pattern.hot_sets(board_hot_set_size);
  for (std::size_t w = 0; w < usual.size(); ++w) {
    const auto& named = usual[w].prediction;
    forecasting::hot_set_outlook set;
    set.ahead_seconds = usual[w].horizon_seconds;
    set.recall = named.windows_scored > 0 ? named.score[static_cast<std::size_t>(named.method)] : 0;
    set.windows_scored = named.windows_scored;
    const auto entry = [&](const forecasting::hot_chunk& hot, std::size_t rank, double share) {
      const auto* known = out.heat.find(hot.chunk);
      const double read_share = known != nullptr ? static_cast<double>(known->read_share) : 1;
      return forecasting::hot_chunk_outlook{hot.chunk, hot.expected_requests * share,
                                            hot.expected_bytes * read_share * share,
                                            trust_at(small[w].prediction, named, rank)};
    };
    for (std::size_t rank = 0; rank < named.chunks.size(); ++rank)
      set.chunks.push_back(entry(named.chunks[rank], rank, 1));
    for (auto& user : out.users) {
      auto own = set;
      own.chunks.clear();
      for (std::size_t rank = 0; rank < wide[w].prediction.chunks.size(); ++rank) {
        const auto& hot = wide[w].prediction.chunks[rank];
        // A chunk that a stream is about to reach has no users yet: those of the one before it.
        const auto of_whom =
            hot.ahead_of_stream && hot.chunk.value > 0 ? chunk_index{hot.chunk.value - 1} : hot.chunk;
        const double share = pattern.mix().share(of_whom, user.instance);
        if (share >= board_user_share_min && own.chunks.size() < board_hot_set_size)
          own.chunks.push_back(entry(hot, rank, share));
      }
      user.heat.hot_sets.push_back(std::move(own));
    }
    out.heat.hot_sets.push_back(std::move(set));
  }
  return out;
}

} // namespace gnomon::actors
