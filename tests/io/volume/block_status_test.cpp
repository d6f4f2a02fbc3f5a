#include "io/volume/block_status.hpp"

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <fcntl.h>
#include <unistd.h>

#include "tests/support/seeded.hpp"

namespace gnomon::io {

static std::ostream& operator<<(std::ostream& out, const extent& e) {
  return out << e.length_bytes << (e.hole ? " hole" : " data") << (e.zero ? " zero" : "");
}

BOOST_AUTO_TEST_SUITE(block_status_test)
namespace {

constexpr std::uint64_t unit = 64 * 1024; // at least the block of any file system the tests run on

class sparse_file {
public:
  explicit sparse_file(std::uint64_t bytes) {
    const char* const directory = std::getenv("TMPDIR");
    std::string path = std::string(directory ? directory : "/tmp") + "/gnomon-block-status-XXXXXX";
    fd = mkstemp(path.data());
    BOOST_REQUIRE(fd >= 0);
    unlink(path.c_str());
    BOOST_REQUIRE(ftruncate(fd, static_cast<off_t>(bytes)) == 0);
  }
  ~sparse_file() { close(fd); }
  sparse_file(const sparse_file&) = delete;
  sparse_file& operator=(const sparse_file&) = delete;

  void fill(std::uint64_t offset, std::uint64_t bytes) {
    const std::vector<char> data(bytes, 'd');
    BOOST_REQUIRE(pwrite(fd, data.data(), bytes, static_cast<off_t>(offset)) == static_cast<ssize_t>(bytes));
  }
  std::vector<extent> extents(std::uint64_t offset, std::uint64_t length, std::uint32_t extents_max = 4096) {
    const auto found = extents_of(fd, byte_offset{offset}, byte_count{length}, extents_max);
    BOOST_REQUIRE(found.has_value());
    return *found;
  }

  int fd = -1;
};

extent data(std::uint64_t bytes) { return {bytes, false, false}; }
extent hole(std::uint64_t bytes) { return {bytes, true, true}; }

void check(const std::vector<extent>& found, const std::vector<extent>& expected) {
  BOOST_TEST(found == expected, boost::test_tools::per_element());
}

} // namespace

BOOST_AUTO_TEST_CASE(an_empty_sparse_file_is_one_hole_up_to_the_end_of_the_range) {
  sparse_file file(1ull << 40);
  check(file.extents(0, 1ull << 40), {hole(1ull << 40)});
  check(file.extents(12345, 7), {hole(7)});
}

BOOST_AUTO_TEST_CASE(data_and_holes_alternate_and_cover_exactly_what_was_asked) {
  sparse_file file(16 * unit);
  file.fill(2 * unit, unit);
  file.fill(5 * unit, 2 * unit);
  check(file.extents(0, 16 * unit), {hole(2 * unit), data(unit), hole(2 * unit), data(2 * unit), hole(9 * unit)});
  check(file.extents(2 * unit, unit), {data(unit)});
  check(file.extents(2 * unit + 100, 200), {data(200)});
  check(file.extents(2 * unit - 1, 2), {hole(1), data(1)});
  check(file.extents(7 * unit - 1, 2), {data(1), hole(1)});
  check(file.extents(5 * unit, 11 * unit), {data(2 * unit), hole(9 * unit)});
}

BOOST_AUTO_TEST_CASE(neighbouring_data_is_one_extent) {
  sparse_file file(8 * unit);
  for (int i = 0; i < 8; ++i)
    file.fill(static_cast<std::uint64_t>(i) * unit, unit);
  check(file.extents(0, 8 * unit), {data(8 * unit)});
}

BOOST_AUTO_TEST_CASE(what_lies_beyond_the_end_of_the_file_is_a_hole) {
  sparse_file file(0);
  check(file.extents(0, 3 * unit), {hole(3 * unit)});
  file.fill(0, unit);
  check(file.extents(0, 3 * unit), {data(unit), hole(2 * unit)});
  check(file.extents(10 * unit, unit), {hole(unit)});
}

BOOST_AUTO_TEST_CASE(no_more_extents_than_wanted_and_never_longer_than_asked) {
  sparse_file file(100 * unit);
  for (std::uint64_t i = 0; i < 100; i += 2)
    file.fill(i * unit, unit);
  check(file.extents(0, 100 * unit, 1), {data(unit)});
  check(file.extents(unit, 100 * unit - unit, 1), {hole(unit)});
  check(file.extents(10, 20, 1), {data(20)});
  check(file.extents(0, 100 * unit, 3), {data(unit), hole(unit), data(unit)});
  BOOST_TEST(file.extents(0, 100 * unit, 99).size() == 99u);
  BOOST_TEST(file.extents(0, 100 * unit).size() == 100u);
}

BOOST_AUTO_TEST_CASE(punched_data_becomes_a_hole_again) {
  sparse_file file(4 * unit);
  file.fill(0, 4 * unit);
  BOOST_REQUIRE(fallocate(file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, unit, unit) == 0);
  check(file.extents(0, 4 * unit), {data(unit), hole(unit), data(2 * unit)});
}

BOOST_AUTO_TEST_CASE(what_is_no_regular_file_is_allocated_throughout) {
  const int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  BOOST_REQUIRE(fd >= 0);
  const auto found = extents_of(fd, byte_offset{4096}, byte_count{1ull << 40}, 7);
  close(fd);
  BOOST_REQUIRE(found.has_value());
  check(*found, {data(1ull << 40)});
}

BOOST_AUTO_TEST_CASE(a_bad_descriptor_is_an_error) {
  const auto found = extents_of(-1, byte_offset{0}, byte_count{1}, 1);
  BOOST_REQUIRE(!found.has_value());
  BOOST_TEST(found.error().os_errno == EBADF);
}

BOOST_AUTO_TEST_CASE(written_bytes_are_never_called_a_hole_whatever_the_pattern) {
  test::random_source random(test::seed_for("written_bytes_are_never_called_a_hole_whatever_the_pattern"));
  constexpr std::uint64_t units = 200;
  sparse_file file(units * unit);
  std::vector<bool> written(units);
  for (int step = 0; step < 60; ++step) {
    const std::uint64_t at = random.below(units);
    if (random.one_in(3)) {
      BOOST_REQUIRE(
          fallocate(file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(at * unit), unit) == 0);
      written[at] = false;
    } else {
      file.fill(at * unit, unit);
      written[at] = true;
    }
    const std::uint64_t from = random.below(units * unit), length = 1 + random.below(units * unit - from);
    const auto most = static_cast<std::uint32_t>(1 + random.below(50));
    const auto found = file.extents(from, length, most);
    BOOST_REQUIRE(!found.empty() && found.size() <= most);
    std::uint64_t position = from;
    for (std::size_t i = 0; i < found.size(); ++i) {
      BOOST_REQUIRE(found[i].length_bytes > 0);
      BOOST_REQUIRE(i == 0 || found[i].hole != found[i - 1].hole);
      for (std::uint64_t u = position / unit; u <= (position + found[i].length_bytes - 1) / unit; ++u)
        BOOST_REQUIRE(found[i].hole == !written[u]);
      position += found[i].length_bytes;
    }
    BOOST_REQUIRE(position <= from + length);
    BOOST_REQUIRE(position == from + length || found.size() == most);
  }
}

BOOST_AUTO_TEST_CASE(a_file_that_changes_meanwhile_is_still_covered_and_its_lasting_data_never_a_hole) {
  constexpr std::uint64_t units = 64;
  sparse_file file(units * unit);
  file.fill(0, units * unit);
  std::atomic<bool> stop{false};
  std::thread puncher([&] { // every odd unit comes and goes, the even ones stay
    const std::vector<char> back(unit, 'd');
    for (std::uint64_t i = 1; !stop; i = (i + 14) % units) {
      const auto at = static_cast<off_t>(i * unit);
      if (fallocate(file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, unit) != 0 ||
          pwrite(file.fd, back.data(), unit, at) != static_cast<ssize_t>(unit))
        return;
    }
  });
  for (int round = 0; round < 500; ++round) {
    const auto found = extents_of(file.fd, byte_offset{100}, byte_count{units * unit - 200}, 1000);
    if (!found) {
      stop = true;
      break;
    }
    std::uint64_t position = 100;
    for (const extent& e : *found) {
      if (e.length_bytes == 0)
        BOOST_ERROR("an empty extent");
      for (std::uint64_t u = position / unit; e.hole && u <= (position + e.length_bytes - 1) / unit; ++u)
        if (u % 2 == 0)
          BOOST_ERROR("unit " << u << " is called a hole");
      position += e.length_bytes;
    }
    if (position != units * unit - 100)
      BOOST_ERROR("covered up to " << position);
  }
  BOOST_TEST(!stop);
  stop = true;
  puncher.join();
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace gnomon::io
