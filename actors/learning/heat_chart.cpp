#include "actors/learning/heat_chart.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

#include <fmt/format.h>

namespace gnomon::actors {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr microseconds span_max = hours(14 * 24);
constexpr microseconds span_min = minutes(10); // of a chart whose span was not asked for
constexpr std::size_t chunks_per_locality = 5;


// The finest rows that are kept that long.
store::resolution resolution_for(microseconds span) {
  if (span <= hours(2))
    return store::resolution::ten_seconds;
  return span <= hours(24) ? store::resolution::one_minute : store::resolution::five_minutes;
}

// From the first thing that happened in the last two weeks until now.
microseconds span_of(const store::history& history, const heat_knowledge& known) {
  store::history_query query;
  query.volume = known.uuid, query.at = store::resolution::five_minutes;
  query.from = known.now - span_max, query.to = known.now + minutes(5);
  const auto totals = history.read_totals(query);
  if (!totals || totals->empty())
    return span_min;
  return std::clamp<microseconds>(known.now - totals->front().slot, span_min, span_max);
}

// Columns of a chart. A slot's requests are spread over the columns it lies in: columns that do not fit the slots
// would otherwise show a comb where the load is even.
class columns {
public:
  columns(wall_time from, wall_time to, std::uint32_t count, std::chrono::seconds slot)
      : from_(seconds_of(from)), to_(seconds_of(to)), width_((to_ - from_) / count), slot_(slot.count()) {}

  void spread(const store::history_sample& row, double requests, std::vector<forecasting::heat_sample>& into) const {
    const double begin = std::max(seconds_of(row.slot), from_);
    const double end = std::min(seconds_of(row.slot) + static_cast<double>(slot_), to_);
    if (!(end > begin)) // dated before the chart by a clock that was set back, or in its last instant
      return into.push_back({std::clamp(begin, from_, to_ - width_ / 2), row.chunk, requests});
    for (double at = begin; at < end;) {
      const double column = std::floor((at - from_) / width_);
      const double next = std::max(std::min(from_ + (column + 1) * width_, end), std::nextafter(at, end));
      into.push_back({std::min(from_ + (column + 0.5) * width_, to_ - width_ / 2), row.chunk,
                      requests * (next - at) / (end - begin)});
      at = next;
    }
  }

private:
  double from_, to_, width_;
  std::int64_t slot_;
};

struct instance_activity {
  double requests = 0;
  std::unordered_map<std::uint64_t, double> chunks;
};

std::vector<locality> localities_of(const store::history& history,
                                    const std::unordered_map<std::uint32_t, instance_activity>& all, double total) {
  std::vector<locality> out;
  for (const auto& [index, activity] : all) {
    std::vector<std::pair<double, std::uint64_t>> busiest;
    for (const auto& [chunk, requests] : activity.chunks)
      busiest.emplace_back(requests, chunk);
    const auto shown = std::min(busiest.size(), chunks_per_locality);
    std::partial_sort(
        busiest.begin(), busiest.begin() + static_cast<std::ptrdiff_t>(shown), busiest.end(),
        [](const auto& a, const auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
    locality one;
    one.instance = history.name_of(store::instance_index{index}).value_or(instance_id{});
    one.requests = activity.requests;
    one.share = total > 0 ? activity.requests / total : 0;
    for (std::size_t i = 0; i < shown; ++i)
      one.chunks.push_back(chunk_index{busiest[i].second});
    out.push_back(std::move(one));
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return a.requests != b.requests ? a.requests > b.requests : a.instance.value < b.instance.value;
  });
  if (out.size() > localities_max)
    out.resize(localities_max);
  return out;
}

void add_warmth(const heat_knowledge& known, std::uint32_t hottest, heat_view& view) {
  view.known_chunks = known.heat.size();
  std::map<std::string, std::uint64_t> kinds;
  for (const auto& chunk : known.heat)
    ++kinds[std::string(to_string(chunk.kind))];
  for (const auto& [kind, chunks] : kinds)
    view.kinds.push_back({kind, chunks});
  auto by_warmth = known.heat;
  const auto shown = std::min<std::size_t>(by_warmth.size(), hottest);
  std::partial_sort(by_warmth.begin(), by_warmth.begin() + static_cast<std::ptrdiff_t>(shown), by_warmth.end(),
                    [](const auto& a, const auto& b) { return a.request_rate[1] > b.request_rate[1]; });
  for (std::size_t i = 0; i < shown; ++i) {
    const auto& c = by_warmth[i];
    view.hottest.push_back({c.chunk,
                            std::string(to_string(c.kind)),
                            c.request_rate[0],
                            c.request_rate[1],
                            c.request_rate[3],
                            c.byte_rate,
                            c.write_share,
                            static_cast<std::int64_t>(c.last_seconds * 1e6),
                            {}});
    if (const auto timed = known.chunk_latencies.find(c.chunk.value); timed != known.chunk_latencies.end())
      view.hottest.back().latency = timed->second;
  }
}

void add_hot_sets(const heat_knowledge& known, heat_view& view) {
  for (const auto& window : known.hot_sets) {
    predicted_hot_set set;
    set.horizon_us = static_cast<std::int64_t>(window.horizon_seconds * 1e6);
    set.method = std::string(to_string(window.prediction.method));
    set.recall = window.prediction.score[static_cast<std::size_t>(window.prediction.method)];
    set.windows_scored = window.prediction.windows_scored;
    for (const auto& chunk : window.prediction.chunks)
      set.chunks.push_back({chunk.chunk, chunk.expected_bytes, chunk.expected_requests, chunk.ahead_of_stream});
    view.hot_sets.push_back(std::move(set));
  }
}

} // namespace

result<heat_view> draw_heat(const store::history& history, const heat_knowledge& known, const heat_request& wanted) {
  if (wanted.rows < 1 || wanted.rows > chart_rows_max || wanted.columns < 1 ||
      wanted.columns > chart_columns_max || wanted.hottest > hottest_chunks_max || wanted.span_us < 0)
    return fail(errc::invalid_argument, fmt::format("a heat map has 1 to {} rows and 1 to {} columns, and names at "
                                                    "most {} chunks",
                                                    chart_rows_max, chart_columns_max, hottest_chunks_max));
  heat_view view;
  view.name = known.name, view.uuid = known.uuid, view.size = known.size;
  view.chunk_size = known.shape.chunk_size, view.chunk_count = known.shape.chunk_count;
  const auto span = wanted.span_us > 0 ? std::min(microseconds{wanted.span_us}, span_max) : span_of(history, known);
  store::history_query query;
  query.volume = known.uuid, query.at = resolution_for(span);
  // Slots are dated by their beginning: the one that is open belongs to the chart.
  query.from = known.now - span, query.to = known.now + microseconds{1};
  view.from_us = query.from.time_since_epoch().count();
  view.to_us = query.to.time_since_epoch().count();
  view.rows = static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted.rows, known.shape.chunk_count));
  const auto slot = store::slot_length(query.at);
  view.columns = std::min(wanted.columns, static_cast<std::uint32_t>(std::max<std::int64_t>(1, span / slot)));

  const columns time(query.from, query.to, view.columns, slot);
  std::vector<forecasting::heat_sample> samples;
  std::unordered_map<std::uint32_t, instance_activity> instances;
  double requests = 0, bytes = 0;
  const auto read = history.visit(query, [&](const store::history_sample& row) {
    const double n = static_cast<double>(row.counters.reads + row.counters.writes);
    time.spread(row, n, samples);
    auto& instance = instances[row.instance.value];
    instance.requests += n;
    instance.chunks[row.chunk.value] += n;
    requests += n;
    bytes += static_cast<double>(row.counters.read_bytes + row.counters.write_bytes);
  });
  if (!read)
    return tl::unexpected(read.error());
  view.requests = requests, view.bytes = bytes;
  const auto chart = forecasting::heat_chart(samples, known.shape.chunk_count, seconds_of(query.from),
                                                 seconds_of(query.to), view.rows, view.columns);
  view.chart.reserve(chart.n_elem);
  for (arma::uword row = 0; row < chart.n_rows; ++row)
    for (arma::uword column = 0; column < chart.n_cols; ++column)
      view.chart.emplace_back(chart(row, column));
  view.localities = localities_of(history, instances, requests);
  for (auto& one : view.localities)
    if (const auto timed = known.instance_latencies.find(one.instance); timed != known.instance_latencies.end())
      one.latency = timed->second;
  add_warmth(known, wanted.hottest, view);
  add_hot_sets(known, view);
  return view;
}

} // namespace gnomon::actors
