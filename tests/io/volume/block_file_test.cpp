// The file under a volume: it is never grown by being opened, what it has lost is no zeros, and nobody else writes it.
#include "io/volume/block_file.hpp"

#include <sys/resource.h>

#include <boost/test/unit_test.hpp>

#include "io/volume/block_status.hpp"
#include "tests/io/engine/io_fixture.hpp"

using namespace gnomon;
using namespace gnomon::io;
using namespace gnomon::io::test;

BOOST_AUTO_TEST_SUITE(block_file_test)
namespace {

struct fixture {
  temporary_directory directory;
  std::unique_ptr<engine> e;
  volume_spec spec;

  fixture() {
    engine_options o;
    o.io.rings = 1;
    auto started = engine::start(std::move(o));
    BOOST_REQUIRE_MESSAGE(started, why(started));
    e = std::move(*started);
    spec.uuid = volume_uuid::random();
    spec.name = volume_name{"v"};
    spec.size = byte_count{1 << 20};
    spec.path = make_file(directory, "v", spec.size.value);
  }
  ~fixture() { BOOST_CHECK(e->stop(std::chrono::seconds{10})); }
  result<void> open() {
    return wait_for([&](done_callback done) { e->open_volume(spec, std::move(done)); });
  }
  local_reply read(std::uint64_t offset, std::uint64_t length) {
    return ask(*e, spec.uuid, {operation::read, byte_offset{offset}, byte_count{length}, {}, false});
  }
};

block_file::options impatient(const std::string& path, bool read_only = false) {
  block_file::options how;
  how.path = path;
  how.read_only = read_only;
  how.lock_patience = std::chrono::milliseconds{0};
  return how;
}

// A lock as qemu takes them, on a description of its own.
struct foreign_lock {
  int fd;
  foreign_lock(const std::string& path, std::initializer_list<off_t> bytes) : fd(::open(path.c_str(), O_RDWR)) {
    for (const off_t byte : bytes) {
      struct flock lock {};
      lock.l_type = F_RDLCK;
      lock.l_whence = SEEK_SET;
      lock.l_start = byte;
      lock.l_len = 1;
      BOOST_REQUIRE_EQUAL(fcntl(fd, F_OFD_SETLK, &lock), 0);
    }
  }
  ~foreign_lock() { ::close(fd); }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(a_file_that_lost_its_end_is_damaged_and_stays_as_it_is, fixture) {
  std::filesystem::resize_file(spec.path, 4096);
  for (const bool read_only : {false, true}) {
    spec.read_only = read_only;
    const auto opened = open();
    BOOST_REQUIRE(!opened);
    BOOST_CHECK(opened.error().code == errc::corrupt);
    BOOST_CHECK(opened.error().message.find("accept-loss") != std::string::npos);
    BOOST_CHECK_EQUAL(std::filesystem::file_size(spec.path), 4096u);
  }
}

BOOST_FIXTURE_TEST_CASE(what_goes_missing_while_it_is_served_is_an_error_and_no_zeros, fixture) {
  for (const auto cache : {cache_mode::buffered, cache_mode::direct}) {
    spec.cache = cache;
    std::filesystem::resize_file(spec.path, spec.size.value);
    BOOST_REQUIRE(open());
    BOOST_CHECK(read(512 << 10, 4096));
    std::filesystem::resize_file(spec.path, 300'000);
    for (const std::uint64_t offset : {512u << 10, 299'000u, 299'999u}) { // behind the end, and across it
      const auto got = read(offset, 4096);
      BOOST_REQUIRE_MESSAGE(!got, "offset " << offset);
      BOOST_CHECK(got.error().code == errc::io_failed);
    }
    BOOST_CHECK(read(0, 4096));
    const auto grown = wait_for([&](done_callback d) { e->resize_volume(spec.uuid, byte_count{2 << 20}, std::move(d)); });
    BOOST_REQUIRE(!grown); // not by a resize either
    BOOST_CHECK(grown.error().code == errc::corrupt);
    BOOST_CHECK(wait_for([&](done_callback d) { e->close_volume(spec.uuid, std::move(d)); }));
  }
}

BOOST_FIXTURE_TEST_CASE(a_volume_that_ends_inside_a_block_reads_to_its_end, fixture) {
  spec.size = byte_count{(1 << 20) + 512}; // from an older release
  std::filesystem::resize_file(spec.path, spec.size.value);
  for (const auto cache : {cache_mode::buffered, cache_mode::direct}) {
    spec.cache = cache;
    BOOST_REQUIRE(open());
    const auto end = read(1 << 20, 512);
    BOOST_REQUIRE_MESSAGE(end, why(end));
    BOOST_CHECK(*end == std::vector<std::byte>(512));
    BOOST_CHECK(wait_for([&](done_callback d) { e->close_volume(spec.uuid, std::move(d)); }));
  }
}

BOOST_FIXTURE_TEST_CASE(writers_of_one_file_keep_each_other_out_and_readers_do_not, fixture) {
  {
    const auto writer = block_file::open(impatient(spec.path));
    BOOST_REQUIRE_MESSAGE(writer, why(writer));
    for (const bool read_only : {false, true}) {
      const auto second = block_file::open(impatient(spec.path, read_only));
      BOOST_REQUIRE(!second);
      BOOST_CHECK(second.error().code == errc::busy);
    }
    const auto opened = open(); // another node
    BOOST_REQUIRE(!opened);
    BOOST_CHECK(opened.error().code == errc::busy);
  }
  const auto one = block_file::open(impatient(spec.path, true)), other = block_file::open(impatient(spec.path, true));
  BOOST_CHECK(one);
  BOOST_CHECK(other);
  BOOST_CHECK(!block_file::open(impatient(spec.path))); // a reader does not expect writes
}

BOOST_FIXTURE_TEST_CASE(a_virtual_machine_and_a_volume_keep_each_other_out, fixture) {
  {
    const foreign_lock writes(spec.path, {100, 101, 201, 203});
    BOOST_CHECK(block_file::open(impatient(spec.path)).error().code == errc::busy);
    BOOST_CHECK(block_file::open(impatient(spec.path, true)).error().code == errc::busy);
  }
  {
    const foreign_lock looks_and_shares_all(spec.path, {100});
    BOOST_CHECK(block_file::open(impatient(spec.path)));
  }
  {
    const foreign_lock looks_and_expects_no_writes(spec.path, {100, 201});
    BOOST_CHECK(!block_file::open(impatient(spec.path)));
    BOOST_CHECK(block_file::open(impatient(spec.path, true)));
  }
  const auto ours = block_file::open(impatient(spec.path));
  BOOST_REQUIRE(ours);
  for (const off_t byte : {100, 101, 103, 201, 203}) { // where qemu looks
    const int fd = ::open(spec.path.c_str(), O_RDWR);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = byte;
    lock.l_len = 1;
    BOOST_CHECK_EQUAL(fcntl(fd, F_OFD_GETLK, &lock), 0);
    BOOST_CHECK_MESSAGE(lock.l_type == F_RDLCK, "byte " << byte);
    ::close(fd);
  }
}

BOOST_FIXTURE_TEST_CASE(a_volume_takes_no_descriptor_that_others_need, fixture) {
  rlimit before{};
  BOOST_REQUIRE_EQUAL(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = dup(0);
  close(next);
  rlimit low = before;
  low.rlim_cur = static_cast<rlim_t>(next + block_file::descriptors_kept + 1); // one is left
  BOOST_REQUIRE_EQUAL(setrlimit(RLIMIT_NOFILE, &low), 0);
  {
    auto last = block_file::open(impatient(spec.path));
    BOOST_CHECK_MESSAGE(last, why(last));
    if (last) {
      last->open_sync_descriptor(); // no room: the data's own serves
      BOOST_CHECK_EQUAL(last->sync_fd(), last->data_fd());
    }
    const auto none = block_file::open(impatient(make_file(directory, "other", 4096)));
    BOOST_CHECK(!none && none.error().code == errc::limit_reached);
  }
  BOOST_REQUIRE_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
  auto roomy = block_file::open(impatient(spec.path));
  BOOST_REQUIRE(roomy);
  roomy->open_sync_descriptor();
  BOOST_CHECK_NE(roomy->sync_fd(), roomy->data_fd());
}

BOOST_FIXTURE_TEST_CASE(what_is_allocated_is_counted_holes_are_not, fixture) {
  const int fd = ::open(spec.path.c_str(), O_RDWR);
  BOOST_CHECK_EQUAL(allocated_bytes(fd, byte_offset{0}, byte_count{1 << 20}), 0u);
  BOOST_REQUIRE_EQUAL(posix_fallocate(fd, 256 << 10, 128 << 10), 0); // allocated, never written
  const std::string data(4096, 'x');
  BOOST_REQUIRE_EQUAL(pwrite(fd, data.data(), data.size(), 0), 4096);
  fsync(fd);
  BOOST_CHECK_EQUAL(allocated_bytes(fd, byte_offset{0}, byte_count{1 << 20}), (128u << 10) + 4096);
  BOOST_CHECK_EQUAL(allocated_bytes(fd, byte_offset{300 << 10}, byte_count{1 << 20}), 84u << 10);
  ::close(fd);
}

// Part of a block needs the block alone; the gigabyte between does not.
BOOST_FIXTURE_TEST_CASE(an_unaligned_zeroing_does_not_hold_up_writes_to_its_whole_blocks, fixture) {
  spec.cache = cache_mode::direct;
  setenv("GNOMON_FAULT_PLAN", "seed=5,zero_latency=#1:4s", 1);
  const auto opened = open();
  unsetenv("GNOMON_FAULT_PLAN");
  BOOST_REQUIRE_MESSAGE(opened, why(opened));
  std::vector<int> order;
  std::mutex mutex;
  std::promise<void> both;
  const auto finished = [&](int which) {
    std::lock_guard lock(mutex);
    order.push_back(which);
    if (order.size() == 2)
      both.set_value();
  };
  e->submit(spec.uuid, {operation::zero, byte_offset{100}, byte_count{(1 << 20) - 200}, {}, false},
            [&](local_reply r) { BOOST_CHECK(r); finished(1); });
  e->submit(spec.uuid,
            {operation::write, byte_offset{512 << 10}, byte_count{4096}, std::vector<std::byte>(4096, std::byte{9}), false},
            [&](local_reply r) { BOOST_CHECK(r); finished(2); });
  both.get_future().wait();
  BOOST_CHECK((order == std::vector<int>{2, 1}));
  const auto edge = read(0, 100), after = read(100, 4096);
  BOOST_REQUIRE(edge);
  BOOST_REQUIRE(after);
  BOOST_CHECK(*after == std::vector<std::byte>(4096));
}

BOOST_AUTO_TEST_SUITE_END()
