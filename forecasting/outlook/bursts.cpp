#include "forecasting/outlook/bursts.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace gnomon::forecasting {

using arma::uword;
using arma::vec;

namespace {

constexpr uword slots_ahead = 4;
constexpr uword days_back_max = 7;
constexpr uword rows_min = 40;
constexpr uword rows_max = 2048; // newest; two weeks of half hours are 672
constexpr std::size_t feature_count = 15;
using features = std::array<double, feature_count>;

// The past in slots of a quarter of the time ahead, with everything the features need in running sums.
class history {
public:
  history(const grid& past, uword slots_per_day) : load_(past.value), per_day_(slots_per_day) {
    for (double& v : load_)
      v = std::isfinite(v) ? std::clamp(v, 0.0, value_magnitude_max) : 0;
    log_ = to_log(load_);
    sum_ = arma::join_cols(vec{0.0}, arma::cumsum(load_ / std::max(1.0, load_.is_empty() ? 1.0 : load_.max())));
    scale_ = std::max(1.0, load_.is_empty() ? 1.0 : load_.max());
  }
  uword size() const { return load_.n_elem; }
  double mean_before(uword origin) const {
    return origin > 0 ? sum_(origin) / static_cast<double>(origin) * scale_ : 0;
  }
  bool above(uword from, uword to, double threshold) const {
    for (uword i = from; i < std::min(to, size()); ++i)
      if (load_(i) > threshold)
        return true;
    return false;
  }
  double share_above(uword from, uword to, double threshold) const {
    uword found = 0;
    for (uword i = from; i < to; ++i)
      found += load_(i) > threshold ? 1 : 0;
    return to > from ? static_cast<double>(found) / static_cast<double>(to - from) : 0;
  }
  features look(uword origin, double threshold) const;

private:
  vec load_, log_, sum_;
  double scale_ = 1;
  uword per_day_;
};

features history::look(uword origin, double threshold) const {
  const double level = std::log1p(threshold);
  const auto truth = [](bool b) { return b ? 1.0 : 0.0; };
  const auto near = [](double x) { return std::clamp(x, -2.0, 2.0); };
  features f{};
  f[0] = 1;
  f[1] = truth(above(origin - 1, origin, threshold));
  f[2] = truth(above(origin - std::min(origin, slots_ahead), origin, threshold));
  const uword days = per_day_ > 0 ? std::min(days_back_max, origin / per_day_) : 0;
  if (days > 0) {
    const uword same = origin - per_day_;
    f[3] = truth(above(same, std::min(same + slots_ahead, origin), threshold));
    double sum = 0, total = 0, weight = 1;
    for (uword d = 1; d <= days; ++d, weight *= 0.7) {
      const uword at = origin - d * per_day_;
      sum += weight * truth(above(at, std::min(at + slots_ahead, origin), threshold));
      total += weight;
    }
    f[4] = sum / total;
    f[5] = truth(above(same > 0 ? same - 1 : 0, std::min(same + slots_ahead + 1, origin), threshold));
    const uword to = std::min(same + slots_ahead, origin);
    f[13] = near(log_.subvec(same, to - 1).max() - level);
    f[6] = share_above(same, origin, threshold);
  }
  f[7] = share_above(0, origin, threshold);
  // 2, 6 and 12 hours ago for two hours ahead.
  const std::array<uword, 3> lags = {slots_ahead, 3 * slots_ahead, 6 * slots_ahead};
  for (std::size_t i = 0; i < lags.size(); ++i)
    if (origin >= lags[i])
      f[8 + i] = truth(above(origin - lags[i], std::min(origin - lags[i] + slots_ahead, origin), threshold));
  f[11] = near(log_(origin - 1) - level);
  const uword recent = std::min(origin, slots_ahead);
  f[12] = near(arma::mean(log_.subvec(origin - recent, origin - 1)) - level);
  uword since = 0;
  while (since < origin && !(load_(origin - 1 - since) > threshold))
    ++since;
  f[14] = std::log1p(static_cast<double>(since + 1));
  return f;
}

} // namespace

result<burst_outlook> burst_ahead(const grid& past, const burst_options& options) {
  if (!(options.ahead_seconds > 0) || !(past.step_seconds > 0) || !(options.ridge > 0) || !(options.above_mean >= 0))
    return fail(errc::invalid_argument, "a burst outlook needs a positive time ahead, step and ridge");
  const double quarter = options.ahead_seconds / slots_ahead;
  const grid coarse =
      coarsen(past, static_cast<uword>(std::max(1.0, std::floor(quarter / past.step_seconds + 1e-9))));
  const double day_slots = std::round(day / coarse.step_seconds);
  const history seen(coarse, day_slots >= 2 ? static_cast<uword>(day_slots) : 0);
  const uword n = seen.size();
  const auto threshold_at = [&](uword origin) {
    return options.threshold ? *options.threshold
                             : std::min(options.above_mean * seen.mean_before(origin), value_magnitude_max);
  };
  burst_outlook out;
  out.slot_seconds = coarse.step_seconds;
  out.threshold = threshold_at(n);
  if (n == 0)
    return out;

  // Situations whose outcome is known: origin + slots_ahead <= n. The first day only serves to look back on.
  const uword first = std::max<uword>(std::min<uword>(n, static_cast<uword>(std::max(8.0, day_slots)) + 8),
                                      n > rows_max ? n - rows_max : 0);
  arma::mat gram(feature_count, feature_count, arma::fill::zeros);
  vec moment(feature_count, arma::fill::zeros);
  double bursts = 0;
  for (uword origin = first; origin + slots_ahead <= n; ++origin) {
    const double threshold = threshold_at(origin);
    const features f = seen.look(origin, threshold);
    const bool burst = seen.above(origin, origin + slots_ahead, threshold);
    for (std::size_t i = 0; i < feature_count; ++i) {
      for (std::size_t j = 0; j <= i; ++j)
        gram(i, j) += f[i] * f[j];
      moment(i) += burst ? f[i] : 0;
    }
    bursts += burst ? 1 : 0;
    ++out.rows;
  }
  if (out.rows < rows_min) {
    // Too little to learn from: the frequency so far, with one burst and three quiet times assumed before it.
    double before = 0, total = 0;
    for (uword origin = 1; origin + slots_ahead <= n; ++origin, total += 1)
      before += seen.above(origin, origin + slots_ahead, out.threshold) ? 1 : 0;
    out.rows = 0;
    out.chance = (before + 1) / (total + 4);
  } else {
    gram = arma::symmatl(gram);
    gram.diag() += options.ridge;
    gram(0, 0) -= 0.999 * options.ridge;
    vec weight;
    const features now = seen.look(n, out.threshold);
    if (arma::solve(weight, gram, moment, arma::solve_opts::likely_sympd + arma::solve_opts::no_approx) &&
        weight.is_finite())
      out.chance = arma::dot(weight, vec(now.data(), feature_count));
    else
      out.chance = bursts / static_cast<double>(out.rows);
  }
  out.chance = std::clamp(out.chance, 0.0, 1.0);
  out.announced = out.chance > options.announce_from;
  return out;
}

} // namespace gnomon::forecasting
