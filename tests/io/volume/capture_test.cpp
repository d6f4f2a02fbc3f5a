// What a capture promises: the content of one point in time, all that changed since the layer below, whatever clients
// do meanwhile; and never at the cost of a client's write.
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <sys/stat.h>

#include "io/fault/planted.hpp"
#include "io/volume/granule_state.hpp"
#include "tests/io/volume/core_fixture.hpp"
#include "tests/support/seeded.hpp"

using namespace gnomon;
using namespace gnomon::io;
using namespace gnomon::io::test;

BOOST_AUTO_TEST_SUITE(capture_test)
namespace {

using bytes = std::vector<std::byte>;

template <class T, class Call>
result<T> answer_of(Call&& call) {
  auto promise = std::make_shared<std::promise<result<T>>>();
  auto answer = promise->get_future();
  call([promise](result<T> r) { promise->set_value(std::move(r)); });
  return answer.get();
}

// A volume whose core is opened, killed and closed as a node would.
struct captured_volume {
  temporary_directory directory;
  volume_spec spec;
  std::unique_ptr<running_plane> running;
  std::shared_ptr<volume_core> core;
  std::string boot = "test-boot-" + std::to_string(getpid());

  explicit captured_volume(std::uint64_t size, cache_mode cache = cache_mode::buffered) {
    spec.uuid = volume_uuid::random();
    spec.name = volume_name{"v"};
    spec.path = make_file(directory, "v", size);
    spec.size = byte_count{size};
    spec.cache = cache;
    open();
  }
  ~captured_volume() {
    if (core)
      close();
  }
  void open() {
    running = std::make_unique<running_plane>(2);
    running->plane.boot = boot;
    auto opened = volume_core::open(spec, running->plane);
    BOOST_REQUIRE_MESSAGE(opened, why(opened));
    core = *opened;
  }
  void close() {
    core->granules().begin_close();
    BOOST_REQUIRE(running->plane.generations.wait_until_over(
        core, generation_scheduler::classes::changes_and_looks, boot_time::max()));
    BOOST_REQUIRE(running->plane.generations.wait_for(
        core, [](volume_core& c) { return c.granules().idle(); }, boot_time::max()));
    running->plane.generations.drop(*core);
    core->granules().close_clean();
    core.reset();
    running.reset();
  }
  void kill() { // the shared memory stays, nothing is saved
    BOOST_REQUIRE(running->plane.granule_work.stop(std::chrono::steady_clock::now() + std::chrono::seconds{60}));
    running->plane.generations.stop();
    core.reset();
    running.reset();
  }

  int write(std::uint64_t at, const bytes& data, std::uint32_t ring = 0) {
    return core_request(*core, operation::write, at, data.size(), data).start_on(ring).wait();
  }
  bytes read(std::uint64_t at, std::uint64_t length) {
    core_request r(*core, operation::read, at, length);
    BOOST_REQUIRE_EQUAL(r.start_on(0).wait(), 0);
    return r.data();
  }
  result<capture_begun> begin(capture_order order, std::optional<hold_id> held = {}) {
    return answer_of<capture_begun>(
        [&](auto done) { core->granules().begin_capture(core, order, held, std::move(done)); });
  }
  result<capture_piece> piece(std::uint64_t id, granule_index from, std::uint32_t most) {
    return answer_of<capture_piece>(
        [&](auto done) { core->granules().read_capture(core, id, from, most, std::move(done)); });
  }
  result<void> end(std::uint64_t id, capture_end how) {
    return wait_for([&](done_callback done) { core->granules().end_capture(core, id, how, std::move(done)); });
  }
  // Applies a whole capture to the content of the layer below.
  result<void> read_all(std::uint64_t id, bytes& content, const std::function<void()>& between = [] {}) {
    granule_index from{0};
    for (;;) {
      auto got = piece(id, from, 3);
      if (!got)
        return tl::unexpected(got.error());
      const std::uint64_t begin = got->first.value * granule_bytes;
      const std::uint64_t length =
          std::min<std::uint64_t>(got->granules * granule_bytes, content.size() - std::min(begin, content.size()));
      if (got->granules != 0) {
        BOOST_REQUIRE(got->zero ? got->data.empty() : got->data.size() == length);
        if (got->zero)
          std::fill_n(content.begin() + static_cast<std::ptrdiff_t>(begin), length, std::byte{0});
        else
          std::copy(got->data.begin(), got->data.end(), content.begin() + static_cast<std::ptrdiff_t>(begin));
      }
      if (got->end)
        return {};
      BOOST_REQUIRE_GT(got->next.value, from.value);
      from = got->next;
      between();
    }
  }
};

// Volumes opened meanwhile err as the plan says.
struct faults_for_the_next_volume {
  explicit faults_for_the_next_volume(const char* plan) { setenv("GNOMON_FAULT_PLAN", plan, 1); }
  ~faults_for_the_next_volume() { unsetenv("GNOMON_FAULT_PLAN"); }
};

bytes filled(std::size_t n, unsigned value) { return bytes(n, static_cast<std::byte>(value)); }

// Random changes of every shape, one after the other, against a copy in memory.
struct model {
  captured_volume& volume;
  test::random_source& random;
  bytes content;

  model(captured_volume& v, test::random_source& r) : volume(v), random(r), content(v.spec.size.value) {}
  void change() {
    static constexpr std::uint64_t lengths[] = {512, 4096, 5000, 65536, 66000, 200000};
    const std::uint64_t length = lengths[random.below(std::size(lengths))];
    const std::uint64_t at = random.below(content.size() - length);
    const auto place = content.begin() + static_cast<std::ptrdiff_t>(at);
    const auto ring = static_cast<std::uint32_t>(random.below(2));
    switch (random.below(6)) {
    case 0: {
      BOOST_REQUIRE_EQUAL(core_request(*volume.core, operation::zero, at, length).start_on(ring).wait(), 0);
      std::fill_n(place, length, std::byte{0});
      break;
    }
    case 1: { // what it did is looked up: a trim may do nothing
      BOOST_REQUIRE_EQUAL(core_request(*volume.core, operation::trim, at, length).start_on(ring).wait(), 0);
      const bytes now = volume.read(at, length);
      for (std::size_t i = 0; i < length; ++i)
        BOOST_REQUIRE((now[i] == place[static_cast<std::ptrdiff_t>(i)] || now[i] == std::byte{0}));
      std::copy(now.begin(), now.end(), place);
      break;
    }
    default: {
      bytes data(length);
      for (auto& b : data)
        b = static_cast<std::byte>(random.below(256));
      BOOST_REQUIRE_EQUAL(volume.write(at, data, ring), 0);
      std::copy(data.begin(), data.end(), place);
    }
    }
  }
};

void steps_of_generations(captured_volume& v, test::random_source& random) {
  for (auto n = random.below(3); n > 0; --n)
    BOOST_REQUIRE(v.running->plane.generations.wait_until_over(v.core, generation_scheduler::classes::changes,
                                                               boot_time::max()));
}

// Captures between and during random changes; sealed ones make the layers that the next differential stands on.
// Returns what was noticed, for planted faults.
std::string run_model(std::uint64_t seed, cache_mode cache, int rounds) {
  test::random_source random(seed);
  captured_volume v(3 * (1 << 20) + 512 * 8, cache);
  model m(v, random);
  bytes newest_layer;
  for (int round = 0; round < rounds; ++round) {
    for (auto n = random.below(8); n > 0; --n)
      m.change();
    const bool everything = newest_layer.empty() || random.one_in(6);
    auto begun = v.begin(everything ? capture_kind::everything : capture_kind::changed);
    BOOST_REQUIRE_MESSAGE(begun, why(begun));
    const bytes at_cut = m.content;
    if (!newest_layer.empty() && !begun->changed_known)
      return "what changed became unknown";
    if (v.begin(capture_kind::changed).error().code != errc::busy)
      return "two captures at once";
    bytes captured = newest_layer.empty() ? filled(m.content.size(), 0xEE) : newest_layer;
    steps_of_generations(v, random);
    const auto read = v.read_all(begun->id, captured, [&] {
      for (auto n = random.below(3); n > 0; --n)
        m.change();
      steps_of_generations(v, random);
    });
    BOOST_REQUIRE_MESSAGE(read, why(read));
    if (captured != at_cut)
      return "a capture of another point in time, or without something that changed";
    const bool sealed = random.below(3) > 0;
    BOOST_REQUIRE(v.end(begun->id, sealed ? capture_end::sealed : capture_end::failed));
    if (sealed)
      newest_layer = std::move(captured);
    if (v.read(0, m.content.size()) != m.content)
      return "the volume's own content is wrong";
    switch (random.below(8)) {
    case 0:
      v.close();
      v.open();
      break;
    case 1:
      v.kill();
      v.open();
      break;
    default:
      break;
    }
  }
  return {};
}

} // namespace

BOOST_DATA_TEST_CASE(captures_are_points_in_time_and_differentials_miss_nothing_over_restarts_and_kills,
                     boost::unit_test::data::make({false, true}), direct) {
  const auto seed = test::seed_for("capture/model");
  for (std::uint64_t i = 0; i < 6; ++i)
    BOOST_REQUIRE_EQUAL(run_model(seed + i, direct ? cache_mode::direct : cache_mode::buffered, 15), "");
}

// Writers on both rings, each in order and acknowledged; what a capture holds of each is a prefix of what it wrote.
// Cuts fall into the middle of requests.
bool prefixes_hold(std::uint64_t seed, int captures) {
  constexpr std::uint64_t size = 4 << 20, blocks = size / 4096;
  captured_volume v(size);
  struct entry {
    std::uint32_t writer, number;
  };
  std::atomic<bool> good{true};
  std::uint32_t base[2] = {0, 0};
  for (int c = 0; c < captures && good; ++c) {
    std::atomic<bool> stop{false};
    std::atomic<std::uint32_t> written[2] = {base[0], base[1]};
    std::vector<std::thread> writers;
    for (std::uint32_t w = 0; w < 2; ++w)
      writers.emplace_back([&, w] {
        test::random_source random(seed + w + static_cast<std::uint64_t>(c) * 2);
        while (!stop) {
          const std::uint32_t number = written[w] + 1;
          const std::uint64_t block = (number * 2 + w) % blocks; // each its own blocks of shared granules
          bytes data(4096);
          std::memcpy(data.data(), &number, sizeof number);
          if (v.write(block * 4096, data, static_cast<std::uint32_t>(random.below(2))) != 0)
            good = false;
          written[w] = number;
        }
      });
    std::this_thread::sleep_for(std::chrono::milliseconds{3});
    const std::uint32_t before[2] = {written[0], written[1]};
    auto begun = v.begin(capture_kind::everything);
    BOOST_REQUIRE_MESSAGE(begun, why(begun));
    bytes captured(size);
    const auto read = v.read_all(begun->id, captured);
    stop = true;
    for (auto& t : writers)
      t.join();
    BOOST_REQUIRE_MESSAGE(read, why(read));
    BOOST_REQUIRE(v.end(begun->id, capture_end::sealed));
    for (std::uint32_t w = 0; w < 2; ++w) {
      std::uint32_t newest = 0;
      const auto at = [&](std::uint32_t number) {
        std::uint32_t found = 0;
        std::memcpy(&found, captured.data() + (number * 2 + w) % blocks * 4096, sizeof found);
        return found;
      };
      for (std::uint64_t b = 0; b < blocks / 2; ++b)
        newest = std::max(newest, at(static_cast<std::uint32_t>(b)));
      good = good && newest >= before[w];
      for (std::uint32_t n = newest > blocks / 2 ? newest - static_cast<std::uint32_t>(blocks / 2) + 1 : 1; n <= newest; ++n)
        good = good && at(n) == n;
      base[w] = written[w];
    }
  }
  return good;
}

BOOST_AUTO_TEST_CASE(what_a_capture_holds_of_each_concurrent_writer_is_a_prefix) {
  BOOST_CHECK(prefixes_hold(test::seed_for("capture/prefix"), 8));
}

BOOST_AUTO_TEST_CASE(a_full_spill_fails_the_capture_and_never_the_write) {
  captured_volume v(1 << 20);
  BOOST_REQUIRE_EQUAL(v.write(0, filled(1 << 20, 1)), 0);
  auto begun = v.begin(capture_kind::everything);
  BOOST_REQUIRE(begun);
  v.core->current_route().duties->capturing->fail_with({errc::limit_reached, "planted", 0});
  BOOST_CHECK_EQUAL(v.write(0, filled(1 << 20, 2)), 0);
  BOOST_CHECK(v.piece(begun->id, granule_index{0}, 64).error().code == errc::limit_reached);
  // It cannot be sealed, and is over all the same.
  BOOST_CHECK(v.end(begun->id, capture_end::sealed).error().code == errc::invalid_argument);
  BOOST_CHECK(v.end(begun->id, capture_end::failed).error().code == errc::not_found);
  // Nothing is lost: the next one reads everything again, since no layer was ever sealed.
  begun = v.begin(capture_kind::changed);
  BOOST_REQUIRE(begun);
  BOOST_CHECK(!begun->changed_known);
  bytes captured(1 << 20);
  BOOST_CHECK(v.read_all(begun->id, captured));
  BOOST_CHECK(captured == filled(1 << 20, 2));
  BOOST_CHECK(v.end(begun->id, capture_end::sealed));
}

BOOST_AUTO_TEST_CASE(a_spill_keeps_no_more_than_its_bound_and_uses_slots_again) {
  temporary_directory directory;
  auto spill = granule_spill::create(directory.path(), 2 * granule_bytes);
  BOOST_REQUIRE(spill);
  BOOST_CHECK((*spill)->keep(granule_index{5}, filled(granule_bytes, 5)));
  BOOST_CHECK((*spill)->keep(granule_index{9}, filled(512, 9)));
  BOOST_CHECK((*spill)->keep(granule_index{7}, filled(512, 7)).error().code == errc::limit_reached);
  bytes back(512);
  BOOST_CHECK((*spill)->read(granule_index{9}, back));
  BOOST_CHECK(back == filled(512, 9));
  (*spill)->forget_before(granule_index{9});
  BOOST_CHECK((*spill)->read(granule_index{5}, back).error().code == errc::not_found);
  BOOST_CHECK((*spill)->keep(granule_index{7}, filled(512, 7)));
  BOOST_CHECK((*spill)->read(granule_index{9}, back));
  BOOST_CHECK(back == filled(512, 9));
}

BOOST_AUTO_TEST_CASE(a_hold_makes_the_cut_of_its_capture) {
  captured_volume v(1 << 20);
  BOOST_REQUIRE_EQUAL(v.write(0, filled(4096, 1)), 0);
  const auto deadline = boot_clock::now() + std::chrono::milliseconds{500};
  const auto held = answer_of<held_report>(
      [&](auto done) { v.core->granules().hold(v.core, hold_id{7}, deadline, std::move(done)); });
  BOOST_REQUIRE_MESSAGE(held, why(held));
  core_request late(*v.core, operation::write, 0, 4096, filled(4096, 2));
  late.start_on(1);
  const auto again = answer_of<held_report>(
      [&](auto done) { v.core->granules().hold(v.core, hold_id{7}, deadline, std::move(done)); });
  BOOST_REQUIRE(again);
  BOOST_CHECK(again->cut == held->cut);
  BOOST_CHECK(v.read(0, 4096) == filled(4096, 1)); // reads pass
  BOOST_CHECK(!late.answered());
  BOOST_CHECK(v.core->granules().release(hold_id{7}) == hold_outcome::released);
  BOOST_CHECK_EQUAL(late.wait(), 0);
  const auto begun = v.begin(capture_kind::changed, hold_id{7});
  BOOST_REQUIRE_MESSAGE(begun, why(begun));
  BOOST_CHECK(begun->cut == held->cut);
  bytes captured(1 << 20);
  BOOST_CHECK(v.read_all(begun->id, captured));
  bytes expected(1 << 20);
  std::fill_n(expected.begin(), 4096, std::byte{1});
  BOOST_CHECK(captured == expected);
  BOOST_CHECK(v.end(begun->id, capture_end::sealed));
}

BOOST_AUTO_TEST_CASE(a_hold_nobody_releases_ends_at_its_deadline_and_an_abandoned_one_at_once) {
  captured_volume v(1 << 20);
  const auto hold = [&](std::uint64_t id, int ms) {
    const auto deadline = boot_clock::now() + std::chrono::milliseconds{ms};
    return answer_of<held_report>(
        [&](auto done) { v.core->granules().hold(v.core, hold_id{id}, deadline, std::move(done)); });
  };
  BOOST_REQUIRE(hold(1, 20));
  BOOST_CHECK_EQUAL(v.write(0, filled(512, 1)), 0); // waits for the deadline
  BOOST_CHECK(v.core->granules().release(hold_id{1}) == hold_outcome::expired);
  BOOST_CHECK(hold(2, 20).error().code == errc::busy); // its cut waits for a capture
  v.core->granules().abandon(v.core, hold_id{1});
  result<held_report> third;
  for (std::uint64_t id = 3; !(third = hold(id, 20)) || id == 3; ++id) { // until that cut is taken back
    if (third)
      v.core->granules().abandon(v.core, hold_id{id});
  }
  v.core->granules().abandon(v.core, hold_id{99});
  BOOST_CHECK(hold(99, 20).error().code == errc::permission_denied);
  BOOST_CHECK(v.begin(capture_kind::changed, hold_id{99}).error().code == errc::not_found);
}

// What is known about changes: after a clean stop and after a kill; not of another boot, file or state of the file.
BOOST_AUTO_TEST_CASE(what_changed_is_known_only_where_nothing_can_have_been_missed) {
  captured_volume v(1 << 20);
  const auto seal = [&](bool expect_known) {
    auto begun = v.begin(capture_kind::changed);
    BOOST_REQUIRE_MESSAGE(begun, why(begun));
    BOOST_CHECK_EQUAL(begun->changed_known, expect_known);
    bytes captured(1 << 20);
    BOOST_REQUIRE(v.read_all(begun->id, captured));
    BOOST_REQUIRE(v.end(begun->id, capture_end::sealed));
  };
  seal(false); // the first one
  seal(true);
  v.close();
  BOOST_CHECK_EQUAL(access((v.spec.path + ".changed").c_str(), F_OK), 0);
  v.open();
  BOOST_CHECK_NE(access((v.spec.path + ".changed").c_str(), F_OK), 0); // gone before the first write
  seal(true);
  v.kill();
  v.open();
  seal(true);
  v.kill();
  v.boot += "x"; // the machine went down
  v.open();
  seal(false);
  v.close();
  std::this_thread::sleep_for(std::chrono::milliseconds{20}); // the file system's clock ticks
  { // somebody writes the file
    const int fd = ::open(v.spec.path.c_str(), O_WRONLY);
    BOOST_REQUIRE_EQUAL(pwrite(fd, "x", 1, 70000), 1);
    ::close(fd);
  }
  v.open();
  seal(false);
  v.close();
  v.spec.writes_failed = true; // a sync failed: what the file holds is in doubt
  v.open();
  BOOST_CHECK(!v.core->current_route().duties);
}

// --- failed syncs

BOOST_AUTO_TEST_CASE(a_sync_that_fails_fails_the_capture_under_way_and_every_later_one_until_it_is_accepted) {
  const faults_for_the_next_volume faults("seed=1,sync_error=#1:EIO");
  captured_volume v(1 << 20);
  BOOST_REQUIRE_EQUAL(v.write(0, filled(1 << 20, 1)), 0);
  const auto begun = v.begin(capture_kind::everything);
  BOOST_REQUIRE_MESSAGE(begun, why(begun));
  BOOST_REQUIRE(v.piece(begun->id, granule_index{0}, 1));
  BOOST_CHECK_EQUAL(core_request(*v.core, operation::flush, 0, 0).start_on(0).wait(), EIO);
  BOOST_CHECK(v.piece(begun->id, granule_index{1}, 1).error().code == errc::io_failed);
  BOOST_CHECK(!v.end(begun->id, capture_end::sealed));
  BOOST_CHECK(v.begin(capture_kind::everything).error().code == errc::io_failed);
  v.core->clear_write_failure();
  const auto next = v.begin(capture_kind::changed);
  BOOST_REQUIRE_MESSAGE(next, why(next));
  BOOST_CHECK(!next->changed_known);
  bytes captured(1 << 20);
  BOOST_CHECK(v.read_all(next->id, captured));
  BOOST_CHECK(captured == v.read(0, 1 << 20)); // whatever was lost
  BOOST_CHECK(v.end(next->id, capture_end::sealed));
}

// What the capture has read may be a page whose writeback failed, and no client has asked for a sync.
BOOST_AUTO_TEST_CASE(a_capture_ends_with_a_sync_of_its_own_and_fails_with_it) {
  const faults_for_the_next_volume faults("seed=1,sync_error=#1:ENOSPC");
  captured_volume v(1 << 20);
  BOOST_REQUIRE_EQUAL(v.write(0, filled(1 << 20, 1)), 0);
  const auto begun = v.begin(capture_kind::everything);
  BOOST_REQUIRE_MESSAGE(begun, why(begun));
  bytes captured(1 << 20);
  const auto read = v.read_all(begun->id, captured);
  BOOST_REQUIRE(!read);
  BOOST_CHECK(read.error().code == errc::io_failed);
  BOOST_CHECK(!v.end(begun->id, capture_end::sealed));
  BOOST_CHECK(v.core->condition() == core_condition::changes_refused);
}

// --- holds that never begin

BOOST_AUTO_TEST_CASE(an_abandon_that_overtakes_its_hold_leaves_no_cut_behind) {
  captured_volume v(1 << 20);
  std::promise<void> go;
  const auto gone = go.get_future().share();
  for (unsigned i = 0; i < lane_pool::lane_threads_max; ++i) // the hold waits for a worker
    v.core->granules().on_worker([gone] { gone.wait(); });
  std::promise<result<held_report>> answer;
  v.core->granules().hold(v.core, hold_id{7}, boot_clock::now() + std::chrono::seconds{1},
                          [&](result<held_report> r) { answer.set_value(std::move(r)); });
  v.core->granules().abandon(v.core, hold_id{7});
  go.set_value();
  const auto held = answer.get_future().get();
  BOOST_REQUIRE(!held);
  BOOST_CHECK(held.error().code == errc::permission_denied || held.error().code == errc::busy); // the deadline, when slow
  BOOST_CHECK_EQUAL(v.write(0, filled(4096, 1)), 0); // nothing is held
  const auto begun = v.begin(capture_kind::everything);
  BOOST_REQUIRE_MESSAGE(begun, why(begun));
  BOOST_CHECK(v.end(begun->id, capture_end::failed));
}

BOOST_AUTO_TEST_CASE(a_hold_whose_deadline_has_passed_never_begins) {
  captured_volume v(1 << 20);
  const auto held = answer_of<held_report>(
      [&](auto done) { v.core->granules().hold(v.core, hold_id{7}, boot_clock::now(), std::move(done)); });
  BOOST_REQUIRE(!held);
  BOOST_CHECK(held.error().code == errc::busy);
  BOOST_CHECK(!v.core->generations().outcome(hold_id{7}));
}

BOOST_AUTO_TEST_CASE(a_repeated_hold_may_be_released_where_it_is_answered) {
  captured_volume v(1 << 20);
  const auto deadline = boot_clock::now() + std::chrono::milliseconds{500};
  BOOST_REQUIRE(answer_of<held_report>(
      [&](auto done) { v.core->granules().hold(v.core, hold_id{7}, deadline, std::move(done)); }));
  std::optional<result<hold_outcome>> released;
  v.core->granules().hold(v.core, hold_id{7}, deadline, [&](const result<held_report>&) {
    released = v.core->granules().release(hold_id{7}); // on this thread: it takes the scheduler's mutex
  });
  BOOST_CHECK(released && *released);
  v.core->granules().abandon(v.core, hold_id{7});
}

// --- what is known about changes

BOOST_AUTO_TEST_CASE(changes_are_counted_from_one_snapshot_and_known_for_no_other) {
  captured_volume v(1 << 20);
  const auto first = snapshot_uuid::random(), second = snapshot_uuid::random();
  const auto known = [&](snapshot_uuid becomes, snapshot_uuid below, capture_end how) {
    const auto begun = v.begin({capture_kind::changed, becomes, below});
    BOOST_REQUIRE_MESSAGE(begun, why(begun));
    bytes captured(1 << 20);
    BOOST_REQUIRE(v.read_all(begun->id, captured));
    BOOST_REQUIRE(v.end(begun->id, how));
    return begun->changed_known;
  };
  BOOST_CHECK(!known(first, {}, capture_end::sealed));
  BOOST_CHECK(known(second, first, capture_end::failed));
  BOOST_CHECK(known(second, first, capture_end::sealed));
  BOOST_CHECK(!known(snapshot_uuid::random(), first, capture_end::failed));
  v.kill();
  v.open();
  BOOST_CHECK(!known(snapshot_uuid::random(), first, capture_end::failed));
  BOOST_CHECK(known(snapshot_uuid::random(), second, capture_end::failed));
  v.close();
  v.open();
  BOOST_CHECK(!known(snapshot_uuid::random(), first, capture_end::failed));
  BOOST_CHECK(known(snapshot_uuid::random(), second, capture_end::failed));
}

BOOST_DATA_TEST_CASE(a_damaged_file_takes_what_is_known_about_changes_with_it, boost::unit_test::data::make({false, true}),
                     killed) {
  captured_volume v(1 << 20);
  const auto begun = v.begin(capture_kind::everything);
  BOOST_REQUIRE_MESSAGE(begun, why(begun));
  bytes captured(1 << 20);
  BOOST_REQUIRE(v.read_all(begun->id, captured));
  BOOST_REQUIRE(v.end(begun->id, capture_end::sealed));
  struct stat before {};
  BOOST_REQUIRE_EQUAL(stat(v.spec.path.c_str(), &before), 0);
  if (killed)
    v.kill();
  else
    v.close();
  BOOST_REQUIRE_EQUAL(truncate(v.spec.path.c_str(), 4096), 0);
  {
    running_plane again(2);
    again.plane.boot = v.boot;
    const auto damaged = volume_core::open(v.spec, again.plane);
    BOOST_REQUIRE(!damaged);
    BOOST_CHECK(damaged.error().code == errc::corrupt);
  }
  // A backup comes into its place, under the same inode and, at worst, with the times of the file.
  BOOST_REQUIRE_EQUAL(truncate(v.spec.path.c_str(), 1 << 20), 0);
  const timespec times[] = {before.st_atim, before.st_mtim};
  BOOST_REQUIRE_EQUAL(utimensat(AT_FDCWD, v.spec.path.c_str(), times, 0), 0);
  v.open();
  const auto next = v.begin(capture_kind::changed);
  BOOST_REQUIRE_MESSAGE(next, why(next));
  BOOST_CHECK(!next->changed_known);
  BOOST_CHECK(v.end(next->id, capture_end::failed));
}

// Changes from before the cut may still be under way: nothing may be concluded about the bits.
BOOST_AUTO_TEST_CASE(a_capture_whose_end_cannot_wait_leaves_changes_unknown) {
  captured_volume v(1 << 20);
  const auto seal = [&] {
    const auto begun = v.begin(capture_kind::changed);
    BOOST_REQUIRE_MESSAGE(begun, why(begun));
    bytes captured(1 << 20);
    BOOST_REQUIRE(v.read_all(begun->id, captured));
    return *begun;
  };
  BOOST_REQUIRE(v.end(seal().id, capture_end::sealed));
  const auto refused = seal();
  BOOST_CHECK(refused.changed_known);
  v.running->plane.generations.stop();
  BOOST_CHECK(v.end(refused.id, capture_end::sealed));
  v.kill();
  v.open();
  BOOST_CHECK(!seal().changed_known);
}

#ifdef GNOMON_PLANTED_FAULTS
BOOST_AUTO_TEST_CASE(planted_faults_of_captures_are_noticed) {
  const auto seed = test::seed_for("capture/planted");
  struct planting {
    explicit planting(gnomon::io::planted what) { gnomon::io::planted_fault = what; }
    ~planting() { gnomon::io::planted_fault = gnomon::io::planted::none; }
  };
  for (const auto what : {gnomon::io::planted::change_without_copy, gnomon::io::planted::trim_carried_out, gnomon::io::planted::mark_by_parity,
                          gnomon::io::planted::failed_capture_keeps_bits}) {
    const planting fault(what);
    std::string noticed;
    for (std::uint64_t i = 0; i < 40 && noticed.empty(); ++i)
      noticed = run_model(seed + i, cache_mode::buffered, 15);
    BOOST_CHECK_MESSAGE(!noticed.empty(), "planted fault " << static_cast<int>(what) << " was not noticed");
  }
}
#endif

BOOST_AUTO_TEST_SUITE_END()
