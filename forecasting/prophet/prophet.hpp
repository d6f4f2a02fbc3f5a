// Prophet's model (Taylor & Letham, "Forecasting at Scale", The American Statistician 72, 2018; version 1.0): trend
// with changepoints, seasonality, events and regressors, fitted to the optimum of its posterior (MAP) by an exact
// solver.
//
//   y(t) = y_scale * ( g(t) * (1 + X_m(t) b_m) + X_a(t) b_a ) + floor(t) + noise
//
// Pure functions on values: any thread, no clock, no I/O; equal input gives equal output. BLAS is held to one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <armadillo>

#include "config/error.hpp"
#include "forecasting/series/series.hpp"

namespace gnomon::forecasting {

enum class trend_growth {
  linear,   // piecewise linear with automatic changepoints
  flat,     // a constant
  logistic, // piecewise logistic between `floor` and `capacity`
};

// How a component meets the trend: added to it (in units of y), or as a fraction of it.
enum class component_mode { additive, multiplicative };

// Whether one of the calendar seasonalities is in the model. `automatic` follows Prophet's rules: yearly with two
// years of history, weekly with two weeks and steps below 7 days, daily with two days and steps below 1 day.
enum class seasonality_switch { automatic, off, on };

enum class standardisation {
  automatic, // standardise unless all values are 0 or 1
  off,
  on, // subtract the mean and divide by the sample standard deviation of the history
};

struct seasonality {
  std::string name;            // unique among all components of a model
  double period_seconds = day; // > 0
  unsigned fourier_order = 3;  // pairs of sine and cosine; 1 .. fourier_order_max
  double prior_scale = 10;     // > 0; standard deviation of the coefficients' normal prior
  component_mode mode = component_mode::additive;
};

// What events of one name have in common. Each slot of the window has its own learned effect: `lower_window` slots
// before the event, one for the event itself, `upper_window` slots after it. The defaults are a Prophet holiday of
// one day.
struct event_kind {
  std::string name;
  double slot_seconds = day;
  unsigned lower_window = 0;
  unsigned upper_window = 0;
  double prior_scale = 10;
  component_mode mode = component_mode::additive;
};

// One occurrence. The event itself lasts max(duration, slot) from its start (inclusive) to its end (exclusive).
struct event {
  std::string kind;
  double start_seconds = 0;
  double duration_seconds = 0;
};

struct regressor {
  std::string name;
  double prior_scale = 10;
  standardisation scaling = standardisation::automatic;
  component_mode mode = component_mode::additive;
};

inline constexpr unsigned changepoints_max = 500;
inline constexpr unsigned fourier_order_max = 200;
inline constexpr arma::uword feature_columns_max = 1000;     // seasonal, event and regressor columns together
inline constexpr arma::uword design_elements_max = 1u << 28; // rows x columns of one fit: 2 GiB
inline constexpr std::size_t events_max = 100'000;

struct prophet_options {
  trend_growth growth = trend_growth::linear;

  unsigned n_changepoints = 25;          // spread evenly over the rows in the first part of the history
  double changepoint_range = 0.8;        // that part; (0, 1]
  double changepoint_prior_scale = 0.05; // > 0; scale of the Laplace prior on each change of slope
  // Times of changepoints in seconds; replaces the automatic ones unless empty. Must lie within the history.
  arma::vec changepoints_seconds;

  seasonality_switch yearly = seasonality_switch::automatic; // period 365.25 days
  seasonality_switch weekly = seasonality_switch::automatic;
  seasonality_switch daily = seasonality_switch::automatic;
  unsigned yearly_order = 10;
  unsigned weekly_order = 3;
  unsigned daily_order = 4;
  double seasonality_prior_scale = 10; // of these three
  component_mode seasonality_mode = component_mode::additive;

  std::vector<seasonality> seasonalities; // further ones; a name of the three above replaces it
  std::vector<event_kind> event_kinds;
  std::vector<regressor> regressors;
};

// What is known beside the series, at the same T times.
struct covariates {
  arma::vec capacity;   // logistic growth only: length T, or 1 for a constant; > floor
  arma::vec floor;      // length T, 1 for a constant, or empty for 0; logistic growth only
  arma::mat regressors; // T x options.regressors.size(), in that order; finite
  // Past and planned events of any time. Those whose kind is not in the options are ignored.
  std::vector<event> events;
};

struct feature_column {
  std::string component; // "weekly", an event kind's or a regressor's name
  double prior_scale = 10;
  component_mode mode = component_mode::additive;
};

// A fitted model: plain values, enough to predict and to persist.
struct prophet_model {
  prophet_options options;                // as given, with growth and windows as used
  std::vector<seasonality> seasonalities; // those in the model, in column order
  std::vector<feature_column> columns;    // P: seasonalities, event slots sorted by kind, regressors
  std::vector<event> events;              // known at fit time; predict() uses them too
  arma::vec regressor_mean, regressor_sd; // 0 and 1 where not standardised

  double start_seconds = 0; // t = 0
  double span_seconds = 1;  // t = 1 at start + span
  double y_scale = 1;
  double floor = 0;    // the last one seen, used where predict() is given none
  double capacity = 0; // likewise

  double k = 0;             // slope at t = 0, in y_scale per span
  double m = 0;             // offset
  arma::vec changepoints_t; // S, ascending, in t
  arma::vec delta;          // S, change of slope at each
  arma::vec beta;           // P
  double sigma = 0;         // of the noise, in y_scale

  arma::uword n = 0;        // observations used
  double log_posterior = 0; // Stan's `value`: constants dropped, larger is better
  unsigned iterations = 0;  // outer iterations of the solver
  bool converged = false;   // false: finite and usable, but a limit was reached before the tolerance
};

struct uncertainty_options {
  unsigned samples = 0;                    // of the future trend; 0: no quantiles. At most uncertainty_samples_max
  std::vector<double> quantiles{0.1, 0.9}; // levels in (0, 1)
  std::uint64_t seed = 1;
};
inline constexpr unsigned uncertainty_samples_max = 100'000;
inline constexpr std::size_t quantile_levels_max = 100;

struct component_forecast {
  std::string name;
  component_mode mode = component_mode::additive;
  arma::vec value; // additive: in units of y; multiplicative: as a fraction of the trend
};

struct prophet_forecast {
  arma::vec time_seconds; // T, as asked for
  arma::vec yhat;         // T
  arma::vec trend;        // T, with the floor
  arma::vec additive_terms, multiplicative_terms;
  std::vector<component_forecast> components;
  // T x levels, of an observation and of the trend alone; empty without samples.
  arma::mat quantiles;
  arma::mat trend_quantiles;
};

// Fits one series. Missing (NaN) rows are dropped together with their covariates, rows are sorted by time.
// errc::invalid_argument: fewer than two observations, infinite values, options or covariates out of their ranges;
// the message names what and where. Otherwise the model is finite, whatever the values.
result<prophet_model> fit(const series& history, const prophet_options& options = {}, const covariates& known = {});

// Fits many series observed at the same times, `values`: T x N, one column per series. Columns that miss the same
// rows share their design and Gram matrix, which makes a fit of thousands cheap. Column i's answer is that of fit()
// to within rounding. Linear and flat growth share; logistic growth and multiplicative components are fitted one by
// one.
std::vector<result<prophet_model>> fit_many(const arma::vec& time_seconds, const arma::mat& values,
                                            const prophet_options& options = {}, const covariates& known = {});

// Forecasts at any times, past or future. errc::invalid_argument: times beyond the limits, covariates missing or not
// finite.
result<prophet_forecast> predict(const prophet_model& model, const arma::vec& time_seconds,
                                 const covariates& known = {}, const uncertainty_options& uncertainty = {});

// The mean alone: `yhat` of predict() without its components.
result<arma::vec> predict_mean(const prophet_model& model, const arma::vec& time_seconds,
                               const covariates& known = {});

} // namespace gnomon::forecasting
