// Events: kept over restarts and crashes, bounded without losing what is planned, numbered once and for ever.
#include "store/meta/event_book.hpp"

#include <future>
#include <set>

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "store/meta/catalogue.hpp"
#include "store/meta/schema.hpp"
#include "tests/store/support.hpp"

using namespace gnomon;
using namespace gnomon::store;
using namespace gnomon::store::testing;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(event_book_test)
namespace {

const wall_time now = wall_time(microseconds(1'700'000'000'000'000));

event_notice notice(const std::string& type, microseconds from_now, microseconds duration = 10min) {
  return {type, {event_scope::volume, "db"}, now + from_now, duration, ""};
}

struct open_book {
  std::string path;
  manual_clock clock{now};
  std::size_t events_max = calendar_events_max;
  event_book_opening opening;
  std::unique_ptr<environment> meta;
  std::unique_ptr<event_book> book;
  std::size_t published = 0;

  explicit open_book(std::string where) : path(std::move(where)) { open(); }
  ~open_book() { close(); }
  void open() {
    auto m = environment::open(meta_environment_options(path));
    REQUIRE_OK(m);
    meta = std::move(*m);
    auto b = event_book::open({meta.get(), &clock, events_max, [this](const event_list&) { ++published; }}, &opening);
    REQUIRE_OK(b);
    book = std::move(*b);
  }
  void close() {
    if (meta)
      meta->stop();
    book.reset();
    meta.reset();
  }
  void reopen() {
    close();
    open();
  }
  result<event_addition> add(std::vector<event_notice> told) {
    std::promise<result<event_addition>> promise;
    book->add(std::move(told), event_source::cli, [&](auto r) { promise.set_value(std::move(r)); });
    return promise.get_future().get();
  }
  result<calendar_event> remove(std::uint64_t id) {
    std::promise<result<calendar_event>> promise;
    book->remove(event_id{id}, [&](auto r) { promise.set_value(std::move(r)); });
    return promise.get_future().get();
  }
  std::vector<std::string> types() const {
    std::vector<std::string> out;
    for (const auto& event : *book->events())
      out.push_back(event.notice.type);
    return out;
  }
  void put(std::string_view key, bytes_view value, database_id where = meta_database::events) {
    REQUIRE_OK(meta->write([&](write_transaction& t) { return t.put(where, key, value); }));
  }
};

using names = std::vector<std::string>;

} // namespace

BOOST_AUTO_TEST_CASE(what_was_told_is_there_after_a_restart_in_order_of_its_start) {
  scratch_directory where;
  open_book node(where / "meta");
  BOOST_TEST(node.opening.problems.empty());
  const auto added = node.add({notice("later", 2h), notice("sooner", 1h)});
  REQUIRE_OK(added);
  BOOST_TEST(added->events.front().id.value == 1u);
  BOOST_TEST(added->events.front().notice.type == "later"); // as told
  BOOST_TEST((added->events.front().added == now));
  BOOST_TEST((node.types() == names{"sooner", "later"}));
  const auto before = *node.book->events();
  node.reopen();
  BOOST_TEST(node.opening.events == 2u);
  BOOST_TEST((*node.book->events() == before));
}

BOOST_AUTO_TEST_CASE(a_number_is_never_used_twice) {
  scratch_directory where;
  open_book node(where / "meta");
  std::set<std::uint64_t> seen;
  for (int round = 0; round < 4; ++round) {
    const auto added = node.add({notice("a", 1h), notice("b", 1h)});
    REQUIRE_OK(added);
    for (const auto& event : added->events) {
      BOOST_TEST(seen.insert(event.id.value).second);
      REQUIRE_OK(node.remove(event.id.value));
    }
    node.reopen();
    BOOST_TEST(node.book->events()->empty());
  }
}

BOOST_AUTO_TEST_CASE(removing_answers_with_what_was_removed_and_only_once) {
  scratch_directory where;
  open_book node(where / "meta");
  REQUIRE_OK(node.add({notice("a", 1h)}));
  const auto removed = node.remove(1);
  REQUIRE_OK(removed);
  BOOST_TEST(removed->notice.type == "a");
  CHECK_ERROR(node.remove(1), errc::not_found);
  CHECK_ERROR(node.remove(0), errc::not_found);
  node.reopen();
  BOOST_TEST(node.book->events()->empty());
}

BOOST_AUTO_TEST_CASE(all_events_of_a_call_are_kept_or_none) {
  scratch_directory where;
  open_book node(where / "meta");
  CHECK_ERROR(node.add({}), errc::invalid_argument);
  CHECK_ERROR(node.add({notice("good", 1h), notice("", 1h)}), errc::invalid_argument);
  CHECK_ERROR(node.add(std::vector<event_notice>(event_batch_max + 1, notice("many", 1h))), errc::invalid_argument);
  BOOST_TEST(node.book->events()->empty());
  REQUIRE_OK(node.add(std::vector<event_notice>(event_batch_max, notice("many", 1h))));
  BOOST_TEST(node.book->events()->size() == event_batch_max);
}

BOOST_AUTO_TEST_CASE(a_full_book_forgets_the_oldest_past_and_never_what_is_planned_or_runs) {
  scratch_directory where;
  open_book node(where / "meta");
  node.events_max = 5;
  node.reopen();
  REQUIRE_OK(
      node.add({notice("older", -50h), notice("oldest", -90h), notice("running", -5min), notice("planned", 9h)}));
  const auto fifth = node.add({notice("fifth", 10h)});
  REQUIRE_OK(fifth);
  BOOST_TEST(fifth->forgotten == 0u);
  const auto sixth = node.add({notice("sixth", 11h)});
  REQUIRE_OK(sixth);
  BOOST_TEST(sixth->forgotten == 1u);
  BOOST_TEST((node.types() == names{"older", "running", "planned", "fifth", "sixth"}));
  CHECK_ERROR(node.add({notice("x", 1h), notice("y", 1h)}), errc::limit_reached); // there is one past event only
  BOOST_TEST((node.types() == names{"older", "running", "planned", "fifth", "sixth"}));
  REQUIRE_OK(node.add({notice("x", 12h)}));
  CHECK_ERROR(node.add({notice("y", 12h)}), errc::limit_reached);
  node.clock.advance(1h); // the running one has ended by now
  REQUIRE_OK(node.add({notice("y", 13h)}));
  node.reopen();
  BOOST_TEST((node.types() == names{"planned", "fifth", "sixth", "x", "y"}));
}

// Jobs of one commit see each other's changes: the limit holds although all are queued before the first is done.
BOOST_AUTO_TEST_CASE(the_limit_holds_for_changes_that_are_queued_together) {
  scratch_directory where;
  open_book node(where / "meta");
  node.events_max = 50;
  node.reopen();
  constexpr int asked = 200;
  std::vector<std::promise<result<event_addition>>> answers(asked);
  for (int i = 0; i < asked; ++i)
    node.book->add({notice(fmt::format("e{}", i), (i % 2 ? 1h : -90h) + microseconds(i))}, event_source::http,
                   [&answer = answers[static_cast<std::size_t>(i)]](auto r) { answer.set_value(std::move(r)); });
  std::size_t kept = 0, forgotten = 0;
  std::set<std::uint64_t> ids;
  for (auto& answer : answers) {
    const auto outcome = answer.get_future().get();
    if (!outcome) {
      CHECK_ERROR(outcome, errc::limit_reached);
      continue;
    }
    ++kept, forgotten += outcome->forgotten;
    BOOST_TEST(ids.insert(outcome->events.front().id.value).second);
  }
  BOOST_TEST(node.book->events()->size() == kept - forgotten);
  BOOST_TEST(node.book->events()->size() <= 50u);
  const auto before = *node.book->events();
  node.reopen();
  BOOST_TEST((*node.book->events() == before));
}

BOOST_AUTO_TEST_CASE(damaged_records_are_named_skipped_and_can_be_removed) {
  scratch_directory where;
  open_book node(where / "meta");
  REQUIRE_OK(node.add({notice("a", 1h), notice("b", 2h), notice("c", 3h)}));
  auto torn = encode(node.book->events()->at(1));
  torn[20] ^= std::byte{1};
  node.put(event_key(event_id{2}), torn);
  node.put("odd", torn);
  node.put(event_key(event_id{9}), encode(node.book->events()->at(0))); // under another's number
  node.reopen();
  BOOST_TEST((node.types() == names{"a", "c"}));
  BOOST_REQUIRE(node.opening.problems.size() == 3u);
  BOOST_TEST(node.opening.problems[0].find("event 2") != std::string::npos);
  const auto removed = node.remove(2);
  REQUIRE_OK(removed);
  BOOST_TEST(removed->id.value == 2u);
  BOOST_TEST(removed->notice.type.empty());
  REQUIRE_OK(node.remove(9));
  node.reopen();
  BOOST_TEST(node.opening.problems.size() == 1u); // the key that is no number
  BOOST_TEST((node.types() == names{"a", "c"}));
}

BOOST_AUTO_TEST_CASE(a_lost_counter_leaps_over_every_number_there_was) {
  scratch_directory where;
  open_book node(where / "meta");
  REQUIRE_OK(node.add({notice("a", 1h), notice("b", 2h)}));
  REQUIRE_OK(node.remove(2));
  node.put(event_counter_key, to_bytes("rubbish"), meta_database::node);
  CHECK_ERROR(node.add({notice("c", 1h)}), errc::corrupt);
  node.reopen();
  BOOST_TEST(node.opening.problems.size() == 1u);
  const auto added = node.add({notice("c", 1h)});
  REQUIRE_OK(added);
  BOOST_TEST(added->events.front().id.value == 1 + event_id_leap);
  node.reopen();
  BOOST_TEST(node.opening.problems.empty());
}

BOOST_AUTO_TEST_CASE(a_counter_of_a_newer_release_keeps_the_book_shut) {
  scratch_directory where;
  open_book node(where / "meta");
  node.put(event_counter_key, seal_value(value_type::event_counter, event_counter_version + 1, to_bytes("next")),
           meta_database::node);
  node.close();
  auto meta = environment::open(meta_environment_options(node.path));
  REQUIRE_OK(meta);
  CHECK_ERROR(event_book::open({meta->get()}), errc::unsupported);
}

BOOST_AUTO_TEST_CASE(changes_after_the_stop_are_refused_and_readers_keep_what_they_have) {
  scratch_directory where;
  open_book node(where / "meta");
  REQUIRE_OK(node.add({notice("a", 1h)}));
  const auto held = node.book->events();
  BOOST_TEST(node.published == 2u); // the opening and one change
  REQUIRE_OK(node.remove(1));
  BOOST_TEST(held->size() == 1u);
  node.meta->stop();
  CHECK_ERROR(node.add({notice("b", 1h)}), errc::shutting_down);
  CHECK_ERROR(node.remove(1), errc::shutting_down);
}

BOOST_AUTO_TEST_CASE(what_was_acknowledged_survives_kill_9) {
  auto random = seeded("what_was_acknowledged_survives_kill_9");
  scratch_directory where;
  std::uint64_t acknowledged = 0;
  for (int round = 0; round < 6; ++round) {
    const auto report = run_and_kill(
        [&](int report_fd) {
          open_book node(where / "meta");
          while (true) {
            const auto added = node.add({notice("x", 1h), notice("y", 1h)});
            if (!added)
              return;
            const auto last = added->events.back().id.value;
            if (::write(report_fd, &last, sizeof last) != sizeof last)
              return;
            if (last > 3000)
              return;
          }
        },
        static_cast<unsigned>(below(random, 60'000)), kill_clock::from_first_report);
    acknowledged = std::max(acknowledged, last_u64(report));
    open_book node(where / "meta");
    BOOST_TEST(node.opening.problems.empty());
    std::set<std::uint64_t> ids;
    for (const auto& event : *node.book->events())
      ids.insert(event.id.value);
    for (std::uint64_t id = 1; id <= acknowledged; ++id)
      BOOST_REQUIRE_MESSAGE(ids.contains(id), "event " << id << " of " << acknowledged << " is lost");
    BOOST_TEST(ids.size() % 2 == 0u); // pairs whole or not at all
  }
  BOOST_TEST(acknowledged > 0u);
}

BOOST_AUTO_TEST_SUITE_END()
