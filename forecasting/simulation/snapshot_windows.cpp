#include "forecasting/simulation/snapshot_windows.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <random>

#include "forecasting/outlook/snapshot_schedule.hpp"

namespace gnomon::forecasting {

using arma::uword;

namespace {

// The load of every start of a stretch of `length` slots in [from, to).
arma::vec sums_of_stretches(const arma::vec& load, uword from, uword to, uword length) {
  const uword starts = to - from - length + 1;
  arma::vec out(starts);
  for (uword s = 0; s < starts; ++s)
    out(s) = arma::accu(load.subvec(from + s, from + s + length - 1));
  return out;
}

// One choice: which start each way would have taken, judged by the load that came.
class start_choice {
public:
  start_choice(const arma::vec& load, uword from, uword to, uword length)
      : sums_(sums_of_stretches(load, from, to, length)), mean_(arma::mean(sums_)) {
    arma::vec sorted = arma::sort(sums_);
    quarter_ = sorted(sorted.n_elem / 4);
  }
  uword starts() const { return sums_.n_elem; }
  bool says_nothing() const { return !(mean_ > 0); } // idle all the time: any start is as good
  uword quietest() const { return sums_.index_min(); }
  void add(timing_score& to, uword start) const {
    to.snapshots += 1;
    to.load_met += sums_(start) / mean_;
    to.quietest_quarter += sums_(start) <= quarter_ ? 1 : 0;
  }
  // The mean over all starts: what a fixed time meets, whichever it is.
  void add_mean(timing_score& to) const {
    to.snapshots += 1;
    to.load_met += 1;
    to.quietest_quarter += 0.25;
  }

private:
  arma::vec sums_;
  double mean_, quarter_ = 0;
};

// What is expected of the slots from `from` on, from what was seen before.
expected_demand expected(const grid& load, uword from, uword slots) {
  grid past;
  past.start_seconds = load.start_seconds;
  past.step_seconds = load.step_seconds;
  past.value = load.value.head(from);
  ensemble_options ensemble;
  ensemble.horizon_slots = slots;
  const auto model = learn_forecast(past, ensemble);
  if (!model || model->observed_slots == 0 || !(model->scale > 0))
    return {{}, 0, "nothing was learned"};
  return {plan_load(*model), model->mean_load, {}};
}

// The slot, from `first` on, in which a layer of `length` slots starts; none where the forecast says nothing.
std::optional<uword> planned_start(const expected_demand& ahead, const grid& load, uword first, uword window,
                                   uword length) {
  const layer_choice choice{load.time_of(first), load.time_of(first + window),
                            static_cast<double>(length) * load.step_seconds};
  const auto chosen = choose_start(choice, ahead);
  if (chosen.reason == start_reason::schedule || chosen.reason == start_reason::deadline)
    return std::nullopt;
  return static_cast<uword>(std::llround((chosen.start - choice.from) / load.step_seconds));
}

void finish(std::array<timing_score, snapshot_timing_count>& scores) {
  for (auto& s : scores)
    if (s.snapshots > 0) {
      s.load_met /= s.snapshots;
      s.quietest_quarter /= s.snapshots;
    }
}

timing_score& of(std::array<timing_score, snapshot_timing_count>& scores, snapshot_timing t) {
  return scores[static_cast<std::size_t>(t)];
}

} // namespace

std::string_view to_string(snapshot_timing t) noexcept {
  switch (t) {
  case snapshot_timing::planned:
    return "planned";
  case snapshot_timing::fixed:
    return "fixed time";
  case snapshot_timing::random:
    return "random time";
  case snapshot_timing::yesterday:
    return "yesterday's quietest";
  case snapshot_timing::oracle:
    return "oracle";
  }
  return "?";
}

result<snapshot_scores> simulate_snapshots(const grid& load, const snapshot_options& o) {
  const double step = load.step_seconds;
  if (!(step > 0) || std::fmod(hour, step) != 0 || o.differential_seconds < step || o.baseline_seconds < step ||
      o.baseline_seconds > day || o.differential_seconds > hour)
    return fail(errc::invalid_argument, "the load's slots do not divide an hour, or a snapshot does not fit them");
  const auto slots = [&](double seconds) { return static_cast<uword>(std::ceil(seconds / step)); };
  const uword a_day = slots(day), an_hour = slots(hour), baseline = slots(o.baseline_seconds);
  const uword differential = slots(o.differential_seconds);
  const uword learn = slots(o.learn_seconds);
  if (load.size() < learn + a_day || learn < a_day)
    return fail(errc::invalid_argument, "the load is shorter than what is learned from and a day");
  grid known = load;
  known.value.replace(arma::datum::nan, 0);
  snapshot_scores out;
  std::mt19937_64 random(o.seed);
  double last_baseline = -1;
  for (uword from = learn; from + a_day <= load.size(); from += a_day) {
    const start_choice today(known.value, from, from + a_day, baseline);
    out.days += 1;
    const auto start = planned_start(expected(known, from, a_day), known, from, a_day, baseline);
    out.planned_by_schedule += start ? 0 : 1;
    const double at = static_cast<double>(from + start.value_or(0)) * step;
    if (last_baseline >= 0)
      out.latest_seconds = std::max(out.latest_seconds, at - last_baseline);
    last_baseline = at;
    if (!today.says_nothing()) {
      today.add(of(out.baselines, snapshot_timing::planned), start.value_or(0));
      today.add_mean(of(out.baselines, snapshot_timing::fixed));
      today.add(of(out.baselines, snapshot_timing::random), random() % today.starts());
      today.add(of(out.baselines, snapshot_timing::yesterday),
                start_choice(known.value, from - a_day, from, baseline).quietest());
      today.add(of(out.baselines, snapshot_timing::oracle), today.quietest());
    }
    const uword every = std::max(an_hour, slots(o.plan_every_seconds) / an_hour * an_hour);
    expected_demand ahead;
    for (uword h = 0; h + an_hour <= a_day; h += an_hour) {
      if (h % every == 0)
        ahead = expected(known, from + h, every);
      const start_choice now(known.value, from + h, from + h + an_hour, differential);
      if (now.says_nothing())
        continue;
      const auto planned = planned_start(ahead, known, from + h, an_hour, differential);
      now.add(of(out.differentials, snapshot_timing::planned), planned.value_or(0));
      now.add_mean(of(out.differentials, snapshot_timing::fixed));
      now.add(of(out.differentials, snapshot_timing::random), random() % now.starts());
      now.add(of(out.differentials, snapshot_timing::yesterday),
              start_choice(known.value, from + h - a_day, from + h - a_day + an_hour, differential).quietest());
      now.add(of(out.differentials, snapshot_timing::oracle), now.quietest());
    }
  }
  finish(out.baselines);
  finish(out.differentials);
  return out;
}

} // namespace gnomon::forecasting
