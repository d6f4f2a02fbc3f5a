// The chart of a heat map: nothing is lost or made up between the history's slots and the chart's columns.
#include "actors/learning/heat_chart.hpp"

#include <numeric>
#include <random>

#include <boost/test/unit_test.hpp>

#include "tests/actors/actor_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

BOOST_AUTO_TEST_SUITE(heat_chart_test)
namespace {

struct fixture {
  tests::shared_clock clock;
  tests::temporary_history past{clock};
  store::history* history = past.history.get();
  heat_knowledge known;
  store::instance_index web;

  fixture() {
    web = history->intern(instance_id("web-1")).value();
    known.uuid = volume_uuid::random();
    known.name = volume_name("db");
    known.size = byte_count{1ull << 30};
    known.shape = {byte_count{16ull << 20}, 64, {300.0}};
    known.now = clock.wall_now(); // in the middle of a slot
  }
  void add(wall_time when, std::uint64_t chunk, std::uint64_t reads) {
    store::history_batch b;
    b.volume = known.uuid, b.time = when;
    b.rows.push_back({chunk_index{chunk}, web, {reads, 0, reads * 4096, 0, 0}});
    BOOST_REQUIRE(history->append(std::move(b)).has_value());
  }
  heat_view draw(const heat_request& request) {
    auto view = draw_heat(*history, known, request);
    BOOST_REQUIRE(view.has_value());
    BOOST_TEST(view->chart.size() == std::size_t{view->rows} * view->columns);
    return std::move(*view);
  }
};

heat_request request(std::chrono::seconds span, std::uint32_t rows, std::uint32_t columns) {
  heat_request r;
  r.span_us = microseconds(span).count(), r.rows = rows, r.columns = columns;
  return r;
}
double sum(const heat_view& view) {
  return std::accumulate(view.chart.begin(), view.chart.end(), 0.0,
                         [](double so_far, double cell) { return so_far + cell; });
}

} // namespace

BOOST_FIXTURE_TEST_CASE(an_even_load_is_drawn_even_whatever_the_number_of_columns, fixture) {
  for (int slot = 0; slot <= 60; ++slot)
    add(known.now - seconds(10 * slot), 5, 100);
  for (const std::uint32_t columns : {1u, 7u, 45u, 59u, 69u, 1000u}) {
    const auto view = draw(request(minutes(10), 1, columns));
    BOOST_TEST(view.columns == std::min(columns, 60u)); // never narrower than what is known
    const double mean = sum(view) / view.columns;
    for (std::uint32_t column = 1; column + 1 < view.columns; ++column) // the first and last slot are cut
      BOOST_TEST(double(view.chart[column]) == mean, boost::test_tools::tolerance(0.15));
  }
}

BOOST_FIXTURE_TEST_CASE(every_request_is_in_the_chart_once, fixture) {
  std::mt19937 random(7);
  double added = 0;
  for (int i = 0; i < 300; ++i) {
    const auto reads = 1 + random() % 1000;
    add(known.now - seconds(random() % 3500), random() % 64, reads);
    added += static_cast<double>(reads);
  }
  for (const std::uint32_t columns : {1u, 13u, 64u, 500u})
    for (const std::uint32_t rows : {1u, 5u, 64u, 512u}) {
      const auto view = draw(request(hours(1), rows, columns));
      BOOST_TEST(view.rows == std::min(rows, 64u));
      BOOST_TEST(double(view.requests) == added);
      BOOST_TEST(sum(view) == added, boost::test_tools::tolerance(1e-9));
    }
}

BOOST_FIXTURE_TEST_CASE(what_is_older_is_left_out_and_the_newest_slot_is_in, fixture) {
  add(known.now, 1, 10);
  add(known.now - minutes(50), 2, 7);
  const auto view = draw(request(minutes(10), 64, 60));
  BOOST_TEST(double(view.requests) == 10.0);
  BOOST_TEST(double(view.chart[1 * 60 + 59]) > 0.0);
  BOOST_TEST(sum(view) == 10.0, boost::test_tools::tolerance(1e-9));
  BOOST_REQUIRE(view.localities.size() == 1u);
  BOOST_TEST(view.localities[0].instance.value == "web-1");
}

BOOST_FIXTURE_TEST_CASE(impossible_requests_are_refused, fixture) {
  for (const auto& wrong :
       {request(hours(1), 0, 1), request(hours(1), 1, 0), request(hours(1), chart_rows_max + 1, 1),
        request(hours(1), 1, chart_columns_max + 1), request(-hours(1), 1, 1)}) {
    const auto refused = draw_heat(*history, known, wrong);
    BOOST_REQUIRE(!refused.has_value());
    BOOST_TEST((refused.error().code == errc::invalid_argument));
  }
}

BOOST_AUTO_TEST_SUITE_END()
