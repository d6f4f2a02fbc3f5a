// The persisted form of a forecast_model (see ensemble.hpp): written and read in one order, here and nowhere else.
#include <cmath>

#include "forecasting/ensemble/ensemble.hpp"

namespace gnomon::forecasting {

namespace {

using arma::uword;
using arma::vec;

constexpr std::size_t list_max = 4096;   // periods, effects, choices, levels
constexpr std::size_t string_max = 1024; // bytes of an event kind

class number_writer {
public:
  void put(double v) { out_.push_back(v); }
  void put_count(std::size_t n) { put(static_cast<double>(n)); }
  void put_all(const double* data, std::size_t n) { out_.insert(out_.end(), data, data + n); }
  void put_string(const std::string& s) {
    const std::size_t n = std::min(s.size(), string_max);
    put_count(n);
    for (std::size_t i = 0; i < n; ++i)
      put(static_cast<unsigned char>(s[i]));
  }
  vec take() { return vec(out_); }

private:
  std::vector<double> out_;
};

class number_reader {
public:
  explicit number_reader(const vec& numbers) : numbers_(numbers) {}
  bool ok() const { return ok_; }
  bool at_end() const { return next_ == numbers_.n_elem; }
  double get() {
    if (!ok_ || next_ >= numbers_.n_elem || !std::isfinite(numbers_(next_))) {
      ok_ = false;
      return 0;
    }
    return numbers_(next_++);
  }
  // A whole number 0 .. most.
  std::size_t get_count(std::size_t most) {
    const double v = get();
    if (v < 0 || v > static_cast<double>(most) || v != std::floor(v)) {
      ok_ = false;
      return 0;
    }
    return static_cast<std::size_t>(v);
  }
  void get_all(double* data, std::size_t n) {
    for (std::size_t i = 0; i < n && ok_; ++i)
      data[i] = get();
  }
  std::string get_string() {
    std::string out(get_count(string_max), '\0');
    for (char& c : out)
      c = static_cast<char>(get_count(255));
    return out;
  }

private:
  const vec& numbers_;
  uword next_ = 0;
  bool ok_ = true;
};

void put_choice(number_writer& to, const horizon_choice& c) {
  to.put_count(c.slots_ahead);
  to.put_count(c.origins);
  to.put_all(c.error.data(), method_count);
  to.put_all(c.weight.data(), method_count);
  to.put(c.blend_error);
  to.put(c.served_error);
  to.put_count(static_cast<std::size_t>(c.best_naive));
  to.put(c.naive_share);
  to.put_count(c.conformal_offset.size());
  to.put_all(c.conformal_offset.data(), c.conformal_offset.size());
}

horizon_choice get_choice(number_reader& from) {
  horizon_choice c;
  c.slots_ahead = from.get_count(horizon_slots_max);
  c.origins = from.get_count(grid_length_max);
  from.get_all(c.error.data(), method_count);
  from.get_all(c.weight.data(), method_count);
  c.blend_error = from.get();
  c.served_error = from.get();
  c.best_naive = static_cast<method>(from.get_count(method_count - 1));
  c.naive_share = from.get();
  c.conformal_offset.resize(from.get_count(list_max));
  from.get_all(c.conformal_offset.data(), c.conformal_offset.size());
  return c;
}

void put_periods_and_effects(number_writer& to, const forecast_model& model) {
  to.put_count(model.periods.size());
  for (const auto& p : model.periods) {
    to.put_count(p.slots);
    to.put(p.strength);
    to.put(p.autocorrelation);
    to.put(p.p_value);
    to.put(p.assumed ? 1 : 0);
  }
  to.put_count(model.effects.size());
  for (const auto& e : model.effects) {
    to.put_string(e.kind);
    to.put(e.effect);
    to.put(e.slots_seen);
  }
}

void get_periods_and_effects(number_reader& from, forecast_model& model) {
  model.periods.resize(from.get_count(list_max));
  for (auto& p : model.periods) {
    p.slots = from.get_count(grid_length_max);
    p.strength = from.get();
    p.autocorrelation = from.get();
    p.p_value = from.get();
    p.assumed = from.get_count(1) == 1;
  }
  model.effects.resize(from.get_count(list_max));
  for (auto& e : model.effects) {
    e.kind = from.get_string();
    e.effect = from.get();
    e.slots_seen = from.get();
  }
}

} // namespace

vec to_numbers(const forecast_model& model) {
  number_writer to;
  to.put(forecast_model_magic);
  to.put(forecast_model_version);
  to.put(model.start_seconds);
  to.put(model.step_seconds);
  to.put_count(model.past_slots);
  to.put_count(model.observed_slots);
  to.put(model.scale);
  to.put(model.mean_load);
  put_periods_and_effects(to, model);
  to.put_count(model.choices.size());
  for (const auto& choice : model.choices)
    put_choice(to, choice);
  to.put_count(model.quantile_levels.size());
  to.put_all(model.quantile_levels.data(), model.quantile_levels.size());
  to.put_count(model.horizon());
  to.put_count(method_count);
  to.put_all(model.methods.memptr(), model.methods.n_elem);
  to.put_all(model.event_effect_log.memptr(), model.event_effect_log.n_elem);
  to.put_all(model.served.memptr(), model.served.n_elem);
  to.put_all(model.conformal_quantiles.memptr(), model.conformal_quantiles.n_elem);
  to.put_all(model.model_quantiles.memptr(), model.model_quantiles.n_elem);
  return to.take();
}

result<forecast_model> forecast_model_from(const vec& numbers) {
  number_reader from(numbers);
  if (from.get() != forecast_model_magic)
    return fail(errc::corrupt, "not a forecast model");
  if (from.get() != forecast_model_version)
    return fail(errc::unsupported, "a forecast model of another version");
  forecast_model model;
  model.start_seconds = from.get();
  model.step_seconds = from.get();
  model.past_slots = from.get_count(grid_length_max);
  model.observed_slots = from.get_count(grid_length_max);
  model.scale = from.get();
  model.mean_load = from.get();
  get_periods_and_effects(from, model);
  const std::size_t choices = from.get_count(list_max);
  for (std::size_t i = 0; i < choices && from.ok(); ++i)
    model.choices.push_back(get_choice(from));
  model.quantile_levels.resize(from.get_count(list_max));
  from.get_all(model.quantile_levels.data(), model.quantile_levels.size());
  const std::size_t horizon = from.get_count(horizon_slots_max);
  const std::size_t methods = from.get_count(method_count);
  // The sizes must agree with what is there before anything of that size is made.
  const std::size_t levels = model.quantile_levels.size();
  if (!from.ok() || methods != method_count || horizon == 0 || model.choices.empty() || !(model.step_seconds > 0) ||
      horizon * (method_count + 2 + 2 * levels) > numbers.n_elem)
    return fail(errc::corrupt, "a forecast model with sizes that do not agree");
  for (const auto& choice : model.choices)
    if (choice.slots_ahead < 1 || (!choice.conformal_offset.empty() && choice.conformal_offset.size() != levels))
      return fail(errc::corrupt, "a forecast model with a choice that does not fit");
  model.methods.set_size(horizon, method_count);
  model.event_effect_log.set_size(horizon);
  model.served.set_size(horizon);
  model.conformal_quantiles.set_size(horizon, levels);
  model.model_quantiles.set_size(horizon, levels);
  from.get_all(model.methods.memptr(), model.methods.n_elem);
  from.get_all(model.event_effect_log.memptr(), model.event_effect_log.n_elem);
  from.get_all(model.served.memptr(), model.served.n_elem);
  from.get_all(model.conformal_quantiles.memptr(), model.conformal_quantiles.n_elem);
  from.get_all(model.model_quantiles.memptr(), model.model_quantiles.n_elem);
  if (!from.ok() || !from.at_end())
    return fail(errc::corrupt, "a forecast model that is cut short, too long, or not finite");
  return model;
}

} // namespace gnomon::forecasting
