// The calendar actor: commits before it answers, pages its lists, never loses what waits when it dies.
#include "actors/learning/events.hpp"

#include <future>
#include <set>

#include <future>

#include <boost/test/unit_test.hpp>

#include "store/meta/event_book.hpp"
#include "tests/actors/actor_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::tests;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(events_test)
namespace {

struct fixture : store_and_engine {
  shared_clock clock;
  node_context node{clock};
  std::unique_ptr<store::event_book> book;
  system_config config{networking::none};
  caf::actor_system system{config};
  calendar_actor actor;

  fixture() {
    store::event_book_options options;
    options.meta = meta.get();
    options.clock = &clock;
    options.changed = [this](const store::event_list& events) { node.set_events(events); };
    book = value(store::event_book::open(options));
    node.event_book = book.get();
    actor = caf::actor_cast<calendar_actor>(spawn_calendar(system, &node));
  }
  ~fixture() {
    caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
    meta->stop();
    actor = nullptr;
  }
  load_event event(const std::string& type, microseconds from_now, const std::string& volume = "db") const {
    return load_event({type, {event_scope::volume, volume}, clock.wall_now() + from_now, 10min, ""});
  }
  result<events_added> add(std::vector<load_event> events) {
    return ask<events_added>(system, actor, atom::add_v, event_batch{std::move(events)}, event_source::http);
  }
  std::vector<std::string> list(const event_query& query) {
    const auto page = ask<event_page>(system, actor, atom::list_v, query);
    BOOST_REQUIRE(page.has_value());
    std::vector<std::string> out;
    for (const auto& found : page->events)
      out.push_back(found.notice.type);
    return out;
  }
};
using names = std::vector<std::string>;

} // namespace

BOOST_FIXTURE_TEST_CASE(what_is_answered_is_kept_and_readers_see_it, fixture) {
  const auto added = add({event("b", 2h), event("a", 1h)});
  BOOST_REQUIRE(added.has_value());
  BOOST_TEST(added->events.size() == 2u);
  BOOST_TEST((added->events[0].source == event_source::http));
  BOOST_TEST(node.events()->size() == 2u);
  BOOST_TEST(node.events()->front().notice.type == "a");
  const auto removed = ask<event_info>(system, actor, atom::remove_v, added->events[0].id);
  BOOST_REQUIRE(removed.has_value());
  BOOST_TEST(removed->notice.type == "b");
  BOOST_TEST(node.events()->size() == 1u);
  const auto again = ask<event_info>(system, actor, atom::remove_v, added->events[0].id);
  BOOST_REQUIRE(!again.has_value());
  BOOST_TEST((again.error().code == errc::not_found));
}

BOOST_FIXTURE_TEST_CASE(hostile_messages_are_refused, fixture) {
  auto bad = event("x", 1h);
  bad.scope = static_cast<event_scope>(77);
  BOOST_TEST((add({bad}).error().code == errc::invalid_argument));
  bad = event("x", 1h);
  bad.duration_us = -1;
  BOOST_TEST((add({event("fine", 1h), bad}).error().code == errc::invalid_argument));
  bad = event("x", 1h);
  bad.start_us = std::numeric_limits<std::int64_t>::min();
  BOOST_TEST((add({bad}).error().code == errc::invalid_argument));
  BOOST_TEST((add({}).error().code == errc::invalid_argument));
  BOOST_TEST(
      (add(std::vector<load_event>(event_batch_max + 1, event("x", 1h))).error().code == errc::invalid_argument));
  const auto odd =
      ask<events_added>(system, actor, atom::add_v, event_batch{{event("x", 1h)}}, static_cast<event_source>(9));
  BOOST_TEST((odd.error().code == errc::invalid_argument));
  BOOST_TEST(node.events()->empty());
}

BOOST_FIXTURE_TEST_CASE(lists_choose_by_time_and_target, fixture) {
  BOOST_REQUIRE(
      add({event("old", -2h), event("running", -5min), event("soon", 1h, "web"), event("late", 9h)}).has_value());
  BOOST_TEST((list({}) == names{"old", "running", "soon", "late"}));
  event_query query;
  query.when = event_when::past;
  BOOST_TEST((list(query) == names{"old"}));
  query.when = event_when::planned;
  BOOST_TEST((list(query) == names{"running", "soon", "late"}));
  query = {};
  query.from_us = to_microseconds(clock.wall_now());
  query.to_us = query.from_us + 3'600'000'000;
  BOOST_TEST((list(query) == names{"running"})); // the end does not belong to it
  ++query.to_us;
  BOOST_TEST((list(query) == names{"running", "soon"}));
  query = {};
  query.any_target = false;
  query.scope = event_scope::volume;
  query.target = "web";
  BOOST_TEST((list(query) == names{"soon"}));
}

BOOST_FIXTURE_TEST_CASE(a_long_list_comes_in_pages_without_gaps, fixture) {
  for (int round = 0; round < 3; ++round)
    BOOST_REQUIRE(add(std::vector<load_event>(event_page_max - 100, event("same", 1h))).has_value());
  std::set<std::uint64_t> seen;
  event_query query;
  for (bool more = true; more;) {
    const auto page = ask<event_page>(system, actor, atom::list_v, query);
    BOOST_REQUIRE(page.has_value());
    BOOST_TEST(page->events.size() <= event_page_max);
    for (const auto& found : page->events)
      BOOST_REQUIRE(seen.insert(found.id.value).second);
    more = page->more;
    query.after_start_us = page->events.back().notice.start_us;
    query.after_id = page->events.back().id;
  }
  BOOST_TEST(seen.size() == 3 * (event_page_max - 100));
}

BOOST_FIXTURE_TEST_CASE(who_waits_when_the_actor_dies_is_told_and_the_book_goes_on, fixture) {
  // The writer is held, so that the change waits while the actor dies.
  std::promise<void> held, go;
  BOOST_REQUIRE(meta->submit(
                        [&](store::write_transaction&) -> result<void> {
                          held.set_value();
                          go.get_future().wait();
                          return {};
                        },
                        [](result<void>) {})
                    .has_value());
  held.get_future().wait();
  caf::scoped_actor self{system};
  auto waiting = self->request(actor, 60s, atom::add_v, event_batch{{event("x", 1h)}}, event_source::cli);
  BOOST_REQUIRE(eventually([&] { // it waits by the time it can say how many events there are
    return ask<std::string>(system, actor, atom::ask_v, std::string("count")).has_value();
  }));
  caf::anon_send_exit(actor, caf::exit_reason::kill);
  error told;
  waiting.receive([&](const events_added&) { told.message = "an answer"; },
                  [&](const caf::error& why) { told = from_caf(why); });
  BOOST_TEST((told.code == errc::unavailable), told.to_string());
  go.set_value();
  BOOST_TEST(eventually([&] { return node.events()->size() == 1; }));
  actor = caf::actor_cast<calendar_actor>(spawn_calendar(system, &node));
  BOOST_TEST((list({}) == names{"x"}));
}

BOOST_FIXTURE_TEST_CASE(changes_that_wait_are_bounded, fixture) {
  std::promise<void> held, go;
  BOOST_REQUIRE(meta->submit(
                        [&](store::write_transaction&) -> result<void> {
                          held.set_value();
                          go.get_future().wait();
                          return {};
                        },
                        [](result<void>) {})
                    .has_value());
  held.get_future().wait();
  for (std::size_t i = 0; i < calendar_changes_max; ++i)
    caf::anon_send(actor, atom::add_v, event_batch{{event("x", 1h)}}, event_source::cli);
  BOOST_TEST((add({event("y", 1h)}).error().code == errc::busy));
  go.set_value();
  BOOST_TEST(eventually([&] { return node.events()->size() == calendar_changes_max; }));
  BOOST_TEST(add({event("y", 1h)}).has_value());
}

BOOST_FIXTURE_TEST_CASE(it_says_what_it_holds, fixture) {
  BOOST_REQUIRE(add({event("old", -2h), event("soon", 1h)}).has_value());
  BOOST_TEST(*ask<std::string>(system, actor, atom::ask_v, std::string("count")) == "1 past, 1 planned");
  BOOST_TEST(ask<std::string>(system, actor, atom::ask_v, std::string("help"))->find("count") != std::string::npos);
  BOOST_TEST(
      (ask<std::string>(system, actor, atom::ask_v, std::string("dance")).error().code == errc::invalid_argument));
}

BOOST_AUTO_TEST_SUITE_END()
