// What a volume promises about its bytes, seen through the in-process interface on a real file: buffered and O_DIRECT,
// with and without a disk that errs.
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "tests/io/engine/io_fixture.hpp"

using namespace gnomon;
using namespace gnomon::io;
using namespace gnomon::io::test;

BOOST_AUTO_TEST_SUITE(carry_out_test)
namespace {

struct engine_fixture {
  temporary_directory directory;
  std::unique_ptr<engine> e;

  explicit engine_fixture(std::uint32_t rings = 2) {
    engine_options o;
    o.io.rings = rings;
    auto started = engine::start(std::move(o));
    BOOST_REQUIRE_MESSAGE(started, why(started));
    e = std::move(*started);
  }
  ~engine_fixture() { BOOST_CHECK(e->stop(std::chrono::seconds{10})); }

  volume_spec spec(const std::string& name, std::uint64_t bytes, cache_mode cache) {
    volume_spec s;
    s.uuid = volume_uuid::random();
    s.name = volume_name{name};
    s.path = make_file(directory, name, bytes);
    s.size = byte_count{bytes};
    s.cache = cache;
    return s;
  }
  void open(const volume_spec& s) {
    auto opened = wait_for([&](done_callback done) { e->open_volume(s, std::move(done)); });
    BOOST_REQUIRE_MESSAGE(opened, why(opened));
  }
};

std::vector<std::byte> random_bytes(std::mt19937_64& random, std::size_t n) {
  std::vector<std::byte> bytes(n);
  for (auto& b : bytes)
    b = static_cast<std::byte>(random());
  return bytes;
}

// 1,500 random requests of any alignment against a copy in memory.
void check_against_model(engine& e, volume_uuid volume, std::uint64_t size, std::uint64_t seed) {
  std::mt19937_64 random{seed};
  std::vector<std::byte> model(size);
  const std::uint64_t lengths[] = {1, 511, 512, 513, 4095, 4096, 4097, 65535, 65536, 65537, 300000};
  for (int i = 0; i < 1500; ++i) {
    const std::uint64_t length = lengths[random() % std::size(lengths)];
    const std::uint64_t offset = random() % (size - length + 1);
    const auto kind = random() % 10;
    local_request r;
    r.offset = byte_offset{offset};
    r.length = byte_count{length};
    if (kind < 5) {
      r.op = operation::write;
      r.data = random_bytes(random, length);
      r.fua = random() % 20 == 0;
      std::copy(r.data.begin(), r.data.end(), model.begin() + static_cast<std::ptrdiff_t>(offset));
      const auto reply = ask(e, volume, std::move(r));
      BOOST_REQUIRE_MESSAGE(reply, "write " << i << ": " << why(reply));
    } else if (kind == 5) {
      r.op = operation::zero;
      std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(offset), length, std::byte{0});
      const auto reply = ask(e, volume, std::move(r));
      BOOST_REQUIRE_MESSAGE(reply, "zero " << i << ": " << why(reply));
    } else if (kind == 6) {
      r.op = operation::flush;
      r.length = byte_count{0};
      BOOST_REQUIRE(ask(e, volume, std::move(r)));
    } else {
      r.op = operation::read;
      const auto reply = ask(e, volume, std::move(r));
      BOOST_REQUIRE_MESSAGE(reply, "read " << i << ": " << why(reply));
      BOOST_REQUIRE_MESSAGE(
          std::equal(reply->begin(), reply->end(), model.begin() + static_cast<std::ptrdiff_t>(offset)),
          "request " << i << " read other bytes at " << offset << "+" << length);
    }
  }
}

} // namespace

BOOST_DATA_TEST_CASE(reads_return_what_was_written_whatever_the_alignment,
                     boost::unit_test::data::make({false, true}), direct) {
  engine_fixture f;
  const auto s = f.spec("v", 4 << 20, direct ? cache_mode::direct : cache_mode::buffered);
  f.open(s);
  check_against_model(*f.e, s.uuid, 4 << 20, test_seed());
}

BOOST_DATA_TEST_CASE(short_reads_and_writes_of_the_disk_are_carried_on,
                     boost::unit_test::data::make({false, true}), direct) {
  setenv("GNOMON_FAULT_PLAN",
         ("seed=" + std::to_string(test_seed()) + ",short_read=0.3,short_write=0.3,latency=0.01:2ms").c_str(), 1);
  engine_fixture f;
  const auto s = f.spec("v", 1 << 20, direct ? cache_mode::direct : cache_mode::buffered);
  f.open(s);
  unsetenv("GNOMON_FAULT_PLAN");
  check_against_model(*f.e, s.uuid, 1 << 20, test_seed());
}

BOOST_AUTO_TEST_CASE(a_failed_sync_fails_the_writes_until_an_operator_clears_it) {
  setenv("GNOMON_FAULT_PLAN", "seed=1,sync_error=#1:EIO", 1);
  engine_fixture f;
  const auto s = f.spec("v", 1 << 20, cache_mode::buffered);
  f.open(s);
  unsetenv("GNOMON_FAULT_PLAN");
  local_request w{operation::write, byte_offset{0}, byte_count{4096}, std::vector<std::byte>(4096, std::byte{7}),
                  false};
  const local_request flush{operation::flush, {}, {}, {}, false};
  BOOST_CHECK(ask(*f.e, s.uuid, w));
  const auto failed = ask(*f.e, s.uuid, flush);
  BOOST_REQUIRE(!failed);
  BOOST_CHECK(failed.error().code == errc::io_failed);
  BOOST_CHECK(!ask(*f.e, s.uuid, w));
  BOOST_CHECK(!ask(*f.e, s.uuid, flush));
  BOOST_CHECK(f.e->status(s.uuid)->spec.writes_failed);
  BOOST_CHECK(ask(*f.e, s.uuid, {operation::read, byte_offset{0}, byte_count{4096}, {}, false}));
  BOOST_CHECK(wait_for([&](done_callback done) { f.e->clear_write_failure(s.uuid, std::move(done)); }));
  BOOST_CHECK(ask(*f.e, s.uuid, w));
  BOOST_CHECK(ask(*f.e, s.uuid, flush));
}

BOOST_AUTO_TEST_CASE(a_disk_error_reaches_the_one_who_asked_and_nobody_else) {
  setenv("GNOMON_FAULT_PLAN", "seed=3,read_error=#2:EIO,write_error=#2:ENOSPC", 1);
  engine_fixture f;
  const auto s = f.spec("v", 1 << 20, cache_mode::buffered);
  f.open(s);
  unsetenv("GNOMON_FAULT_PLAN");
  const local_request r{operation::read, byte_offset{0}, byte_count{4096}, {}, false};
  const local_request w{operation::write, byte_offset{0}, byte_count{4096}, std::vector<std::byte>(4096), false};
  BOOST_CHECK(ask(*f.e, s.uuid, r));
  BOOST_CHECK(ask(*f.e, s.uuid, r).error().code == errc::io_failed);
  BOOST_CHECK(ask(*f.e, s.uuid, r));
  BOOST_CHECK(ask(*f.e, s.uuid, w));
  BOOST_CHECK(ask(*f.e, s.uuid, w).error().code == errc::no_space);
  BOOST_CHECK(ask(*f.e, s.uuid, w));
}

BOOST_AUTO_TEST_CASE(a_long_zeroing_goes_in_windows_and_leaves_nothing_out) {
  constexpr std::uint64_t size = 300 << 20, from = 4097, length = (200 << 20) + 77;
  const auto zero_with = [&](const char* plan) {
    setenv("GNOMON_FAULT_PLAN", plan, 1);
    engine_fixture f;
    const auto s = f.spec("v", size, cache_mode::buffered);
    f.open(s);
    unsetenv("GNOMON_FAULT_PLAN");
    const std::vector<std::byte> data(1 << 20, std::byte{7});
    for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{63} << 20, std::uint64_t{64} << 20,
                                   std::uint64_t{128} << 20, std::uint64_t{200} << 20})
      BOOST_REQUIRE(ask(*f.e, s.uuid, {operation::write, byte_offset{at}, byte_count{1 << 20}, data, false}));
    const auto zeroed = ask(*f.e, s.uuid, {operation::zero, byte_offset{from}, byte_count{length}, {}, true});
    if (!zeroed)
      return zeroed.error().code;
    for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{63} << 20, std::uint64_t{64} << 20,
                                   std::uint64_t{128} << 20, std::uint64_t{200} << 20}) {
      const auto read = ask(*f.e, s.uuid, {operation::read, byte_offset{at}, byte_count{1 << 20}, {}, false});
      BOOST_REQUIRE(read);
      for (std::uint64_t i = 0; i < read->size(); ++i)
        BOOST_REQUIRE_MESSAGE((*read)[i] == (at + i < from || at + i >= from + length ? std::byte{7} : std::byte{0}),
                              "byte " << at + i);
    }
    return errc::internal; // no error
  };
  BOOST_TEST((zero_with("seed=1") == errc::internal));
  BOOST_TEST((zero_with("seed=1,zero_error=#4:EIO") == errc::io_failed)); // there is a fourth device operation
}

BOOST_AUTO_TEST_CASE(parts_of_one_block_written_at_once_on_a_direct_volume_lose_nothing_to_each_other) {
  engine_fixture f;
  const auto s = f.spec("v", 1 << 20, cache_mode::direct);
  f.open(s);
  std::mt19937_64 random{test_seed()};
  for (int round = 0; round < 30; ++round) {
    std::atomic<int> left{64};
    std::promise<void> all;
    std::vector<std::byte> expected(64 * 64);
    for (int i = 0; i < 64; ++i) {
      const auto value = static_cast<std::byte>(random());
      std::fill_n(expected.begin() + i * 64, 64, value);
      local_request w{operation::write, byte_offset{static_cast<std::uint64_t>(i) * 64}, byte_count{64},
                      std::vector<std::byte>(64, value), false};
      f.e->submit(s.uuid, std::move(w), [&](local_reply r) {
        BOOST_CHECK(r);
        if (--left == 0)
          all.set_value();
      });
    }
    all.get_future().wait();
    const auto got = ask(*f.e, s.uuid, {operation::read, byte_offset{0}, byte_count{4096}, {}, false});
    BOOST_REQUIRE(got);
    BOOST_REQUIRE(*got == expected);
  }
}

BOOST_AUTO_TEST_CASE(a_grown_volume_reads_zeros_behind_its_old_end_and_never_shrinks) {
  engine_fixture f;
  const auto s = f.spec("v", 1 << 20, cache_mode::buffered);
  f.open(s);
  const local_request beyond{operation::read, byte_offset{1 << 20}, byte_count{4096}, {}, false};
  BOOST_CHECK(ask(*f.e, s.uuid, beyond).error().code == errc::out_of_range);
  BOOST_CHECK(wait_for([&](done_callback d) { f.e->resize_volume(s.uuid, byte_count{2 << 20}, std::move(d)); }));
  const auto got = ask(*f.e, s.uuid, beyond);
  BOOST_REQUIRE(got);
  BOOST_CHECK(*got == std::vector<std::byte>(4096));
  const auto shrunk =
      wait_for([&](done_callback d) { f.e->resize_volume(s.uuid, byte_count{1 << 20}, std::move(d)); });
  BOOST_CHECK(shrunk.error().code == errc::invalid_argument);
}

BOOST_AUTO_TEST_CASE(a_closed_volume_is_gone_and_its_name_is_free) {
  engine_fixture f;
  auto s = f.spec("v", 1 << 20, cache_mode::buffered);
  f.open(s);
  BOOST_CHECK(wait_for([&](done_callback d) { f.e->close_volume(s.uuid, std::move(d)); }));
  BOOST_CHECK(!f.e->status(s.uuid));
  BOOST_CHECK(ask(*f.e, s.uuid, {operation::read, byte_offset{0}, byte_count{512}, {}, false}).error().code ==
              errc::not_found);
  s.uuid = volume_uuid::random();
  f.open(s);
}

BOOST_AUTO_TEST_CASE(a_read_only_volume_refuses_writes) {
  engine_fixture f;
  auto s = f.spec("v", 1 << 20, cache_mode::buffered);
  s.read_only = true;
  f.open(s);
  const auto w =
      ask(*f.e, s.uuid, {operation::write, byte_offset{0}, byte_count{1}, std::vector<std::byte>(1), false});
  BOOST_CHECK(w.error().code == errc::permission_denied);
}

BOOST_AUTO_TEST_CASE(a_recording_sees_every_request_once) {
  engine_fixture f;
  const auto s = f.spec("v", 1 << 20, cache_mode::buffered);
  f.open(s);
  std::uint64_t seen = 0, lost = 0;
  BOOST_REQUIRE(f.e->start_recording(s.uuid, [&](std::span<const request_record> batch, std::uint64_t dropped) {
    seen += batch.size();
    lost = dropped;
  }));
  BOOST_CHECK(f.e->start_recording(s.uuid, [](auto, auto) {}).error().code == errc::busy);
  for (int i = 0; i < 500; ++i)
    BOOST_CHECK(ask(*f.e, s.uuid, {operation::read, byte_offset{0}, byte_count{512}, {}, false}));
  BOOST_REQUIRE(f.e->stop_recording(s.uuid));
  BOOST_CHECK_EQUAL(seen + lost, 500u);
}

BOOST_AUTO_TEST_SUITE_END()
