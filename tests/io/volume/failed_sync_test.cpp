// A failed sync is never forgotten: whoever made it, the failure is recorded before a client gets the error, no later sync
// undoes it, and a failure that cannot be recorded refuses everything.
#include <atomic>
#include <condition_variable>
#include <mutex>

#include <boost/test/unit_test.hpp>

#include "tests/io/engine/io_fixture.hpp"

using namespace gnomon;
using namespace gnomon::io;
using namespace gnomon::io::test;

BOOST_AUTO_TEST_SUITE(failed_sync_test)
namespace {

const local_request flush{operation::flush, {}, {}, {}, false};
const local_request read_block{operation::read, byte_offset{0}, byte_count{4096}, {}, false};
const local_request write_block{operation::write, byte_offset{0}, byte_count{4096},
                                std::vector<std::byte>(4096, std::byte{7}), false};

// An engine whose failures are recorded when the test says so.
struct fixture {
  temporary_directory directory;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<done_callback> marks; // asked for and not yet answered
  int asked = 0;
  std::unique_ptr<engine> e;
  volume_spec spec;

  fixture() {
    engine_options o;
    o.io.rings = 2;
    o.record_failure = [this](volume_uuid, int, done_callback done) {
      std::lock_guard lock(mutex);
      marks.push_back(std::move(done));
      ++asked;
      changed.notify_all();
    };
    auto started = engine::start(std::move(o));
    BOOST_REQUIRE_MESSAGE(started, why(started));
    e = std::move(*started);
  }
  void open(const char* plan) {
    setenv("GNOMON_FAULT_PLAN", plan, 1);
    spec.uuid = volume_uuid::random();
    spec.name = volume_name{"v"};
    spec.size = byte_count{1 << 20};
    spec.path = make_file(directory, "v", spec.size.value);
    const auto opened = wait_for([&](done_callback done) { e->open_volume(spec, std::move(done)); });
    unsetenv("GNOMON_FAULT_PLAN");
    BOOST_REQUIRE_MESSAGE(opened, why(opened));
  }
  std::shared_ptr<std::promise<local_reply>> send(const local_request& request) {
    auto promise = std::make_shared<std::promise<local_reply>>();
    e->submit(spec.uuid, request, [promise](local_reply r) { promise->set_value(std::move(r)); });
    return promise;
  }
  done_callback next_mark() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return !marks.empty(); });
    auto done = std::move(marks.front());
    marks.erase(marks.begin());
    return done;
  }
};

bool answered(std::future<local_reply>& reply) { return reply.wait_for(std::chrono::milliseconds{50}) == std::future_status::ready; }

} // namespace

BOOST_FIXTURE_TEST_CASE(a_client_hears_of_the_failure_when_it_is_recorded_and_not_before, fixture) {
  open("seed=1,sync_error=#1:EIO");
  BOOST_CHECK(ask(*e, spec.uuid, write_block));
  auto flushed = send(flush)->get_future();
  const auto mark = next_mark();
  auto late_write = send(write_block)->get_future(), late_flush = send(flush)->get_future();
  BOOST_CHECK(!answered(flushed));
  BOOST_CHECK(!answered(late_write)); // neither do those who come meanwhile
  BOOST_CHECK(!answered(late_flush));
  BOOST_CHECK(ask(*e, spec.uuid, read_block));
  mark({});
  for (auto* reply : {&flushed, &late_write, &late_flush}) {
    const auto r = reply->get();
    BOOST_REQUIRE(!r);
    BOOST_CHECK(r.error().code == errc::io_failed);
  }
  BOOST_CHECK(e->status(spec.uuid)->failure_recorded);
  BOOST_CHECK(ask(*e, spec.uuid, read_block));
  BOOST_CHECK(!ask(*e, spec.uuid, write_block));
  BOOST_CHECK(e->stop(std::chrono::seconds{10}));
  BOOST_CHECK(!e->status(spec.uuid)->synced);
  BOOST_CHECK_EQUAL(asked, 1);
}

BOOST_FIXTURE_TEST_CASE(a_failure_that_cannot_be_recorded_refuses_everything_until_it_is, fixture) {
  open("seed=1,sync_error=#1:EIO");
  auto flushed = send(flush)->get_future();
  next_mark()(fail(errc::io_failed, "the same disk", EIO));
  BOOST_CHECK(!flushed.get());
  BOOST_CHECK(!ask(*e, spec.uuid, read_block));
  BOOST_CHECK(!ask(*e, spec.uuid, write_block));
  BOOST_CHECK(!e->status(spec.uuid)->failure_recorded);
  BOOST_CHECK(wait_for([&](done_callback done) { e->failure_recorded(spec.uuid, std::move(done)); }));
  BOOST_CHECK(e->status(spec.uuid)->failure_recorded);
  BOOST_CHECK(ask(*e, spec.uuid, read_block));
  BOOST_CHECK(!ask(*e, spec.uuid, write_block));
  BOOST_CHECK(e->stop(std::chrono::seconds{10}));
}

BOOST_FIXTURE_TEST_CASE(a_sync_that_fails_at_the_close_is_recorded_and_not_made_again, fixture) {
  open("seed=1,sync_error=#1:EIO");
  BOOST_CHECK(ask(*e, spec.uuid, write_block));
  auto promise = std::make_shared<std::promise<result<void>>>();
  auto closed = promise->get_future();
  e->close_volume(spec.uuid, [promise](result<void> r) { promise->set_value(std::move(r)); });
  const auto mark = next_mark();
  BOOST_CHECK(closed.wait_for(std::chrono::milliseconds{50}) != std::future_status::ready);
  mark({});
  const auto outcome = closed.get();
  BOOST_REQUIRE(!outcome);
  BOOST_CHECK(outcome.error().code == errc::io_failed);
  BOOST_CHECK(!e->status(spec.uuid)); // closed all the same: whoever closes it again would only sync again
  BOOST_CHECK(e->stop(std::chrono::seconds{10}));
}

BOOST_FIXTURE_TEST_CASE(a_sync_that_fails_at_the_stop_is_recorded_or_the_stop_has_failed, fixture) {
  open("seed=1,sync_error=#1:ENOSPC");
  BOOST_CHECK(ask(*e, spec.uuid, write_block));
  std::thread recorder([this] { next_mark()(fail(errc::io_failed, "the same disk", EIO)); });
  const auto stopped = e->stop(std::chrono::seconds{10});
  recorder.join();
  BOOST_REQUIRE(!stopped);
  BOOST_CHECK(stopped.error().code == errc::io_failed);
  BOOST_CHECK(!e->status(spec.uuid)->synced);
}

// Whatever its errno: a full disk's is no refusal, as it is of the growing itself.
BOOST_FIXTURE_TEST_CASE(a_sync_that_fails_at_a_resize_is_recorded, fixture) {
  open("seed=1,sync_error=#1:ENOSPC");
  BOOST_CHECK(ask(*e, spec.uuid, write_block));
  std::thread recorder([this] { next_mark()({}); });
  const auto grown = wait_for([&](done_callback done) { e->resize_volume(spec.uuid, byte_count{2 << 20}, std::move(done)); });
  recorder.join();
  BOOST_REQUIRE(!grown);
  BOOST_CHECK(grown.error().code == errc::io_failed);
  BOOST_CHECK(!ask(*e, spec.uuid, write_block));
  BOOST_CHECK(!ask(*e, spec.uuid, flush));
  BOOST_CHECK_EQUAL(asked, 1);
  BOOST_CHECK(e->stop(std::chrono::seconds{10}));
}

BOOST_FIXTURE_TEST_CASE(a_stop_without_a_failure_has_synced_everything, fixture) {
  open("seed=1");
  BOOST_CHECK(ask(*e, spec.uuid, write_block));
  BOOST_CHECK(!e->status(spec.uuid)->synced);
  BOOST_CHECK(e->stop(std::chrono::seconds{10}));
  BOOST_CHECK(e->status(spec.uuid)->synced);
  BOOST_CHECK_EQUAL(asked, 0);
}

BOOST_AUTO_TEST_SUITE_END()
