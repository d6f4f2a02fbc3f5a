// What a volume with a source promises: every granule reads as the newest acknowledged change, or as its source, over
// kills, power cuts and failed syncs, whatever was brought in, written, trimmed or captured in between.

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "tests/io/volume/presence_model.hpp"

using namespace gnomon;
using namespace gnomon::io;
using namespace gnomon::io::test;

BOOST_AUTO_TEST_SUITE(presence_test)
namespace {

std::string run_presence(std::uint64_t seed, cache_mode cache, int steps, bool syncs_fail) {
  test::random_source random(seed);
  std::string plan = "seed=" + std::to_string(seed);
  if (syncs_fail)
    plan += ",sync_error=0.1:EIO";
  restored_volume v(20 * granule_bytes + 5 * 4096, cache, plan);
  presence_model m(v, random);
  for (int i = 0; i < steps; ++i) {
    std::string noticed = m.step();
    if (noticed.empty() && (m.failed || random.one_in(15))) {
      if (!m.failed && random.one_in(2)) {
        v.kill();
        v.open();
        noticed = m.check(false);
      } else {
        v.cut_power();
        m.failed = false; // an operator accepts what is lost
        v.open();
        noticed = m.check(true);
      }
    }
    if (!noticed.empty())
      return "step " + std::to_string(i) + ": " + noticed;
  }
  if (m.failed)
    return {};
  // All of it in, the source away, power cut: nothing is missed.
  for (std::uint64_t g = 0; g < 21; g += 7)
    if (auto brought = v.bring_in(g, 7); !brought)
      return syncs_fail ? "" : "bringing in failed: " + why(brought);
  if (auto dropped = v.drop_source(); !dropped)
    return syncs_fail ? "" : "the source could not go: " + why(dropped);
  v.source->fails = true;
  v.cut_power();
  v.spec.source = nullptr;
  v.open();
  return m.check(true);
}

} // namespace

BOOST_DATA_TEST_CASE(content_agrees_with_a_model_over_kills_and_power_cuts,
                     boost::unit_test::data::make({false, true}), direct) {
  const auto seed = test::seed_for("presence/model");
  for (std::uint64_t i = 0; i < 6; ++i)
    BOOST_REQUIRE_EQUAL(run_presence(seed + i, direct ? cache_mode::direct : cache_mode::buffered, 150, false), "");
}

BOOST_AUTO_TEST_CASE(content_agrees_with_a_model_where_syncs_fail) {
  const auto seed = test::seed_for("presence/failing");
  for (std::uint64_t i = 0; i < 8; ++i)
    BOOST_REQUIRE_EQUAL(run_presence(seed + i, cache_mode::buffered, 100, true), "");
}

BOOST_AUTO_TEST_CASE(a_part_of_a_granule_is_brought_in_once_however_many_write_it) {
  restored_volume v(4 * granule_bytes);
  v.source->slow = std::chrono::milliseconds{20};
  std::vector<std::unique_ptr<core_request>> writes;
  for (std::uint64_t i = 0; i < 16; ++i) {
    writes.push_back(std::make_unique<core_request>(*v.core, operation::write, i * 4096, 4096, stamped(i + 1, 8)));
    writes.back()->start_on(static_cast<std::uint32_t>(i % 2));
  }
  for (auto& one : writes)
    BOOST_CHECK_EQUAL(one->wait(), 0);
  BOOST_CHECK_EQUAL(v.source->reads.load(), 1);
  const bytes now = v.read(0, granule_bytes);
  for (std::uint64_t i = 0; i < 16; ++i)
    BOOST_CHECK(stamp_of(now.data() + i * 4096) == i + 1);
}

BOOST_AUTO_TEST_CASE(reads_of_missing_granules_bring_nothing_in_and_whole_writes_need_no_source) {
  restored_volume v(4 * granule_bytes);
  (void)v.read(0, 4 * granule_bytes);
  BOOST_CHECK_EQUAL(v.core->granules().report_presence()->present, 0u);
  v.source->fails = true;
  core_request read(*v.core, operation::read, 0, 4096);
  BOOST_CHECK_EQUAL(read.start_on(0).wait(), EIO);
  BOOST_CHECK_EQUAL(v.run(operation::write, 0, 4096, stamped(1, 8)), EIO); // part of one
  BOOST_CHECK_EQUAL(v.run(operation::write, 0, granule_bytes, stamped(1, 128)), 0);
  BOOST_CHECK_EQUAL(v.run(operation::zero, granule_bytes, granule_bytes), 0);
  BOOST_CHECK(stamp_of(v.read(0, 512).data()) == 1u);
  BOOST_CHECK(stamp_of(v.read(granule_bytes, 512).data()) == 0u);
  BOOST_CHECK_EQUAL(v.core->granules().report_presence()->present, 2u);
  BOOST_CHECK(v.drop_source().error().code == errc::invalid_argument);
}

BOOST_AUTO_TEST_CASE(what_was_pending_when_a_sync_had_failed_is_refused_until_it_is_written_again) {
  restored_volume v(4 * granule_bytes);
  BOOST_CHECK_EQUAL(v.run(operation::write, 0, granule_bytes, stamped(1, 128)), 0);
  v.kill();
  v.spec.writes_failed = true;
  v.open();
  core_request read(*v.core, operation::read, 0, 4096);
  BOOST_CHECK_EQUAL(read.start_on(0).wait(), EIO);
  BOOST_CHECK(stamp_of(v.read(granule_bytes, 512).data()) == stamped_source::stamp(128)); // others are not in doubt
  v.kill();
  v.open(); // and after every restart
  core_request again(*v.core, operation::read, 0, 4096);
  BOOST_CHECK_EQUAL(again.start_on(0).wait(), EIO);
}

BOOST_AUTO_TEST_CASE(a_capture_of_a_volume_with_a_source_holds_what_the_source_has) {
  restored_volume v(4 * granule_bytes);
  BOOST_CHECK_EQUAL(v.run(operation::write, 0, 4096, stamped(7, 8)), 0);
  auto promise = std::make_shared<std::promise<result<capture_begun>>>();
  v.core->granules().begin_capture(v.core, capture_kind::everything, {},
                                   [promise](result<capture_begun> r) { promise->set_value(std::move(r)); });
  const auto begun = promise->get_future().get();
  BOOST_REQUIRE_MESSAGE(begun, why(begun));
  BOOST_CHECK_EQUAL(v.run(operation::write, granule_bytes, granule_bytes, stamped(8, 128)), 0); // copied first
  auto read = std::make_shared<std::promise<result<capture_piece>>>();
  v.core->granules().read_capture(v.core, begun->id, granule_index{0}, 4,
                                  [read](result<capture_piece> r) { read->set_value(std::move(r)); });
  const auto piece = read->get_future().get();
  BOOST_REQUIRE_MESSAGE(piece, why(piece));
  BOOST_REQUIRE_EQUAL(piece->data.size(), 4 * granule_bytes);
  BOOST_CHECK(stamp_of(piece->data.data()) == 7u);
  BOOST_CHECK(stamp_of(piece->data.data() + 4096) == stamped_source::stamp(8));
  BOOST_CHECK(stamp_of(piece->data.data() + granule_bytes) == stamped_source::stamp(128));
  BOOST_CHECK(stamp_of(piece->data.data() + 2 * granule_bytes) == 0u);
  BOOST_CHECK(wait_for([&](done_callback done) {
    v.core->granules().end_capture(v.core, begun->id, capture_end::failed, std::move(done));
  }));
}

namespace {

// While a slow source is read for a write of a part, all of the granule is written: that must not be undone.
bool whole_write_survives_bringing_in() {
  restored_volume v(4 * granule_bytes);
  v.source->slow = std::chrono::milliseconds{60};
  core_request part(*v.core, operation::write, 0, 4096, stamped(1, 8));
  part.start_on(0);
  while (v.source->reads == 0)
    std::this_thread::yield();
  core_request whole(*v.core, operation::write, 0, granule_bytes, stamped(2, 128));
  whole.start_on(1);
  const bool written = part.wait() == 0 && whole.wait() == 0;
  const bytes now = v.read(0, granule_bytes);
  return written && stamp_of(now.data() + 4096) == 2u && stamp_of(now.data() + granule_bytes - sector) == 2u;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_write_of_a_whole_granule_is_not_undone_by_bringing_it_in) {
  BOOST_CHECK(whole_write_survives_bringing_in());
}

#ifdef GNOMON_PLANTED_FAULTS
BOOST_AUTO_TEST_CASE(bringing_in_without_the_gate_is_noticed) {
  gnomon::io::planted_fault = gnomon::io::planted::bring_in_without_gate;
  BOOST_CHECK(!whole_write_survives_bringing_in());
  gnomon::io::planted_fault = gnomon::io::planted::none;
}

BOOST_AUTO_TEST_CASE(planted_faults_of_presence_are_noticed) {
  const auto seed = test::seed_for("presence/planted");
  struct planting {
    explicit planting(gnomon::io::planted what) { gnomon::io::planted_fault = what; }
    ~planting() { gnomon::io::planted_fault = gnomon::io::planted::none; }
  };
  struct kind {
    planted what;
    bool syncs_fail;
  };
  for (const kind k : {kind{gnomon::io::planted::pending_left_out, false}, kind{gnomon::io::planted::present_before_data, true},
                       kind{gnomon::io::planted::list_after_sync_began, false}, kind{gnomon::io::planted::bits_outside_chain, false},
                       kind{gnomon::io::planted::other_pending_believed, false}, kind{gnomon::io::planted::trim_relies_on_hole, false},
                       kind{gnomon::io::planted::partial_write_without_bring_in, false}}) {
    const planting fault(k.what);
    std::string noticed;
    for (std::uint64_t i = 0; i < 60 && noticed.empty(); ++i)
      noticed = run_presence(seed + i, cache_mode::buffered, 150, k.syncs_fail);
    BOOST_CHECK_MESSAGE(!noticed.empty(), "planted fault " << static_cast<int>(k.what) << " was not noticed");
  }
}
#endif

BOOST_AUTO_TEST_SUITE_END()
