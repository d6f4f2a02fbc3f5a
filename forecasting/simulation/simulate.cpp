#include "forecasting/simulation/simulate.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

namespace gnomon::forecasting {

using arma::uword;

namespace {

constexpr double idle_slots_max = 4032; // closed one by one after a pause; a longer pause is leapt over

struct set_tally {
  double windows = 0;
  std::array<double, hot_method_count + 1> recall{}, precision{}; // the last one: served
  double captured = 0;
};

// One horizon of one volume.
struct lane {
  double slot_seconds = 0;
  double slot_end = 0;
  rollup_level level = rollup_level::five_minutes;
  uword factor = 1; // slots of that level in one of ours
  std::optional<hot_set> hot;
  chunk_collector collector{byte_count{chunk_bytes_min}};
  std::vector<std::array<hot_prediction, hot_method_count + 1>> named; // per set size, for the open slot
  std::optional<forecast_model> forecast;                              // of the open slot
  double next_forecast = 0;
  // Tallies.
  double forecasts = 0, served_error = 0, scale = 0, conformal_inside = 0, model_inside = 0;
  std::array<double, method_count> method_error{};
  std::vector<set_tally> sets;
};

struct volume_state {
  simulated_volume about;
  rollup load;
  std::vector<lane> lanes;
  std::vector<event> events;
  bool begun = false;
};

bool inside(const arma::mat& quantiles, double truth) {
  return !quantiles.is_empty() && quantiles(0, 0) <= truth && truth <= quantiles(0, quantiles.n_cols - 1);
}

void add_to(set_tally& tally, std::size_t method, const hot_prediction& named, const std::vector<chunk_window>& truth,
            const std::vector<std::uint64_t>& hottest, std::size_t k) {
  std::set<std::uint64_t> said;
  for (const auto& c : named.chunks)
    said.insert(c.chunk.value);
  const std::size_t wanted = std::min(k, hottest.size());
  double hits = 0, touched = 0, caught = 0, total = 0;
  for (std::size_t i = 0; i < wanted; ++i)
    hits += said.contains(hottest[i]) ? 1 : 0;
  for (const auto& c : truth) {
    total += c.requests;
    if (said.contains(c.chunk.value))
      touched += 1, caught += c.requests;
  }
  tally.recall[method] += hits / static_cast<double>(wanted);
  tally.precision[method] += touched / static_cast<double>(k);
  if (method == hot_method_count)
    tally.captured += caught / total;
}

} // namespace

struct simulation::state {
  simulation_options options;
  std::vector<volume_state> volumes;
  double requests = 0, first = 0, now = 0;
  double observe_spent = 0, load_spent = 0, hot_spent = 0;

  // Runs `work`, adding the time it took to `spent`.
  template <class Work>
  void timed(double& spent, Work&& work) {
    if (!options.stopwatch_seconds)
      return work();
    const double before = options.stopwatch_seconds();
    work();
    spent += options.stopwatch_seconds() - before;
  }

  void begin(volume_state& v, double time);
  void close_until(volume_state& v, double time);
  void close_slot(volume_state& v, lane& l);
  void score_forecast(const volume_state& v, lane& l) const;
  void make_forecast(const volume_state& v, lane& l) const;
  void score_and_name_chunks(lane& l, bool scored) const;
  grid past_of(const volume_state& v, const lane& l) const;
  load_scores load_of(std::size_t horizon) const;
  std::vector<hot_scores> hot_of(std::size_t horizon) const;
};

result<simulation> simulation::make(std::vector<simulated_volume> volumes, simulation_options options) {
  if (volumes.empty() || volumes.size() > simulated_volumes_max)
    return fail(errc::invalid_argument, "a simulation needs 1 to 4096 volumes");
  if (options.horizons_seconds.empty() || options.horizons_seconds.size() > simulated_horizons_max)
    return fail(errc::invalid_argument, "a simulation needs 1 to 8 horizons");
  for (double h : options.horizons_seconds)
    if (!(h >= 10 * second) || !(h <= 7 * day) || std::fmod(h, 10 * second) != 0)
      return fail(errc::invalid_argument, "a horizon must be a multiple of 10 s, at most 7 days");
  for (std::size_t k : options.set_sizes)
    if (k < 1 || k > hot_chunks_max)
      return fail(errc::invalid_argument, "a set size must be 1 to 2^20");
  auto s = std::make_unique<state>();
  for (auto& about : volumes) {
    if (about.chunk_size.value == 0)
      about.chunk_size = default_chunk_bytes(about.size);
    auto& v = s->volumes.emplace_back();
    for (double h : options.horizons_seconds) {
      lane& l = v.lanes.emplace_back();
      l.slot_seconds = h;
      l.level = std::fmod(h, 5 * minute) == 0 ? rollup_level::five_minutes
                : std::fmod(h, minute) == 0   ? rollup_level::one_minute
                                              : rollup_level::ten_seconds;
      l.factor = static_cast<uword>(std::round(h / step_seconds_of(l.level)));
      hot_set_options hot;
      hot.window_seconds = h;
      hot.chunk_size = about.chunk_size;
      hot.chunk_count =
          std::max<std::uint64_t>(1, (about.size.value + about.chunk_size.value - 1) / about.chunk_size.value);
      hot.learn_half_life_windows = std::max(12.0, day / h);
      auto made = hot_set::make(hot);
      if (!made)
        return fail(made.error().code, "volume " + about.name + ": " + made.error().message);
      l.hot = std::move(*made);
      l.collector = chunk_collector(about.chunk_size);
      l.sets.resize(options.set_sizes.size());
    }
    v.events = events_for(options.events, {about.name, {}, {}});
    v.about = std::move(about);
  }
  s->options = std::move(options);
  return simulation(std::move(s));
}

simulation::simulation(std::unique_ptr<state> s) : state_(std::move(s)) {}
simulation::simulation(simulation&&) noexcept = default;
simulation& simulation::operator=(simulation&&) noexcept = default;
simulation::~simulation() = default;

result<void> simulation::feed(const simulated_request& request) {
  state& s = *state_;
  if (request.volume >= s.volumes.size())
    return fail(errc::out_of_range, "no such volume in the simulation");
  if (!(std::abs(request.time_seconds) <= time_seconds_max))
    return fail(errc::invalid_argument, "a request's time is beyond the limits");
  s.now = s.requests == 0 ? request.time_seconds : std::max(s.now, request.time_seconds);
  if (s.requests == 0)
    s.first = s.now;
  s.requests += 1;
  volume_state& v = s.volumes[request.volume];
  if (!v.begun)
    s.begin(v, s.now);
  s.close_until(v, s.now);
  s.timed(s.observe_spent, [&] {
    const auto bytes = static_cast<double>(request.length.value);
    v.load.add(s.now, request.write ? load_counts{0, 1, 0, bytes} : load_counts{1, 0, bytes, 0});
    for (lane& l : v.lanes)
      l.collector.add(s.now, request.offset, request.length);
  });
  return {};
}

double simulation::now_seconds() const { return state_->now; }

void simulation::state::begin(volume_state& v, double time) {
  v.begun = true;
  for (lane& l : v.lanes)
    l.slot_end = (std::floor(time / l.slot_seconds) + 1) * l.slot_seconds;
}

// Closes what ended up to `time`, in the order in which it ended.
void simulation::state::close_until(volume_state& v, double time) {
  for (;;) {
    const auto first = std::min_element(v.lanes.begin(), v.lanes.end(),
                                        [](const lane& a, const lane& b) { return a.slot_end < b.slot_end; });
    if (first->slot_end > time)
      return;
    if (time - first->slot_end > idle_slots_max * first->slot_seconds) {
      // Nothing is learned from years of silence that two weeks of it did not tell.
      first->forecast.reset();
      first->named.clear();
      first->slot_end = std::floor(time / first->slot_seconds - 1) * first->slot_seconds;
    }
    close_slot(v, *first);
  }
}

void simulation::state::close_slot(volume_state& v, lane& l) {
  v.load.advance_to(l.slot_end);
  const bool scored = l.slot_end - l.slot_seconds >= first + options.score_from_seconds;
  timed(load_spent, [&] {
    if (l.forecast && scored)
      score_forecast(v, l);
    l.forecast.reset();
    if (l.slot_end >= l.next_forecast)
      make_forecast(v, l);
  });
  timed(hot_spent, [&] { score_and_name_chunks(l, scored); });
  l.slot_end += l.slot_seconds;
}

grid simulation::state::past_of(const volume_state& v, const lane& l) const {
  return coarsen(v.load.series_of(l.level, options.quantity), l.factor);
}

void simulation::state::score_forecast(const volume_state& v, lane& l) const {
  const grid past = past_of(v, l);
  if (past.size() == 0)
    return;
  const double truth = arma::as_scalar(to_log(past.value.tail(1)));
  const forecast_model& f = *l.forecast;
  if (!std::isfinite(truth) || !(f.scale > 0))
    return;
  l.forecasts += 1;
  l.scale += f.scale;
  l.served_error += std::abs(f.served(0) - truth);
  for (std::size_t i = 0; i < method_count; ++i)
    l.method_error[i] += std::abs(f.methods(0, i) - truth);
  l.conformal_inside += inside(f.conformal_quantiles, truth) ? 1 : 0;
  l.model_inside += inside(f.model_quantiles, truth) ? 1 : 0;
}

void simulation::state::make_forecast(const volume_state& v, lane& l) const {
  const grid past = past_of(v, l);
  if (past.size() < options.past_slots_min)
    return;
  ensemble_options ensemble;
  ensemble.horizon_slots = 1;
  ensemble.events = v.events;
  if (auto learned = learn_forecast(past, ensemble))
    l.forecast = std::move(*learned);
  l.next_forecast = l.slot_end + options.forecast_every_seconds;
}

void simulation::state::score_and_name_chunks(lane& l, bool scored) const {
  const auto truth = l.collector.take();
  if (scored && !l.named.empty() && !truth.empty()) {
    std::vector<std::pair<double, std::uint64_t>> order;
    for (const auto& c : truth)
      order.emplace_back(-c.requests, c.chunk.value);
    std::sort(order.begin(), order.end());
    std::vector<std::uint64_t> hottest;
    for (const auto& [requests_below_zero, chunk] : order)
      hottest.push_back(chunk);
    for (std::size_t k = 0; k < l.sets.size(); ++k) {
      l.sets[k].windows += 1;
      for (std::size_t m = 0; m <= hot_method_count; ++m)
        add_to(l.sets[k], m, l.named[k][m], truth, hottest, options.set_sizes[k]);
    }
  }
  l.hot->close_window(l.slot_end - l.slot_seconds, truth);
  l.named.assign(options.set_sizes.size(), {});
  for (std::size_t k = 0; k < options.set_sizes.size(); ++k) {
    for (std::size_t m = 0; m < hot_method_count; ++m)
      l.named[k][m] = l.hot->predict_by(static_cast<hot_method>(m), options.set_sizes[k]);
    l.named[k][hot_method_count] = l.hot->predict(options.set_sizes[k]);
  }
}

load_scores simulation::state::load_of(std::size_t horizon) const {
  load_scores out;
  double counted = 0, conformal = 0, model = 0;
  for (const auto& v : volumes) {
    const lane& l = v.lanes[horizon];
    if (l.forecasts == 0 || !(l.scale > 0))
      continue;
    counted += 1;
    out.forecasts += l.forecasts;
    out.mase += l.served_error / l.scale;
    for (std::size_t i = 0; i < method_count; ++i)
      out.method_mase[i] += l.method_error[i] / l.scale;
    conformal += l.conformal_inside;
    model += l.model_inside;
  }
  if (counted == 0)
    return out;
  out.mase /= counted;
  for (double& mase : out.method_mase)
    mase /= counted;
  out.best_naive_mase = out.method_mase[static_cast<std::size_t>(naive_methods[0])];
  for (method naive : naive_methods)
    out.best_naive_mase = std::min(out.best_naive_mase, out.method_mase[static_cast<std::size_t>(naive)]);
  out.conformal_coverage = conformal / out.forecasts;
  out.model_coverage = model / out.forecasts;
  return out;
}

std::vector<hot_scores> simulation::state::hot_of(std::size_t horizon) const {
  std::vector<hot_scores> out(options.set_sizes.size());
  for (std::size_t k = 0; k < out.size(); ++k) {
    hot_scores& to = out[k];
    to.set_size = options.set_sizes[k];
    double counted = 0;
    for (const auto& v : volumes) {
      const set_tally& t = v.lanes[horizon].sets[k];
      if (t.windows == 0)
        continue;
      counted += 1;
      to.windows += t.windows;
      to.recall += t.recall[hot_method_count] / t.windows;
      to.precision += t.precision[hot_method_count] / t.windows;
      to.captured += t.captured / t.windows;
      for (std::size_t m = 0; m < hot_method_count; ++m) {
        to.method_recall[m] += t.recall[m] / t.windows;
        to.method_precision[m] += t.precision[m] / t.windows;
      }
    }
    if (counted == 0)
      continue;
    to.recall /= counted;
    to.precision /= counted;
    to.captured /= counted;
    for (std::size_t m = 0; m < hot_method_count; ++m) {
      to.method_recall[m] /= counted;
      to.method_precision[m] /= counted;
    }
  }
  return out;
}

simulation_scores simulation::scores() const {
  simulation_scores out;
  out.requests = state_->requests;
  out.first_seconds = state_->first;
  out.last_seconds = state_->now;
  for (std::size_t h = 0; h < state_->options.horizons_seconds.size(); ++h)
    out.horizons.push_back({state_->options.horizons_seconds[h], state_->load_of(h), state_->hot_of(h)});
  out.observe_spent_seconds = state_->observe_spent;
  out.load_spent_seconds = state_->load_spent;
  out.hot_spent_seconds = state_->hot_spent;
  return out;
}

} // namespace gnomon::forecasting
