// A 4 KiB block of a buffered volume is read as it was before a write or as it was after, never as a mix, whichever
// rings the reader and the writer are on. The page cache alone does not see to that.
#include <algorithm>
#include <atomic>
#include <thread>

#include <boost/test/unit_test.hpp>

#include "tests/io/nbd/client_fixture.hpp"

namespace gnomon::io {
BOOST_AUTO_TEST_SUITE(whole_blocks_test)

using namespace test;

BOOST_AUTO_TEST_CASE(a_block_is_never_read_half_old_half_new) {
  constexpr std::size_t bytes = 16 * 1024, reads = 20'000;
  temporary_directory directory;
  engine_options o;
  o.io.rings = 2;
  auto e = engine::start(std::move(o)).value();
  volume_spec s;
  s.uuid = volume_uuid::random();
  s.name = volume_name{"v"};
  s.path = make_file(directory, "v", 1 << 20);
  s.size = byte_count{1 << 20};
  BOOST_REQUIRE(wait_for([&](done_callback done) { e->open_volume(s, std::move(done)); }));
  const std::string socket = directory.file("s");
  BOOST_REQUIRE(e->listen(unix_endpoint(socket)));
  nbd_client_options options;
  options.to = unix_endpoint(socket);
  options.wishes.export_name = "v";
  std::size_t mixed = 0, values = 0;
  {
    live_client writer(options), reader(options);
    BOOST_REQUIRE(writer.wait_until_open());
    BOOST_REQUIRE(reader.wait_until_open());
    std::atomic<bool> stop{false};
    std::atomic<int> failed{0};
    std::thread writing([&] {
      std::vector<std::byte> data(bytes);
      for (unsigned i = 0; !stop; ++i) {
        std::fill(data.begin(), data.end(), static_cast<std::byte>(i));
        if (writer.ask(i % 64 == 63 ? operation::zero : operation::write, 0, bytes, data.data()).error != 0)
          ++failed;
      }
    });
    std::vector<std::byte> data(bytes);
    std::byte last{};
    for (std::size_t i = 0; i < reads; ++i) {
      failed += reader.ask(operation::read, 0, bytes, data.data()).error != 0;
      for (std::size_t at = 0; at < bytes; at += 4096)
        mixed += std::any_of(data.begin() + static_cast<std::ptrdiff_t>(at), data.begin() + static_cast<std::ptrdiff_t>(at + 4096),
                             [&](std::byte b) { return b != data[at]; });
      values += std::exchange(last, data[0]) != data[0];
    }
    stop = true;
    writing.join();
    BOOST_TEST(failed.load() == 0);
  }
  BOOST_TEST(mixed == 0u);
  BOOST_TEST(values > 10u, "reads and writes did not run beside each other");
  BOOST_CHECK(e->stop(std::chrono::seconds{10}));
}

BOOST_AUTO_TEST_SUITE_END()
} // namespace gnomon::io
