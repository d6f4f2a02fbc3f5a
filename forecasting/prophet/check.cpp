// The ranges of options and covariates, and what is said when they are left.
#include "forecasting/prophet/check.hpp"

#include <cmath>
#include <set>
#include <sstream>

namespace gnomon::forecasting {
namespace {

// Outside of these a prior is no longer weak or strong but makes the arithmetic meaningless.
constexpr double prior_scale_min = 1e-6;
constexpr double prior_scale_max = 1e6;
constexpr double duration_seconds_min = 1e-3; // of a period or a slot
constexpr double regressor_magnitude_max = 1e100;

template <class... Parts>
tl::unexpected<error> refuse(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return fail(errc::invalid_argument, text.str());
}

result<void> check_scale(const std::string& what, double scale) {
  if (scale >= prior_scale_min && scale <= prior_scale_max)
    return {};
  return refuse(what, " is ", scale, ", expected ", prior_scale_min, " to ", prior_scale_max);
}

result<void> check_duration(const std::string& what, double seconds) {
  if (seconds >= duration_seconds_min && seconds <= time_seconds_max)
    return {};
  return refuse(what, " is ", seconds, " s, expected ", duration_seconds_min, " to ", time_seconds_max);
}

result<void> check_order(const std::string& what, unsigned order) {
  if (order >= 1 && order <= fourier_order_max)
    return {};
  return refuse(what, " is ", order, ", expected 1 to ", fourier_order_max);
}

result<void> check_components(const prophet_options& options) {
  std::set<std::string> names;
  const auto take_name = [&](const std::string& name) -> result<void> {
    if (name.empty())
      return refuse("a seasonality, event kind or regressor has no name");
    if (!names.insert(name).second)
      return refuse("component ", name, " is there twice");
    return {};
  };
  std::size_t columns = 0;
  if (options.yearly != seasonality_switch::off)
    columns += 2ul * options.yearly_order;
  if (options.weekly != seasonality_switch::off)
    columns += 2ul * options.weekly_order;
  if (options.daily != seasonality_switch::off)
    columns += 2ul * options.daily_order;
  for (const seasonality& s : options.seasonalities) {
    if (auto ok = take_name(s.name); !ok)
      return ok;
    if (auto ok = check_duration("seasonality " + s.name + ": period", s.period_seconds); !ok)
      return ok;
    if (auto ok = check_order("seasonality " + s.name + ": Fourier order", s.fourier_order); !ok)
      return ok;
    if (auto ok = check_scale("seasonality " + s.name + ": prior scale", s.prior_scale); !ok)
      return ok;
    columns += 2ul * s.fourier_order;
  }
  for (const event_kind& kind : options.event_kinds) {
    if (auto ok = take_name(kind.name); !ok)
      return ok;
    if (auto ok = check_duration("event kind " + kind.name + ": slot", kind.slot_seconds); !ok)
      return ok;
    if (auto ok = check_scale("event kind " + kind.name + ": prior scale", kind.prior_scale); !ok)
      return ok;
    columns += 1ul + kind.lower_window + kind.upper_window;
  }
  for (const regressor& r : options.regressors) {
    if (auto ok = take_name(r.name); !ok)
      return ok;
    if (auto ok = check_scale("regressor " + r.name + ": prior scale", r.prior_scale); !ok)
      return ok;
    ++columns;
  }
  if (columns > feature_columns_max)
    return refuse("the model has up to ", columns, " feature columns, the limit is ", feature_columns_max);
  return {};
}

result<void> check_length(const char* what, arma::uword length, arma::uword rows) {
  if (length == rows || length == 1)
    return {};
  return refuse(what, " has ", length, " values for ", rows, " rows, expected as many, or one for all");
}

} // namespace

result<void> check(const prophet_options& options) {
  if (options.n_changepoints > changepoints_max || options.changepoints_seconds.n_elem > changepoints_max)
    return refuse("more than ", changepoints_max, " changepoints");
  if (!options.changepoints_seconds.is_finite())
    return refuse("a changepoint's time is not finite");
  if (!(options.changepoint_range > 0 && options.changepoint_range <= 1))
    return refuse("the changepoint range is ", options.changepoint_range, ", expected above 0 and at most 1");
  if (auto ok = check_scale("the changepoint prior scale", options.changepoint_prior_scale); !ok)
    return ok;
  if (auto ok = check_scale("the seasonality prior scale", options.seasonality_prior_scale); !ok)
    return ok;
  if (auto ok = check_order("the yearly Fourier order", options.yearly_order); !ok)
    return ok;
  if (auto ok = check_order("the weekly Fourier order", options.weekly_order); !ok)
    return ok;
  if (auto ok = check_order("the daily Fourier order", options.daily_order); !ok)
    return ok;
  return check_components(options);
}

result<void> check(const covariates& known, const prophet_options& options, arma::uword rows,
                   capacity_need capacity) {
  if (capacity != capacity_need::none) {
    if (known.capacity.is_empty() && capacity == capacity_need::required)
      return refuse("logistic growth needs a capacity");
    if (!known.capacity.is_empty())
      if (auto ok = check_length("the capacity", known.capacity.n_elem, rows); !ok)
        return ok;
    if (!known.floor.is_empty())
      if (auto ok = check_length("the floor", known.floor.n_elem, rows); !ok)
        return ok;
    for (const double value : known.capacity)
      if (!(std::abs(value) <= value_magnitude_max))
        return refuse("a capacity is not finite or beyond 1e300");
    for (const double value : known.floor)
      if (!(std::abs(value) <= value_magnitude_max))
        return refuse("a floor is not finite or beyond 1e300");
  }
  const arma::uword regressors = options.regressors.size();
  if (regressors > 0 && (known.regressors.n_cols != regressors || known.regressors.n_rows != rows))
    return refuse("regressors are ", known.regressors.n_rows, " x ", known.regressors.n_cols, ", expected ", rows,
                  " x ", regressors);
  for (arma::uword r = 0; r < regressors; ++r)
    for (arma::uword row = 0; row < rows; ++row)
      if (!(std::abs(known.regressors(row, r)) <= regressor_magnitude_max))
        return refuse("regressor ", options.regressors[r].name, ", row ", row, ": the value is not finite or beyond ",
                      regressor_magnitude_max);
  if (known.events.size() > events_max)
    return refuse("more than ", events_max, " events");
  for (const event& e : known.events)
    if (!(std::abs(e.start_seconds) <= time_seconds_max) ||
        !(e.duration_seconds >= 0 && e.duration_seconds <= time_seconds_max))
      return refuse("an event of kind ", e.kind, " starts at ", e.start_seconds, " s and lasts ", e.duration_seconds,
                    " s: not finite, negative or beyond the limit");
  return {};
}

} // namespace gnomon::forecasting
