// How long a fit of Prophet's model takes, next to the reference implementation's times: single series, thousands on
// one grid, and, where GNOMON_FORECAST_GOLDEN names a folder of reference fits, each of those. One thread. `--quick`:
// few repetitions.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "forecasting/prophet/prophet.hpp"
#include "tests/forecasting/prophet/prophet_golden.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;

namespace {

struct timing {
  double best_ms = 0;
  double median_ms = 0;
};

template <class Work>
timing measure(unsigned repetitions, Work&& work) {
  std::vector<double> milliseconds;
  for (unsigned i = 0; i <= repetitions; ++i) { // the first one warms the caches and does not count
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
    if (i > 0)
      milliseconds.push_back(taken.count());
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  return {milliseconds.front(), milliseconds[milliseconds.size() / 2]};
}

// A load with a day, a week, a year, a change of slope and noise; log scale.
arma::vec load(const arma::vec& time_seconds, unsigned seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  const double start = time_seconds[0];
  const double span = time_seconds[time_seconds.n_elem - 1] - start;
  arma::vec y(time_seconds.n_elem);
  for (arma::uword i = 0; i < y.n_elem; ++i) {
    const double t = (time_seconds[i] - start) / span;
    const double days = 6.283185307179586 * time_seconds[i] / day;
    y[i] = 5 + t - 2 * std::max(0.0, t - 0.3 - 0.001 * (seed % 400)) + std::sin(days + seed) +
           0.4 * std::cos(2 * days) + 0.5 * std::sin(days / 7) + 0.7 * std::sin(days / 365.25) + 0.3 * normal(random);
  }
  return y;
}

arma::vec grid(arma::uword n, double step_seconds) {
  return 1325462400.0 + step_seconds * arma::regspace(0, static_cast<double>(n) - 1);
}

struct single_case {
  const char* name;
  arma::uword n;
  double step_seconds;
  double reference_ms; // measured with R's prophet 1.0 (rstan, L-BFGS) on series of this shape
};

void bench_single(unsigned repetitions) {
  const single_case cases[] = {{"30 min, one week", 329, 30 * minute, 75},
                               {"daily, eight years", 2905, day, 784},
                               {"1 min, one week", 10109, minute, 961},
                               {"5 min, 65 days", 18709, 5 * minute, 5600}};
  std::printf("%-24s %7s %4s %11s %11s %14s %9s\n", "one series", "n", "p", "median ms", "best ms", "reference ms*",
              "ratio");
  for (const single_case& c : cases) {
    const arma::vec time = grid(c.n, c.step_seconds);
    const series history{time, load(time, 1)};
    result<prophet_model> model = fit(history);
    const timing t = measure(repetitions, [&] { model = fit(history); });
    std::printf("%-24s %7llu %4llu %11.3f %11.3f %14.0f %8.0fx\n", c.name, static_cast<unsigned long long>(c.n),
                static_cast<unsigned long long>(2 + model->delta.n_elem + model->beta.n_elem), t.median_ms, t.best_ms,
                c.reference_ms, c.reference_ms / t.median_ms);
  }
  std::printf("* R's prophet 1.0 on real series of these shapes; quoted, not measured here\n\n");
}

void bench_batch(unsigned repetitions, arma::uword series_count) {
  const arma::uword n = 2016;
  const arma::vec time = grid(n, 5 * minute);
  arma::mat values(n, series_count);
  for (arma::uword c = 0; c < series_count; ++c)
    values.col(c) = load(time, static_cast<unsigned>(c) + 1);
  std::vector<result<prophet_model>> models;
  const timing shared = measure(repetitions, [&] { models = fit_many(time, values); });
  const timing apart = measure(std::min(repetitions, 2u), [&] {
    for (arma::uword c = 0; c < series_count; ++c)
      models[c] = fit({time, values.col(c)});
  });
  const auto converged = std::count_if(models.begin(), models.end(), [](const auto& m) { return m && m->converged; });
  std::printf(
      "%llu series of %llu points on one grid: fit_many %.1f ms (best %.1f), one by one %.1f ms; %lld converged\n\n",
      static_cast<unsigned long long>(series_count), static_cast<unsigned long long>(n), shared.median_ms,
      shared.best_ms, apart.median_ms, static_cast<long long>(converged));
}

void bench_forecast(unsigned repetitions) {
  const arma::vec time = grid(2016, 5 * minute);
  const auto model = fit({time, load(time, 1)});
  const arma::vec future = time[2015] + 5 * minute * arma::regspace(1, 24);
  result<prophet_forecast> forecast = predict(*model, future);
  const timing mean = measure(repetitions, [&] { forecast = predict(*model, future); });
  const timing quantiles = measure(repetitions, [&] {
    forecast = predict(*model, future, {}, {1000, {0.1, 0.9}, 1});
  });
  std::printf("forecast of 24 steps: %.4f ms, with quantiles of 1,000 futures %.3f ms\n\n", mean.median_ms,
              quantiles.median_ms);
}

void bench_reference_fits(const char* folder, unsigned repetitions) {
  std::printf("%-30s %7s %4s %11s %14s %9s %14s\n", "reference fit", "n", "p", "median ms", "reference ms", "ratio",
              "posterior gain");
  for (const golden::reference_fit& reference : golden::read_fits(folder)) {
    result<prophet_model> model = fit(reference.history, reference.options, reference.known);
    const timing t =
        measure(repetitions, [&] { model = fit(reference.history, reference.options, reference.known); });
    if (!model) {
      std::printf("%-30s %s\n", reference.name().c_str(), model.error().to_string().c_str());
      continue;
    }
    const double reference_ms = 1000 * reference.number("fit_seconds_median");
    std::printf("%-30s %7llu %4llu %11.3f %14.0f %8.0fx %14.2e\n", reference.name().c_str(),
                static_cast<unsigned long long>(model->n),
                static_cast<unsigned long long>(2 + model->delta.n_elem + model->beta.n_elem), t.median_ms,
                reference_ms, reference_ms / t.median_ms, model->log_posterior - reference.number("stan_value"));
  }
}

} // namespace

int main(int count, char** arguments) {
  const bool quick = count > 1 && std::strcmp(arguments[1], "--quick") == 0;
  const unsigned repetitions = quick ? 2 : 51;
  bench_single(repetitions);
  bench_batch(quick ? 1 : 7, quick ? 64 : 1024);
  bench_forecast(repetitions);
  const char* folder = std::getenv("GNOMON_FORECAST_GOLDEN");
  if (folder == nullptr) {
    std::printf("GNOMON_FORECAST_GOLDEN is not set: no reference fits timed\n");
    return 0;
  }
  try {
    bench_reference_fits(folder, quick ? 1 : 11);
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "fit_bench: %s\n", failure.what());
    return 1;
  }
  return 0;
}
