// What a home finds after any stop: the volumes that may be shadowed, the longest lease that may be out, and whether the
// machine was rebooted, until the leases of before are over.
#include <filesystem>
#include <fstream>

#include <boost/test/unit_test.hpp>
#include <unistd.h>

#include "io/redirect/lease_record.hpp"

using namespace gnomon;
using namespace gnomon::io;
using std::chrono::seconds;

namespace {
struct folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("gnomon-leases-" + std::to_string(getpid()));
  folder() { std::filesystem::create_directory(path); }
  ~folder() { std::filesystem::remove_all(path); }
  std::string file() const { return (path / "leases").string(); }
  void replace(const std::string& what, const std::string& with) const {
    std::ifstream in(file());
    std::string text{std::istreambuf_iterator<char>(in), {}};
    in.close();
    text.replace(text.find(what), what.size(), with);
    std::ofstream(file()) << text;
  }
};
} // namespace

BOOST_AUTO_TEST_SUITE(lease_record_test)

BOOST_AUTO_TEST_CASE(a_start_finds_what_was_recorded_before_it_and_the_longest_lease) {
  const folder f;
  const auto a = volume_uuid::random(), b = volume_uuid::random();
  {
    auto r = lease_record::open(f.file(), seconds{5});
    BOOST_REQUIRE(r);
    BOOST_CHECK(r->left_behind().empty() && !r->rebooted());
    BOOST_REQUIRE(r->add(a) && r->add(b) && r->remove(b));
  }
  {
    auto r = lease_record::open(f.file(), seconds{2}); // shortened: the longer one may still be out
    BOOST_REQUIRE(r);
    BOOST_CHECK(r->left_behind() == std::set{a});
    BOOST_CHECK(r->longest_left_behind() == seconds{5});
  }
  {
    auto r = lease_record::open(f.file(), seconds{9}); // lengthened: on record before it is granted
    BOOST_REQUIRE(r);
    BOOST_CHECK(r->longest_left_behind() == seconds{5});
  }
  BOOST_CHECK(lease_record::open(f.file(), seconds{5})->longest_left_behind() == seconds{9});
}

BOOST_AUTO_TEST_CASE(another_boot_is_noticed_again_until_its_recovery_is_over) {
  const folder f;
  BOOST_REQUIRE(lease_record::open(f.file(), seconds{5})->add(volume_uuid::random()));
  std::ifstream boot_file("/proc/sys/kernel/random/boot_id");
  std::string boot;
  boot_file >> boot;
  f.replace(boot, "another-boot");
  {
    auto r = lease_record::open(f.file(), seconds{5});
    BOOST_REQUIRE(r && r->rebooted());
    BOOST_REQUIRE(r->add(volume_uuid::random())); // and crashes
  }
  {
    auto r = lease_record::open(f.file(), seconds{5});
    BOOST_REQUIRE(r && r->rebooted());
    BOOST_REQUIRE(r->recovery_over());
  }
  BOOST_CHECK(!lease_record::open(f.file(), seconds{5})->rebooted());
}

BOOST_AUTO_TEST_CASE(a_damaged_record_is_refused) {
  const folder f;
  BOOST_REQUIRE(lease_record::open(f.file(), seconds{5})->add(volume_uuid::random()));
  f.replace("end\n", "");
  const auto r = lease_record::open(f.file(), seconds{5});
  BOOST_REQUIRE(!r);
  BOOST_CHECK(r.error().code == errc::corrupt);
}

BOOST_AUTO_TEST_CASE(a_shorter_lease_is_on_record_when_the_longer_ones_of_before_are_over) {
  const folder f;
  {
    auto r = lease_record::open(f.file(), seconds{60});
    BOOST_REQUIRE(r && r->add(volume_uuid::random()));
  }
  {
    auto r = lease_record::open(f.file(), seconds{5});
    BOOST_REQUIRE(r);
    BOOST_CHECK(r->longest_left_behind() == seconds{60});
  }
  {
    auto r = lease_record::open(f.file(), seconds{5});
    BOOST_REQUIRE(r);
    BOOST_CHECK(r->longest_left_behind() == seconds{60}); // not over yet
    BOOST_REQUIRE(r->recovery_over());
  }
  auto r = lease_record::open(f.file(), seconds{5});
  BOOST_REQUIRE(r);
  BOOST_CHECK(r->longest_left_behind() == seconds{5});
}

BOOST_AUTO_TEST_SUITE_END()
