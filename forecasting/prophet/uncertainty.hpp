// Where an observation may fall: the spread of the noise and of trends that change in the future as often and as much
// as they did in the history (Taylor & Letham 2018, section 3.1.4). Internal to forecasting/, open to tests. Pure
// functions; any thread. The seed alone decides the random numbers, on every machine.
#pragma once

#include <armadillo>

#include "config/error.hpp"
#include "forecasting/prophet/prophet.hpp"

namespace gnomon::forecasting {

// The mean forecast in scaled units, at T times in any order.
struct scaled_forecast {
  const arma::vec& t;         // in spans from the start of the history; t <= 1 is the past
  const arma::vec& predictor; // the trend's linear predictor (equal to the trend unless growth is logistic)
  const arma::vec& capacity;  // scaled; logistic growth only
  const arma::vec& factor;    // 1 + X_m b_m
  const arma::vec& additive;  // X_a b_a
};

struct forecast_quantiles {
  arma::mat observation, trend; // T x levels, scaled
};

// errc::invalid_argument: no levels, levels outside of (0, 1), more samples than uncertainty_samples_max.
result<void> check(const uncertainty_options& options);

// The past has no uncertain trend: its quantiles are exact. `options` are checked and have samples.
forecast_quantiles simulate_quantiles(const prophet_model& model, const scaled_forecast& forecast,
                                      const uncertainty_options& options);

// The quantile function of the standard normal distribution; p in (0, 1), relative error below 1e-9.
double gaussian_quantile(double p);

} // namespace gnomon::forecasting
