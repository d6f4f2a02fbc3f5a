#include "forecasting/series/period_detector.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "forecasting/series/grid.hpp"

namespace gnomon::forecasting {

namespace {

using arma::uword;
using arma::vec;

// Common periods of human and scheduled load.
constexpr double calendar_hours[] = {0.25, 0.5, 1, 2, 3, 4, 6, 8, 12, 24, 168};
constexpr uword candidates_max = 24;

// Centred moving average with shrinking windows at the ends: what is left of the series after it is the cycle.
vec moving_level(const vec& value, uword window) {
  const uword n = value.n_elem;
  const vec sums = arma::join_cols(vec{0.0}, arma::cumsum(value));
  const uword half = std::max<uword>(1, window / 2);
  vec out(n);
  for (uword i = 0; i < n; ++i) {
    const uword reach = std::min({half, i, n - 1 - i});
    // A shrinking symmetric window would follow the cycle itself at the ends: shift it instead.
    const uword left = reach == half ? i - half : (i < half ? 0 : n - std::min(n, 2 * half + 1));
    const uword right = std::min(n, left + 2 * half + 1);
    out(i) = (sums(right) - sums(left)) / static_cast<double>(right - left);
  }
  return out;
}

struct fold {
  double strength = 0;
  bool significant = false;
  vec profile; // length period, mean 0
};

// Tells each cycle from the mean of the other cycles.
fold fold_at(const vec& value, uword period) {
  const uword n = value.n_elem;
  const uword cycles = n / period;
  fold out;
  if (cycles < 2)
    return out;
  vec rest = value - moving_level(value, period);
  // A single spike must not decide: clip at what is plausible.
  const double bound = 4 * quantile_of(arma::abs(rest), 0.75);
  if (bound > 0)
    rest.clamp(-bound, bound);
  vec sum(period, arma::fill::zeros);
  const uword skipped = n - cycles * period; // the newest cycles are the complete ones
  for (uword i = skipped; i < n; ++i)
    sum((i - skipped) % period) += rest(i);
  double error = 0, total = 0;
  vec gains(cycles);
  for (uword c = 0; c < cycles; ++c) {
    double cycle_error = 0, cycle_total = 0;
    for (uword p = 0; p < period; ++p) {
      const double v = rest(skipped + c * period + p);
      const double told = (sum(p) - v) / static_cast<double>(cycles - 1);
      cycle_error += (v - told) * (v - told);
      cycle_total += v * v;
    }
    gains(c) = cycle_total - cycle_error;
    error += cycle_error;
    total += cycle_total;
  }
  if (!(total > 1e-12 * static_cast<double>(n)))
    return out;
  out.strength = 1 - error / total;
  const auto count = static_cast<double>(cycles);
  const double spread = arma::stddev(gains) / std::sqrt(count);
  // One-sided 5 % points of Student's t, nearly: 2.92, 2.35, 2.13, 2.02 ... 1.645.
  const double critical = 1.645 * (1 + 1.6 / std::max(count - 1, 1.0));
  out.significant = arma::mean(gains) > critical * spread;
  out.profile.set_size(period);
  // profile(p) belongs to slot p of the grid, not of the first complete cycle.
  for (uword p = 0; p < period; ++p)
    out.profile((p + skipped) % period) = sum(p) / count;
  out.profile -= arma::mean(out.profile);
  return out;
}

struct spectrum {
  vec acf;     // lags 0..n-1
  vec p_value; // per frequency index, Bonferroni-corrected, smallest of the bins it covers
  uword length = 0;
};

spectrum analyse(const vec& value) {
  const uword n = value.n_elem;
  spectrum out;
  out.length = std::bit_ceil(2 * n);
  const vec centred = value - arma::mean(value);
  const arma::cx_vec transform = arma::fft(centred, out.length);
  vec power = arma::square(arma::abs(transform));
  const vec covariance = arma::real(arma::ifft(arma::cx_vec(power, vec(power.n_elem, arma::fill::zeros))));
  out.acf.zeros(n);
  out.acf(0) = 1;
  if (covariance(0) > 1e-12 * static_cast<double>(n))
    out.acf = covariance.head(n) / covariance(0);
  // Background: running median over a window that grows with frequency, as load's spectrum falls like a power of it.
  const uword half = out.length / 2;
  const double bonferroni = static_cast<double>(n) / 2;
  out.p_value.ones(half + 1);
  const double tiny = 1e-12 * arma::mean(power) + 1e-300;
  vec background(half + 1, arma::fill::zeros);
  uword anchor = 1;
  while (anchor <= half) {
    const uword reach = std::max<uword>(12, anchor / 2);
    const uword from = anchor > reach ? anchor - reach : 1;
    const uword to = std::min(half, anchor + reach);
    const uword next = std::min(half + 1, anchor + std::max<uword>(1, reach / 4));
    // The median of an exponential is ln 2 of its mean.
    const double level = quantile_of(power.subvec(from, to), 0.5) / std::log(2.0);
    for (uword k = anchor; k < next; ++k)
      background(k) = std::max(level, tiny);
    anchor = next;
  }
  for (uword k = 1; k <= half; ++k)
    out.p_value(k) = std::min(1.0, bonferroni * std::exp(-std::min(power(k) / background(k), 700.0)));
  return out;
}

// The surest spectral line among the first harmonics of the period.
double line_at(const spectrum& s, uword period) {
  double best = 1;
  for (uword harmonic = 1; harmonic <= 6 && 2 * harmonic <= period; ++harmonic) {
    const double position = static_cast<double>(s.length * harmonic) / static_cast<double>(period);
    const auto k = static_cast<uword>(std::lround(position));
    for (uword near = k > 1 ? k - 1 : 1; near <= k + 1 && near < s.p_value.n_elem; ++near)
      best = std::min(best, s.p_value(near));
  }
  return best;
}

std::vector<uword> candidates(const spectrum& s, uword n, double step_seconds, const period_options& options) {
  const auto longest = static_cast<uword>(static_cast<double>(n) / std::max(options.cycles_min, 2.0));
  std::set<uword> found;
  for (double hours : calendar_hours) {
    const double slots = hours * hour / step_seconds;
    if (std::abs(slots - std::round(slots)) < 1e-6 && slots >= static_cast<double>(options.slots_min) &&
        slots <= static_cast<double>(longest))
      found.insert(static_cast<uword>(std::round(slots)));
  }
  std::vector<uword> peaks;
  const double noise = 2.0 / std::sqrt(static_cast<double>(n));
  for (uword lag = std::max<uword>(options.slots_min, 2); lag <= longest && lag + 1 < n; ++lag)
    if (s.acf(lag) > noise && s.acf(lag) >= s.acf(lag - 1) && s.acf(lag) > s.acf(lag + 1))
      peaks.push_back(lag);
  std::sort(peaks.begin(), peaks.end(), [&](uword a, uword b) { return s.acf(a) > s.acf(b); });
  for (uword lag : peaks) {
    if (found.size() >= candidates_max)
      break;
    // A peak next to a calendar length is that length, seen through noise.
    const auto slack = std::max<uword>(1, lag / 50);
    const auto near = found.lower_bound(lag > slack ? lag - slack : 0);
    if (near == found.end() || *near > lag + slack)
      found.insert(lag);
  }
  return {found.begin(), found.end()};
}

void assume_day(std::vector<detected_period>& found, const spectrum& s, uword n, double step_seconds,
                const period_options& options) {
  const double slots = day / step_seconds;
  if (std::abs(slots - std::round(slots)) > 1e-6 || slots < static_cast<double>(options.slots_min))
    return;
  const auto a_day = static_cast<uword>(std::round(slots));
  const bool known = std::any_of(found.begin(), found.end(), [&](const auto& p) { return p.slots == a_day; });
  if (known || n < 2 * a_day || !(s.acf(a_day) > options.assume_day_above))
    return;
  const auto after = std::find_if(found.begin(), found.end(), [&](const auto& p) { return p.slots > a_day; });
  found.insert(after, {a_day, 0, s.acf(a_day), 1, true});
}

} // namespace

vec autocorrelation(const vec& value, uword lags) {
  vec out(lags + 1, arma::fill::zeros);
  out(0) = 1;
  if (value.n_elem < 2)
    return out;
  const auto s = analyse(value);
  const uword known = std::min(lags, value.n_elem - 1);
  out.head(known + 1) = s.acf.head(known + 1);
  return out;
}

std::vector<detected_period> detect_periods(const vec& log_value, double step_seconds,
                                            const period_options& options) {
  std::vector<detected_period> out;
  const uword n = log_value.n_elem;
  if (n < 12 || !log_value.is_finite() || !(step_seconds > 0))
    return out;
  // Trend and level shifts longer than the longest period would drown everything else.
  vec rest = log_value - moving_level(log_value, std::max<uword>(3, n / 2));
  const auto s = analyse(rest);
  for (uword period : candidates(s, n, step_seconds, options)) {
    const double p_value = line_at(s, period);
    if (p_value > options.p_value_max || s.acf(period) < 2.0 / std::sqrt(static_cast<double>(n)))
      continue;
    const fold folded = fold_at(rest, period);
    if (!folded.significant || folded.strength < options.strength_min)
      continue;
    out.push_back({period, folded.strength, s.acf(period), p_value, false});
    for (uword i = 0; i < n; ++i)
      rest(i) -= folded.profile(i % period);
  }
  // Keep the strongest, in order of length.
  while (out.size() > options.periods_max)
    out.erase(std::min_element(out.begin(), out.end(),
                               [](const auto& a, const auto& b) { return a.strength < b.strength; }));
  assume_day(out, s, n, step_seconds, options);
  return out;
}

} // namespace gnomon::forecasting
