// The two methods that are fitted: STL + exponential smoothing, and Prophet + AR(1). Each is fitted at a slot and then
// carried forward over further observations without a fit. Internal to methods.cpp.
// Pure functions on values: any thread, no clock, no I/O.
#pragma once

#include <armadillo>

#include "forecasting/ensemble/methods.hpp"
#include "forecasting/series/exponential_smoothing.hpp"
#include "forecasting/series/period_detector.hpp"

namespace gnomon::forecasting {

// STL + ETS fitted on log_value(0 .. fitted_at - 1).
class stl_ets_method {
public:
  // `period` 0: no season.
  stl_ets_method(const arma::vec& log_value, arma::uword fitted_at, arma::uword period);
  // Takes in the observations up to `origin` (exclusive); never backwards.
  void advance(const arma::vec& log_value, arma::uword origin);
  double ahead(arma::uword steps) const; // steps >= 1

private:
  double seasonal_at(arma::uword slot) const;
  arma::vec cycle_; // the last one of the fit; empty: no season
  arma::uword fitted_at_;
  arma::uword position_;
  smoothing state_;
};

// Prophet + AR(1) on its residual, fitted on log_value(0 .. fitted_at - 1); knows its mean up to `last_slot`.
class prophet_ar_method {
public:
  prophet_ar_method(const method_input& input, arma::uword fitted_at, arma::uword last_slot,
                   const std::vector<detected_period>& periods, const method_options& options);
  bool fitted() const { return !mean_.is_empty(); }
  void advance(const arma::vec& log_value, arma::uword origin);
  double ahead(arma::uword steps) const;
  // Standard deviation the model gives its own forecast; 0 where there is none.
  double spread(arma::uword steps) const;

private:
  arma::vec mean_; // of slots 0 .. last_slot
  arma::uword position_ = 0;
  double phi_ = 0;
  double residual_ = 0;   // of the newest observation
  double innovation_ = 0; // standard deviation of what the autoregression leaves
  double low_ = 0, high_ = 0;
};

} // namespace gnomon::forecasting
