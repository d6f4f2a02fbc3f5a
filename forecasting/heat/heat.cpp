#include "forecasting/heat/heat.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace gnomon::forecasting {

namespace {

constexpr std::size_t half_hour = 1, a_day = 3; // indices of half-lives
constexpr double chart_side_max = 4096;

double factor(double elapsed_seconds, double half_life_seconds) {
  return std::exp2(-std::max(0.0, elapsed_seconds) / half_life_seconds);
}

// A steady rate r settles at the sum r * half_life / ln 2.
double rate(double sum, std::size_t half_life) {
  return sum * std::numbers::ln2 / heat_half_lives_seconds[half_life];
}

bool countable(double v) { return std::isfinite(v) && v >= 0; }

heat_class trend_of(const chunk_heat& c, const heat_options& options) {
  const double now = c.request_rate[half_hour], usually = c.request_rate[a_day];
  if (std::max(now, usually) * hour < options.cold_below)
    return heat_class::cold;
  if (now > options.trend_factor * usually)
    return heat_class::rising;
  if (now * options.trend_factor < usually)
    return heat_class::falling;
  return heat_class::rare;
}

} // namespace

std::string_view to_string(heat_class c) noexcept {
  switch (c) {
  case heat_class::cold:
    return "cold";
  case heat_class::rare:
    return "rare";
  case heat_class::frequent:
    return "frequent";
  case heat_class::rising:
    return "rising";
  case heat_class::falling:
    return "falling";
  }
  return "unknown";
}

void heat_map::decay(cell& c, double to_seconds) {
  const double elapsed = to_seconds - c.last_seconds;
  if (elapsed <= 0)
    return;
  for (std::size_t i = 0; i < heat_half_life_count; ++i)
    c.requests[i] *= factor(elapsed, heat_half_lives_seconds[i]);
  c.bytes *= factor(elapsed, heat_half_lives_seconds[half_hour]);
  c.writes *= factor(elapsed, heat_half_lives_seconds[a_day]);
  c.last_seconds = to_seconds;
}

void heat_map::add(double time_seconds, chunk_index chunk, double reads, double writes, double bytes) {
  if (!(std::abs(time_seconds) <= time_seconds_max) || !countable(reads) || !countable(writes) || !countable(bytes))
    return;
  newest_seconds_ = std::max(newest_seconds_, time_seconds);
  const auto [at, fresh] = cells_.try_emplace(chunk.value);
  cell& c = at->second;
  if (fresh)
    c.last_seconds = newest_seconds_;
  decay(c, newest_seconds_);
  for (double& sum : c.requests)
    sum = std::min(sum + reads + writes, count_max);
  c.bytes = std::min(c.bytes + bytes, count_max);
  c.writes = std::min(c.writes + writes, count_max);
  if (cells_.size() > heat_chunks_max)
    keep_warmest(heat_chunks_max - heat_chunks_max / 4); // a quarter goes at once, so that this is rare
}

void heat_map::keep_warmest(std::size_t chunks) {
  if (cells_.size() <= chunks)
    return;
  std::vector<std::pair<double, std::uint64_t>> order;
  order.reserve(cells_.size());
  for (const auto& [chunk, c] : cells_)
    order.emplace_back(c.requests[a_day] * factor(newest_seconds_ - c.last_seconds, day), chunk);
  const auto middle = order.begin() + static_cast<std::ptrdiff_t>(order.size() - chunks);
  std::nth_element(order.begin(), middle, order.end());
  for (auto it = order.begin(); it != middle; ++it)
    cells_.erase(it->second);
  cells_.rehash(0);
}

std::size_t heat_map::bytes() const {
  constexpr std::size_t node = 32; // of an unordered_map, its share of the buckets included
  return sizeof *this + cells_.size() * (sizeof(cell) + sizeof(std::uint64_t) + node);
}

std::vector<chunk_heat> heat_map::at(double now_seconds) const {
  const double now = std::isfinite(now_seconds) ? std::max(now_seconds, newest_seconds_) : newest_seconds_;
  std::vector<chunk_heat> out;
  out.reserve(cells_.size());
  double total = 0;
  for (const auto& [chunk, stored] : cells_) {
    cell c = stored;
    decay(c, now);
    chunk_heat& h = out.emplace_back();
    h.chunk = chunk_index{chunk};
    for (std::size_t i = 0; i < heat_half_life_count; ++i)
      h.request_rate[i] = rate(c.requests[i], i);
    h.byte_rate = rate(c.bytes, half_hour);
    h.write_share = c.requests[a_day] > 0 ? std::min(1.0, c.writes / c.requests[a_day]) : 0;
    h.last_seconds = stored.last_seconds;
    h.kind = trend_of(h, options_);
    total += h.request_rate[a_day];
  }
  // Frequent: the hottest that together carry most of the day. What rises or falls is called that even so.
  std::sort(out.begin(), out.end(),
            [](const auto& a, const auto& b) { return a.request_rate[a_day] > b.request_rate[a_day]; });
  double carried = 0;
  for (auto& h : out) {
    if (carried < options_.frequent_share * total && h.kind == heat_class::rare)
      h.kind = heat_class::frequent;
    carried += h.request_rate[a_day];
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.chunk < b.chunk; });
  return out;
}

arma::vec heat_map::to_numbers() const {
  std::vector<double> out = {magic, version, newest_seconds_, static_cast<double>(cells_.size())};
  for (const auto& [chunk, c] : cells_) {
    out.push_back(static_cast<double>(chunk));
    out.push_back(c.last_seconds);
    out.insert(out.end(), c.requests.begin(), c.requests.end());
    out.push_back(c.bytes);
    out.push_back(c.writes);
  }
  return arma::vec(out);
}

result<heat_map> heat_map::from_numbers(const arma::vec& numbers, const heat_options& options) {
  constexpr arma::uword header = 4, per_cell = heat_half_life_count + 4;
  if (numbers.n_elem < header || numbers(0) != magic)
    return fail(errc::corrupt, "not a heat map");
  if (numbers(1) != version)
    return fail(errc::unsupported, "a heat map of another version");
  if (!numbers.is_finite() || numbers(3) < 0 || numbers(3) > static_cast<double>(heat_chunks_max) ||
      static_cast<double>(numbers.n_elem - header) != numbers(3) * static_cast<double>(per_cell))
    return fail(errc::corrupt, "a heat map that is cut short, too long, or not finite");
  heat_map out(options);
  out.newest_seconds_ = numbers(2);
  for (arma::uword i = header; i < numbers.n_elem; i += per_cell) {
    if (numbers(i) < 0 || numbers(i) > 9e15 || numbers.subvec(i + 2, i + per_cell - 1).min() < 0)
      return fail(errc::corrupt, "a heat map with a chunk or a count below 0");
    cell& c = out.cells_[static_cast<std::uint64_t>(numbers(i))];
    c.last_seconds = numbers(i + 1);
    for (arma::uword j = 0; j < heat_half_life_count; ++j)
      c.requests[j] = numbers(i + 2 + j);
    c.bytes = numbers(i + 2 + heat_half_life_count);
    c.writes = numbers(i + 3 + heat_half_life_count);
  }
  return out;
}

arma::mat heat_chart(const std::vector<heat_sample>& samples, std::uint64_t chunk_count, double from_seconds,
                       double to_seconds, arma::uword rows, arma::uword columns) {
  if (rows < 1 || columns < 1 || rows > chart_side_max || columns > chart_side_max || chunk_count == 0 ||
      !(to_seconds > from_seconds) || !std::isfinite(to_seconds - from_seconds))
    return {};
  arma::mat out(rows, columns, arma::fill::zeros);
  for (const auto& s : samples) {
    if (s.chunk.value >= chunk_count || !(s.time_seconds >= from_seconds && s.time_seconds < to_seconds) ||
        !countable(s.requests))
      continue;
    const double down = static_cast<double>(s.chunk.value) / static_cast<double>(chunk_count);
    const double along = (s.time_seconds - from_seconds) / (to_seconds - from_seconds);
    out(std::min(rows - 1, static_cast<arma::uword>(down * static_cast<double>(rows))),
        std::min(columns - 1, static_cast<arma::uword>(along * static_cast<double>(columns)))) += s.requests;
  }
  return out;
}

} // namespace gnomon::forecasting
