// The replay without a server: where and when requests go, and that the model sees every kind of wrong data.
#include <filesystem>
#include <fstream>

#include <boost/test/unit_test.hpp>
#include <unistd.h>

#include "actors/cli/replay/replay_engine.hpp"
#include "actors/cli/replay/replay_model.hpp"
#include "actors/cli/replay/replay_plan.hpp"

using namespace gnomon;
using namespace gnomon::actors::cli;
using namespace std::chrono_literals;
using kind = store::trace_operation;

BOOST_AUTO_TEST_SUITE(cli_replay_test)
namespace {
constexpr std::uint64_t MiB = 1u << 20;

export_facts facts_of(std::uint64_t size) {
  export_facts f;
  f.size_bytes = size;
  f.can_flush = f.can_trim = f.can_zero = f.can_cache = f.can_block_status = true;
  return f;
}
trace_survey reaching(std::uint64_t extent) {
  trace_survey s;
  s.records = 1;
  s.extent_bytes = extent;
  s.changes_data = true;
  return s;
}
std::vector<planned_request> planned(replay_planner& p, kind op, std::uint64_t time_us, std::uint64_t offset,
                                     std::uint64_t length) {
  std::vector<planned_request> out;
  p.plan({time_us, 0, op, offset, length}, out);
  return out;
}
std::string trace_of(const std::string& text) {
  static int number = 0;
  const auto path = std::filesystem::temp_directory_path() /
                    ("gnomon-replay-test." + std::to_string(::getpid()) + "." + std::to_string(++number) + ".csv");
  std::ofstream(path) << text;
  return path;
}
struct temporary {
  explicit temporary(const std::string& text) : path(trace_of(text)) {}
  ~temporary() { std::filesystem::remove(path); }
  std::string path;
};
} // namespace

BOOST_AUTO_TEST_CASE(times_count_from_the_first_record_scaled_and_never_go_back) {
  replay_command wanted;
  wanted.speed = 10;
  auto p = *replay_planner::make(wanted, reaching(MiB), facts_of(MiB));
  BOOST_TEST((planned(p, kind::read, 5'000'000, 0, 512)[0].intended == 0ns));
  BOOST_TEST((planned(p, kind::read, 6'000'000, 0, 512)[0].intended == 100ms));
  BOOST_TEST((planned(p, kind::read, 5'500'000, 0, 512)[0].intended == 100ms));
  BOOST_TEST((planned(p, kind::read, 1, 0, 512)[0].intended == 100ms));
  wanted.speed.reset();
  auto fast = *replay_planner::make(wanted, reaching(MiB), facts_of(MiB));
  planned(fast, kind::read, 0, 0, 512);
  BOOST_TEST((planned(fast, kind::read, 9'000'000, 0, 512)[0].intended == 0ns));
}

BOOST_AUTO_TEST_CASE(a_trace_beyond_the_export_is_refused_wrapped_or_scaled) {
  replay_command wanted;
  BOOST_TEST((replay_planner::make(wanted, reaching(4 * MiB), facts_of(MiB)).error().code == errc::out_of_range));
  wanted.beyond = beyond_policy::wrap;
  auto wrap = *replay_planner::make(wanted, reaching(4 * MiB), facts_of(MiB));
  BOOST_TEST(planned(wrap, kind::write, 0, 3 * MiB + 8192, 4096)[0].offset_bytes == 8192u);
  // Would cross the end: moved back so that it fits.
  BOOST_TEST(planned(wrap, kind::write, 0, 2 * MiB - 4096, 8192)[0].offset_bytes == MiB - 8192);
  BOOST_TEST(wrap.counters().moved == 2u);
  wanted.beyond = beyond_policy::scale;
  auto scale = *replay_planner::make(wanted, reaching(4 * MiB), facts_of(MiB));
  BOOST_TEST(planned(scale, kind::read, 0, 2 * MiB, 4096)[0].offset_bytes == MiB / 2);
  BOOST_TEST(planned(scale, kind::read, 0, 4 * MiB - 4096, 4096)[0].offset_bytes == MiB - 4096);
}

BOOST_AUTO_TEST_CASE(every_request_fits_the_export_whatever_the_trace_says) {
  for (const auto policy : {beyond_policy::wrap, beyond_policy::scale}) {
    replay_command wanted;
    wanted.beyond = policy;
    auto facts = facts_of(MiB + 100); // not a multiple of anything
    facts.alignment_bytes = 4096;
    facts.payload_bytes_max = 65536;
    auto p = *replay_planner::make(wanted, reaching(1ull << 40), facts);
    std::uint64_t random = 42;
    for (int i = 0; i < 20'000; ++i) {
      random = random * 6364136223846793005ull + 1442695040888963407ull;
      const auto op = replay_operations[(random >> 20) % replay_operations.size()];
      for (const auto& r : planned(p, op, 0, (random >> 13) % (1ull << 40), (random >> 40) % (3 * MiB))) {
        if (r.op == kind::flush)
          continue;
        BOOST_REQUIRE(r.length_bytes > 0 && r.offset_bytes + r.length_bytes <= MiB);
        BOOST_REQUIRE(r.offset_bytes % 4096 == 0 && r.length_bytes % 4096 == 0);
        BOOST_REQUIRE((r.op != kind::read && r.op != kind::write) || r.length_bytes <= 65536);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(large_requests_are_split_without_gap_or_overlap) {
  auto facts = facts_of(16 * MiB);
  facts.payload_bytes_max = MiB;
  auto p = *replay_planner::make({}, reaching(16 * MiB), facts);
  const auto parts = planned(p, kind::write, 0, MiB / 2, 3 * MiB + 512);
  std::uint64_t at = MiB / 2;
  for (const auto& part : parts) {
    BOOST_TEST(part.offset_bytes == at);
    at += part.length_bytes;
  }
  BOOST_TEST(at == MiB / 2 + 3 * MiB + 512);
  BOOST_TEST(parts.size() == 4u);
  BOOST_TEST(p.counters().split == 1u);
}

BOOST_AUTO_TEST_CASE(unaligned_requests_grow_to_sectors) {
  auto p = *replay_planner::make({}, reaching(MiB), facts_of(MiB));
  const auto r = planned(p, kind::read, 0, 1000, 100)[0];
  BOOST_TEST(r.offset_bytes == 512u);
  BOOST_TEST(r.length_bytes == 1024u); // 1000…1100 touches two sectors
  BOOST_TEST(p.counters().aligned == 1u);
}

BOOST_AUTO_TEST_CASE(what_the_export_cannot_do_is_left_out_and_counted) {
  auto facts = facts_of(MiB);
  facts.can_trim = false;
  auto p = *replay_planner::make({}, reaching(MiB), facts);
  BOOST_TEST(planned(p, kind::trim, 0, 0, 4096).empty());
  BOOST_TEST(planned(p, kind::read, 0, 0, 0).empty());
  BOOST_TEST(p.counters().unsupported == 1u);
  BOOST_TEST(p.counters().left_out == 1u);
  facts.read_only = true;
  BOOST_TEST((replay_planner::make({}, reaching(MiB), facts).error().code == errc::permission_denied));
  BOOST_TEST((replay_planner::make({}, reaching(MiB), facts_of(0)).error().code == errc::invalid_argument));
}

BOOST_AUTO_TEST_CASE(a_survey_and_a_source_agree_on_what_is_selected) {
  const temporary trace("time_us,volume,op,offset_bytes,length_bytes\n"
                        "100,a,R,0,4096\n150,b,W,8192,4096\n200,a,W,4096,8192\n300,a,F,0,0\n");
  replay_command wanted;
  wanted.trace = trace.path;
  BOOST_TEST((survey_trace(wanted, {}).error().code == errc::invalid_argument)); // two volumes, no choice
  wanted.volume = "c";
  BOOST_TEST((survey_trace(wanted, {}).error().code == errc::invalid_argument));
  wanted.volume = "a";
  const auto survey = survey_trace(wanted, {});
  BOOST_REQUIRE(survey.has_value());
  BOOST_TEST(survey->records == 3u);
  BOOST_TEST(survey->span_us == 200u);
  BOOST_TEST(survey->extent_bytes == 12288u);
  BOOST_TEST(survey->write_bytes_max == 8192u);
  wanted.limit = 2;
  auto source = replay_source::open(wanted, *replay_planner::make(wanted, *survey, facts_of(MiB)));
  BOOST_REQUIRE(source.has_value());
  BOOST_TEST((source->next().value() == planned_request{0ns, kind::read, 0, 4096}));
  BOOST_TEST((source->next().value() == planned_request{100us, kind::write, 4096, 8192}));
  BOOST_TEST(!source->next().value().has_value());
}

BOOST_AUTO_TEST_CASE(a_damaged_trace_is_refused_before_any_request) {
  const temporary trace("100,a,R,0,4096\n200,a,R,x,4096\n");
  replay_command wanted;
  wanted.trace = trace.path;
  BOOST_TEST((survey_trace(wanted, {}).error().code == errc::corrupt));
}

BOOST_AUTO_TEST_CASE(only_overlaps_that_change_data_wait) {
  const planned_request write{0ns, kind::write, 4096, 4096}, read{0ns, kind::read, 4096, 4096};
  const planned_request next_to_it{0ns, kind::write, 8192, 4096}, across{0ns, kind::read, 0, 4608};
  const planned_request flush{0ns, kind::flush, 0, 0};
  BOOST_TEST(must_wait(write, write));
  BOOST_TEST(must_wait(write, read));
  BOOST_TEST(must_wait(read, write));
  BOOST_TEST(!must_wait(read, read));
  BOOST_TEST(!must_wait(write, next_to_it));
  BOOST_TEST(must_wait(across, write));
  BOOST_TEST(!must_wait(write, flush));
}

BOOST_AUTO_TEST_CASE(the_model_sees_lost_stale_torn_and_misplaced_writes) {
  write_model model(7);
  std::vector<unsigned char> first(4096), second(4096), zeros(4096);
  model.stamp(first, 8192, 1);
  BOOST_TEST(!model.check(zeros, 8192).has_value()); // nothing is known yet
  BOOST_REQUIRE(model.set(8192, 4096, 1).has_value());
  BOOST_TEST(!model.check(first, 8192).has_value());
  BOOST_TEST(model.check(zeros, 8192)->find("found zeros") != std::string::npos);

  model.stamp(second, 8192, 2);
  BOOST_REQUIRE(model.set(8192, 4096, 2).has_value());
  BOOST_TEST(model.check(first, 8192)->find("expected write 2, found write 1") != std::string::npos);
  auto torn = second;
  std::copy(first.begin() + 512, first.begin() + 1024, torn.begin() + 512);
  BOOST_TEST(model.check(torn, 8192)->starts_with("offset 8704:"));
  auto flipped = second;
  flipped[4095] ^= 1;
  BOOST_TEST(model.check(flipped, 8192)->find("part of write 2") != std::string::npos);
  std::vector<unsigned char> elsewhere(4096);
  model.stamp(elsewhere, 0, 2);
  BOOST_TEST(model.check(elsewhere, 8192)->find("write 2 to offset 0") != std::string::npos);
  std::vector<unsigned char> other(4096);
  write_model(8).stamp(other, 8192, 2);
  BOOST_TEST(model.check(other, 8192)->find("another replay") != std::string::npos);
  BOOST_TEST(model.check(std::vector<unsigned char>(4096, 0x5a), 8192)->find("foreign") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(zeroed_sectors_must_be_zero_and_trimmed_ones_may_be_anything) {
  write_model model(7);
  std::vector<unsigned char> data(1024), zeros(1024);
  model.stamp(data, 0, 1);
  BOOST_REQUIRE(model.set(0, 1024, 1).has_value());
  BOOST_REQUIRE(model.set(0, 512, write_model::zeroed).has_value());
  BOOST_TEST(model.check(data, 0)->find("expected zeros, found write 1") != std::string::npos);
  BOOST_REQUIRE(model.set(0, 1024, write_model::unknown).has_value());
  BOOST_TEST(!model.check(data, 0).has_value());
  BOOST_TEST(!model.check(zeros, 0).has_value());
  BOOST_TEST(model.known_bytes() == 0u);
}

BOOST_AUTO_TEST_CASE(reading_back_visits_every_known_sector_once) {
  write_model model(7);
  BOOST_REQUIRE(model.set(granule_bytes - 1024, 4096, 1).has_value()); // across two regions
  BOOST_REQUIRE(model.set(10 * granule_bytes, granule_bytes, 2).has_value());
  BOOST_REQUIRE(model.set(10 * granule_bytes + 4096, 512, write_model::unknown).has_value());
  std::uint64_t at = 0, total = 0;
  while (const auto known = model.next_known(at, 8192)) {
    BOOST_REQUIRE(known->length > 0 && known->length <= 8192 && known->offset >= at);
    total += known->length;
    at = known->offset + known->length;
  }
  BOOST_TEST(total == model.known_bytes());
  BOOST_TEST(total == 4096 + granule_bytes - 512);
}

BOOST_AUTO_TEST_SUITE_END()
