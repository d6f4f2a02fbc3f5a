#include "actors/learning/board_view.hpp"

#include <algorithm>
#include <cmath>

namespace gnomon::actors {
namespace {

std::int64_t board_us(double seconds) { return std::llround(seconds * 1e6); }

load_kind kind_of(forecasting::board_load load) {
  switch (load) {
  case forecasting::board_load::bytes:
    return load_kind::bytes;
  case forecasting::board_load::reads:
    return load_kind::reads;
  case forecasting::board_load::writes:
    return load_kind::writes;
  case forecasting::board_load::requests:
    break;
  }
  return load_kind::requests;
}

std::vector<board_horizon> horizons_of(const std::vector<forecasting::load_horizon>& all) {
  std::vector<board_horizon> out;
  for (const auto& h : all) {
    board_horizon row;
    row.ahead_us = board_us(h.ahead_seconds);
    for (const auto load : forecasting::board_loads)
      row.loads.push_back({kind_of(load), h.of(load).per_second, h.of(load).low, h.of(load).high});
    row.origins = h.accuracy.origins;
    row.served_mase = h.accuracy.served_mase, row.naive_mase = h.accuracy.naive_mase;
    row.burst_threshold = h.burst.threshold_per_second, row.burst_chance = h.burst.chance;
    row.burst_announced = h.burst.announced;
    out.push_back(std::move(row));
  }
  return out;
}

std::vector<predicted_window> windows_of(const std::vector<forecasting::board_window>& all) {
  std::vector<predicted_window> out;
  for (const auto& w : all)
    out.push_back({board_us(w.start_seconds), board_us(w.end_seconds), w.requests, w.fraction_of_mean});
  return out;
}

std::vector<board_hot_set> hot_sets_of(const std::vector<forecasting::hot_set_outlook>& all) {
  std::vector<board_hot_set> out;
  for (const auto& set : all) {
    board_hot_set row{board_us(set.ahead_seconds), set.recall, set.windows_scored, {}};
    for (const auto& hot : set.chunks)
      row.chunks.push_back({hot.chunk, hot.expected_requests, hot.expected_read_bytes, hot.trust});
    out.push_back(std::move(row));
  }
  return out;
}

std::vector<board_chunk> chunks_of(const forecasting::heat_outlook& heat) {
  auto warmest = heat.chunks;
  std::sort(warmest.begin(), warmest.end(), [](const auto& a, const auto& b) {
    return a.requests_per_second != b.requests_per_second ? a.requests_per_second > b.requests_per_second
                                                          : a.chunk < b.chunk;
  });
  warmest.resize(std::min(warmest.size(), board_chunks_max));
  std::vector<board_chunk> out;
  for (const auto& c : warmest)
    out.push_back({c.chunk, static_cast<double>(c.reads_per_second), static_cast<double>(c.requests_per_second),
                   std::string(to_string(c.trend)), static_cast<double>(c.trend_factor),
                   static_cast<double>(c.read_share), board_us(c.last_access_seconds)});
  return out;
}

board_sum sum_view(const forecasting::load_sum& sum) {
  return {sum.name, sum.subjects, board_us(sum.oldest_seconds), horizons_of(sum.horizons)};
}

board_volume short_view(const forecasting::volume_outlook& v) {
  board_volume out;
  out.name = v.name, out.uuid = v.uuid, out.size = v.size, out.chunk_size = v.chunk_size;
  out.fitted_us = board_us(v.load->fitted_seconds), out.heat_us = board_us(v.heat->as_of_seconds);
  out.enough_past = v.load->enough_past;
  out.horizons = horizons_of(v.load->horizons);
  out.chunks_known = v.heat->chunks.size() + v.heat->chunks_left_out;
  return out;
}

board_volume whole_view(const forecasting::prediction_board& board, const forecasting::volume_outlook& v) {
  auto out = short_view(v);
  out.quiet = windows_of(v.load->quiet), out.busy = windows_of(v.load->busy);
  out.hot_sets = hot_sets_of(v.heat->hot_sets);
  for (const float share : v.heat->read_share_by_hour)
    out.read_share_by_hour.emplace_back(static_cast<double>(share));
  out.chunks = chunks_of(*v.heat);
  const auto [first, last] = board.instances_of(v.uuid);
  for (auto at = first; at < last; ++at) {
    const auto& user = *board.instances()[at];
    out.users.push_back({user.instance, user.application, user.share, horizons_of(user.load->horizons),
                         hot_sets_of(user.heat->hot_sets)});
  }
  std::sort(out.users.begin(), out.users.end(), [](const auto& a, const auto& b) {
    return double(a.share) != double(b.share) ? double(a.share) > double(b.share) : a.instance < b.instance;
  });
  out.users_known = out.users.size();
  out.users.resize(std::min(out.users.size(), board_users_max));
  return out;
}

double expected_requests(const forecasting::volume_outlook& v) {
  return v.load->horizons.empty() ? 0 : v.load->horizons.front().of(forecasting::board_load::requests).per_second;
}

} // namespace

board_view view_of(const forecasting::prediction_board& board, std::optional<volume_uuid> only, wall_time now) {
  board_view out;
  out.made_us = board_us(board.made_seconds()), out.now_us = to_microseconds(now);
  out.bytes = board.bytes(), out.volumes_known = board.volumes().size(), out.users_known = board.instances().size();
  out.node = sum_view(board.node());
  if (only) {
    if (const auto* volume = board.find(*only))
      out.volumes.push_back(whole_view(board, *volume));
    return out;
  }
  for (const auto& sum : board.applications())
    out.applications.push_back(sum_view(sum));
  auto busiest = board.volumes();
  std::sort(busiest.begin(), busiest.end(), [](const auto& a, const auto& b) {
    const double left = expected_requests(*a), right = expected_requests(*b);
    return left != right ? left > right : a->name < b->name;
  });
  busiest.resize(std::min(busiest.size(), board_rows_max));
  for (const auto& volume : busiest) {
    out.volumes.push_back(short_view(*volume));
    const auto [first, last] = board.instances_of(volume->uuid);
    out.volumes.back().users_known = last - first;
  }
  return out;
}

} // namespace gnomon::actors
