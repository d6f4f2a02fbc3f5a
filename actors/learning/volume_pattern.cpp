#include "actors/learning/volume_pattern.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "config/log.hpp"

namespace gnomon::actors {
namespace {

constexpr double pattern_magic = 0x70617474; // "patt"
constexpr double pattern_version = 2;        // 2: with the mix of accesses
constexpr auto learn_back = std::chrono::hours(14 * 24);

wall_time wall_of(double seconds) { return wall_time{microseconds{static_cast<std::int64_t>(seconds * 1e6)}}; }
double slot_of(double seconds, double length) { return std::floor(seconds / length) * length; }

store::access_counters counters_of(const observed_chunk& row) {
  store::access_counters out;
  out.reads = row.reads, out.writes = row.writes;
  out.read_bytes = row.read_bytes, out.write_bytes = row.write_bytes;
  out.sequential = row.sequential;
  return out;
}

} // namespace

// --- the open slot

std::optional<open_slot::closed> open_slot::add(const observed& second) {
  const double start = slot_of(static_cast<double>(second.time_us) * 1e-6, slot_seconds);
  std::optional<closed> former;
  if (open_ && start != start_seconds_) // also where the clock went backwards
    former = close();
  open_ = true;
  start_seconds_ = start;
  for (const auto& row : second.rows) {
    const auto counters = counters_of(row);
    total_ += counters;
    if (!row.whole_volume && row.reads + row.writes > 0) // else answered only
      rows_[{row.chunk.value, row.instance.value}] += counters;
  }
  return former;
}

std::optional<open_slot::closed> open_slot::close_before(double now_seconds) {
  return open_ && now_seconds >= start_seconds_ + slot_seconds ? close() : std::nullopt;
}

std::optional<open_slot::closed> open_slot::close() {
  if (!open_)
    return std::nullopt;
  closed out{start_seconds_, {}, total_};
  out.rows.reserve(rows_.size());
  for (const auto& [where, counters] : rows_)
    out.rows.push_back({chunk_index{where.chunk}, instance_id{where.instance}, counters});
  rows_.clear();
  total_ = {};
  open_ = false;
  return out;
}

// --- the pattern

result<volume_pattern> volume_pattern::make(const shape& wanted) {
  volume_pattern out(wanted);
  for (const double horizon : wanted.horizons_seconds) {
    forecasting::hot_set_options options;
    options.window_seconds = horizon;
    options.chunk_size = wanted.chunk_size;
    options.chunk_count = wanted.chunk_count;
    auto set = forecasting::hot_set::make(options);
    if (!set)
      return tl::unexpected(set.error());
    out.windows_.push_back({std::move(*set), 0, {}});
  }
  return out;
}

arma::vec volume_pattern::to_numbers() const {
  std::vector<double> out{pattern_magic,
                          pattern_version,
                          static_cast<double>(shape_.chunk_size.value),
                          static_cast<double>(shape_.chunk_count),
                          newest_seconds_ > 0 ? slot_of(newest_seconds_, slot_seconds) + slot_seconds : 0,
                          static_cast<double>(windows_.size())};
  const auto append = [&out](const arma::vec& part) {
    out.push_back(static_cast<double>(part.n_elem));
    out.insert(out.end(), part.begin(), part.end());
  };
  append(heat_.to_numbers());
  append(mix_.to_numbers());
  for (const auto& w : windows_) {
    out.push_back(w.set.options().window_seconds);
    out.push_back(w.start_seconds);
    append(w.set.to_numbers());
  }
  return arma::vec(out);
}

result<volume_pattern> volume_pattern::from_numbers(const arma::vec& numbers, const shape& wanted) {
  const auto broken = [] { return fail(errc::corrupt, "saved pattern: not one of this program's"); };
  arma::uword at = 0;
  const auto next = [&]() -> double { return at < numbers.n_elem ? numbers(at++) : std::nan(""); };
  const auto part = [&]() -> std::optional<arma::vec> {
    const double length = next();
    if (!(length >= 0) || length > static_cast<double>(numbers.n_elem - at))
      return std::nullopt;
    const auto n = static_cast<arma::uword>(length);
    arma::vec out = n > 0 ? arma::vec(numbers.subvec(at, at + n - 1)) : arma::vec();
    at += n;
    return out;
  };
  if (next() != pattern_magic)
    return broken();
  if (next() != pattern_version)
    return fail(errc::unsupported, "saved pattern: of another version");
  const bool same_chunks =
      next() == static_cast<double>(wanted.chunk_size.value) && next() == static_cast<double>(wanted.chunk_count);
  if (!same_chunks)
    return fail(errc::invalid_argument, "saved pattern: the volume had another size");
  volume_pattern out(wanted);
  out.heat_until_seconds_ = out.newest_seconds_ = next();
  const double windows = next();
  const auto heat = part(), mix = part();
  if (!heat || !mix || !std::isfinite(out.heat_until_seconds_))
    return broken();
  auto map = forecasting::heat_map::from_numbers(*heat);
  if (!map)
    return tl::unexpected(map.error());
  out.heat_ = std::move(*map);
  auto users = forecasting::access_mix::from_numbers(*mix);
  if (!users)
    return tl::unexpected(users.error());
  out.mix_ = std::move(*users);
  if (windows != static_cast<double>(wanted.horizons_seconds.size()))
    return fail(errc::invalid_argument, "saved pattern: of other horizons");
  for (const double horizon : wanted.horizons_seconds) {
    if (next() != horizon)
      return fail(errc::invalid_argument, "saved pattern: of other horizons");
    const double start = next();
    const auto saved = part();
    if (!saved || !std::isfinite(start))
      return broken();
    auto set = forecasting::hot_set::from_numbers(*saved);
    if (!set)
      return tl::unexpected(set.error());
    out.windows_.push_back({std::move(*set), start, {}});
  }
  return out;
}

double volume_pattern::replay_from_seconds() const {
  double from = heat_until_seconds_;
  for (const auto& w : windows_)
    from = std::min(from, w.start_seconds);
  return from;
}

std::vector<forecasting::chunk_window> volume_pattern::window::activity() const {
  std::vector<forecasting::chunk_window> out;
  out.reserve(open.size());
  for (const auto& [chunk, seen] : open)
    out.push_back(seen);
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.chunk.value < b.chunk.value; });
  return out;
}

void volume_pattern::close(window& w, double now_seconds) {
  const double length = w.set.options().window_seconds;
  if (now_seconds < w.start_seconds + length)
    return;
  if (!w.open.empty()) {
    w.set.close_window(w.start_seconds, w.activity());
    w.open.clear();
  }
  w.start_seconds = slot_of(now_seconds, length);
}

bool volume_pattern::is_due(double now_seconds) const {
  return std::any_of(windows_.begin(), windows_.end(), [&](const window& w) {
    return !w.open.empty() && now_seconds >= w.start_seconds + w.set.options().window_seconds;
  });
}

std::size_t volume_pattern::bytes() const {
  constexpr std::size_t open_chunk = sizeof(forecasting::chunk_window) + 32; // and its node
  std::size_t sum = sizeof *this + heat_.bytes() + mix_.bytes();
  for (const auto& w : windows_)
    sum += sizeof w + w.set.bytes() + w.open.size() * open_chunk;
  return sum;
}

void volume_pattern::shrink_to(std::size_t most_bytes) {
  for (auto kept = heat_.chunks(); bytes() > most_bytes && kept > 0;) {
    kept /= 2;
    heat_.keep_warmest(kept);
    mix_.forget_chunks();
    for (auto& w : windows_)
      w.set.keep_hottest(kept);
  }
}

void volume_pattern::advance_to(double now_seconds) {
  for (auto& w : windows_)
    close(w, now_seconds);
}

void volume_pattern::add(const access& what) {
  if (!std::isfinite(what.time_seconds) || what.chunk.value >= shape_.chunk_count)
    return;
  advance_to(what.time_seconds);
  newest_seconds_ = std::max(newest_seconds_, what.time_seconds);
  if (what.time_seconds >= heat_until_seconds_) {
    heat_.add(what.time_seconds, what.chunk, what.reads, what.writes, what.bytes);
    mix_.add(what.time_seconds, what.chunk, what.instance, what.reads, what.writes);
  }
  for (auto& w : windows_) {
    if (what.time_seconds < w.start_seconds)
      continue;
    auto& seen = w.open[what.chunk.value];
    seen.chunk = what.chunk;
    seen.requests += what.reads + what.writes;
    seen.bytes += what.bytes;
    seen.sequential_bytes += what.sequential_bytes;
    seen.last_seconds = std::max(seen.last_seconds, what.time_seconds);
  }
}

std::vector<volume_pattern::hot_window> volume_pattern::hot_sets(std::size_t count) const {
  std::vector<hot_window> out;
  for (const auto& w : windows_) {
    auto set = w.set.known_chunks() > 0 ? std::nullopt : std::optional(w.set);
    if (set)
      set->close_window(w.start_seconds, w.activity());
    out.push_back({w.set.options().window_seconds, (set ? *set : w.set).predict(count)});
  }
  return out;
}

// --- from the history

namespace {

// Rows of [from, to), in order of time. A day at a time, so that memory stays bounded.
void replay(const store::history& history, volume_uuid volume, store::resolution at, double from, double to,
            volume_pattern& into) {
  constexpr double day_seconds = 86'400;
  for (double begin = from; begin < to; begin += day_seconds) {
    store::history_query query;
    query.volume = volume, query.at = at;
    query.from = wall_of(begin), query.to = wall_of(std::min(begin + day_seconds, to));
    auto rows = history.read(query);
    if (!rows) {
      log::warning("history of volume {}: {}", volume.to_string(), rows.error().to_string());
      continue;
    }
    std::stable_sort(rows->begin(), rows->end(), [](const auto& a, const auto& b) { return a.slot < b.slot; });
    for (const auto& row : *rows) {
      const auto& c = row.counters;
      const double requests = static_cast<double>(c.reads + c.writes);
      const double bytes = static_cast<double>(c.read_bytes + c.write_bytes);
      into.add({seconds_of(row.slot), row.chunk, static_cast<double>(c.reads), static_cast<double>(c.writes), bytes,
                requests > 0 ? bytes * static_cast<double>(c.sequential) / requests : 0, row.instance.value});
    }
  }
}

} // namespace

result<volume_pattern> load_pattern(const store::history& from, volume_uuid volume,
                                    const volume_pattern::shape& shape, wall_time now, bool use_saved) {
  const double until = seconds_of(now) + slot_seconds;
  if (use_saved) {
    const auto model = from.get_model(volume.to_string(), pattern_model_name);
    if (model && model->version == pattern_model_version) {
      const auto numbers = numbers_from(model->blob);
      auto saved = numbers ? volume_pattern::from_numbers(*numbers, shape) : tl::unexpected(numbers.error());
      if (saved) {
        // The finest rows are kept for two hours, as long as the longest usual window is open.
        replay(from, volume, store::resolution::ten_seconds, std::max(saved->replay_from_seconds(), until - 7200),
               until, *saved);
        return saved;
      }
      log::info("volume {}: {}; learning from the history", volume.to_string(), saved.error().to_string());
    }
  }
  auto fresh = volume_pattern::make(shape);
  if (fresh)
    replay(from, volume, store::resolution::five_minutes, seconds_of(now - learn_back), until, *fresh);
  return fresh;
}

store::bytes to_bytes(const arma::vec& numbers) {
  store::bytes out(numbers.n_elem * sizeof(double));
  if (!out.empty())
    std::memcpy(out.data(), numbers.memptr(), out.size());
  return out;
}

result<arma::vec> numbers_from(store::bytes_view bytes) {
  if (bytes.size() % sizeof(double) != 0)
    return fail(errc::corrupt, "a saved model is cut short");
  arma::vec out(bytes.size() / sizeof(double));
  if (!bytes.empty())
    std::memcpy(out.memptr(), bytes.data(), bytes.size());
  return out;
}

} // namespace gnomon::actors
