// When a ring pauses to let requests gather: against clients that are simulated by their own time per request and the
// number of requests they keep in flight.
#include "io/ring/gather_pace.hpp"

#include <algorithm>

#include <boost/test/unit_test.hpp>

namespace gnomon::io {
BOOST_AUTO_TEST_SUITE(gather_pace_test)
namespace {

using std::chrono::nanoseconds;

// A client that needs `think` per request, one after the other, and keeps `depth` in flight; a ring that needs `turn`
// per turn and `work` per request. The ring takes what has been sent when it looks.
struct simulation {
  nanoseconds think{0};
  unsigned depth = 1;
  nanoseconds turn{3000}, work{3000};
  gather_pace pace;
  boot_time now{};
  boot_time client_busy_until{};
  unsigned answered = 0; // replies the client has yet to deal with; each becomes a request `think` later
  unsigned requests = 0, turns = 0, pauses = 0;

  void run(unsigned total) {
    answered = depth;
    while (requests < total) {
      if (requests > 0 && pace.gathering()) {
        now += gather_pace::pause;
        ++pauses;
      }
      unsigned sent = take();
      if (sent == 0) { // wait for the next one
        now = client_busy_until + think;
        sent = take();
      }
      now += turn + work * sent;
      if (answered == 0)
        client_busy_until = now; // it had nothing to do
      answered += sent;
      requests += sent;
      ++turns;
      pace.turned(sent, now);
    }
  }

  unsigned take() {
    unsigned sent = 0;
    while (answered > 0 && client_busy_until + think <= now) {
      client_busy_until += think;
      --answered;
      ++sent;
    }
    return sent;
  }

  double pause_share() const { return static_cast<double>(pauses) / turns; }
  nanoseconds each() const { return now.time_since_epoch() / requests; }
};

simulation ran(nanoseconds think, unsigned depth) {
  simulation one;
  one.think = think;
  one.depth = depth;
  one.run(1'000'000);
  return one;
}

} // namespace

BOOST_AUTO_TEST_CASE(gathers_from_a_busy_client_with_much_in_flight) {
  const auto one = ran(nanoseconds{8000}, 32);
  BOOST_TEST(one.requests > 3 * one.turns); // alone: one per turn
  BOOST_TEST(one.each().count() < 8300);    // and the client is not held up: 8,000 ns are its own
}

BOOST_AUTO_TEST_CASE(leaves_a_client_alone_that_has_one_request_in_flight) {
  const auto one = ran(nanoseconds{9000}, 1); // 15 us per request: dense enough for a trial
  BOOST_TEST(one.pauses > 0u);
  BOOST_TEST(one.pauses < one.requests / 500);
  BOOST_TEST(one.each().count() < 15'000 * 1.01);
}

BOOST_AUTO_TEST_CASE(leaves_a_client_alone_that_would_starve) {
  const auto one = ran(nanoseconds{5000}, 3); // three requests take it less time than a pause
  BOOST_TEST(one.pauses < one.requests / 200);
  simulation without;
  without.think = nanoseconds{5000};
  without.depth = 3;
  without.run(200); // too few for a trial
  BOOST_TEST(static_cast<double>(one.each().count()) < static_cast<double>(without.each().count()) * 1.02);
}

BOOST_AUTO_TEST_CASE(never_tries_where_requests_are_rare_or_gather_by_themselves) {
  BOOST_TEST(ran(nanoseconds{40'000}, 4).pauses == 0u);
  gather_pace pace;
  boot_time now{};
  for (unsigned turn = 0; turn < 100'000; ++turn) {
    pace.turned(gather_pace::crowd, now += nanoseconds{10'000});
    BOOST_REQUIRE(!pace.gathering());
  }
}

BOOST_AUTO_TEST_CASE(stops_when_the_client_changes) {
  simulation one;
  one.think = nanoseconds{8000};
  one.depth = 32;
  one.run(100'000);
  BOOST_REQUIRE(one.pause_share() > 0.5);
  gather_pace& pace = one.pace;
  boot_time now = one.now;
  unsigned pauses = 0;
  for (unsigned request = 0; request < 10'000; ++request) { // now one at a time
    if (pace.gathering()) {
      now += gather_pace::pause;
      ++pauses;
    }
    pace.turned(1, now += nanoseconds{15'000});
  }
  BOOST_TEST(pauses <= 2 * gather_pace::window_requests);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace gnomon::io
