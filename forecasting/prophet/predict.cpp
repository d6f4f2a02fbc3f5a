// Forecasts from a fitted model.
#include <cmath>
#include <string>

#include "forecasting/prophet/check.hpp"
#include "forecasting/prophet/design_matrix.hpp"
#include "forecasting/prophet/history.hpp"
#include "forecasting/prophet/map_solver_gram.hpp"
#include "forecasting/prophet/prophet.hpp"
#include "forecasting/prophet/uncertainty.hpp"

namespace gnomon::forecasting {
namespace {

using arma::uword;

// Everything in scaled units but the floor.
struct scaled_rows {
  arma::vec t, predictor, trend, capacity, floor, factor, additive;
  arma::mat features;
};

result<void> check_model(const prophet_model& model) {
  const bool shapes = model.beta.n_elem == model.columns.size() &&
                      model.delta.n_elem == model.changepoints_t.n_elem &&
                      model.regressor_mean.n_elem == model.options.regressors.size() &&
                      model.regressor_sd.n_elem == model.options.regressors.size() &&
                      list_columns(model.options, model.seasonalities).size() == model.columns.size();
  if (!shapes || !(model.span_seconds > 0) || !(model.y_scale > 0))
    return fail(errc::invalid_argument, "not a fitted model: its parts do not fit together");
  return {};
}

// The linear predictor at any time, in any order.
double predictor_at(const prophet_model& model, double t) {
  const bool logistic = model.options.growth == trend_growth::logistic;
  double slope = model.k;
  double offset = logistic ? -model.k * model.m : model.m;
  for (uword j = 0; j < model.delta.n_elem && t >= model.changepoints_t[j]; ++j) {
    slope += model.delta[j];
    offset -= model.delta[j] * model.changepoints_t[j];
  }
  return slope * t + offset;
}

result<scaled_rows> evaluate_rows(const prophet_model& model, const arma::vec& time_seconds,
                                  const covariates& known) {
  const uword rows = time_seconds.n_elem;
  if (auto ok = check(series{time_seconds, arma::vec(rows)}); !ok)
    return tl::unexpected<error>(ok.error());
  if (auto ok = check_model(model); !ok)
    return tl::unexpected<error>(ok.error());
  const bool logistic = model.options.growth == trend_growth::logistic;
  if (auto ok = check(known, model.options, rows, logistic ? capacity_need::optional : capacity_need::none); !ok)
    return tl::unexpected<error>(ok.error());
  if (rows * (model.columns.size() + 2) > design_elements_max)
    return fail(errc::invalid_argument, "a forecast of " + std::to_string(rows) + " rows and " +
                                            std::to_string(model.columns.size()) + " columns exceeds the limit of " +
                                            std::to_string(design_elements_max) + " elements");
  scaled_rows out;
  out.t = (time_seconds - model.start_seconds) / model.span_seconds;
  out.predictor.set_size(rows);
  for (uword row = 0; row < rows; ++row)
    out.predictor[row] = predictor_at(model, out.t[row]);
  out.trend = out.predictor;
  if (logistic) {
    out.floor = spread(known.floor, model.floor, rows);
    out.capacity = (spread(known.capacity, model.capacity, rows) - out.floor) / model.y_scale;
    for (uword row = 0; row < rows; ++row) {
      if (!(out.capacity[row] > 0))
        return fail(errc::invalid_argument, "row " + std::to_string(row) + ": the capacity is not above the floor");
      out.trend[row] = out.capacity[row] / (1 + std::exp(-out.predictor[row]));
    }
  }
  std::vector<event> events = model.events;
  events.insert(events.end(), known.events.begin(), known.events.end());
  const arma::mat regressors = standardised_regressors(model, known.regressors);
  out.features =
      feature_matrix(time_seconds, {model.options, model.seasonalities, events, regressors}, model.columns.size());
  out.factor.ones(rows);
  out.additive.zeros(rows);
  if (rows == 0)
    return out;
  for (uword c = 0; c < model.columns.size(); ++c)
    (model.columns[c].mode == component_mode::additive ? out.additive : out.factor) +=
        model.beta[c] * out.features.col(c);
  return out;
}

arma::vec in_units_of_y(const prophet_model& model, const scaled_rows& rows, const arma::vec& scaled) {
  arma::vec value = scaled * model.y_scale;
  if (!rows.floor.is_empty())
    value += rows.floor;
  return value;
}

result<arma::vec> mean_of(const prophet_model& model, const scaled_rows& rows) {
  arma::vec yhat = in_units_of_y(model, rows, rows.trend % rows.factor + rows.additive);
  if (!yhat.is_finite())
    return fail(errc::invalid_argument, "the forecast overflows: the times are too far ahead");
  return yhat;
}

std::vector<component_forecast> split_components(const prophet_model& model, const scaled_rows& rows) {
  std::vector<component_forecast> components;
  for (uword c = 0; c < model.columns.size(); ++c) {
    const feature_column& column = model.columns[c];
    const bool additive = column.mode == component_mode::additive;
    if (components.empty() || components.back().name != column.component)
      components.push_back({column.component, column.mode, arma::vec(rows.t.n_elem)});
    if (rows.t.is_empty())
      continue; // names alone
    components.back().value += model.beta[c] * (additive ? model.y_scale : 1) * rows.features.col(c);
  }
  return components;
}

} // namespace

result<prophet_forecast> predict(const prophet_model& model, const arma::vec& time_seconds, const covariates& known,
                                 const uncertainty_options& uncertainty) {
  if (auto ok = check(uncertainty); !ok)
    return tl::unexpected<error>(ok.error());
  const auto rows = evaluate_rows(model, time_seconds, known);
  if (!rows)
    return tl::unexpected<error>(rows.error());
  auto yhat = mean_of(model, *rows);
  if (!yhat)
    return tl::unexpected<error>(yhat.error());

  prophet_forecast forecast;
  forecast.time_seconds = time_seconds;
  forecast.yhat = std::move(*yhat);
  forecast.trend = in_units_of_y(model, *rows, rows->trend);
  forecast.additive_terms = rows->additive * model.y_scale;
  forecast.multiplicative_terms = rows->factor - 1;
  forecast.components = split_components(model, *rows);
  if (uncertainty.samples == 0 || time_seconds.is_empty())
    return forecast;

  const forecast_quantiles quantiles = simulate_quantiles(
      model, {rows->t, rows->predictor, rows->capacity, rows->factor, rows->additive}, uncertainty);
  forecast.quantiles = quantiles.observation;
  forecast.trend_quantiles = quantiles.trend;
  for (uword level = 0; level < quantiles.trend.n_cols; ++level) {
    forecast.quantiles.col(level) = in_units_of_y(model, *rows, quantiles.observation.col(level));
    forecast.trend_quantiles.col(level) = in_units_of_y(model, *rows, quantiles.trend.col(level));
  }
  if (!forecast.quantiles.is_finite() || !forecast.trend_quantiles.is_finite())
    return fail(errc::invalid_argument, "the forecast's interval overflows: the times are too far ahead");
  return forecast;
}

result<arma::vec> predict_mean(const prophet_model& model, const arma::vec& time_seconds, const covariates& known) {
  const auto rows = evaluate_rows(model, time_seconds, known);
  if (!rows)
    return tl::unexpected<error>(rows.error());
  return mean_of(model, *rows);
}

} // namespace gnomon::forecasting
