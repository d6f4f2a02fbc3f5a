// Changepoints, columns and rows of the design, by the rules of Prophet 1.0.
#include "forecasting/prophet/design_matrix.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gnomon::forecasting {
namespace {

bool has_name(const std::vector<seasonality>& list, const std::string& name) {
  return std::any_of(list.begin(), list.end(), [&](const seasonality& s) { return s.name == name; });
}

bool switched_on(seasonality_switch setting, bool rule) {
  return setting == seasonality_switch::on || (setting == seasonality_switch::automatic && rule);
}

std::vector<const event_kind*> kinds_by_name(const prophet_options& options) {
  std::vector<const event_kind*> kinds;
  for (const event_kind& kind : options.event_kinds)
    kinds.push_back(&kind);
  std::sort(kinds.begin(), kinds.end(), [](const event_kind* a, const event_kind* b) { return a->name < b->name; });
  return kinds;
}

// Sets 1 where begin <= time < end.
void mark(const arma::vec& time_seconds, bool sorted, double begin, double end, double* column) {
  if (sorted) {
    const double* first = std::lower_bound(time_seconds.begin(), time_seconds.end(), begin);
    const double* last = std::lower_bound(first, time_seconds.end(), end);
    std::fill(column + (first - time_seconds.begin()), column + (last - time_seconds.begin()), 1.0);
    return;
  }
  for (arma::uword row = 0; row < time_seconds.n_elem; ++row)
    if (time_seconds[row] >= begin && time_seconds[row] < end)
      column[row] = 1.0;
}

// The columns of one kind: slots before, the event itself, slots after.
void mark_event(const arma::vec& time_seconds, bool sorted, const event_kind& kind, const event& occurrence,
                arma::mat& matrix, arma::uword first_column) {
  const double start = occurrence.start_seconds;
  const double end = start + std::max(occurrence.duration_seconds, kind.slot_seconds);
  arma::uword column = first_column;
  for (unsigned back = kind.lower_window; back > 0; --back, ++column)
    mark(time_seconds, sorted, start - back * kind.slot_seconds, start - (back - 1) * kind.slot_seconds,
         matrix.colptr(column));
  mark(time_seconds, sorted, start, end, matrix.colptr(column++));
  for (unsigned after = 0; after < kind.upper_window; ++after, ++column)
    mark(time_seconds, sorted, end + after * kind.slot_seconds, end + (after + 1) * kind.slot_seconds,
         matrix.colptr(column));
}

} // namespace

arma::mat fourier_series(const arma::vec& time_seconds, double period_seconds, unsigned order) {
  arma::mat columns(time_seconds.n_elem, 2 * order, arma::fill::none);
  fourier_series_into(time_seconds.memptr(), time_seconds.n_elem, period_seconds, order, columns.memptr());
  return columns;
}

arma::vec automatic_changepoints(const arma::vec& t, unsigned n_changepoints, double range) {
  const auto history_rows = static_cast<arma::uword>(std::floor(static_cast<double>(t.n_elem) * range));
  const arma::uword count = history_rows < 2 ? 0 : std::min<arma::uword>(n_changepoints, history_rows - 1);
  arma::vec changepoints(count, arma::fill::none);
  const double step = static_cast<double>(history_rows - 1) / static_cast<double>(std::max<arma::uword>(count, 1));
  for (arma::uword i = 1; i <= count; ++i) {
    const double position = i == count ? static_cast<double>(history_rows - 1) : static_cast<double>(i) * step;
    // One is added before rounding, as R's 1-based indices have it: halves go to the even one of those.
    changepoints[i - 1] = t[static_cast<arma::uword>(std::nearbyint(1.0 + position)) - 1];
  }
  return changepoints;
}

std::vector<seasonality> choose_seasonalities(const prophet_options& options, const arma::vec& time_seconds) {
  const arma::uword rows = time_seconds.n_elem;
  const double span = rows > 0 ? time_seconds[rows - 1] - time_seconds[0] : 0;
  double step_min = std::numeric_limits<double>::infinity();
  for (arma::uword row = 1; row < rows; ++row) {
    const double step = time_seconds[row] - time_seconds[row - 1];
    if (step > 0)
      step_min = std::min(step_min, step);
  }
  struct calendar {
    const char* name;
    double period_seconds;
    seasonality_switch setting;
    bool rule;
    unsigned order;
  };
  const calendar calendars[] = {
      {"yearly", 365.25 * day, options.yearly, span >= 730 * day, options.yearly_order},
      {"weekly", 7 * day, options.weekly, span >= 14 * day && step_min < 7 * day, options.weekly_order},
      {"daily", day, options.daily, span >= 2 * day && step_min < day, options.daily_order},
  };
  std::vector<seasonality> chosen = options.seasonalities;
  for (const calendar& c : calendars)
    if (switched_on(c.setting, c.rule) && !has_name(options.seasonalities, c.name))
      chosen.push_back(
          {c.name, c.period_seconds, c.order, options.seasonality_prior_scale, options.seasonality_mode});
  return chosen;
}

std::vector<feature_column> list_columns(const prophet_options& options,
                                         const std::vector<seasonality>& seasonalities) {
  std::vector<feature_column> columns;
  for (const seasonality& s : seasonalities)
    columns.insert(columns.end(), 2 * s.fourier_order, {s.name, s.prior_scale, s.mode});
  for (const event_kind* kind : kinds_by_name(options))
    columns.insert(columns.end(), kind->lower_window + 1 + kind->upper_window,
                   {kind->name, kind->prior_scale, kind->mode});
  for (const regressor& r : options.regressors)
    columns.push_back({r.name, r.prior_scale, r.mode});
  return columns;
}

arma::mat feature_matrix(const arma::vec& time_seconds, const feature_inputs& inputs, arma::uword column_count) {
  const arma::uword rows = time_seconds.n_elem;
  arma::mat matrix(rows, column_count, arma::fill::none);
  if (rows == 0)
    return matrix;
  arma::uword column = 0;
  for (const seasonality& s : inputs.seasonalities) {
    fourier_series_into(time_seconds.memptr(), rows, s.period_seconds, s.fourier_order, matrix.colptr(column));
    column += 2 * s.fourier_order;
  }
  const bool sorted = inputs.options.event_kinds.empty() || std::is_sorted(time_seconds.begin(), time_seconds.end());
  for (const event_kind* kind : kinds_by_name(inputs.options)) {
    const arma::uword width = kind->lower_window + 1 + kind->upper_window;
    std::fill_n(matrix.colptr(column), rows * width, 0.0);
    for (const event& occurrence : inputs.events)
      if (occurrence.kind == kind->name)
        mark_event(time_seconds, sorted, *kind, occurrence, matrix, column);
    column += width;
  }
  for (arma::uword r = 0; r < inputs.options.regressors.size(); ++r, ++column)
    std::copy_n(inputs.regressors.colptr(r), rows, matrix.colptr(column));
  return matrix;
}

} // namespace gnomon::forecasting
