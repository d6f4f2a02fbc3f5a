// The forecaster actor: concurrent requests share a fit, and an event that was added during one is in what they get.
#include "actors/learning/forecaster.hpp"

#include <future>

#include <caf/send.hpp>

#include <boost/test/unit_test.hpp>

#include "tests/actors/actor_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::tests;

BOOST_AUTO_TEST_SUITE(forecaster_test)
namespace {

using urgency = background_pool::urgency;

struct forecaster_fixture : store_and_engine, temporary_history {
  background_pool pool{{1, 1.0, 100}};
  node_context node;
  system_config config{networking::none};
  caf::actor_system system{config};
  forecaster_actor actor;
  std::promise<void> open;
  std::shared_future<void> opened = open.get_future().share();

  forecaster_fixture() {
    node.engine = engine.get();
    node.catalogue = catalogue.get();
    node.history = history.get();
    node.fits = &pool;
    store::volume_request request;
    request.name = volume_name{"db"};
    request.size = byte_count{1 << 20};
    const auto record = value(catalogue->create(request));
    // Both threads of the pool are busy until `open`.
    for (const char* name : {"one", "other"})
      BOOST_REQUIRE(pool.submit({name, urgency::person_waits, [gate = opened] { gate.wait(); }}).has_value());
    actor = caf::actor_cast<forecaster_actor>(spawn_forecaster(system, &node, record.uuid));
  }
  ~forecaster_fixture() {
    caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
    actor = nullptr;
    pool.stop();
    meta->stop();
  }
  std::future<result<forecast_view>> request() {
    return std::async(std::launch::async, [this] {
      return ask<forecast_view>(system, actor, atom::forecast_v, forecast_request{subject_kind::volume, "db"});
    });
  }
  // Until the forecaster has begun a fit and every request before this one has reached it.
  bool fits_under_way(const std::string& count) {
    return eventually([&] {
      const auto said = ask<std::string>(system, actor, atom::ask_v, std::string("fits"));
      return said && said->starts_with(count + " under way");
    });
  }
  void add_event() {
    calendar_event event;
    event.id = event_id{1};
    event.notice.type = "deployment";
    event.notice.target = {event_scope::volume, "db"};
    event.notice.start = system_clock_source().wall_now() + std::chrono::minutes{10};
    node.set_events(std::make_shared<const std::vector<calendar_event>>(std::vector{event}));
  }
  std::uint64_t fits_done() const { return pool.now().done - 2; }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(concurrent_requests_share_a_fit, forecaster_fixture) {
  auto first = request(), second = request();
  BOOST_REQUIRE(fits_under_way("1"));
  open.set_value();
  BOOST_TEST(first.get().has_value());
  BOOST_TEST(second.get().has_value());
  BOOST_TEST(eventually([&] { return pool.now().running.empty(); }));
  BOOST_TEST(fits_done() == 1u);
}

BOOST_FIXTURE_TEST_CASE(an_event_that_is_added_during_a_fit_is_in_its_answer, forecaster_fixture) {
  auto asked = request();
  BOOST_REQUIRE(fits_under_way("1"));
  add_event();
  open.set_value();
  BOOST_TEST(asked.get().has_value());
  BOOST_TEST(eventually([&] { return pool.now().running.empty(); }));
  BOOST_TEST(fits_done() == 2u); // the first one did not have it
}

BOOST_AUTO_TEST_SUITE_END()
