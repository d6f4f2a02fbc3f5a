// From the rows of a history to the forecast that operators see: scale, honesty about too little past, saved models,
// events, instances.
#include "actors/learning/forecast_fit.hpp"

#include <cmath>

#include <boost/test/unit_test.hpp>

#include "tests/actors/actor_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using forecasting::day;
using forecasting::hour;

BOOST_AUTO_TEST_SUITE(forecast_fit_test)
namespace {

using std::chrono::seconds;
const wall_time now{seconds{1'800'000'000}}; // a multiple of five minutes

struct fixture : tests::temporary_history {
  forecast_subject subject;

  fixture() {
    subject.name = "db";
    const auto uuid = volume_uuid::random();
    subject.object = uuid.to_string();
    subject.sources = {{uuid, std::nullopt}};
    subject.horizons = {seconds{300}, seconds{1800}, seconds{7200}};
    subject.concerns.volume = "db";
  }
  // Requests per slot by a function of the time before `now` in seconds.
  template <class Load>
  void remember(store::resolution at, double span_seconds, Load load, const char* instance = "") {
    const double step = static_cast<double>(store::slot_length(at).count());
    const auto who = *instance == '\0' ? store::instance_index{} : history->intern(instance_id{instance}).value();
    for (double before = span_seconds; before > 0; before -= step) {
      store::access_counters counters;
      counters.reads = static_cast<std::uint64_t>(std::llround(load(before)));
      counters.read_bytes = counters.reads * 4096;
      const auto when = now - microseconds{static_cast<std::int64_t>(before * 1e6)};
      history->append({subject.sources[0].volume, at, when, {{chunk_index{7}, who, counters}}, std::nullopt},
                      [](result<void>) {});
    }
    BOOST_REQUIRE(history->maintain().has_value()); // all of it is there now
  }
  forecast_view make(load_kind load = load_kind::requests, const std::vector<forecasting::load_event>& events = {},
                     wall_time at = now, seconds model_age_max = seconds{0}) {
    auto made = make_forecast(*history, subject, load, events, at, {model_age_max});
    BOOST_REQUIRE(made.has_value());
    return std::move(*made);
  }
};

double daily(double before) { return 600 + 400 * std::sin(2 * 3.14159265 * before / day); }

} // namespace

BOOST_FIXTURE_TEST_CASE(without_any_past_it_says_so, fixture) {
  const auto view = make();
  BOOST_TEST(!view.enough_past);
  BOOST_TEST(view.past.empty());
  BOOST_TEST(view.observed_slots == 0u);
  for (const double load : view.ahead)
    BOOST_TEST(load == 0);
}

BOOST_FIXTURE_TEST_CASE(a_minute_is_too_little_and_its_level_is_kept, fixture) {
  remember(store::resolution::ten_seconds, 60, [](double) { return 50; });
  const auto view = make();
  BOOST_TEST(!view.enough_past);
  BOOST_TEST(view.step_us == 10'000'000);
  BOOST_REQUIRE(!view.ahead.empty());
  BOOST_TEST(double(view.ahead[0]) == 5, boost::test_tools::tolerance(0.05)); // per second
}

BOOST_FIXTURE_TEST_CASE(a_week_of_days_is_forecast_no_worse_than_naively, fixture) {
  remember(store::resolution::five_minutes, 7 * day, daily);
  const auto view = make();
  BOOST_TEST(view.enough_past);
  BOOST_TEST(view.step_us == 300'000'000);
  BOOST_TEST(view.start_us == now.time_since_epoch().count());
  BOOST_REQUIRE(view.horizons.size() == 3u);
  for (const auto& h : view.horizons) {
    BOOST_TEST(h.origins > 0u);
    BOOST_TEST(double(h.served_mase) <= double(h.best_naive_mase) * (1 + 1e-9));
    BOOST_TEST(h.methods.size() == forecasting::method_count);
  }
  BOOST_REQUIRE(view.ahead.size() == 288u);
  BOOST_TEST((view.low.size() == view.ahead.size() && view.high.size() == view.ahead.size()));
  double error = 0;
  for (std::size_t slot = 0; slot < view.ahead.size(); ++slot) {
    BOOST_TEST(double(view.low[slot]) <= double(view.high[slot]));
    error += std::abs(view.ahead[slot] - daily(-300.0 * static_cast<double>(slot)) / 300) / 288;
  }
  BOOST_TEST(error < 0.2 * 600 / 300); // a fifth of the mean; as now would miss by more than half
  const auto bytes = make(load_kind::read_bytes);
  BOOST_TEST(double(bytes.past[0]) == 4096 * double(view.past[0]), boost::test_tools::tolerance(1e-9));
  const auto writes = make(load_kind::writes);
  for (const double load : writes.ahead)
    BOOST_TEST(load < 1e-9);
}

BOOST_FIXTURE_TEST_CASE(a_saved_model_is_served_while_it_is_young_also_after_a_restart, fixture) {
  remember(store::resolution::five_minutes, 3 * day, daily);
  const auto first = make();
  open();
  const auto again = make(load_kind::requests, {}, now + seconds{200}, seconds{600});
  BOOST_TEST((again.ahead == first.ahead));
  BOOST_TEST(again.start_us == first.start_us);
  const auto later = make(load_kind::requests, {}, now + seconds{3600}, seconds{600});
  BOOST_TEST(later.start_us == first.start_us + 3'600'000'000);
}

BOOST_FIXTURE_TEST_CASE(a_damaged_model_is_learned_again, fixture) {
  remember(store::resolution::five_minutes, 3 * day, daily);
  const auto first = make();
  BOOST_REQUIRE(history->put_model(subject.object, "forecast/requests", forecast_model_blob_version, store::bytes{}));
  const auto again = make(load_kind::requests, {}, now, seconds{600});
  BOOST_TEST((again.ahead == first.ahead));
  BOOST_TEST(history->get_model(subject.object, "forecast/requests")->blob.size() > 0u);
}

BOOST_FIXTURE_TEST_CASE(what_events_did_before_is_expected_of_the_next_one, fixture) {
  std::vector<forecasting::load_event> events;
  const double end = 1.8e9;
  for (int n = 1; n <= 6; ++n) // at odd times, so that no season explains them
    events.push_back({"deployment", forecasting::event_target::volume, "db", end - n * day - n * 4777 + 300, 1800});
  events.push_back({"deployment", forecasting::event_target::volume, "db", end + hour, 1800});
  events.push_back({"deployment", forecasting::event_target::volume, "other", end + 3 * hour, 1800});
  const auto during = [&](double before) {
    for (const auto& e : events)
      if (end - before >= e.start_seconds && end - before < e.start_seconds + e.duration_seconds)
        return true;
    return false;
  };
  remember(store::resolution::five_minutes, 8 * day, [&](double before) { return during(before) ? 2400.0 : 600.0; });
  const auto without = make();
  const auto with = make(load_kind::requests, events);
  BOOST_TEST(double(with.ahead[14]) > 1.5 * double(without.ahead[14])); // within the hour that was told
  BOOST_TEST(double(with.ahead[38]) < 1.5 * double(without.ahead[38])); // another volume's
  std::size_t planned = 0;
  for (const auto& mark : with.events) {
    BOOST_TEST(mark.type == "deployment");
    BOOST_TEST(double(mark.factor) > 1.5);
    planned += mark.start_us >= with.start_us ? 1 : 0;
  }
  BOOST_TEST(planned == 1u);
}

BOOST_FIXTURE_TEST_CASE(an_instance_s_part_is_forecast_by_itself, fixture) {
  remember(
      store::resolution::five_minutes, 2 * day, [](double) { return 300; }, "web-1");
  remember(
      store::resolution::five_minutes, 2 * day, [](double) { return 900; }, "web-2");
  subject.kind = subject_kind::instance;
  subject.sources[0].instance = history->find(instance_id{"web-1"});
  BOOST_REQUIRE(subject.sources[0].instance.has_value());
  const auto view = make();
  BOOST_TEST(double(view.past.back()) == 1, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(double(view.ahead[0]) == 1, boost::test_tools::tolerance(0.05));
}

BOOST_AUTO_TEST_SUITE_END()
