#include "forecasting/board/snapshot_demand.hpp"

#include <algorithm>
#include <cmath>

namespace gnomon::forecasting {
namespace {

using arma::uword;

// Why the volume's forecast cannot be planned by; empty: it can.
std::string complaint(const volume_outlook* volume, double now) {
  if (volume == nullptr)
    return "a member is not on the prediction board yet";
  const auto& load = *volume->load;
  const auto named = [&](const char* what) { return "volume " + volume->name.value + ": " + what; };
  if (load.fitted_seconds <= 0 || load.ahead.per_second.empty() || !(load.ahead.step_seconds > 0))
    return named("its load was not forecast yet");
  if (!load.enough_past)
    return named("too little of its load was observed");
  if (now - load.fitted_seconds > snapshot_outlook_age_max)
    return named("its forecast is old");
  for (const auto& horizon : load.horizons)
    if (horizon.accuracy.origins > 0 &&
        horizon.accuracy.served_mase > snapshot_error_ratio_max * horizon.accuracy.naive_mase)
      return named("its forecast does worse than a naive one");
  return {};
}

double value_at(const load_ahead& load, double seconds) {
  const double slot = std::floor((seconds - load.start_seconds) / load.step_seconds);
  if (slot < 0 || slot >= static_cast<double>(load.per_second.size()))
    return arma::datum::nan;
  return static_cast<double>(load.per_second[static_cast<std::size_t>(slot)]);
}

double end_of(const load_ahead& load) {
  return load.start_seconds + load.step_seconds * static_cast<double>(load.per_second.size());
}

} // namespace

expected_demand demand_of(const prediction_board& board, const std::vector<volume_uuid>& members, double now) {
  expected_demand out;
  double step = 0, end = now + day;
  std::vector<const load_ahead*> ours;
  for (const auto& uuid : members) {
    const auto* volume = board.find(uuid);
    if (out.unusable = complaint(volume, now); !out.unusable.empty())
      return out;
    ours.push_back(&volume->load->ahead);
    step = std::max(step, ours.back()->step_seconds);
    end = std::min(end, end_of(*ours.back()));
  }
  if (ours.empty() || end <= now) {
    out.unusable = "nothing is forecast";
    return out;
  }
  out.load.step_seconds = step;
  out.load.start_seconds = std::floor(now / step) * step;
  const auto slots = static_cast<uword>(std::max(0.0, std::floor((end - out.load.start_seconds) / step)));
  out.load.value.zeros(slots);
  const auto add = [&](arma::vec& to, const load_ahead& load, double missing) {
    for (uword slot = 0; slot < slots; ++slot) {
      // Of a finer forecast, the mean of its parts.
      const auto parts = std::max(1.0, std::round(step / load.step_seconds));
      double sum = 0;
      for (double part = 0; part < parts; ++part) {
        const double at = std::max(out.load.time_of(slot) + (part + 0.5) * step / parts, load.start_seconds);
        const double value = value_at(load, at);
        sum += std::isfinite(value) ? value : missing;
      }
      to(slot) += sum / parts;
    }
  };
  arma::vec member_load(slots), node_load(slots);
  member_load.zeros(), node_load.zeros();
  double member_mean = 0, node_mean = 0;
  for (const auto* load : ours) {
    add(member_load, *load, arma::datum::nan);
    member_mean += load->mean_per_second;
  }
  for (const auto& volume : board.volumes()) {
    const auto& load = volume->load->ahead;
    if (load.per_second.empty() || !(load.step_seconds > 0) || now - volume->load->fitted_seconds > snapshot_outlook_age_max)
      continue;
    add(node_load, load, load.mean_per_second); // of a neighbour whose forecast ends sooner: its mean
    node_mean += load.mean_per_second;
  }
  if (!(member_mean > 0) && !(node_mean > 0)) {
    out.unusable = "there was no load";
    return out;
  }
  const auto over_mean = [](const arma::vec& load, double mean) {
    return mean > 0 ? arma::vec(load / mean) : arma::vec(load.n_elem, arma::fill::zeros);
  };
  out.load.value = 0.5 * over_mean(member_load, member_mean) + 0.5 * over_mean(node_load, node_mean);
  out.mean_load = 1;
  if (slots == 0 || !out.load.value.is_finite())
    out.unusable = "the forecasts do not reach far enough";
  else if (!(out.load.value.max() > out.load.value.min()))
    out.unusable = "the same load is expected all the time";
  return out;
}

} // namespace gnomon::forecasting
