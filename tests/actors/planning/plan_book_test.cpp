// The planner at work: what is carried out, what is remembered, and what it costs when the load or the node misbehaves.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "actors/planning/plan_view.hpp"
#include "forecasting/board/board_builder.hpp"

using namespace gnomon;
using namespace gnomon::actors;

namespace {

constexpr double start_seconds = 1e6;

// A gateway `beta` of volume `db` at `alpha`, 2 ms away, whose stage is a list.
struct plan_world {
  plan_book book;
  settings wanted;
  planning_facts facts;
  volume_uuid db = volume_uuid::random();
  std::set<std::uint64_t> staged;
  std::uint32_t copied = 256, used = 0;
  std::vector<std::string> calls;
  std::optional<error> refuse;

  plan_world() {
    wanted.node = node_name{"beta"};
    wanted.planner.mode = planner_rule::act;
    wanted.planner.stay_min = std::chrono::milliseconds{0};
    facts.now_seconds = start_seconds;
    facts.remote.push_back({db, volume_name{"db"}, byte_count{1u << 30}, node_name{"alpha"}, planner_rule::act});
    facts.cluster.stage_capacity = byte_count{1u << 30};
    io::peer_report peer;
    peer.node = node_name{"alpha"};
    peer.round_trip = microseconds{2'000};
    facts.cluster.peers.push_back(peer);
  }
  void read(std::uint64_t chunk, double per_second, const char* who = "web-1") {
    facts.demand.push_back({db, chunk_index{chunk}, instance_id{who}, per_second, 0, facts.now_seconds});
  }
  finished_plan plan(double later_seconds = 30) {
    facts.now_seconds += later_seconds;
    facts.wanted = std::make_shared<const settings>(wanted);
    io::remote_volume_status s;
    s.volume = volume_name{"db"}, s.uuid = db, s.home = node_name{"alpha"};
    s.has_shadow = !staged.empty();
    for (const auto c : staged)
      s.chunks.push_back({chunk_index{c}, copied, used});
    if (facts.cluster.volumes.empty() || !facts.cluster.volumes[0].by_hand)
      facts.cluster.volumes = {s};
    const auto act = [this](const char* what, io::chunk_run run) -> result<void> {
      calls.push_back(fmt::format("{} {}-{}", what, run.first.value, run.first.value + run.count - 1));
      if (refuse)
        return tl::unexpected(*refuse);
      for (std::uint64_t c = run.first.value; c < run.first.value + run.count; ++c)
        what[0] == 'w' ? (void)staged.insert(c) : (void)staged.erase(c);
      return {};
    };
    auto made = book.plan(facts);
    book.carry_out(made, {[act](volume_uuid, io::chunk_run r) { return act("widen", r); },
                             [act](volume_uuid, io::chunk_run r) { return act("narrow", r); }});
    return made;
  }
  plan_view view(const finished_plan& last) const {
    plan_view v;
    v.node = "beta", v.mode = wanted.planner.mode, v.now_seconds = facts.now_seconds;
    v.last = std::make_shared<const finished_plan>(last);
    v.book = std::make_shared<const plan_book>(book);
    return v;
  }
};

using calls = std::vector<std::string>;

} // namespace

BOOST_AUTO_TEST_SUITE(plan_book_test)

BOOST_AUTO_TEST_CASE(demand_brings_chunks_near_and_its_end_lets_them_go) {
  plan_world w;
  w.read(3, 20), w.read(4, 10);
  (void)w.plan();
  BOOST_TEST((w.calls == calls{"widen 3-4"}));
  (void)w.plan();
  BOOST_TEST(w.calls.size() == 1u); // nothing to change
  w.facts.demand.clear();
  (void)w.plan();
  BOOST_TEST((w.calls == calls{"widen 3-4", "narrow 3-4"}));
  BOOST_TEST(w.staged.empty());
  BOOST_TEST(w.book.executed() == 2u);
  BOOST_TEST(w.book.log().size() == 3u); // and that the home should be here, which an operator decides
}

BOOST_AUTO_TEST_CASE(nothing_is_dropped_before_it_has_stayed_its_time) {
  plan_world w;
  w.wanted.planner.stay_min = std::chrono::minutes{10};
  w.read(0, 20);
  (void)w.plan();
  w.facts.demand.clear();
  for (int i = 0; i < 19; ++i)
    (void)w.plan();
  BOOST_TEST(w.staged.size() == 1u);
  for (int i = 0; i < 3; ++i)
    (void)w.plan();
  BOOST_TEST(w.staged.empty());
}

BOOST_AUTO_TEST_CASE(a_flapping_load_costs_fewer_copies_the_longer_it_flaps) {
  plan_world w;
  const auto copies_of = [&](int rounds) {
    const auto before = w.calls.size();
    for (int i = 0; i < rounds; ++i) {
      w.facts.demand.clear();
      if (i % 2 == 0)
        w.read(0, 0.02); // pays just once
      (void)w.plan();
    }
    return std::count_if(w.calls.begin() + static_cast<std::ptrdiff_t>(before), w.calls.end(),
                         [](const auto& c) { return c.starts_with("widen"); });
  };
  const auto first = copies_of(40), later = copies_of(40);
  BOOST_TEST(first >= 1);
  BOOST_TEST(first < 12); // of 20 that a planner without memory would make
  BOOST_TEST(later <= first);
}

BOOST_AUTO_TEST_CASE(advice_and_off_carry_nothing_out) {
  for (const bool by_volume : {false, true}) {
    plan_world w;
    (by_volume ? w.facts.remote[0].planner : w.wanted.planner.mode) = planner_rule::advise;
    w.read(0, 20);
    const auto advised = w.plan();
    BOOST_REQUIRE(advised.entries.size() == 2u); // a copy, or the home here
    BOOST_TEST(advised.entries[0].outcome == "advice");
    for (int i = 0; i < 10; ++i)
      (void)w.plan();
    BOOST_TEST(w.book.log().size() == 2u); // the same advice is one entry
    BOOST_TEST(w.book.log()[0].times == 11u);
    (by_volume ? w.facts.remote[0].planner : w.wanted.planner.mode) = planner_rule::off;
    BOOST_TEST(w.plan().entries.empty());
    BOOST_TEST(w.calls.empty());
  }
}

BOOST_AUTO_TEST_CASE(a_shadow_made_by_hand_is_left_alone_and_its_space_is_not_the_planners) {
  plan_world w;
  io::remote_volume_status s;
  s.volume = volume_name{"db"}, s.uuid = w.db, s.home = node_name{"alpha"};
  s.has_shadow = s.by_hand = true;
  s.wanted_bytes = byte_count{1u << 30};
  w.facts.cluster.volumes = {s};
  w.read(0, 20);
  const auto planned = w.plan();
  BOOST_TEST(planned.entries.empty());
  BOOST_TEST(planned.input->input.nodes[planned.input->self].space_bytes == 0);
  BOOST_TEST(w.calls.empty());
}

BOOST_AUTO_TEST_CASE(what_fails_is_tried_again_with_growing_pauses) {
  plan_world w;
  w.refuse = error{errc::busy, "a shadow is being dropped", 0};
  w.read(0, 20);
  for (int i = 0; i < 600; ++i)
    (void)w.plan(1);
  BOOST_TEST(w.calls.size() >= 8u);
  BOOST_TEST(w.calls.size() <= 12u); // of 600
  BOOST_TEST(w.book.failed() == w.calls.size());
  BOOST_TEST(w.staged.empty());
  BOOST_TEST(w.book.log().size() < plan_log_max);
  w.refuse.reset();
  for (int i = 0; i < 601 && w.staged.empty(); ++i)
    (void)w.plan(1);
  BOOST_TEST(w.staged.size() == 1u);
}

BOOST_AUTO_TEST_CASE(one_plan_executes_a_bounded_number) {
  plan_world w;
  w.facts.remote[0].size = byte_count{64ull << 30};
  w.facts.cluster.stage_capacity = byte_count{64ull << 30};
  for (std::uint64_t c = 0; c < 400; c += 2)
    w.read(c, 20);
  (void)w.plan();
  BOOST_TEST(w.calls.size() == executions_per_plan_max);
  for (int i = 0; i < 4; ++i)
    (void)w.plan();
  BOOST_TEST(w.staged.size() == 200u);
}

BOOST_AUTO_TEST_CASE(copies_that_nobody_read_cost_their_kind_its_trust) {
  plan_world w;
  w.read(0, 20);
  (void)w.plan();
  w.facts.demand.clear();
  (void)w.plan(); // seen with 256 copied, none used; dropped
  (void)w.plan();
  const auto& trust = w.book.memory().trusted;
  BOOST_REQUIRE(trust.size() == 1u);
  BOOST_TEST(trust.begin()->second.copied == 256);
  BOOST_TEST(trust.begin()->second.used == 0);
}

BOOST_AUTO_TEST_CASE(a_restarted_planner_finds_what_exists) {
  plan_world w;
  w.staged = {5, 6};
  w.read(5, 20);
  w.wanted.planner.stay_min = std::chrono::minutes{10};
  (void)w.plan();
  BOOST_TEST(w.book.memory().placed.size() == 2u);
  BOOST_TEST(w.calls.empty());
  for (int i = 0; i < 25; ++i)
    (void)w.plan();
  BOOST_TEST((w.calls == calls{"narrow 6-6"}));
}

BOOST_AUTO_TEST_CASE(equal_facts_give_equal_input_and_a_dump_tells_it) {
  plan_world w;
  w.read(3, 20, "web-2"), w.read(3, 1, "web-1");
  const auto planned = w.plan();
  plan_world x;
  x.db = w.db;
  x.facts.remote[0].uuid = w.db;
  x.read(3, 1, "web-1"), x.read(3, 20, "web-2");
  BOOST_TEST(*dump_of(w.view(planned)) == *dump_of(x.view(x.plan())));
  BOOST_TEST(why_text(w.view(planned), "db")->find("21.0000 reads/s expected") != std::string::npos);
  BOOST_TEST(plan_text(w.view(planned)).find("mode act") != std::string::npos);
  BOOST_TEST(!why_text(w.view(planned), "nosuch"));
}

BOOST_AUTO_TEST_CASE(rings_get_what_is_placed_and_every_chunk_while_nothing_is_known) {
  plan_world w;
  w.read(3, 20);
  (void)w.plan();
  const auto unknown = read_prediction_of(nullptr, w.facts.remote[0], w.book.memory());
  BOOST_TEST(unknown.everybody[0] == ~0ull);
  forecasting::board_builder builder;
  BOOST_REQUIRE(builder.put(w.db, volume_name{"db"}, byte_count{1u << 30}, byte_count{16u << 20}));
  forecasting::heat_outlook heat;
  heat.as_of_seconds = 1;
  forecasting::hot_set_outlook set;
  set.ahead_seconds = 300;
  set.chunks.push_back({chunk_index{7}, 100, 0, 1});
  heat.hot_sets.push_back(set);
  auto own = heat;
  own.hot_sets[0].chunks[0].chunk = chunk_index{9};
  auto fresh = heat;
  fresh.hot_sets[0].chunks.clear();
  BOOST_REQUIRE(builder.put(w.db, heat));
  BOOST_REQUIRE(builder.put(w.db, {{instance_id{"fresh"}, "", 0.1, fresh}, {instance_id{"web-1"}, "", 0.9, own}}));
  const auto board = builder.build(1, "beta");
  const auto known = read_prediction_of(board.get(), w.facts.remote[0], w.book.memory());
  BOOST_TEST(known.everybody[0] == ((1u << 7) | (1u << 3)));
  BOOST_REQUIRE(known.instances.size() == 1u); // the fresh one has everybody's
  BOOST_TEST(known.instances[0].first.value == "web-1");
  BOOST_TEST(known.instances[0].second[0] == ((1u << 9) | (1u << 3)));
}

BOOST_AUTO_TEST_SUITE_END()
