// The planner decides by worth, within its budgets, without flapping, and says why.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <limits>
#include <set>

#include "forecasting/planner/plan.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(plan_test)
namespace {

constexpr double mib = 1 << 20;
constexpr double start = 1e6;

// Two nodes; the volume's home is alpha, its readers are on beta.
planner_input two_nodes() {
  planner_input in;
  in.now_seconds = start;
  in.nodes = {{"alpha", "east", 256 * mib, 125e6, 0.0001, planner_mode::act},
              {"beta", "west", 64 * mib, 125e6, 0.0001, planner_mode::act}};
  in.paths = {{0, 1, 0.002}};
  planner_volume v;
  v.name = "db";
  v.home = 0;
  in.volumes = {v};
  in.readers = {{"web-1", "shop", 0, 1, 1, 0}};
  in.options.move_requests_min = 1000; // homes are another test's subject
  return in;
}

planner_chunk read_at(std::uint64_t chunk, double reads, std::uint32_t node = 1) {
  planner_chunk c;
  c.node = node;
  c.volume = 0;
  c.chunk = chunk;
  c.reads_per_second = reads;
  c.last_access_seconds = start;
  return c;
}

planner_shadow shadow_of(std::uint64_t first, std::uint64_t chunks, double age = 3600) {
  planner_shadow s;
  s.node = 1;
  s.first_chunk = first;
  s.chunks = chunks;
  s.since_seconds = start - age;
  return s;
}

plan_result planned(const planner_input& in) {
  auto out = plan(in);
  BOOST_REQUIRE_MESSAGE(out.has_value(), (out ? "" : out.error().message));
  return *out;
}

std::size_t count(const plan_result& p, decision_kind kind) {
  return static_cast<std::size_t>(
      std::count_if(p.decisions.begin(), p.decisions.end(), [&](const decision& d) { return d.kind == kind; }));
}

} // namespace

BOOST_AUTO_TEST_CASE(a_chunk_that_is_read_from_afar_gets_a_shadow_and_a_reason) {
  auto in = two_nodes();
  in.chunks = {read_at(3, 10), read_at(4, 8), read_at(9, 1e-7)};
  const auto p = planned(in);
  BOOST_REQUIRE_EQUAL(p.decisions.size(), 1u);
  const auto& d = p.decisions[0];
  BOOST_TEST((d.kind == decision_kind::create));
  BOOST_TEST(d.first_chunk == 3u);
  BOOST_TEST(d.chunks == 2u); // neighbours become one shadow
  BOOST_TEST(d.node == 1u);
  BOOST_TEST(d.saved_seconds_per_second == 18 * 0.0021, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(to_text(in, d).find("create db chunks 3-4 on beta: demand: 18.0000 reads/s") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(what_is_read_at_home_is_staged_only_if_the_stage_is_quicker) {
  auto in = two_nodes();
  in.chunks = {read_at(3, 100, 0)};
  BOOST_TEST(count(planned(in), decision_kind::stage) == 1u);
  in.volumes[0].home_read_seconds = in.nodes[0].stage_read_seconds;
  BOOST_TEST(planned(in).decisions.empty());
}

BOOST_AUTO_TEST_CASE(space_goes_to_what_is_worth_most) {
  auto in = two_nodes(); // beta has room for four chunks
  for (std::uint64_t c = 0; c < 10; ++c)
    in.chunks.push_back(read_at(c * 2, 1 + static_cast<double>(c)));
  const auto p = planned(in);
  std::set<std::uint64_t> made;
  for (const auto& d : p.decisions)
    made.insert(d.first_chunk);
  BOOST_TEST((made == std::set<std::uint64_t>{12, 14, 16, 18}));
}

BOOST_AUTO_TEST_CASE(a_quota_bounds_a_volume_and_weight_decides_between_volumes) {
  auto in = two_nodes();
  in.volumes.push_back(in.volumes[0]);
  in.volumes[1].name = "logs";
  in.readers.push_back({"batch-1", "reports", 1, 1, 4, 0}); // critical
  for (std::uint64_t c = 0; c < 4; ++c) {
    in.chunks.push_back(read_at(c, 10));
    in.chunks.push_back(read_at(c, 5));
    in.chunks.back().volume = 1;
  }
  auto p = planned(in);
  BOOST_REQUIRE_EQUAL(p.decisions.size(), 1u);
  BOOST_TEST(p.decisions[0].volume == 1u); // half the reads, four times the weight
  in.volumes[1].quota_bytes = 32 * mib;
  double of_logs = 0;
  for (const auto& d : planned(in).decisions)
    of_logs += d.volume == 1 ? d.bytes : 0;
  BOOST_TEST(of_logs == 32 * mib);
  in.volumes[1].quota_bytes = 0;
  in.readers[0].sla_read_p99_seconds = 0.001; // a read of db takes longer than that
  in.readers[1].weight = 1.5;
  p = planned(in);
  BOOST_TEST(p.decisions.at(0).volume == 0u);
}

BOOST_AUTO_TEST_CASE(a_copy_must_pay_within_the_horizon) {
  auto in = two_nodes();
  in.chunks = {read_at(1, 0.001)}; // 0.0021 ms a second, 3.8 ms in half an hour; the copy costs 8 ms
  BOOST_TEST(planned(in).decisions.empty());
  in.nodes[1].copy_bytes_per_second *= 10;
  BOOST_TEST(planned(in).decisions.size() == 1u);
}

BOOST_AUTO_TEST_CASE(writes_make_a_shadow_worth_less) {
  auto in = two_nodes();
  in.chunks = {read_at(1, 1)};
  in.chunks[0].writes_per_second = 200;
  BOOST_TEST(planned(in).decisions.empty());
}

BOOST_AUTO_TEST_CASE(a_prediction_is_believed_as_far_as_it_has_earned) {
  auto in = two_nodes();
  in.chunks = {read_at(1, 0)};
  in.chunks[0].expected_reads[static_cast<std::size_t>(prediction_kind::recurring)] = 5;
  auto p = planned(in);
  BOOST_REQUIRE_EQUAL(p.decisions.size(), 1u);
  BOOST_TEST((p.decisions[0].because == prediction_kind::recurring));
  in.trust = {{0, 1, prediction_kind::recurring, 10'000, 20}}; // nearly all in vain
  BOOST_TEST(planned(in).decisions.empty());
  in.trust[0].chunk = planner_trust::all_chunks; // of the whole volume
  BOOST_TEST(planned(in).decisions.empty());
  in.chunks[0].reads_per_second = 5; // observed demand needs no trust
  BOOST_TEST(planned(in).decisions.size() == 1u);
}

BOOST_AUTO_TEST_CASE(what_is_there_stays_unless_it_is_worth_much_less) {
  auto in = two_nodes();
  in.nodes[1].space_bytes = 16 * mib; // one chunk
  in.shadows = {shadow_of(1, 1)};
  in.chunks = {read_at(1, 10), read_at(2, 12)};
  BOOST_TEST(planned(in).decisions.empty());
  in.chunks[1].reads_per_second = 16;
  const auto p = planned(in);
  BOOST_TEST(count(p, decision_kind::drop) == 1u);
  BOOST_TEST(count(p, decision_kind::create) == 1u);
  BOOST_TEST((p.decisions[0].kind == decision_kind::drop)); // room first
  in.shadows[0].since_seconds = start - 60;
  BOOST_TEST(planned(in).decisions.empty()); // too young to go
}

BOOST_AUTO_TEST_CASE(a_flapping_load_costs_less_and_less) {
  auto in = two_nodes();
  in.options.stay_seconds_min = 60;
  int creates = 0;
  for (int minute = 0; minute < 240; ++minute) { // hot for two minutes, idle for two
    in.now_seconds = start + minute * 60;
    in.chunks = {read_at(1, minute % 4 < 2 ? 0.01 : 0)};
    in.chunks[0].last_access_seconds = in.now_seconds;
    const auto p = planned(in);
    in.memory = p.memory;
    for (const auto& d : p.decisions) {
      if (d.kind == decision_kind::create) {
        ++creates;
        in.shadows = {shadow_of(1, 1)};
        in.shadows[0].since_seconds = in.now_seconds;
      } else if (d.kind == decision_kind::drop)
        in.shadows.clear();
    }
  }
  BOOST_TEST(creates >= 1);
  BOOST_TEST(creates <= 14); // of 60 times that it began: about two an hour, and two to begin with
}

BOOST_AUTO_TEST_CASE(neighbours_merge_and_a_cold_part_is_split_off_and_dropped) {
  auto in = two_nodes();
  in.shadows = {shadow_of(0, 2), shadow_of(2, 2)};
  in.chunks = {read_at(0, 5), read_at(1, 5), read_at(2, 5), read_at(3, 5)};
  auto p = planned(in);
  BOOST_REQUIRE_EQUAL(p.decisions.size(), 1u);
  BOOST_TEST((p.decisions[0].kind == decision_kind::merge));
  BOOST_TEST(p.decisions[0].chunks == 4u);
  in.shadows = {shadow_of(0, 4)};
  in.chunks = {read_at(0, 5), read_at(1, 5)};
  p = planned(in);
  BOOST_REQUIRE_EQUAL(p.decisions.size(), 2u);
  BOOST_TEST((p.decisions[0].kind == decision_kind::split));
  BOOST_TEST((p.decisions[1].kind == decision_kind::drop));
  BOOST_TEST(p.decisions[1].first_chunk == 2u);
  BOOST_TEST(p.decisions[1].chunks == 2u);
}

BOOST_AUTO_TEST_CASE(scaling_out_brings_the_siblings_hot_set_before_they_boot) {
  auto in = two_nodes();
  in.nodes.push_back(in.nodes[1]);
  in.nodes[2].name = "gamma";
  in.chunks = {read_at(1, 5), read_at(2, 5)};
  in.shadows = {shadow_of(1, 2)};
  planner_event e{planner_event_kind::scale_out, "shop", 2, start + 3600, 2};
  in.events = {e};
  BOOST_TEST(planned(in).decisions.empty()); // too early
  in.events[0].at_seconds = start + 600;
  auto p = planned(in);
  BOOST_REQUIRE_EQUAL(p.decisions.size(), 1u);
  BOOST_TEST(p.decisions[0].node == 2u);
  BOOST_TEST((p.decisions[0].because == prediction_kind::event));
  in.events[0].instances = 1e6; // it may announce what it likes: a quarter of the node's space at most
  for (std::uint64_t c = 3; c < 40; ++c)
    in.chunks.push_back(read_at(c, 5));
  double claimed = 0;
  for (const auto& d : planned(in).decisions)
    claimed += d.node == 2 ? d.bytes : 0;
  BOOST_TEST(claimed <= 0.25 * in.nodes[2].space_bytes);
  const auto before = in.shadows;
  double held = 0; // what earlier plans brought counts, too
  for (int plan = 0; plan < 3; ++plan)
    for (const auto& d : planned(in).decisions)
      if (d.kind == decision_kind::create && d.node == 2) {
        auto made = shadow_of(d.first_chunk, d.chunks, 0);
        made.node = 2;
        made.kind = prediction_kind::event;
        in.shadows.push_back(made);
        held += d.bytes;
      }
  BOOST_TEST(held > 0);
  BOOST_TEST(held <= 0.25 * in.nodes[2].space_bytes);
  in.shadows = before;
  in.events[0].target = "nobody";
  p = planned(in);
  BOOST_TEST(std::none_of(p.decisions.begin(), p.decisions.end(), [](const decision& d) { return d.node == 2; }));
}

BOOST_AUTO_TEST_CASE(an_instance_that_moves_takes_its_shadows_ahead) {
  auto in = two_nodes();
  in.nodes.push_back(in.nodes[1]);
  in.chunks = {read_at(1, 5)};
  in.events = {{planner_event_kind::move, "web-1", 2, start + 60, 1}};
  const auto p = planned(in);
  BOOST_TEST(std::any_of(p.decisions.begin(), p.decisions.end(), [](const decision& d) {
    return d.node == 2 && d.kind == decision_kind::create && d.because == prediction_kind::event;
  }));
}

BOOST_AUTO_TEST_CASE(cold_chunks_are_archived_and_come_back_before_they_are_read) {
  auto in = two_nodes();
  in.volumes[0].archive_after_seconds = 86400;
  in.chunks = {read_at(1, 0), read_at(2, 0)};
  for (auto& c : in.chunks)
    c.last_access_seconds = start - 2 * 86400;
  auto p = planned(in);
  BOOST_REQUIRE_EQUAL(p.decisions.size(), 1u);
  BOOST_TEST((p.decisions[0].kind == decision_kind::archive));
  BOOST_TEST(p.decisions[0].chunks == 2u);
  in.chunks[0].expected_reads[static_cast<std::size_t>(prediction_kind::recurring)] = 0.1; // it will be read
  p = planned(in);
  BOOST_TEST(std::none_of(p.decisions.begin(), p.decisions.end(),
                          [](const decision& d) { return d.kind == decision_kind::archive && d.first_chunk == 1; }));
  in.chunks[0].archived = true;
  BOOST_TEST(count(planned(in), decision_kind::recall) == 1u);
}

BOOST_AUTO_TEST_CASE(a_home_that_is_read_from_elsewhere_should_move_and_only_an_operator_moves_it) {
  auto in = two_nodes();
  in.options.move_requests_min = 1;
  in.chunks = {read_at(1, 100), read_at(2, 10, 0)};
  const auto p = planned(in);
  const auto move = std::find_if(p.decisions.begin(), p.decisions.end(),
                                 [](const decision& d) { return d.kind == decision_kind::move; });
  BOOST_REQUIRE(move != p.decisions.end());
  BOOST_TEST(move->node == 1u);
  BOOST_TEST(!move->carried_out);
}

BOOST_AUTO_TEST_CASE(a_mode_of_off_decides_nothing_and_advise_only_says_it) {
  auto in = two_nodes();
  in.chunks = {read_at(1, 10)};
  in.volumes[0].mode = planner_mode::advise;
  BOOST_TEST(!planned(in).decisions.at(0).carried_out);
  in.nodes[1].mode = planner_mode::off;
  BOOST_TEST(planned(in).decisions.empty());
}

BOOST_AUTO_TEST_CASE(a_bad_input_is_refused) {
  auto in = two_nodes();
  in.chunks = {read_at(1, 10)};
  in.chunks[0].node = 5;
  BOOST_TEST(!plan(in).has_value());
  in = two_nodes();
  in.nodes[0].space_bytes = std::numeric_limits<double>::quiet_NaN();
  BOOST_TEST(!plan(in).has_value());
  in = two_nodes();
  in.volumes[0].chunk_bytes = 0;
  BOOST_TEST(!plan(in).has_value());
  BOOST_TEST(!plan({}).has_value());
}

BOOST_AUTO_TEST_CASE(more_decisions_than_the_limit_are_counted) {
  auto in = two_nodes();
  in.options.decisions_max = 1;
  in.chunks = {read_at(1, 10), read_at(5, 10), read_at(9, 10)};
  const auto p = planned(in);
  BOOST_TEST(p.decisions.size() == 1u);
  BOOST_TEST(p.left_out == 2u);
}

BOOST_AUTO_TEST_SUITE_END()
