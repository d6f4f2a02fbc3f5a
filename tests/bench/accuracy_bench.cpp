// How good are the forecasts? Prints the accuracy table on real half-hourly counters of 46 volumes
// ($GNOMON_TRACES/real_series_30min_public.csv.gz; without it the program says so and exits with 77, "skipped").
//
// Protocol
// - y = log1p(reads + writes) per 30-minute slot; volume by volume, T = 277 .. 338 slots.
// - 24 rolling origins, every two hours over the last 48 h: origin = T - 96, T - 92, ... T - 4. At an origin exactly
//   the slots before it are known; all choices (periods, smoothing, weights, quantiles, burst models) are made from
//   them alone, anew at each origin. Every hyper-parameter is a default of the library, one for all volumes.
// - Error at 30 min: |forecast - y| of the first slot after the origin; at 2 h: of the fourth.
// - MASE = mean error over the origins / mean |y(t) - y(t-1)| before the first origin; then the mean over volumes.
// - Seasonal volumes: the twelve with the highest autocorrelation at 24 h over the whole series (all at 0.5 or more,
//   the thirteenth is at 0.43). This set only selects what is reported.
// - Quietest window: at the 13 origins that a whole day follows, the two hours of the next 24 with the least forecast
//   load; score = load there / mean load of that day, on raw counts; 1 = no better than chance, lower is better.
// - Burst: any of the next four slots above 1.5 times the mean of the past (and, second, above its 80 % quantile).
//   F1 over all origins of all volumes together.
// - Coverage: share of the truths inside the 5 % .. 95 % quantiles.
// - Yardsticks: an independent evaluation of the same volumes whose origins are not known to the slot. Its last value
//   / yesterday / EWMA scored .984 1.364 .916 at 30 min and 1.337 1.360 1.263 at 2 h (daily ones 1.027 1.341 1.012
//   and 1.520 1.405 1.458), this program's own come out up to 4 % lower. So the targets are shown as they stand and
//   scaled by the mean ratio of these three.
//
// usage: accuracy_bench [--quick]      --quick: every sixth volume, to see that the program works
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "forecasting/ensemble/ensemble.hpp"
#include "forecasting/outlook/bursts.hpp"
#include "forecasting/outlook/windows.hpp"
#include "store/files/series_file.hpp"

namespace {

using namespace gnomon;
using namespace gnomon::forecasting;
using arma::uword;
using arma::vec;

constexpr uword day_slots = 48;
constexpr uword last_slots = 96;
constexpr uword origin_stride = 4;
constexpr std::size_t seasonal_volumes = 12;
constexpr std::uint64_t random_seed = 20260801; // of the "random" line only

struct volume {
  std::string name;
  vec count;    // raw
  vec log_load; // log1p
  bool seasonal = false;
};

double correlation_at(const vec& y, uword lag) {
  const vec centred = y - arma::mean(y);
  const double power = arma::dot(centred, centred);
  return power > 0 ? arma::dot(centred.head(y.n_elem - lag), centred.tail(y.n_elem - lag)) / power : 0;
}

std::vector<volume> read_volumes(const std::string& path, bool quick) {
  const auto table = store::read_series(path);
  if (!table) {
    std::fprintf(stderr, "%s\n", table.error().to_string().c_str());
    std::exit(1);
  }
  const auto reads = table->column("reads"), writes = table->column("writes");
  if (reads == table->columns.size() || writes == table->columns.size()) {
    std::fprintf(stderr, "%s has no reads and writes\n", path.c_str());
    std::exit(1);
  }
  std::vector<volume> out;
  for (std::size_t i = 0; i < table->volumes.size(); i += quick ? 6 : 1) {
    const auto& rows = table->volumes[i];
    const vec count = vec(rows.values[reads]) + vec(rows.values[writes]);
    if (count.n_elem < 2 * last_slots)
      continue;
    out.push_back({rows.volume, count, to_log(count)});
  }
  std::vector<std::size_t> order(out.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return correlation_at(out[a].log_load, day_slots) > correlation_at(out[b].log_load, day_slots);
  });
  for (std::size_t i = 0; i < std::min<std::size_t>(seasonal_volumes, order.size()); ++i)
    out[order[i]].seasonal = true;
  return out;
}

// Errors of one method: per volume, at 30 min and 2 h.
struct method_scores {
  std::vector<double> sum_short, sum_long;
  void start_volume() { sum_short.push_back(0), sum_long.push_back(0); }
  void add(double half_hour, double two_hours) { sum_short.back() += half_hour, sum_long.back() += two_hours; }
};

struct tally {
  double hit = 0, false_alarm = 0, missed = 0;
  void add(bool said, bool was) {
    hit += said && was;
    false_alarm += said && !was;
    missed += !said && was;
  }
  double f1() const { return hit > 0 ? 2 * hit / (2 * hit + false_alarm + missed) : 0; }
};

struct mean_of {
  double sum = 0, n = 0;
  void add(double v) { sum += v, n += 1; }
  double value() const { return n > 0 ? sum / n : 0; }
};

struct report {
  std::vector<std::string> order; // of methods
  std::map<std::string, method_scores> mase;
  std::map<std::string, mean_of> quiet;
  std::map<std::string, tally> burst_mean, burst_quantile;
  mean_of conformal_short, conformal_long, model_short, model_long;
  mean_of fit_ms;
  std::vector<double> scale;
  std::map<std::string, double> volume_quiet_sum;

  method_scores& method(const std::string& name) {
    if (std::find(order.begin(), order.end(), name) == order.end())
      order.push_back(name);
    return mase[name];
  }
};

double median_of(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  const std::size_t n = v.size();
  return n % 2 == 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

grid past_of(const volume& v, uword origin) { return {0, 1800, v.count.head(origin)}; }

void score_point(report& r, const forecast_model& model, const vec& y, uword origin) {
  const auto said = [&](method v, uword h) { return model.methods(h, static_cast<uword>(v)); };
  const double truth[] = {y(origin), y(origin + 3)};
  for (method v : all_methods)
    r.method(std::string(to_string(v))).add(std::abs(said(v, 0) - truth[0]), std::abs(said(v, 3) - truth[1]));
  double five[2];
  for (int i = 0; i < 2; ++i) {
    const uword h = i == 0 ? 0 : 3;
    five[i] = median_of({said(method::last_value, h), said(method::ewma, h), said(method::yesterday, h),
                         said(method::stl_ets, h), said(method::prophet_ar, h)});
  }
  r.method("plain median of five").add(std::abs(five[0] - truth[0]), std::abs(five[1] - truth[1]));
  r.method("SERVED").add(std::abs(model.served(0) - truth[0]), std::abs(model.served(3) - truth[1]));
  const uword top = model.quantile_levels.size() - 1;
  const auto inside = [&](const arma::mat& q, uword h, double t) {
    return q(h, 0) <= t && t <= q(h, top) ? 1.0 : 0.0;
  };
  r.conformal_short.add(inside(model.conformal_quantiles, 0, truth[0]));
  r.conformal_long.add(inside(model.conformal_quantiles, 3, truth[1]));
  r.model_short.add(inside(model.model_quantiles, 0, truth[0]));
  r.model_long.add(inside(model.model_quantiles, 3, truth[1]));
}

void score_quiet(std::map<std::string, mean_of>& scores, const forecast_model& model, const vec& count, uword origin,
                 std::mt19937_64& random) {
  const vec truth = count.subvec(origin, origin + day_slots - 1);
  const double mean = arma::mean(truth);
  if (mean <= 0)
    return;
  const auto score = [&](const char* name, const vec& path) {
    const grid load{0, 1800, path};
    const auto window = quietest(load, 2 * hour, 1);
    const auto first = static_cast<uword>(window->start_seconds / 1800);
    scores[name].add(arma::mean(truth.subvec(first, first + 3)) / mean);
  };
  score("oracle", truth);
  score("yesterday", count.subvec(origin - day_slots, origin - 1));
  score("profile", from_log(vec(model.methods.col(static_cast<uword>(method::profile)))));
  score("Prophet+AR", from_log(vec(model.methods.col(static_cast<uword>(method::prophet_ar)))));
  score("served, slot by slot", model.load());
  score("SERVED PLAN", plan_load(model).value);
  vec noise(day_slots);
  for (double& x : noise)
    x = std::uniform_real_distribution<>(0, 1)(random);
  score("random", noise);
}

void score_burst(std::map<std::string, tally>& scores, const forecast_model& model, const volume& v, uword origin,
                 double threshold, const burst_options& options) {
  const auto above = [&](uword from, uword to) { return v.count.subvec(from, to - 1).max() > threshold; };
  const bool was = above(origin, origin + 4);
  const bool yesterday = above(origin - day_slots, origin - day_slots + 4);
  scores["yesterday"].add(yesterday, was);
  scores["now or yesterday"].add(yesterday || above(origin - 1, origin), was);
  const vec prophet = from_log(vec(model.methods.col(static_cast<uword>(method::prophet_ar)).head(4)));
  scores["Prophet+AR mean"].add(prophet.max() > threshold, was);
  scores["served mean"].add(model.load().head(4).max() > threshold, was);
  for (uword q = 0; q < model.quantile_levels.size(); ++q)
    if (model.quantile_levels[q] == 0.75 || model.quantile_levels[q] == 0.9)
      scores["served " + std::to_string(static_cast<int>(model.quantile_levels[q] * 100)) + " % quantile"].add(
          model.load_quantile(q).head(4).max() > threshold, was);
  scores["SERVED OUTLOOK"].add(burst_ahead(past_of(v, origin), options)->announced, was);
}

void score_volume(report& r, const volume& v, std::mt19937_64& random) {
  const uword n = v.count.n_elem;
  r.scale.push_back(naive_scale(v.log_load.head(n - last_slots)));
  for (method x : all_methods)
    r.method(std::string(to_string(x))).start_volume();
  r.method("plain median of five").start_volume();
  r.method("SERVED").start_volume();
  std::map<std::string, mean_of> quiet;
  for (uword origin = n - last_slots; origin + origin_stride <= n; origin += origin_stride) {
    const auto before = std::chrono::steady_clock::now();
    const auto model = learn_forecast(past_of(v, origin));
    r.fit_ms.add(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - before).count());
    if (!model) {
      std::fprintf(stderr, "%s\n", model.error().to_string().c_str());
      std::exit(1);
    }
    score_point(r, *model, v.log_load, origin);
    if (origin + day_slots <= n)
      score_quiet(quiet, *model, v.count, origin, random);
    burst_options mean_rule;
    score_burst(r.burst_mean, *model, v, origin, mean_rule.above_mean * arma::mean(v.count.head(origin)), mean_rule);
    burst_options quantile_rule;
    quantile_rule.threshold = quantile_of(v.count.head(origin), 0.8);
    score_burst(r.burst_quantile, *model, v, origin, *quantile_rule.threshold, quantile_rule);
  }
  for (const auto& [name, score] : quiet)
    if (score.n > 0)
      r.quiet[name].add(score.value());
}

struct figures {
  double half_hour, two_hours, seasonal_half_hour, seasonal_two_hours;
};

figures mase_of(const report& r, const method_scores& m, const std::vector<volume>& volumes) {
  mean_of a, b, c, d;
  for (std::size_t i = 0; i < volumes.size(); ++i) {
    if (!(r.scale[i] > 0))
      continue;
    const double origins = last_slots / origin_stride;
    const double s = m.sum_short[i] / origins / r.scale[i], l = m.sum_long[i] / origins / r.scale[i];
    a.add(s), b.add(l);
    if (volumes[i].seasonal)
      c.add(s), d.add(l);
  }
  return {a.value(), b.value(), c.value(), d.value()};
}

void print(const report& r, const std::vector<volume>& volumes) {
  const auto seasonal = std::count_if(volumes.begin(), volumes.end(), [](const auto& v) { return v.seasonal; });
  std::printf("%zu volumes, %td of them daily; 24 origins each; one learned forecast takes %.2f ms\n\n",
              volumes.size(), seasonal, r.fit_ms.value());
  std::printf("MASE on log1p           %8s %8s   %12s %12s\n", "30 min", "2 h", "daily 30 min", "daily 2 h");
  const auto row = [](const std::string& name, const figures& f) {
    std::printf("%-24s%8.3f %8.3f   %12.3f %12.3f\n", name.c_str(), f.half_hour, f.two_hours, f.seasonal_half_hour,
                f.seasonal_two_hours);
  };
  figures best{1e9, 1e9, 1e9, 1e9}, served{};
  std::array<figures, 3> naive{}; // last value, yesterday, EWMA: what the yardsticks give too
  for (const auto& name : r.order) {
    const auto f = mase_of(r, r.mase.at(name), volumes);
    row(name, f);
    if (name == "SERVED")
      served = f;
    for (std::size_t i = 0; i < naive.size(); ++i)
      if (name == to_string(std::array{method::last_value, method::yesterday, method::ewma}[i]))
        naive[i] = f;
    for (method v : naive_methods)
      if (name == to_string(v)) {
        best.half_hour = std::min(best.half_hour, f.half_hour);
        best.two_hours = std::min(best.two_hours, f.two_hours);
        best.seasonal_half_hour = std::min(best.seasonal_half_hour, f.seasonal_half_hour);
        best.seasonal_two_hours = std::min(best.seasonal_two_hours, f.seasonal_two_hours);
      }
  }
  row("best single naive", best);
  const figures target{0.865, 1.094, 0.893, 1.046};
  row("target", target);
  const auto& l = naive[0];
  const auto& y = naive[1];
  const auto& e = naive[2];
  const figures scaled{
      0.865 * (l.half_hour / 0.984 + y.half_hour / 1.364 + e.half_hour / 0.916) / 3,
      1.094 * (l.two_hours / 1.337 + y.two_hours / 1.360 + e.two_hours / 1.263) / 3,
      0.893 * (l.seasonal_half_hour / 1.027 + y.seasonal_half_hour / 1.341 + e.seasonal_half_hour / 1.012) / 3,
      1.046 * (l.seasonal_two_hours / 1.520 + y.seasonal_two_hours / 1.405 + e.seasonal_two_hours / 1.458) / 3};
  row("target, scaled", scaled);
  const auto below = [&](const figures& t) {
    return served.half_hour <= t.half_hour && served.two_hours <= t.two_hours &&
           served.seasonal_half_hour <= t.seasonal_half_hour && served.seasonal_two_hours <= t.seasonal_two_hours;
  };
  std::printf("served: target %s, scaled target %s, best single naive %s\n\n", below(target) ? "reached" : "MISSED",
              below(scaled) ? "reached" : "MISSED", below(best) ? "never above" : "ABOVE");
  std::printf("coverage of the 5..95 %% interval (30 min / 2 h): conformal %.3f / %.3f, model %.3f / %.3f\n\n",
              r.conformal_short.value(), r.conformal_long.value(), r.model_short.value(), r.model_long.value());
  std::printf("quietest two hours of the next 24, load there / mean load (target .70)\n");
  for (const auto& [name, score] : r.quiet)
    std::printf("  %-22s %.3f\n", name.c_str(), score.value());
  std::printf("\nburst in the next two hours, F1 (target .69)  above 1.5 x mean   above 80 %% quantile\n");
  for (const auto& [name, t] : r.burst_mean)
    std::printf("  %-22s %32.3f %20.3f\n", name.c_str(), t.f1(), r.burst_quantile.at(name).f1());
}

} // namespace

int main(int argc, char** argv) {
  const char* const traces = std::getenv("GNOMON_TRACES");
  if (traces == nullptr) {
    std::printf("skipped: GNOMON_TRACES does not name the folder of traces\n");
    return 77;
  }
  const bool quick = argc > 1 && std::strcmp(argv[1], "--quick") == 0;
  const auto volumes = read_volumes(std::string(traces) + "/real_series_30min_public.csv.gz", quick);
  report r;
  std::mt19937_64 random(random_seed);
  for (const auto& v : volumes)
    score_volume(r, v, random);
  print(r, volumes);
  return 0;
}
