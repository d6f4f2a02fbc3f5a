// Reads a folder of reference fits: one directory per fit with meta.txt (key=value) and CSV files of inputs and
// outputs, as tests/golden/forecasting/make_golden.R writes them. For tests and benchmarks. Throws
// std::runtime_error.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "forecasting/prophet/prophet.hpp"

namespace gnomon::forecasting::golden {

// "2012-01-02 00:30:00", UTC.
inline double parse_time(const std::string& text) {
  int year = 0, month = 0, date = 0, hours = 0, minutes = 0, seconds = 0;
  if (std::sscanf(text.c_str(), "%d-%d-%d %d:%d:%d", &year, &month, &date, &hours, &minutes, &seconds) < 3)
    throw std::runtime_error("not a time: " + text);
  using namespace std::chrono;
  const sys_days days = std::chrono::year{year} / month / date;
  return static_cast<double>(days.time_since_epoch().count()) * day + hours * hour + minutes * minute + seconds;
}

struct table {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> rows;

  bool has(const std::string& name) const { return std::find(names.begin(), names.end(), name) != names.end(); }
  std::size_t column(const std::string& name) const {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end())
      throw std::runtime_error("no column " + name);
    return static_cast<std::size_t>(found - names.begin());
  }
  std::vector<std::string> texts(const std::string& name) const {
    std::vector<std::string> all;
    for (const auto& row : rows)
      all.push_back(row.at(column(name)));
    return all;
  }
  arma::vec numbers(const std::string& name) const {
    const std::size_t index = column(name);
    arma::vec all(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::string& cell = rows[i].at(index);
      all[i] = cell.empty() || cell == "NA" ? std::numeric_limits<double>::quiet_NaN() : std::stod(cell);
    }
    return all;
  }
  arma::vec times(const std::string& name = "ds") const {
    const std::size_t index = column(name);
    arma::vec all(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i)
      all[i] = parse_time(rows[i].at(index));
    return all;
  }
};

inline std::vector<std::string> split(const std::string& line, char separator) {
  std::vector<std::string> cells(1);
  for (const char c : line) {
    if (c == separator)
      cells.emplace_back();
    else if (c != '"' && c != '\r')
      cells.back() += c;
  }
  return cells;
}

inline table read_table(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file)
    throw std::runtime_error("cannot read " + path.string());
  table result;
  std::string line;
  std::getline(file, line);
  result.names = split(line, ',');
  while (std::getline(file, line))
    result.rows.push_back(split(line, ','));
  return result;
}

inline std::map<std::string, std::string> read_meta(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file)
    throw std::runtime_error("cannot read " + path.string());
  std::map<std::string, std::string> meta;
  std::string line;
  while (std::getline(file, line))
    if (const auto equals = line.find('='); equals != std::string::npos)
      meta[line.substr(0, equals)] = line.substr(equals + 1);
  return meta;
}

struct reference_fit {
  std::filesystem::path folder;
  std::map<std::string, std::string> meta;
  series history;
  prophet_options options;
  covariates known; // of the history
  arma::vec future_times;
  covariates future_known;
  table forecast, beta, changepoints, x_sample;
  bool has_exact = false;
  table exact_forecast;
  double exact_objective = 0;

  std::string name() const { return meta.at("name"); }
  double number(const std::string& key) const { return std::stod(meta.at(key)); }
};

inline component_mode parse_mode(const std::string& text) {
  return text == "multiplicative" ? component_mode::multiplicative : component_mode::additive;
}

// "daily:period=1,order=4,prior=10,mode=additive;..." -> those the options have to name, or all.
inline std::vector<seasonality> parse_seasonalities(const std::string& text) {
  std::vector<seasonality> list;
  if (text.empty())
    return list;
  for (const std::string& item : split(text, ';')) {
    const auto colon = item.find(':');
    seasonality s;
    s.name = item.substr(0, colon);
    for (const std::string& pair : split(item.substr(colon + 1), ',')) {
      const auto equals = pair.find('=');
      const std::string key = pair.substr(0, equals), value = pair.substr(equals + 1);
      if (key == "period")
        s.period_seconds = std::stod(value) * day;
      if (key == "order")
        s.fourier_order = static_cast<unsigned>(std::stoul(value));
      if (key == "prior")
        s.prior_scale = std::stod(value);
      if (key == "mode")
        s.mode = parse_mode(value);
    }
    list.push_back(s);
  }
  return list;
}

inline seasonality_switch parse_switch(const std::map<std::string, std::string>& meta, const std::string& key) {
  const auto found = meta.find(key);
  if (found == meta.end() || found->second == "auto")
    return seasonality_switch::automatic;
  return found->second == "on" ? seasonality_switch::on : seasonality_switch::off;
}

// Events of the fit named peyton_holidays, from Prophet's documentation.
inline table peyton_holidays() {
  table holidays{{"holiday", "ds", "lower_window", "upper_window", "prior_scale"}, {}};
  for (const char* date :
       {"2008-01-13", "2009-01-03", "2010-01-16", "2010-01-24", "2010-02-07", "2011-01-08", "2013-01-12",
        "2014-01-12", "2014-01-19", "2014-02-02", "2015-01-11", "2016-01-17", "2016-01-24", "2016-02-07"})
    holidays.rows.push_back({"playoff", date, "0", "1", "10"});
  for (const char* date : {"2010-02-07", "2014-02-02", "2016-02-07"})
    holidays.rows.push_back({"superbowl", date, "0", "1", "10"});
  return holidays;
}

inline void add_events(const table& holidays, component_mode mode, reference_fit& fit) {
  const arma::vec lower = holidays.numbers("lower_window"), upper = holidays.numbers("upper_window");
  const arma::vec scale = holidays.numbers("prior_scale"), start = holidays.times();
  for (std::size_t i = 0; i < holidays.rows.size(); ++i) {
    const std::string name = holidays.texts("holiday")[i];
    auto& kinds = fit.options.event_kinds;
    if (std::none_of(kinds.begin(), kinds.end(), [&](const event_kind& k) { return k.name == name; }))
      kinds.push_back({name, day, static_cast<unsigned>(-lower[i]), static_cast<unsigned>(upper[i]), scale[i], mode});
    fit.known.events.push_back({name, start[i], 0});
  }
}

inline covariates read_covariates(const table& input, const prophet_options& options) {
  covariates known;
  if (input.has("cap"))
    known.capacity = input.numbers("cap");
  if (input.has("floor"))
    known.floor = input.numbers("floor");
  known.regressors.set_size(input.rows.size(), options.regressors.size());
  for (std::size_t r = 0; r < options.regressors.size(); ++r)
    known.regressors.col(r) = input.numbers(options.regressors[r].name);
  return known;
}

inline reference_fit read_fit(const std::filesystem::path& folder) {
  reference_fit fit;
  fit.folder = folder;
  fit.meta = read_meta(folder / "meta.txt");
  const std::string growth = fit.meta.at("growth");
  fit.options.growth = growth == "linear" ? trend_growth::linear
                       : growth == "flat" ? trend_growth::flat
                                          : trend_growth::logistic;
  fit.options.n_changepoints = static_cast<unsigned>(fit.number("n_changepoints"));
  fit.options.changepoint_range = fit.number("changepoint_range");
  fit.options.changepoint_prior_scale = fit.number("changepoint_prior_scale");
  fit.options.seasonality_prior_scale = fit.number("seasonality_prior_scale");
  fit.options.seasonality_mode = parse_mode(fit.meta.at("seasonality_mode"));
  fit.options.yearly = parse_switch(fit.meta, "yearly");
  fit.options.weekly = parse_switch(fit.meta, "weekly");
  fit.options.daily = parse_switch(fit.meta, "daily");
  for (const seasonality& s : parse_seasonalities(fit.meta.at("seasonalities")))
    if (s.name != "yearly" && s.name != "weekly" && s.name != "daily")
      fit.options.seasonalities.push_back(s);

  table input = read_table(folder / "input.csv");
  std::erase_if(input.rows, [](const auto& row) { return row.front() == "NA"; }); // neither time nor value
  const table future = read_table(folder / "future.csv");
  for (const std::string& name : input.names)
    if (name != "ds" && name != "y" && name != "cap" && name != "floor")
      fit.options.regressors.push_back({name});
  for (regressor& r : fit.options.regressors) {
    if (fit.meta.contains("regressor_mode"))
      r.mode = parse_mode(fit.meta.at("regressor_mode"));
    if (fit.meta.contains("regressor_prior"))
      r.prior_scale = fit.number("regressor_prior");
  }
  fit.history = {input.times(), input.numbers("y")};
  fit.known = read_covariates(input, fit.options);
  fit.future_times = future.times();
  fit.future_known = read_covariates(future, fit.options);
  if (std::filesystem::exists(folder / "holidays.csv"))
    add_events(read_table(folder / "holidays.csv"), fit.options.seasonality_mode, fit);
  else if (fit.name() == "peyton_holidays")
    add_events(peyton_holidays(), component_mode::additive, fit);

  fit.forecast = read_table(folder / "forecast.csv");
  fit.beta = read_table(folder / "beta.csv");
  fit.changepoints = read_table(folder / "changepoints.csv");
  fit.x_sample = read_table(folder / "X_sample.csv");
  if (std::filesystem::exists(folder / "exact" / "params.csv")) {
    fit.has_exact = true;
    fit.exact_forecast = read_table(folder / "exact" / "forecast.csv");
    const table parameters = read_table(folder / "exact" / "params.csv");
    fit.exact_objective = parameters.numbers("value")[0];
  }
  return fit;
}

// All fits below `root`, in the order of their names; empty if there are none.
inline std::vector<reference_fit> read_fits(const std::filesystem::path& root) {
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root))
    if (entry.path().filename() == "meta.txt")
      folders.push_back(entry.path().parent_path());
  std::sort(folders.begin(), folders.end());
  std::vector<reference_fit> fits;
  for (const auto& folder : folders)
    fits.push_back(read_fit(folder));
  return fits;
}

} // namespace gnomon::forecasting::golden
