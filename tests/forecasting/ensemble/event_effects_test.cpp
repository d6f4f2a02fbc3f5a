// Events: whom they concern, what is learned from past ones, and that planned ones enter the forecast.
#include <boost/test/unit_test.hpp>

#include "forecasting/outlook/windows.hpp"
#include "tests/forecasting/synthetic.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(event_effects_test)

BOOST_AUTO_TEST_CASE(only_events_that_concern_the_subject_are_kept_in_order) {
  const std::vector<load_event> told = {{"batch", event_target::instance, "web-1", 300, 10},
                                        {"deploy", event_target::volume, "db", 100, 10},
                                        {"deploy", event_target::volume, "other", 50, 10},
                                        {"scale", event_target::application, "postgresql", 200, 10},
                                        {"batch", event_target::instance, "elsewhere", 300, 10},
                                        {"power", event_target::everything, "", 10, 10}};
  const auto kept = events_for(told, {"db", {"web-1"}, {"postgresql"}});
  BOOST_REQUIRE(kept.size() == 4u);
  BOOST_TEST(kept[0].kind == "power");
  BOOST_TEST(kept[1].kind == "deploy");
  BOOST_TEST(kept[3].start_seconds == 300);
}

// A quiet daily load that rises twentyfold while a batch job runs, at irregular times.
struct load_with_jobs {
  arma::vec load = test::cyclic_load(400, 48, 0.2, 31);
  std::vector<event> jobs;
  load_with_jobs() {
    for (arma::uword at : {60, 95, 150, 203, 260, 331}) {
      jobs.push_back({"batch", 1800.0 * static_cast<double>(at), 3 * 1800.0});
      load.subvec(at, at + 2) *= 20;
    }
  }
};

BOOST_AUTO_TEST_CASE(the_effect_of_past_events_is_learned_and_shrunk) {
  const load_with_jobs past;
  const arma::vec log_value = to_log(past.load);
  const auto effects = learn_effects({log_value, 0, 1800}, past.jobs, detect_periods(log_value, 1800));
  BOOST_REQUIRE(effects.size() == 1u);
  BOOST_TEST(effects[0].slots_seen == 18);
  BOOST_TEST(std::abs(effects[0].effect - std::log(20.0)) < 0.5);
}

BOOST_AUTO_TEST_CASE(a_planned_event_raises_the_forecast_in_its_slots_alone) {
  load_with_jobs past;
  ensemble_options with, without;
  without.events = with.events = past.jobs;
  with.events.push_back({"batch", 1800.0 * 410, 2 * 1800.0});
  const auto planned = learn_forecast({0, 1800, past.load}, with);
  const auto unplanned = learn_forecast({0, 1800, past.load}, without);
  for (arma::uword h = 0; h < planned->horizon(); ++h) {
    const double raised = planned->served(h) - unplanned->served(h);
    if (h == 10 || h == 11)
      BOOST_TEST(raised > 2, "slot " << h);
    else
      BOOST_TEST(std::abs(raised) < 1e-9, "slot " << h);
  }
  const auto high =
      high_stretches({planned->start_seconds, 1800, planned->load()}, 5 * planned->mean_load, planned->mean_load);
  for (const auto& stretch : high)
    BOOST_TEST((stretch.start_seconds >= 1800.0 * 410 && stretch.end_seconds <= 1800.0 * 412));
}

BOOST_AUTO_TEST_CASE(a_kind_never_seen_changes_nothing) {
  ensemble_options options;
  options.events = {{"first ever", 1800.0 * 305, 7200}};
  const grid past{0, 1800, test::cyclic_load(300, 48, 0.2, 5)};
  const auto told = learn_forecast(past, options), untold = learn_forecast(past);
  BOOST_TEST(arma::approx_equal(told->served, untold->served, "absdiff", 0));
  BOOST_TEST(told->effects.front().slots_seen == 0);
}

BOOST_AUTO_TEST_CASE(an_event_counts_by_the_share_of_the_slot_it_covers) {
  const std::vector<event_effect> effects = {{"a", 2, 5}};
  const auto path = effect_path(effects, {{"a", 150, 100}, {"b", 0, 1000}}, 0, 100, 5);
  const arma::vec expected{0, 1, 1, 0, 0};
  BOOST_TEST(arma::approx_equal(path, expected, "absdiff", 1e-12));
  const auto instant = effect_path(effects, {{"a", 200, 0}}, 0, 100, 5);
  BOOST_TEST(instant(2) == 2);
  const auto twice = effect_path(effects, {{"a", 100, 100}, {"a", 100, 100}}, 0, 100, 5);
  BOOST_TEST(twice(1) == 2); // two at once are not twice the job
}

BOOST_AUTO_TEST_CASE(hostile_events_are_survived) {
  ensemble_options options;
  for (double start : {-1e300, 1e300, test::not_a_number, 0.0})
    for (double duration : {-1.0, 1e300, test::not_a_number, 1e11})
      options.events.push_back({"x", start, duration});
  for (int i = 0; i < 100; ++i)
    options.events.push_back({"kind " + std::to_string(i), 1800.0 * i, 1800});
  const auto model = learn_forecast({0, 1800, test::cyclic_load(200, 48, 0.2, 5)}, options);
  BOOST_REQUIRE(model);
  BOOST_TEST(model->served.is_finite());
  BOOST_TEST(model->effects.size() <= event_kinds_max);
}

BOOST_AUTO_TEST_CASE(vetoes_keep_a_margin_about_events) {
  const auto vetoes = vetoes_of({{"deploy", 1000, 60}}, 300);
  BOOST_REQUIRE(vetoes.size() == 1u);
  BOOST_TEST(vetoes[0].start_seconds == 700);
  BOOST_TEST(vetoes[0].end_seconds == 1360);
}

BOOST_AUTO_TEST_SUITE_END()
