// Forecasts a CSV file: forecast_csv FILE [--ahead 48] [--step SECONDS] [--growth linear|flat|logistic] [--capacity
// C]
//   [--floor F] [--mode additive|multiplicative] [--log] [--interval 0.8] [--seed 1]
// FILE has a header with the columns ds (YYYY-MM-DD, YYYY-MM-DD HH:MM:SS or seconds since 1970; UTC) and y (empty or
// NA = missing); other columns are ignored. Prints what was learned, the last rows, and the forecast with interval
// and components.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iomanip>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "forecasting/prophet/prophet.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;

namespace {

constexpr arma::uword tail_rows = 6;
constexpr std::size_t ahead_max = 100'000;

struct arguments {
  std::string file;
  std::size_t ahead = 48;
  double step_seconds = 0; // 0: the median step of the file
  double interval = 0.8;
  double capacity = std::numeric_limits<double>::quiet_NaN();
  double floor = std::numeric_limits<double>::quiet_NaN();
  bool log_scale = false;
  std::uint64_t seed = 1;
  prophet_options options;
};

bool parse_number(const std::string& text, double& number) {
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  return failure == std::errc{} && end == text.data() + text.size();
}

result<arguments> parse(int count, char** words) {
  arguments parsed;
  const auto usage = [](const std::string& why) { return fail(errc::invalid_argument, why); };
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--log") {
      parsed.log_scale = true;
      continue;
    }
    if (!word.starts_with("--")) {
      if (!parsed.file.empty())
        return usage("one FILE, not also " + word);
      parsed.file = word;
      continue;
    }
    if (i + 1 == count)
      return usage(word + " wants a value");
    const std::string value = words[++i];
    double number = 0;
    const bool is_number = parse_number(value, number);
    if (word == "--growth" && (value == "linear" || value == "flat" || value == "logistic"))
      parsed.options.growth = value == "linear" ? trend_growth::linear
                              : value == "flat" ? trend_growth::flat
                                                : trend_growth::logistic;
    else if (word == "--mode" && (value == "additive" || value == "multiplicative"))
      parsed.options.seasonality_mode =
          value == "additive" ? component_mode::additive : component_mode::multiplicative;
    else if (word == "--ahead" && is_number && number >= 1 && number <= ahead_max)
      parsed.ahead = static_cast<std::size_t>(number);
    else if (word == "--step" && is_number && number > 0)
      parsed.step_seconds = number;
    else if (word == "--interval" && is_number && number > 0 && number < 1)
      parsed.interval = number;
    else if (word == "--capacity" && is_number)
      parsed.capacity = number;
    else if (word == "--floor" && is_number)
      parsed.floor = number;
    else if (word == "--seed" && is_number && number >= 0 && number < 9e15)
      parsed.seed = static_cast<std::uint64_t>(number);
    else
      return usage("not understood: " + word + " " + value);
  }
  if (parsed.file.empty())
    return usage("no FILE given");
  return parsed;
}

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> cells(1);
  for (const char c : line) {
    if (c == ',')
      cells.emplace_back();
    else if (c != '"' && c != '\r' && c != ' ')
      cells.back() += c;
    else if (c == ' ' && !cells.back().empty())
      cells.back() += c;
  }
  return cells;
}

bool parse_time(const std::string& text, double& seconds) {
  if (parse_number(text, seconds))
    return true;
  int year = 0, month = 0, date = 0, hours = 0, minutes = 0;
  double rest = 0;
  const int fields =
      std::sscanf(text.c_str(), "%d-%d-%d%*[ T]%d:%d:%lf", &year, &month, &date, &hours, &minutes, &rest);
  const std::chrono::year_month_day calendar{std::chrono::year{year},
                                             std::chrono::month{static_cast<unsigned>(month)},
                                             std::chrono::day{static_cast<unsigned>(date)}};
  if (fields < 3 || !calendar.ok())
    return false;
  seconds = static_cast<double>(std::chrono::sys_days{calendar}.time_since_epoch().count()) * day + hours * hour +
            minutes * minute + rest;
  return true;
}

result<series> read(const std::string& path) {
  std::ifstream file(path);
  if (!file)
    return fail(errc::not_found, "cannot open " + path);
  std::string line;
  std::getline(file, line);
  const std::vector<std::string> names = split(line);
  const auto time_column = std::find(names.begin(), names.end(), "ds") - names.begin();
  const auto value_column = std::find(names.begin(), names.end(), "y") - names.begin();
  const auto width = static_cast<std::ptrdiff_t>(names.size());
  if (time_column == width || value_column == width)
    return fail(errc::invalid_argument, path + ": no columns ds and y in the first line");
  std::vector<double> times, values;
  for (std::size_t number = 2; std::getline(file, line); ++number) {
    if (line.empty())
      continue;
    const std::vector<std::string> cells = split(line);
    const std::string where = path + ", line " + std::to_string(number) + ": ";
    if (static_cast<std::ptrdiff_t>(cells.size()) <= std::max(time_column, value_column))
      return fail(errc::invalid_argument, where + "too few columns");
    double time = 0, value = std::numeric_limits<double>::quiet_NaN();
    const std::string& text = cells[static_cast<std::size_t>(value_column)];
    if (!parse_time(cells[static_cast<std::size_t>(time_column)], time))
      return fail(errc::invalid_argument, where + "not a time: " + cells[static_cast<std::size_t>(time_column)]);
    if (!text.empty() && text != "NA" && !parse_number(text, value))
      return fail(errc::invalid_argument, where + "not a number: " + text);
    times.push_back(time);
    values.push_back(value);
  }
  return series{arma::vec(times), arma::vec(values)};
}

std::string show_time(double seconds) {
  const auto whole = static_cast<std::time_t>(std::floor(seconds));
  std::tm parts{};
  char text[32] = "?";
  if (gmtime_r(&whole, &parts) != nullptr)
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

// Where `value` lies between the plot's ends, as a mark in a line of `width`.
std::string plot(double value, double low, double high, double bottom, double top, std::size_t width = 30) {
  const auto place = [&](double v) {
    const double share = top > bottom ? (v - bottom) / (top - bottom) : 0.5;
    return static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(width - 1));
  };
  std::string line(width, ' ');
  for (std::size_t i = place(low); i <= place(high); ++i)
    line[i] = '-';
  line[place(value)] = 'o';
  return line;
}

void show_model(const prophet_model& model, const arguments& asked) {
  std::printf("%llu values from %s to %s (UTC)%s\n", static_cast<unsigned long long>(model.n),
              show_time(model.start_seconds).c_str(), show_time(model.start_seconds + model.span_seconds).c_str(),
              asked.log_scale ? ", fitted as log(1 + y)" : "");
  for (const seasonality& s : model.seasonalities)
    std::printf("seasonality %s: period %g h, order %u, %s\n", s.name.c_str(), s.period_seconds / hour,
                s.fourier_order, s.mode == component_mode::additive ? "additive" : "multiplicative");
  for (arma::uword j = 0; j < model.delta.n_elem; ++j)
    if (std::abs(model.delta[j]) * 10 > arma::abs(model.delta).max())
      std::printf("trend changes at %s: slope %+.4g per day\n",
                  show_time(model.start_seconds + model.changepoints_t[j] * model.span_seconds).c_str(),
                  model.delta[j] * model.y_scale * day / model.span_seconds);
  std::printf("noise: standard deviation %.4g%s\n\n", model.sigma * model.y_scale,
              model.converged ? "" : " (the fit did not converge)");
}

// One line per row: the past ones with what was observed, then the future.
void show_forecast(const prophet_forecast& forecast, const arma::vec& observed_tail, const arguments& asked) {
  const auto unscaled = [&](double value) { return asked.log_scale ? std::expm1(value) : value; };
  const std::string interval_title = std::to_string(std::lround(100 * asked.interval)) + " % interval";
  std::printf("%-19s %10s %10s  %-23s %11s", "ds (UTC)", "y", "forecast", interval_title.c_str(),
              asked.log_scale ? "trend (log)" : "trend");
  for (const component_forecast& component : forecast.components)
    std::printf(" %11s", component.name.c_str());
  std::printf("\n");
  const double bottom = forecast.quantiles.min();
  const double top = forecast.quantiles.max();
  for (arma::uword row = 0; row < forecast.yhat.n_elem; ++row) {
    if (row == observed_tail.n_elem)
      std::printf("%s\n", std::string(40, '-').c_str());
    const double low = forecast.quantiles(row, 0);
    const double high = forecast.quantiles(row, 1);
    std::ostringstream actual, interval;
    if (row < observed_tail.n_elem)
      actual << std::setprecision(5) << unscaled(observed_tail[row]);
    interval << std::setprecision(5) << unscaled(low) << " .. " << unscaled(high);
    std::printf("%-19s %10s %10.5g  %-23s %11.5g", show_time(forecast.time_seconds[row]).c_str(),
                actual.str().c_str(), unscaled(forecast.yhat[row]), interval.str().c_str(), forecast.trend[row]);
    for (const component_forecast& component : forecast.components) {
      const bool additive = component.mode == component_mode::additive;
      std::printf(additive ? " %+11.4g" : " %+10.2f%%", component.value[row] * (additive ? 1 : 100));
    }
    std::printf("  |%s|\n", plot(forecast.yhat[row], low, high, bottom, top).c_str());
  }
}

int report(const error& failure, int code) {
  std::fprintf(stderr, "forecast_csv: %s\n", failure.message.c_str());
  return code;
}

} // namespace

int main(int count, char** words) {
  const auto asked = parse(count, words);
  if (!asked) {
    std::fprintf(
        stderr,
        "usage: forecast_csv FILE [--ahead N] [--step SECONDS] [--growth linear|flat|logistic] [--capacity C] "
        "[--floor F]\n       [--mode additive|multiplicative] [--log] [--interval 0.8] [--seed N]\n");
    return report(asked.error(), 2);
  }
  auto input = read(asked->file);
  if (!input)
    return report(input.error(), 1);
  if (asked->log_scale) {
    if (arma::any(input->value <= -1))
      return report({errc::invalid_argument, "--log wants values above -1"}, 1);
    input->value = arma::log1p(input->value);
  }
  const auto history = observed(*input);
  if (!history)
    return report(history.error(), 1);

  covariates known;
  const auto scaled = [&](double value) { return asked->log_scale ? std::log1p(value) : value; };
  if (!std::isnan(asked->capacity))
    known.capacity = {scaled(asked->capacity)};
  if (!std::isnan(asked->floor))
    known.floor = {scaled(asked->floor)};
  const auto started = std::chrono::steady_clock::now();
  const auto model = fit(*history, asked->options, known);
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - started;
  if (!model)
    return report(model.error(), 1);
  std::printf("fitted in %.2f ms\n", taken.count());
  show_model(*model, *asked);

  const double step =
      asked->step_seconds > 0 ? asked->step_seconds : std::max(arma::median(arma::diff(history->time_seconds)), 1e-3);
  const double last = history->time_seconds[history->size() - 1];
  const arma::vec future = last + step * arma::regspace(1, static_cast<double>(asked->ahead));
  const arma::uword tail = std::min(tail_rows, history->size());
  const uncertainty_options uncertainty{1000, {(1 - asked->interval) / 2, (1 + asked->interval) / 2}, asked->seed};
  const auto forecast =
      predict(*model, arma::join_cols(history->time_seconds.tail(tail), future), known, uncertainty);
  if (!forecast)
    return report(forecast.error(), 1);

  show_forecast(*forecast, history->value.tail(tail), *asked);
  return 0;
}
