// At a stop each volume ends by itself: one whose disk does not answer keeps no other from being closed cleanly.
#include "io/engine/last_syncs.hpp"

#include "io/volume/granule_state.hpp"
#include "tests/io/volume/core_fixture.hpp"

using namespace gnomon;
using namespace gnomon::io;
using namespace gnomon::io::test;

BOOST_AUTO_TEST_SUITE(last_syncs_test)
namespace {

struct stopping_volumes {
  temporary_directory directory;
  running_plane running{2};

  std::shared_ptr<volume_core> open(const std::string& name, const char* faults = nullptr) {
    volume_spec spec;
    spec.uuid = volume_uuid::random();
    spec.name = volume_name{name};
    spec.path = make_file(directory, name, 1 << 20);
    spec.size = byte_count{1 << 20};
    if (faults != nullptr)
      setenv("GNOMON_FAULT_PLAN", faults, 1);
    auto opened = volume_core::open(spec, running.plane);
    unsetenv("GNOMON_FAULT_PLAN");
    BOOST_REQUIRE_MESSAGE(opened, why(opened));
    return *opened;
  }
  static boot_time soon() { return boot_clock::now() + std::chrono::seconds{60}; }
  static std::chrono::steady_clock::time_point in(std::chrono::milliseconds span) {
    return std::chrono::steady_clock::now() + span;
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(a_disk_that_hangs_keeps_no_other_volume_from_being_synced, stopping_volumes) {
  const auto hanging = open("hanging");
  std::unique_lock disk{hanging->control}; // its sync waits here, as it does in the kernel
  std::vector<std::shared_ptr<volume_core>> healthy;
  last_syncs syncs(running.plane.generations);
  syncs.begin(hanging, soon());
  for (int i = 0; i < 8; ++i) {
    healthy.push_back(open("v" + std::to_string(i)));
    syncs.begin(healthy.back(), soon());
  }
  for (const auto& core : healthy)
    while (!core->is_synced()) // for ever, were one to wait for the other
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
  BOOST_CHECK(!hanging->is_synced());
  BOOST_CHECK(syncs.wait(in(std::chrono::milliseconds{10})).late);
  BOOST_CHECK(!hanging->is_synced());
  disk.unlock();
  BOOST_CHECK(!syncs.wait(in(std::chrono::hours{1})).late);
  BOOST_CHECK(hanging->is_synced());
}

BOOST_FIXTURE_TEST_CASE(requests_that_do_not_end_are_given_up_and_the_volume_is_not_synced, stopping_volumes) {
  const auto busy = open("busy"), healthy = open("healthy");
  const auto request = busy->granules().enter_internal(request_class::changes);
  last_syncs syncs(running.plane.generations);
  syncs.begin(busy, boot_clock::now() + std::chrono::milliseconds{20});
  syncs.begin(healthy, soon());
  BOOST_CHECK(syncs.wait(in(std::chrono::hours{1})).late);
  BOOST_CHECK(!busy->is_synced());
  BOOST_CHECK(healthy->is_synced());
  busy->granules().leave_internal(request);
}

BOOST_FIXTURE_TEST_CASE(a_volume_that_is_being_closed_is_left_to_its_close, stopping_volumes) {
  const auto closing = open("closing");
  const auto request = closing->granules().enter_internal(request_class::changes);
  std::atomic<bool> closed{false};
  last_syncs syncs(running.plane.generations, [&](const volume_core&) { return !closed; });
  {
    const std::lock_guard control{closing->control};
    syncs.begin(closing, soon());
    closing->granules().leave_internal(request);
    running.plane.generations.drop(*closing);
    closed = true;
  }
  BOOST_CHECK(!syncs.wait(in(std::chrono::hours{1})).late);
  BOOST_CHECK(!closing->is_synced()); // not twice
}

BOOST_FIXTURE_TEST_CASE(a_sync_that_fails_is_told_where_it_cannot_be_recorded, stopping_volumes) {
  running.plane.record_failure = [](volume_uuid, int, const done_callback& done) { done(fail(errc::io_failed, "no")); };
  const auto failing = open("failing", "seed=1,sync_error=#1:ENOSPC");
  last_syncs syncs(running.plane.generations);
  syncs.begin(failing, soon());
  const auto outcome = syncs.wait(in(std::chrono::hours{1}));
  BOOST_CHECK(!outcome.late);
  BOOST_REQUIRE(!outcome.unrecorded);
  BOOST_CHECK_EQUAL(outcome.unrecorded.error().os_errno, ENOSPC);
  BOOST_CHECK(!failing->is_synced());
}

BOOST_AUTO_TEST_SUITE_END()
