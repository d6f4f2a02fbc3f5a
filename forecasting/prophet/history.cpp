// Row selection, scaling and design of a history.
#include "forecasting/prophet/history.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "forecasting/prophet/design_matrix.hpp"

namespace gnomon::forecasting {
namespace {

using arma::uword;

arma::vec select(const arma::vec& all, const std::vector<uword>& rows) {
  arma::vec selected(rows.size(), arma::fill::none);
  for (uword i = 0; i < rows.size(); ++i)
    selected[i] = all[rows[i]];
  return selected;
}

bool is_binary(const arma::vec& values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return v == 0 || v == 1; });
}

// Prophet's rules: a constant is never standardised, zeros and ones only if asked to.
void learn_scaling(const prophet_options& options, const arma::mat& regressors, prophet_model& model) {
  const uword count = options.regressors.size();
  model.regressor_mean.zeros(count);
  model.regressor_sd.ones(count);
  for (uword r = 0; r < count; ++r) {
    const standardisation scaling = options.regressors[r].scaling;
    const arma::vec values = regressors.col(r);
    if (scaling == standardisation::off || values.min() == values.max())
      continue;
    if (scaling == standardisation::automatic && is_binary(values))
      continue;
    const double sd = arma::stddev(values);
    if (!(sd > 0) || !std::isfinite(sd))
      continue;
    model.regressor_mean[r] = arma::mean(values);
    model.regressor_sd[r] = sd;
  }
}

result<arma::vec> place_changepoints(const prophet_options& options, const prophet_model& model, const arma::vec& t) {
  if (options.growth == trend_growth::flat)
    return arma::vec();
  if (options.changepoints_seconds.is_empty())
    return automatic_changepoints(t, options.n_changepoints, options.changepoint_range);
  const double end = model.start_seconds + model.span_seconds;
  for (const double time : options.changepoints_seconds)
    if (time < model.start_seconds || time > end)
      return fail(errc::invalid_argument, "a changepoint at " + std::to_string(time) +
                                              " s is outside of the history, " + std::to_string(model.start_seconds) +
                                              " to " + std::to_string(end) + " s");
  const arma::vec sorted = arma::sort(options.changepoints_seconds);
  return arma::vec((sorted - model.start_seconds) / model.span_seconds);
}

} // namespace

arma::vec spread(const arma::vec& given, double otherwise, uword rows) {
  if (given.n_elem == rows && rows != 1)
    return given;
  arma::vec all(rows, arma::fill::none);
  all.fill(given.is_empty() ? otherwise : given[0]);
  return all;
}

arma::mat standardised_regressors(const prophet_model& model, const arma::mat& regressors) {
  if (model.options.regressors.empty())
    return {};
  arma::mat scaled = regressors;
  for (uword r = 0; r < scaled.n_cols; ++r)
    scaled.col(r) = (scaled.col(r) - model.regressor_mean[r]) / model.regressor_sd[r];
  return scaled;
}

result<history_design> design_history(const arma::vec& time_seconds, const std::vector<uword>& rows,
                                      const prophet_options& options, const covariates& known) {
  const uword n = rows.size();
  if (n < 2)
    return fail(errc::invalid_argument, "a fit needs at least 2 values, the series has " + std::to_string(n));
  history_design design;
  prophet_model& model = design.model;
  model.options = options;
  model.events = known.events;
  model.n = n;
  const arma::vec time = select(time_seconds, rows);
  model.start_seconds = time[0];
  model.span_seconds = time[n - 1] > time[0] ? time[n - 1] - time[0] : 1;
  design.t = (time - model.start_seconds) / model.span_seconds;

  arma::mat regressors;
  if (!options.regressors.empty()) {
    regressors = known.regressors.rows(arma::uvec(rows));
    learn_scaling(options, regressors, model);
    regressors = standardised_regressors(model, regressors);
  }
  if (options.growth == trend_growth::logistic) {
    design.capacity = select(spread(known.capacity, 0, time_seconds.n_elem), rows);
    design.floor = select(spread(known.floor, 0, time_seconds.n_elem), rows);
    for (uword i = 0; i < n; ++i)
      if (!(design.capacity[i] > design.floor[i]))
        return fail(errc::invalid_argument,
                    "row " + std::to_string(rows[i]) + ": the capacity is not above the floor");
    model.capacity = design.capacity[n - 1];
    model.floor = design.floor[n - 1];
  }
  auto changepoints = place_changepoints(options, model, design.t);
  if (!changepoints)
    return tl::unexpected<error>(changepoints.error());
  model.changepoints_t = std::move(*changepoints);
  design.segments = cut_segments(design.t, model.changepoints_t);

  model.seasonalities = choose_seasonalities(options, time);
  model.columns = list_columns(options, model.seasonalities);
  const uword columns = model.columns.size();
  if (n * (columns + 2) > design_elements_max)
    return fail(errc::invalid_argument, "a design of " + std::to_string(n) + " rows and " + std::to_string(columns) +
                                            " columns exceeds the limit of " + std::to_string(design_elements_max) +
                                            " elements");
  design.features = feature_matrix(time, {options, model.seasonalities, model.events, regressors}, columns);

  const uword base = options.growth == trend_growth::flat ? 1 : 2;
  constexpr double growth_prior_scale = 5; // of k and m, as in Prophet
  design.priors.changepoint_scale = options.changepoint_prior_scale;
  design.priors.precision.set_size(base + columns);
  for (uword i = 0; i < base; ++i)
    design.priors.precision[i] = 1 / (growth_prior_scale * growth_prior_scale);
  for (uword c = 0; c < columns; ++c)
    design.priors.precision[base + c] = 1 / (model.columns[c].prior_scale * model.columns[c].prior_scale);
  return design;
}

} // namespace gnomon::forecasting
