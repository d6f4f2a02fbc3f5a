#include "store/meta/data_directory.hpp"

#include <fcntl.h>

#include <boost/test/unit_test.hpp>

#include "store/meta/schema.hpp"
#include "tests/store/support.hpp"

using namespace gnomon;
using namespace gnomon::store;
using namespace gnomon::store::testing;

BOOST_AUTO_TEST_SUITE(data_directory_test)
namespace {

void write_text(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

struct fixture {
  scratch_directory where;
  data_directory_options options{where / "data", node_name("alpha"), where / "boot_id"};
  fixture() { write_text(where / "boot_id", "11111111-boot\n"); }
  void stop_clean() { BOOST_REQUIRE(data_directory::open(options).value()->mark_clean().has_value()); }
  previous_stop stop_seen() { return data_directory::open(options).value()->stopped(); }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(a_new_directory_gets_its_layout, fixture) {
  auto directory = data_directory::open(options);
  REQUIRE_OK(directory);
  BOOST_TEST(((*directory)->stopped() == previous_stop::none));
  for (const auto& path : {(*directory)->volumes_path(), (*directory)->trash_path(), (*directory)->meta_path(),
                           (*directory)->history_path()})
    BOOST_TEST(std::filesystem::is_directory(path), path);
}

BOOST_FIXTURE_TEST_CASE(the_next_node_learns_how_the_last_one_stopped, fixture) {
  stop_clean();
  BOOST_TEST((stop_seen() == previous_stop::clean));
  BOOST_TEST((stop_seen() == previous_stop::process_crash)); // the line above did not mark a clean stop
  BOOST_TEST((stop_seen() == previous_stop::process_crash));
  write_text(where / "boot_id", "22222222-boot\n");
  BOOST_TEST((stop_seen() == previous_stop::machine_crash));
  BOOST_TEST((stop_seen() == previous_stop::process_crash));
  write_text(where / "data/running", "");
  BOOST_TEST((stop_seen() == previous_stop::machine_crash)); // an unreadable mark is taken for the worse
  stop_clean();
  write_text(where / "boot_id", "33333333-boot\n");
  BOOST_TEST((stop_seen() == previous_stop::clean));
}

BOOST_FIXTURE_TEST_CASE(a_second_node_is_refused_and_told_the_pid, fixture) {
  auto first = data_directory::open(options).value();
  auto second = data_directory::open(options);
  CHECK_ERROR(second, errc::busy);
  BOOST_TEST(second.error().message.find("pid " + std::to_string(::getpid())) != std::string::npos,
             second.error().message);
  const pid_t child = ::fork();
  if (child == 0) {
    auto other = data_directory::open(options);
    ::_exit(!other && other.error().code == errc::busy ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  BOOST_TEST(status == 0);
  first.reset();
  REQUIRE_OK(data_directory::open(options));
}

BOOST_FIXTURE_TEST_CASE(a_killed_node_leaves_no_lock, fixture) {
  run_and_kill(
      [&](int) {
        auto held = data_directory::open(options);
        ::pause();
      },
      50'000);
  REQUIRE_OK(data_directory::open(options));
}

BOOST_FIXTURE_TEST_CASE(a_directory_of_another_node_is_refused, fixture) {
  stop_clean();
  options.node = node_name("beta");
  auto other = data_directory::open(options);
  CHECK_ERROR(other, errc::invalid_argument);
  BOOST_TEST(other.error().message.find("alpha") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(what_is_no_data_directory_is_left_alone, fixture) {
  std::filesystem::create_directory(options.path);
  write_text(options.path + "/precious", "mine");
  CHECK_ERROR(data_directory::open(options), errc::corrupt);
  BOOST_TEST(!path_exists(options.path + "/volumes"));
  options.path = where / "file";
  write_text(options.path, "a file");
  CHECK_ERROR(data_directory::open(options), errc::already_exists);
  options.path = where / "no/parent";
  CHECK_ERROR(data_directory::open(options), errc::not_found);
}

BOOST_FIXTURE_TEST_CASE(a_damaged_or_newer_format_file_is_refused, fixture) {
  stop_clean();
  const std::string path = options.path + "/format";
  const auto good = read_small_file(path, 4096).value();
  for (std::size_t length = 0; length < good.size(); ++length) {
    BOOST_REQUIRE(write_file_durably(path, bytes_view(good).first(length)).has_value());
    CHECK_ERROR(data_directory::open(options), errc::corrupt);
  }
  BOOST_REQUIRE(write_file_durably(path, encode(node_record{data_format + 1, node_name("alpha"), {}})).has_value());
  CHECK_ERROR(data_directory::open(options), errc::unsupported);
  BOOST_REQUIRE(write_file_durably(path, good).has_value());
  BOOST_TEST((stop_seen() == previous_stop::clean)); // a refused opening did not mark the node as running
}

BOOST_FIXTURE_TEST_CASE(a_start_that_was_cut_short_is_repeated, fixture) {
  std::filesystem::create_directory(options.path);
  write_text(options.path + "/lock", "");
  write_text(options.path + "/format.tmp", "half");
  REQUIRE_OK(data_directory::open(options));
}

// A disk without a free byte: what was set aside lets the node start, again and again while there is some of it.
BOOST_AUTO_TEST_CASE(a_full_disk_does_not_keep_a_node_from_starting) {
  const small_file_system disk{8 << 20};
  if (!disk.mounted())
    return say_skipped("mounting needs root");
  scratch_directory elsewhere;
  write_text(elsewhere / "boot_id", "11111111-boot\n");
  const data_directory_options options{disk / "data", node_name("alpha"), elsewhere / "boot_id"};
  const auto set_aside = [&] {
    struct stat about {};
    return ::stat((options.path + "/reserve").c_str(), &about) == 0 ? about.st_blocks * 512 : 0;
  };
  const auto fill = [&] {
    auto ballast = open_file(disk / "ballast", O_WRONLY | O_CREAT | O_APPEND);
    REQUIRE_OK(ballast);
    const std::vector<char> piece(4096, 'b');
    while (::write(ballast->get(), piece.data(), piece.size()) > 0)
      ;
    BOOST_REQUIRE_EQUAL(errno, ENOSPC);
  };
  BOOST_REQUIRE(data_directory::open(options).value()->mark_clean().has_value());
  BOOST_TEST(set_aside() == static_cast<long>(data_directory::reserve_bytes_max));

  long before = set_aside();
  int starts = 0;
  for (;; ++starts) {
    fill();
    auto directory = data_directory::open(options);
    if (!directory) {
      CHECK_ERROR(directory, errc::no_space);
      break;
    }
    BOOST_TEST(((*directory)->stopped() == previous_stop::clean));
    const auto mark = read_small_file(options.path + "/running", 64);
    REQUIRE_OK(mark);
    BOOST_TEST(as_text(*mark) == "11111111-boot\n"); // durably a running node, full disk or not
    BOOST_TEST(set_aside() <= before / 2 + 4096);    // some for this start, some for the next
    before = set_aside();
    REQUIRE_OK((*directory)->mark_clean());
    BOOST_REQUIRE_LT(starts, 50);
  }
  BOOST_TEST(starts >= 5);
  BOOST_TEST(set_aside() == 0);

  std::filesystem::remove(disk / "ballast");
  auto after = data_directory::open(options);
  REQUIRE_OK(after);
  BOOST_TEST(((*after)->stopped() == previous_stop::clean)); // the refused start has not marked it
  BOOST_TEST(set_aside() == static_cast<long>(data_directory::reserve_bytes_max)); // there is room again
}

BOOST_FIXTURE_TEST_CASE(a_reserve_that_was_removed_is_set_aside_again, fixture) {
  stop_clean();
  std::filesystem::remove(options.path + "/reserve");
  stop_clean();
  struct stat about {};
  BOOST_REQUIRE_EQUAL(::stat((options.path + "/reserve").c_str(), &about), 0);
  BOOST_TEST(static_cast<std::uint64_t>(about.st_blocks) * 512 >= data_directory::reserve_bytes_max);
}

BOOST_AUTO_TEST_SUITE_END()
