// A planner's input survives being written and read, so that a simulation decides as the daemon did; damaged text is
// refused with its line.
#include <boost/test/unit_test.hpp>

#include <random>

#include "forecasting/planner/plan.hpp"
#include "forecasting/planner/planner_text.hpp"

using namespace gnomon;
using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(planner_text_test)
namespace {

planner_input any_input(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto number = [&](double up_to) { return static_cast<double>(random()) / 1.8446744073709552e19 * up_to; };
  planner_input in;
  in.now_seconds = 1.7e9 + number(1e6);
  for (int n = 0; n < 4; ++n)
    in.nodes.push_back({"node-" + std::to_string(n), n % 2 == 0 ? "" : "zone b, \xc3\xa4%", number(1e10), number(1e9),
                        0.0001, planner_mode::act});
  in.paths = {{0, 1, number(0.01)}, {1, 2, number(0.01)}};
  for (int v = 0; v < 3; ++v) {
    planner_volume volume;
    volume.name = "vol " + std::to_string(v);
    volume.home = static_cast<std::uint32_t>(random() % 4);
    volume.archive_after_seconds = number(1e5);
    in.volumes.push_back(volume);
    in.readers.push_back({"vm-" + std::to_string(v), "app", static_cast<std::uint32_t>(v),
                          static_cast<std::uint32_t>(random() % 4), 1 + number(3), number(0.01)});
    in.trust.push_back({static_cast<std::uint32_t>(v), random() % 2 == 0 ? planner_trust::all_chunks : 7,
                        prediction_kind::recurring, number(1000), number(100)});
  }
  for (int c = 0; c < 60; ++c) {
    planner_chunk chunk;
    chunk.node = static_cast<std::uint32_t>(random() % 4);
    chunk.volume = static_cast<std::uint32_t>(random() % 3);
    chunk.chunk = random() % 50;
    chunk.reads_per_second = number(10);
    chunk.expected_reads[random() % prediction_kind_count] = number(20);
    chunk.last_access_seconds = in.now_seconds - number(3e5);
    chunk.archived = random() % 5 == 0;
    in.chunks.push_back(chunk);
  }
  planner_shadow s;
  s.node = 2, s.volume = 1, s.first_chunk = 4, s.chunks = 3, s.since_seconds = in.now_seconds - 4000;
  in.shadows = {s};
  in.events = {{planner_event_kind::scale_out, "app", 3, in.now_seconds + 100, 2}};
  in.memory = {{0, 1, 7, in.now_seconds - 60, 1.5}};
  return in;
}

std::string decisions_of(const planner_input& in) {
  const auto p = plan(in);
  BOOST_REQUIRE(p.has_value());
  std::string out;
  for (const auto& d : p->decisions)
    out += to_text(in, d) + "\n";
  return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(what_is_written_reads_back_and_decides_alike_byte_for_byte) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto in = any_input(seed);
    const auto text = to_text(in);
    const auto back = planner_input_from(text);
    BOOST_REQUIRE_MESSAGE(back.has_value(), "seed " << seed);
    BOOST_TEST(to_text(*back) == text);
    BOOST_TEST(!decisions_of(in).empty());
    BOOST_TEST(decisions_of(*back) == decisions_of(in), "seed " << seed);
  }
}

BOOST_AUTO_TEST_CASE(a_version_of_tomorrow_is_unsupported) {
  const auto back = planner_input_from("gnomon planner input 2\nnow 1\n");
  BOOST_REQUIRE(!back.has_value());
  BOOST_TEST((back.error().code == errc::unsupported));
}

BOOST_AUTO_TEST_CASE(damaged_text_is_refused_or_means_something_whole) {
  const auto text = to_text(any_input(3));
  std::mt19937_64 random(7);
  std::size_t refused = 0;
  for (int n = 0; n < 3000; ++n) {
    auto damaged = text;
    const auto at = random() % damaged.size();
    switch (random() % 3) {
    case 0:
      damaged[at] = static_cast<char>(random() % 256);
      break;
    case 1:
      damaged.erase(at, 1 + random() % 20);
      break;
    default:
      damaged.insert(at, 1, static_cast<char>(' ' + random() % 90));
    }
    if (const auto back = planner_input_from(damaged); back)
      BOOST_TEST(plan(*back).has_value());
    else
      ++refused;
  }
  BOOST_TEST(refused > 300u);
  const auto named = planner_input_from("gnomon planner input 1\nnow 1\nnode a b\n");
  BOOST_REQUIRE(!named.has_value());
  BOOST_TEST(named.error().message.find("line 3") != std::string::npos);
  BOOST_TEST(!planner_input_from("").has_value());
}

BOOST_AUTO_TEST_SUITE_END()
