// Greeting, proofs and refusals of a session, without a network.
#include <filesystem>
#include <fstream>

#include <boost/test/unit_test.hpp>
#include <unistd.h>

#include "io/session/home.hpp"
#include "io/session/proof.hpp"
#include "io/session/streams.hpp"

using namespace gnomon;
using namespace gnomon::io::session;

namespace {

struct pair_of_nodes {
  boot_time now{std::chrono::seconds{100}};
  home_side home;
  gateway_session gateway;
  home_side::conversation talk;

  pair_of_nodes(std::string home_secret, std::string gateway_secret, std::string expected = "alpha")
      : home({node_name{"alpha"}, start_id{5}, std::chrono::seconds{5}, prover(std::move(home_secret)), {}, {}}),
        gateway({node_name{"beta"}, start_id{9}, node_name{std::move(expected)}, std::chrono::seconds{1},
                 std::chrono::seconds{10}, prover(std::move(gateway_secret))}) {}

  // Carries frames to and fro until nothing is left to say.
  result<void> talk_it_over() {
    for (bool busy = true; busy;) {
      busy = false;
      for (const auto& f : gateway.take_outgoing()) {
        busy = true;
        auto r = home.receive(talk, f, random_nonce(), now);
        if (!r)
          return tl::unexpected(r.error());
        if (r->reply)
          if (auto ok = gateway.receive(*r->reply, now); !ok)
            return ok;
        if (r->record_shadow)
          home.add_shadow(talk.session, *r->record_shadow, now);
      }
      for (const auto& f : home.take_outgoing(talk.session)) {
        busy = true;
        if (auto ok = gateway.receive(f, now); !ok)
          return ok;
      }
    }
    return {};
  }
};

const std::string secret = "a secret of a cluster";

} // namespace

BOOST_AUTO_TEST_SUITE(sessions_test)

BOOST_AUTO_TEST_CASE(two_nodes_with_one_secret_open_a_session_and_a_lease) {
  pair_of_nodes n{secret, secret};
  n.gateway.connected(random_nonce(), n.now);
  BOOST_REQUIRE(n.talk_it_over());
  BOOST_CHECK(n.gateway.now_in() == gateway_session::state::open);
  BOOST_CHECK(n.gateway.held()->holds(n.now + std::chrono::milliseconds{4999}));
  BOOST_CHECK(!n.gateway.held()->holds(n.now + std::chrono::seconds{5}));
  BOOST_CHECK(n.home.check_data_login(n.gateway.current(), n.gateway.data_proof()) == node_name{"beta"});
  proof wrong = n.gateway.data_proof();
  wrong[0] ^= std::byte{1};
  BOOST_CHECK(!n.home.check_data_login(n.gateway.current(), wrong));
}

BOOST_AUTO_TEST_CASE(another_secret_is_refused_by_the_gateway_before_it_proves_anything) {
  pair_of_nodes n{"another secret, also long", secret};
  n.gateway.connected(random_nonce(), n.now);
  const auto r = n.talk_it_over();
  BOOST_REQUIRE(!r);
  BOOST_CHECK(r.error().code == errc::permission_denied);
  BOOST_CHECK(n.gateway.take_outgoing().empty());
}

BOOST_AUTO_TEST_CASE(a_gateway_that_cannot_prove_the_secret_gets_no_session) {
  pair_of_nodes n{secret, secret};
  n.gateway.connected(random_nonce(), n.now);
  const auto hello = n.gateway.take_outgoing().at(0);
  BOOST_REQUIRE(n.home.receive(n.talk, hello, random_nonce(), n.now));
  frame forged;
  forged.type = frame_type::response;
  const auto r = n.home.receive(n.talk, forged, random_nonce(), n.now);
  BOOST_REQUIRE(!r);
  BOOST_CHECK(r.error().code == errc::permission_denied);
  BOOST_CHECK(n.home.status().empty());
}

BOOST_AUTO_TEST_CASE(another_node_than_the_expected_one_is_refused) {
  pair_of_nodes n{secret, secret, "gamma"};
  n.gateway.connected(random_nonce(), n.now);
  BOOST_CHECK(!n.talk_it_over());
}

BOOST_AUTO_TEST_CASE(a_shadow_is_filled_granule_by_granule_and_a_write_waits_for_its_ack) {
  pair_of_nodes n{secret, secret};
  const volume_uuid volume = volume_uuid::random();
  auto shadow = std::make_shared<gateway_shadow>(volume, 10'000, n.gateway.held());
  n.gateway.add(shadow);
  n.gateway.connected(random_nonce(), n.now);
  BOOST_REQUIRE(n.talk_it_over());
  BOOST_CHECK(shadow->serving());

  const auto ticket = shadow->begin_fill(granule_index{9'999});
  BOOST_REQUIRE(ticket);
  const granule_run last{granule_index{9'999}, 1};
  BOOST_CHECK(n.home.begin_fill(n.gateway.current(), volume, last, n.now) == home_side::verdict::go);
  BOOST_CHECK(shadow->end_fill(*ticket, granule_word::fill_result::written));
  BOOST_CHECK(shadow->valid(granule_index{9'999}));

  int resumed = 0;
  change c;
  c.volume = volume;
  c.run = {granule_index{9'990}, 10};
  c.owner = &resumed;
  c.resume = [](change& self) { ++*static_cast<int*>(self.owner); };
  BOOST_REQUIRE(n.home.enter(c) == home_side::verdict::go);
  BOOST_CHECK(n.home.look(c, n.now) == home_side::verdict::wait);
  BOOST_CHECK(n.home.begin_fill(n.gateway.current(), volume, last, n.now) == home_side::verdict::later);
  BOOST_REQUIRE(n.talk_it_over());
  BOOST_CHECK_EQUAL(resumed, 1);
  BOOST_CHECK(!shadow->valid(granule_index{9'999}));
  BOOST_REQUIRE(n.home.enter(c) == home_side::verdict::go);
  BOOST_CHECK(n.home.look(c, n.now) == home_side::verdict::go);
  n.home.leave(c);
  n.home.answered(c);
  BOOST_CHECK(n.home.begin_fill(n.gateway.current(), volume, last, n.now) == home_side::verdict::go);
}

BOOST_AUTO_TEST_CASE(an_answer_to_an_earlier_announcement_does_not_open_a_shadow_that_was_made_anew) {
  pair_of_nodes n{secret, secret};
  n.gateway.connected(random_nonce(), n.now);
  BOOST_REQUIRE(n.talk_it_over());
  const volume_uuid volume = volume_uuid::random();
  auto first = std::make_shared<gateway_shadow>(volume, 8, n.gateway.held());
  n.gateway.add(first);
  for (const auto& f : n.gateway.take_outgoing()) {
    const auto r = n.home.receive(n.talk, f, random_nonce(), n.now);
    BOOST_REQUIRE(r && r->record_shadow);
    n.home.add_shadow(n.talk.session, volume, n.now);
  }
  n.gateway.drop(volume);
  auto second = std::make_shared<gateway_shadow>(volume, 8, n.gateway.held());
  n.gateway.add(second);
  for (const auto& f : n.home.take_outgoing(n.talk.session)) // of the first one
    BOOST_REQUIRE(n.gateway.receive(f, n.now));
  BOOST_CHECK(!second->serving());
  BOOST_REQUIRE(n.talk_it_over());
  BOOST_CHECK(second->serving());
  BOOST_CHECK(!first->serving());
}

BOOST_AUTO_TEST_CASE(a_shadow_that_was_refused_is_asked_for_again_when_its_volume_is_served) {
  pair_of_nodes n{secret, secret};
  n.gateway.connected(random_nonce(), n.now);
  BOOST_REQUIRE(n.talk_it_over());
  const volume_uuid volume = volume_uuid::random();
  auto shadow = std::make_shared<gateway_shadow>(volume, 8, n.gateway.held());
  n.gateway.add(shadow);
  for (const auto& f : n.gateway.take_outgoing())
    BOOST_REQUIRE(n.home.receive(n.talk, f, random_nonce(), n.now));
  n.home.refuse_shadow(n.talk.session, volume, "not yet");
  BOOST_REQUIRE(n.talk_it_over());
  BOOST_CHECK_EQUAL(n.gateway.refusal(volume), "not yet");
  BOOST_CHECK(!shadow->serving());
  n.gateway.volume_served(volume);
  BOOST_REQUIRE(n.talk_it_over());
  BOOST_CHECK(shadow->serving());
  BOOST_CHECK_EQUAL(n.gateway.refusal(volume), "");
}

BOOST_AUTO_TEST_CASE(a_volume_has_shadows_from_their_announcement_on) {
  pair_of_nodes n{secret, secret};
  n.gateway.connected(random_nonce(), n.now);
  BOOST_REQUIRE(n.talk_it_over());
  const volume_uuid volume = volume_uuid::random();
  n.gateway.add(std::make_shared<gateway_shadow>(volume, 8, n.gateway.held()));
  BOOST_CHECK(!n.home.has_shadows(volume));
  for (const auto& f : n.gateway.take_outgoing())
    BOOST_REQUIRE(n.home.receive(n.talk, f, random_nonce(), n.now));
  BOOST_CHECK(n.home.has_shadows(volume)); // announced
  n.gateway.drop(volume);
  BOOST_REQUIRE(n.talk_it_over());
  BOOST_CHECK(!n.home.has_shadows(volume));
}

BOOST_AUTO_TEST_CASE(a_change_of_more_granules_than_may_be_marked_goes_and_waits_like_any_other) {
  pair_of_nodes n{secret, secret};
  const volume_uuid volume = volume_uuid::random();
  auto shadow = std::make_shared<gateway_shadow>(volume, 8, n.gateway.held());
  n.gateway.add(shadow);
  n.gateway.connected(random_nonce(), n.now);
  BOOST_REQUIRE(n.talk_it_over());
  int resumed = 0;
  change c;
  c.volume = volume;
  c.run = {granule_index{0}, home_side::closing_max + 1};
  c.owner = &resumed;
  c.resume = [](change& self) { ++*static_cast<int*>(self.owner); };
  BOOST_REQUIRE(n.home.enter(c) == home_side::verdict::go);
  BOOST_CHECK(n.home.look(c, n.now) == home_side::verdict::go);
  n.home.leave(c);
  n.home.answered(c);
  BOOST_REQUIRE(n.home.begin_fill(n.gateway.current(), volume, {granule_index{7}, 1}, n.now) ==
                home_side::verdict::go);
  BOOST_REQUIRE(n.home.enter(c) == home_side::verdict::go);
  BOOST_CHECK(n.home.look(c, n.now) == home_side::verdict::wait);
  BOOST_REQUIRE(n.talk_it_over());
  BOOST_CHECK_EQUAL(resumed, 1);
  BOOST_REQUIRE(n.home.enter(c) == home_side::verdict::go);
  BOOST_CHECK(n.home.look(c, n.now) == home_side::verdict::go);
  n.home.leave(c);
  n.home.answered(c);
}

BOOST_AUTO_TEST_CASE(a_home_that_stops_answers_what_waits_for_a_lease) {
  pair_of_nodes n{secret, secret};
  const volume_uuid volume = volume_uuid::random();
  n.gateway.add(std::make_shared<gateway_shadow>(volume, 8, n.gateway.held()));
  n.gateway.connected(random_nonce(), n.now);
  BOOST_REQUIRE(n.talk_it_over());
  const granule_run run{granule_index{3}, 1};
  BOOST_REQUIRE(n.home.begin_fill(n.gateway.current(), volume, run, n.now) == home_side::verdict::go);
  int resumed = 0;
  change c;
  c.volume = volume;
  c.run = run;
  c.owner = &resumed;
  c.resume = [](change& self) { ++*static_cast<int*>(self.owner); };
  BOOST_REQUIRE(n.home.enter(c) == home_side::verdict::go);
  BOOST_REQUIRE(n.home.look(c, n.now) == home_side::verdict::wait);
  n.home.stop();
  BOOST_CHECK_EQUAL(resumed, 1);
  BOOST_REQUIRE(n.home.enter(c) == home_side::verdict::go);
  BOOST_CHECK(n.home.look(c, n.now) == home_side::verdict::ended); // the lease may be out: it must not go
  n.home.answered(c);
}

BOOST_AUTO_TEST_CASE(a_session_that_has_ended_is_not_alive) {
  pair_of_nodes n{secret, secret};
  n.gateway.connected(random_nonce(), n.now);
  BOOST_REQUIRE(n.talk_it_over());
  BOOST_CHECK(n.home.is_alive(n.talk.session));
  n.home.tick(n.now + std::chrono::seconds{60});
  BOOST_CHECK(!n.home.is_alive(n.talk.session));
}

BOOST_AUTO_TEST_CASE(a_wildcard_stands_for_the_address_of_the_session) {
  BOOST_CHECK_EQUAL(reachable_address("0.0.0.0:10902", "192.0.2.7"), "192.0.2.7:10902");
  BOOST_CHECK_EQUAL(reachable_address("[::]:10902", "2001:db8::7"), "[2001:db8::7]:10902");
  BOOST_CHECK_EQUAL(reachable_address("192.0.2.1:10902", "192.0.2.7"), "192.0.2.1:10902");
  BOOST_CHECK_EQUAL(reachable_address("0.0.0.0:10902", ""), "0.0.0.0:10902");
}

BOOST_AUTO_TEST_CASE(a_secret_that_others_may_read_or_that_is_too_short_is_refused) {
  const auto path = std::filesystem::temp_directory_path() / ("gnomon-secret-" + std::to_string(getpid()));
  const auto write = [&](std::string text, int mode) {
    std::filesystem::remove(path);
    std::ofstream(path) << text;
    std::filesystem::permissions(path, static_cast<std::filesystem::perms>(mode));
    return read_secret(path.string());
  };
  BOOST_CHECK(write("0123456789abcdef\n", 0600).value() == "0123456789abcdef");
  BOOST_CHECK(write("0123456789abcdef\n", 0640).error().code == errc::permission_denied);
  BOOST_CHECK(write("short", 0600).error().code == errc::invalid_argument);
  std::filesystem::remove(path);
  BOOST_CHECK(read_secret(path.string()).error().code == errc::not_found);
}

BOOST_AUTO_TEST_SUITE_END()
