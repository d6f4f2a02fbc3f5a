// Exponential smoothing of an evenly spaced series: simple, and with a damped trend (Gardner & McKenzie 1985;
// Hyndman & Athanasopoulos, "Forecasting: Principles and Practice", ch. 8). ETS(A,N,N) and ETS(A,Ad,N).
// Pure functions on values: any thread, no clock, no I/O. Inputs must be finite (fill_gaps of grid.hpp).
#pragma once

#include <armadillo>

namespace gnomon::forecasting {

// State after the last value and the parameters that led there. Forecast h steps ahead:
// level + (phi + phi^2 + ... + phi^h) * slope.
struct smoothing {
  double alpha = 1; // of the level, 0 < alpha <= 1
  double beta = 0;  // of the slope; 0: no trend
  double phi = 0;   // damping; 0: no trend
  double level = 0;
  double slope = 0;
  double mean_squared_error = 0; // one step ahead, over the history

  // Takes one more observation in; returns the error it was forecast with.
  double update(double value) {
    const double expected = level + phi * slope;
    const double error = value - expected;
    level = expected + alpha * error;
    slope = phi * slope + beta * error;
    return error;
  }
  double ahead(arma::uword steps) const;
};

// Best alpha on a grid refined once, by squared error one step ahead. Empty input: level 0.
smoothing fit_simple_smoothing(const arma::vec& value);

// The better of the simple form and the damped trend by corrected Akaike criterion (two more parameters).
smoothing fit_smoothing(const arma::vec& value);

} // namespace gnomon::forecasting
