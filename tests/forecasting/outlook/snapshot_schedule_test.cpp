// Snapshots of a group by a virtual clock: they go into predicted quiet windows, events shift them, the bound is kept
// whatever is predicted, and without a usable prediction the plain schedule is.
#include "forecasting/outlook/snapshot_schedule.hpp"

#include <boost/test/unit_test.hpp>

#include <numbers>
#include <random>

using namespace gnomon;
using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(snapshot_schedule_test)
namespace {

constexpr double some_time = 1.7e9;
double start_of_day() { return std::floor(some_time / day) * day; }

// A day with its quietest time at `quiet_hour`, in slots of five minutes.
expected_demand tide(double from, double quiet_hour, double hours = 24) {
  expected_demand out;
  out.load.start_seconds = from;
  out.load.step_seconds = 5 * minute;
  out.load.value.set_size(static_cast<arma::uword>(hours * 12));
  for (arma::uword i = 0; i < out.load.value.n_elem; ++i) {
    const double at = out.load.time_of(i) / day - quiet_hour / 24;
    out.load.value(i) = 1.05 - std::cos(2 * std::numbers::pi * at);
  }
  out.mean_load = 1.05;
  return out;
}

snapshot_rule hourly() {
  snapshot_rule rule;
  rule.prediction = true;
  rule.every_seconds = hour;
  rule.latest_by_seconds = 2 * hour;
  rule.baseline_every_seconds = day;
  return rule;
}

// Carries a rule out by a clock that goes on by `tick`; what would have been taken.
template <class Demand>
std::vector<planned_snapshot> carry_out(const snapshot_rule& rule, double from, double until, double tick, Demand demand,
                                        const std::vector<veto>& vetoes = {}) {
  snapshot_past past;
  past.created = from;
  std::vector<planned_snapshot> taken;
  for (double now = from; now < until; now += tick) {
    const auto next = plan_snapshots(rule, past, demand(now), vetoes, now, now + day, 1);
    if (next.empty() || next.front().chosen.start > now)
      continue;
    taken.push_back(next.front());
    past.newest = now;
    if (next.front().kind == snapshot_kind::baseline)
      past.newest_baseline = now;
  }
  return taken;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_baseline_goes_into_the_widest_quiet_window) {
  const double from = start_of_day();
  const auto chosen = choose_start({from, from + day, 30 * minute}, tide(from, 15));
  BOOST_TEST(to_string(chosen.reason) == "quiet window");
  BOOST_TEST(chosen.start > from + 14 * hour);
  BOOST_TEST(chosen.start < from + 15.5 * hour);
  BOOST_TEST(chosen.load_fraction.value() < 0.2);
}

BOOST_AUTO_TEST_CASE(a_load_that_is_never_quiet_still_has_a_best_time) {
  const double from = start_of_day();
  auto busy = tide(from, 4);
  busy.load.value += 10;
  busy.mean_load = 11;
  const auto chosen = choose_start({from, from + day, 30 * minute}, busy);
  BOOST_TEST(to_string(chosen.reason) == "least load");
  BOOST_TEST(std::abs(chosen.start - (from + 4 * hour)) < hour);
}

BOOST_AUTO_TEST_CASE(a_chosen_time_stays_chosen_when_it_comes) {
  const double from = start_of_day();
  const auto demand = tide(from, 4);
  const auto chosen = choose_start({from, from + hour, 5 * minute}, demand);
  BOOST_REQUIRE(chosen.start > from);
  const auto later = choose_start({chosen.start + 1, from + hour, 5 * minute}, demand);
  BOOST_TEST(later.start == chosen.start + 1);
}

BOOST_AUTO_TEST_CASE(an_event_shifts_it) {
  const double from = start_of_day();
  const std::vector<veto> vetoes{{from + 14 * hour, from + 16 * hour}};
  const auto chosen = choose_start({from, from + day, 30 * minute}, tide(from, 15), vetoes);
  BOOST_TEST((chosen.start + 30 * minute <= from + 14 * hour || chosen.start >= from + 16 * hour));
  expected_demand none;
  none.unusable = "nothing";
  const auto plain = choose_start({from + 15 * hour, from + day, 30 * minute}, none, vetoes);
  BOOST_TEST(to_string(plain.reason) == "after an event");
  BOOST_TEST(plain.start == from + 16 * hour);
}

BOOST_AUTO_TEST_CASE(events_that_leave_no_room_do_not_cost_the_snapshot) {
  const double from = start_of_day();
  const auto chosen = choose_start({from, from + hour, 5 * minute}, tide(from, 15), {{from - hour, from + day}});
  BOOST_TEST(to_string(chosen.reason) == "deadline");
  BOOST_TEST(chosen.start == from + hour - 5 * minute);
}

BOOST_AUTO_TEST_CASE(without_a_usable_prediction_the_plain_schedule_is_kept) {
  const double from = start_of_day();
  expected_demand none;
  none.unusable = "too little of its load was observed";
  auto rule = hourly();
  rule.baseline_every_seconds = 0;
  const auto taken = carry_out(rule, from, from + day, 1, [&](double) { return none; });
  BOOST_TEST(taken.size() == 24u);
  for (const auto& one : taken)
    BOOST_TEST(to_string(one.chosen.reason) == "schedule");
  // The same without prediction.
  rule.prediction = false;
  BOOST_TEST(carry_out(rule, from, from + day, 1, [&](double now) { return tide(now, 3); }).size() == 24u);
}

BOOST_AUTO_TEST_CASE(a_day_by_prediction_has_its_differentials_and_one_baseline) {
  const double from = start_of_day();
  const auto taken = carry_out(hourly(), from, from + 3 * day, 10,
                               [&](double now) { return tide(std::floor(now / 300) * 300, 15); });
  std::size_t baselines = 0, quiet = 0;
  for (const auto& one : taken) {
    baselines += one.kind == snapshot_kind::baseline ? 1 : 0;
    quiet += one.chosen.load_fraction ? 1 : 0;
  }
  BOOST_TEST(taken.size() >= 68u);
  BOOST_TEST(taken.size() <= 78u);
  BOOST_TEST(baselines >= 3u); // the first one of all, and one for each further day
  BOOST_TEST(baselines <= 4u);
  BOOST_TEST(quiet >= taken.size() * 9 / 10);
}

BOOST_AUTO_TEST_CASE(a_plan_of_a_day_is_what_is_carried_out) {
  const double from = start_of_day();
  const auto demand = tide(from, 15);
  snapshot_past past{from - 2 * day, from - hour, from - day};
  const auto plan = plan_snapshots(hourly(), past, demand, {}, from, from + 12 * hour);
  BOOST_TEST(plan.size() >= 11u);
  for (std::size_t i = 1; i < plan.size(); ++i)
    BOOST_TEST(plan[i].chosen.start > plan[i - 1].chosen.start);
}

// The promise: whatever is predicted, whenever events are, however coarse the clock, no snapshot comes later than the
// bound after the one before.
BOOST_AUTO_TEST_CASE(the_bound_is_never_missed) {
  const std::uint64_t seed = 20240611;
  BOOST_TEST_MESSAGE("seed " << seed);
  std::mt19937_64 random(seed);
  const auto uniform = [&](double a, double b) { return std::uniform_real_distribution<>(a, b)(random); };
  for (int round = 0; round < 60; ++round) {
    const double from = start_of_day() + uniform(0, day);
    snapshot_rule rule;
    rule.prediction = round % 4 != 0;
    rule.every_seconds = std::round(uniform(600, 4 * hour));
    rule.latest_by_seconds = std::round(rule.every_seconds * uniform(1, 3));
    rule.baseline_every_seconds = round % 3 == 0 ? 0 : rule.every_seconds * std::round(uniform(2, 10));
    std::vector<veto> vetoes;
    for (int i = 0; i < round % 5; ++i) {
      const double at = from + uniform(0, day);
      vetoes.push_back({at, at + uniform(0, 3 * hour)});
    }
    const double tick = 7;
    auto lying = [&](double now) {
      auto demand = tide(std::floor(now / 300) * 300, uniform(0, 24), uniform(0.5, 24)); // another shape every time
      if (random() % 10 == 0)
        demand.unusable = "for a while";
      return demand;
    };
    snapshot_past past;
    past.created = from;
    double last = from;
    for (double now = from; now < from + day; now += tick) {
      const auto next = plan_snapshots(rule, past, lying(now), vetoes, now, now + day, 1);
      BOOST_REQUIRE(!next.empty());
      if (next.front().chosen.start <= now) {
        past.newest = last = now;
        if (next.front().kind == snapshot_kind::baseline)
          past.newest_baseline = now;
      }
      BOOST_REQUIRE_MESSAGE(now - last <= rule.latest_by_seconds,
                            "round " << round << ": " << now - last << " s, " << rule.latest_by_seconds << " allowed");
    }
  }
}

BOOST_AUTO_TEST_CASE(a_node_that_was_off_takes_one_at_once_not_many) {
  const double now = start_of_day() + 10 * hour;
  snapshot_past past{now - 10 * day, now - 3 * day, now - 4 * day};
  const auto plan = plan_snapshots(hourly(), past, tide(now, 15), {}, now, now + 3 * hour);
  BOOST_REQUIRE(!plan.empty());
  BOOST_TEST(plan.front().chosen.start == now);
  BOOST_TEST(plan.size() <= 6u);
}

BOOST_AUTO_TEST_CASE(on_demand_means_no_plan) {
  BOOST_TEST(plan_snapshots({}, {}, tide(0, 3), {}, 0, day).empty());
}

BOOST_AUTO_TEST_SUITE_END()
