// Seasonal-trend decomposition by loess (Cleveland, Cleveland, McRae & Terpenning, Journal of Official Statistics 6,
// 1990). Pure functions on values: any thread, no clock, no I/O. Inputs must be finite (fill_gaps of grid.hpp).
#pragma once

#include <armadillo>

#include "config/error.hpp"

namespace gnomon::forecasting {

struct stl_options {
  // Window of the seasonal loess, in cycles, odd and >= 3; 0: periodic (each phase has one value for ever).
  arma::uword seasonal_window = 11;
  arma::uword inner_iterations = 2;
  arma::uword robust_iterations = 1; // outer loop: downweights outliers by bisquare weights
};

// value = seasonal + trend + remainder, each of length T.
struct decomposition {
  arma::vec seasonal;
  arma::vec trend;
  arma::vec remainder;
};

// errc::invalid_argument: a period below 2 or fewer than two whole periods of values.
result<decomposition> stl(const arma::vec& value, arma::uword period, const stl_options& options = {});

// Locally linear regression at 0..n-1 of `value` over the nearest `window` neighbours with tricube weights times
// `weight` (empty: all 1), evaluated each `jump` positions and interpolated between. window >= 2, jump >= 1.
arma::vec loess(const arma::vec& value, arma::uword window, const arma::vec& weight = {}, arma::uword jump = 1);

} // namespace gnomon::forecasting
