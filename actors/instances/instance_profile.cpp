#include "actors/instances/instance_profile.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

#include <fmt/format.h>

#include "config/log.hpp"
#include "config/text.hpp"

namespace gnomon::actors {
namespace {
using std::chrono::duration_cast;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr auto profile_back = hours(24);
constexpr auto locality_back = hours(14 * 24);
constexpr auto rate_back = seconds(60);

double requests_of(const store::access_counters& c) { return static_cast<double>(c.reads + c.writes); }
double bytes_of(const store::access_counters& c) { return static_cast<double>(c.read_bytes + c.write_bytes); }

store::history_query query_of(const watched_volume& volume, store::resolution at, wall_time from, wall_time to) {
  store::history_query query;
  query.volume = volume.uuid, query.at = at, query.from = from, query.to = to;
  return query;
}

// Calls `visit` for each row; what cannot be read is left out.
template <class Visit>
void each_row(const store::history& history, const store::history_query& query, const volume_name& name,
              Visit visit) {
  if (const auto read = history.visit(query, visit); !read)
    log::warning("history of volume {}: {}", name.value, read.error().to_string());
}

// How an instance's hot chunks are predicted: as a volume's, from its own rows alone.
std::vector<predicted_hot_set> predicted_hot_sets(const store::history& history, store::instance_index instance,
                                                  const watched_volume& volume, wall_time now) {
  auto pattern = volume_pattern::make(volume.shape);
  if (!pattern)
    return {};
  // A day at a time, so that memory stays bounded.
  for (auto from = now - locality_back; from < now; from += hours(24)) {
    auto query =
        query_of(volume, store::resolution::five_minutes, from, std::min(from + hours(24), now + seconds(1)));
    query.instance = instance;
    auto rows = history.read(query);
    if (!rows) {
      log::warning("history of volume {}: {}", volume.name.value, rows.error().to_string());
      continue;
    }
    std::stable_sort(rows->begin(), rows->end(), [](const auto& a, const auto& b) { return a.slot < b.slot; });
    for (const auto& row : *rows) {
      const auto& c = row.counters;
      const double requests = requests_of(c);
      pattern->add({seconds_of(row.slot), row.chunk, static_cast<double>(c.reads), static_cast<double>(c.writes),
                    bytes_of(c), requests > 0 ? bytes_of(c) * static_cast<double>(c.sequential) / requests : 0});
    }
  }
  pattern->advance_to(seconds_of(now));
  std::vector<predicted_hot_set> out;
  for (const auto& window : pattern->hot_sets(profile_chunks_max)) {
    predicted_hot_set set;
    set.horizon_us = static_cast<std::int64_t>(window.horizon_seconds * 1e6);
    set.method = forecasting::to_string(window.prediction.method);
    set.recall = window.prediction.score[static_cast<std::size_t>(window.prediction.method)];
    set.windows_scored = window.prediction.windows_scored;
    for (const auto& c : window.prediction.chunks)
      set.chunks.push_back({c.chunk, c.expected_bytes, c.expected_requests, c.ahead_of_stream});
    out.push_back(std::move(set));
  }
  return out;
}

struct chunk_requests {
  double own = 0, all = 0;
};

touched_volume touched(const watched_volume& volume,
                       const std::unordered_map<std::uint64_t, chunk_requests>& chunks) {
  touched_volume out;
  out.name = volume.name, out.uuid = volume.uuid;
  double all = 0, own = 0;
  for (const auto& [chunk, requests] : chunks) {
    all += requests.all, own += requests.own;
    if (requests.own > 0)
      out.chunks.push_back({chunk_index{chunk}, requests.own, requests.own / requests.all});
  }
  out.requests = own;
  out.share = all > 0 ? own / all : 0;
  out.chunk_count = out.chunks.size();
  std::sort(out.chunks.begin(), out.chunks.end(), [](const auto& a, const auto& b) {
    return std::pair(-double(a.requests), a.chunk) < std::pair(-double(b.requests), b.chunk);
  });
  out.chunks.resize(std::min(out.chunks.size(), profile_chunks_max));
  return out;
}

bool is_text(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) >= 32 && c != 127; });
}

} // namespace

std::vector<watched_volume> watched_volumes(const std::vector<store::volume_record>& records,
                                            const settings& wanted) {
  std::unordered_map<volume_name, const volume_settings*> configured;
  for (const auto& volume : wanted.volumes)
    configured.emplace(volume.name, &volume);
  std::vector<watched_volume> out;
  out.reserve(records.size());
  for (const auto& record : records) {
    watched_volume volume{record.uuid, record.name, {}};
    volume.shape.chunk_size = default_chunk_bytes(record.size);
    volume.shape.chunk_count = std::max<std::uint64_t>(1, (record.size.value + volume.shape.chunk_size.value - 1) /
                                                              volume.shape.chunk_size.value);
    const auto found = configured.find(record.name);
    for (const auto horizon : (found != configured.end() ? *found->second : volume_settings{}).forecast_horizons)
      volume.shape.horizons_seconds.push_back(static_cast<double>(horizon.count()));
    out.push_back(std::move(volume));
  }
  return out;
}

// --- metadata

result<store::instance_record> changed_by(const instance_change& change,
                                          const std::optional<store::instance_record>& before, const instance_id& id,
                                          wall_time now) {
  auto record = before && !change.reset ? *before : store::instance_record{};
  record.id = id;
  record.changed = now;
  if (change.application.given)
    record.application = change.application.value;
  if (change.host.given)
    record.host = change.host.value;
  if (change.level.given)
    record.level = change.level.value;
  if (change.read_p99_us.given)
    record.read_p99 = microseconds(change.read_p99_us.value);
  if (change.rpo_us.given)
    record.rpo = duration_cast<seconds>(microseconds(change.rpo_us.value));
  if (!is_text(change.application.value) || !is_text(change.host.value))
    return fail(errc::invalid_argument, "application and host are text of one line without control characters");
  if (auto sensible = store::check_instance(record); !sensible)
    return tl::unexpected(sensible.error());
  return record;
}

bool says_nothing(const store::instance_record& record) {
  return !record.application && !record.level && !record.read_p99 && !record.rpo && !record.host;
}

// --- load

std::vector<std::pair<store::instance_index, instance_summary>>
recent_load(const store::history& history, const std::vector<watched_volume>& volumes, wall_time now) {
  std::map<store::instance_index, instance_summary> found;
  for (const auto& volume : volumes) {
    std::map<store::instance_index, bool> here; // instances seen on this volume within the hour
    const auto day = query_of(volume, store::resolution::five_minutes, now - profile_back, now + seconds(1));
    each_row(history, day, volume.name, [&](const store::history_sample& row) {
      auto& one = found[row.instance];
      const auto end = row.slot + minutes(5);
      one.last_us = std::max(one.last_us, std::min(end, now).time_since_epoch().count());
      if (end <= now - hours(1))
        return;
      here[row.instance] = true;
      one.requests_last_hour = one.requests_last_hour + requests_of(row.counters);
      one.bytes_last_hour = one.bytes_last_hour + bytes_of(row.counters);
    });
    // The last slots that are over. What a chart or a kill put into the history early counts with its slot.
    const auto minute = query_of(volume, store::resolution::ten_seconds, now - rate_back - seconds(10), now);
    each_row(history, minute, volume.name, [&](const store::history_sample& row) {
      auto& one = found[row.instance];
      const auto over = static_cast<double>((rate_back + seconds(10)).count());
      one.requests_per_second = one.requests_per_second + requests_of(row.counters) / over;
      one.bytes_per_second = one.bytes_per_second + bytes_of(row.counters) / over;
      one.last_us = std::max(one.last_us, std::min(row.slot + seconds(10), now).time_since_epoch().count());
    });
    for (const auto& [index, seen] : here)
      found[index].volumes += 1;
  }
  return {found.begin(), found.end()};
}

void take_load(instance_summary& into, const instance_summary& load) {
  into.requests_per_second = load.requests_per_second, into.bytes_per_second = load.bytes_per_second;
  into.requests_last_hour = load.requests_last_hour, into.bytes_last_hour = load.bytes_last_hour;
  into.volumes = load.volumes, into.last_us = load.last_us;
}

void read_profile(const store::history& history, store::instance_index instance,
                  const std::vector<watched_volume>& volumes, wall_time now, instance_details& into) {
  const auto from = now - profile_back;
  const double slot_length = static_cast<double>(seconds(profile_back).count()) / profile_slots;
  into.from_us = from.time_since_epoch().count();
  into.to_us = now.time_since_epoch().count();
  into.past.assign(profile_slots, 0.0);
  into.volumes.clear();
  std::map<volume_uuid, const watched_volume*> by_uuid;
  for (const auto& volume : volumes) {
    by_uuid.emplace(volume.uuid, &volume);
    std::unordered_map<std::uint64_t, chunk_requests> chunks;
    double bytes = 0, writes = 0;
    const auto day = query_of(volume, store::resolution::five_minutes, from, now + seconds(1));
    each_row(history, day, volume.name, [&](const store::history_sample& row) {
      const double requests = requests_of(row.counters);
      auto& chunk = chunks[row.chunk.value];
      chunk.all += requests;
      if (row.instance != instance)
        return;
      chunk.own += requests;
      bytes += bytes_of(row.counters);
      writes += static_cast<double>(row.counters.writes);
      const auto slot = static_cast<std::size_t>(
          std::clamp(seconds_of(row.slot) - seconds_of(from), 0.0, slot_length * profile_slots - 1) / slot_length);
      into.past[slot] = into.past[slot] + requests / slot_length;
    });
    auto what = touched(volume, chunks);
    if (what.requests <= 0)
      continue;
    what.bytes = bytes;
    what.write_share = writes / what.requests;
    into.volumes.push_back(std::move(what));
  }
  std::sort(into.volumes.begin(), into.volumes.end(), [](const auto& a, const auto& b) {
    return std::pair(-double(a.requests), a.name) < std::pair(-double(b.requests), b.name);
  });
  into.volumes.resize(std::min(into.volumes.size(), profile_volumes_max));
  for (std::size_t i = 0; i < std::min(into.volumes.size(), predicted_volumes_max); ++i)
    into.volumes[i].hot_sets = predicted_hot_sets(history, instance, *by_uuid.at(into.volumes[i].uuid), now);
}

std::vector<predicted_load> load_ahead(const forecast_view& forecast,
                                       const std::vector<std::chrono::seconds>& horizons) {
  std::vector<predicted_load> out;
  if (forecast.step_us <= 0)
    return out;
  for (const auto horizon : horizons) {
    const auto ahead_us = microseconds(horizon).count();
    const auto slots = static_cast<std::size_t>((ahead_us + forecast.step_us - 1) / forecast.step_us);
    if (slots == 0 || slots > forecast.ahead.size() || slots > forecast.low.size() || slots > forecast.high.size())
      continue;
    const auto mean = [slots](const std::vector<finite>& values) {
      double sum = 0;
      for (std::size_t i = 0; i < slots; ++i)
        sum += values[i];
      return sum / static_cast<double>(slots);
    };
    out.push_back({ahead_us, mean(forecast.ahead), mean(forecast.low), mean(forecast.high)});
  }
  return out;
}

} // namespace gnomon::actors
