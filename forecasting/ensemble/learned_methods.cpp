#include "forecasting/ensemble/learned_methods.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "forecasting/prophet/prophet.hpp"
#include "forecasting/series/stl.hpp"

namespace gnomon::forecasting {

using arma::uword;
using arma::vec;

stl_ets_method::stl_ets_method(const vec& log_value, uword fitted_at, uword period)
    : fitted_at_(fitted_at), position_(fitted_at) {
  vec adjusted = known_at(log_value, fitted_at);
  if (period >= 2 && fitted_at >= 2 * period) {
    if (const auto parts = stl(adjusted, period)) {
      cycle_ = parts->seasonal.tail(period);
      adjusted -= parts->seasonal;
    }
  }
  state_ = fit_smoothing(adjusted);
}

double stl_ets_method::seasonal_at(uword slot) const {
  return cycle_.is_empty() ? 0 : cycle_((slot - fitted_at_) % cycle_.n_elem);
}

void stl_ets_method::advance(const vec& log_value, uword origin) {
  for (; position_ < origin; ++position_)
    state_.update(log_value(position_) - seasonal_at(position_));
}

double stl_ets_method::ahead(uword steps) const { return state_.ahead(steps) + seasonal_at(position_ + steps - 1); }

namespace {

prophet_options options_for(const std::vector<detected_period>& periods, double step_seconds,
                            const method_options& options) {
  prophet_options out;
  out.yearly = out.weekly = out.daily = seasonality_switch::off;
  for (const auto& period : periods) {
    const unsigned affordable = static_cast<unsigned>(std::max<uword>(1, (period.slots - 1) / 2));
    seasonality season;
    season.name = "every " + std::to_string(period.slots) + " slots";
    season.period_seconds = static_cast<double>(period.slots) * step_seconds;
    season.fourier_order =
        std::min(affordable, season.period_seconds >= day ? options.day_order : options.short_order);
    out.seasonalities.push_back(std::move(season));
  }
  return out;
}

// Lag-1 autocorrelation of the residual, about 0 and not its mean: the model has been there.
double lag_one(const vec& residual) {
  const uword n = residual.n_elem;
  if (n < 3)
    return 0;
  const double power = arma::dot(residual.head(n - 1), residual.head(n - 1));
  return power > 0 ? std::clamp(arma::dot(residual.head(n - 1), residual.tail(n - 1)) / power, 0.0, 0.995) : 0;
}

} // namespace

prophet_ar_method::prophet_ar_method(const method_input& input, uword fitted_at, uword last_slot,
                                   const std::vector<detected_period>& periods, const method_options& options)
    : position_(fitted_at) {
  if (fitted_at < 4)
    return;
  const vec slots = arma::regspace<vec>(0, static_cast<double>(last_slot));
  const vec times = input.start_seconds + slots * input.step_seconds;
  const vec past = input.log_value.head(fitted_at);
  const auto model = fit({times.head(fitted_at), past}, options_for(periods, input.step_seconds, options));
  if (!model)
    return;
  auto mean = predict_mean(*model, times);
  if (!mean || !mean->is_finite())
    return;
  const vec residual = past - mean->head(fitted_at);
  phi_ = lag_one(residual);
  residual_ = residual(fitted_at - 1);
  const vec news = residual.tail(fitted_at - 1) - phi_ * residual.head(fitted_at - 1);
  innovation_ = std::sqrt(arma::mean(arma::square(news)));
  // A trend extrapolated beyond anything seen is a mistake on this scale, not a forecast.
  const double margin = 0.25 * (past.max() - past.min());
  low_ = std::max(0.0, past.min() - margin);
  high_ = past.max() + margin;
  mean_ = std::move(*mean);
}

void prophet_ar_method::advance(const vec& log_value, uword origin) {
  if (!fitted() || origin <= position_)
    return;
  position_ = origin;
  residual_ = log_value(origin - 1) - mean_(origin - 1);
}

double prophet_ar_method::ahead(uword steps) const {
  const uword slot = std::min(position_ + steps - 1, mean_.n_elem - 1);
  return std::clamp(mean_(slot) + std::pow(phi_, static_cast<double>(steps)) * residual_, low_, high_);
}

double prophet_ar_method::spread(uword steps) const {
  const double phi2 = phi_ * phi_;
  return innovation_ * std::sqrt((1 - std::pow(phi2, static_cast<double>(steps))) / (1 - phi2));
}

} // namespace gnomon::forecasting
