#include "io/volume/inline_pace.hpp"

#include <boost/test/unit_test.hpp>

namespace gnomon::io {
BOOST_AUTO_TEST_SUITE(inline_pace_test)
namespace {

using std::chrono::milliseconds, std::chrono::seconds, std::chrono::minutes;
constexpr boot_time start{seconds{1000}};
constexpr nanoseconds quick = std::chrono::microseconds{50};

} // namespace

BOOST_AUTO_TEST_CASE(a_stall_keeps_rings_from_the_disk_until_a_worker_has_seen_that_it_is_quick_again) {
  inline_pace pace;
  boot_time now = start;
  BOOST_TEST(pace.allowed());
  pace.wrote_inline(now, quick);
  BOOST_TEST(pace.allowed());
  pace.wrote_inline(now, seconds{1});
  BOOST_TEST(!pace.allowed());
  pace.wrote_by_worker(now + milliseconds{1}, quick, 0); // too early to look
  BOOST_TEST(!pace.allowed());
  now += minutes{10};
  BOOST_TEST(!pace.allowed()); // time alone brings nothing back
  pace.wrote_by_worker(now, seconds{2}, 0);
  BOOST_TEST(!pace.allowed());
  now += pace.pause();
  pace.wrote_by_worker(now, quick, 0);
  BOOST_TEST(pace.allowed());
}

BOOST_AUTO_TEST_CASE(the_pause_doubles_while_the_disk_stalls_and_has_an_end) {
  inline_pace pace;
  boot_time now = start;
  pace.wrote_inline(now, seconds{1});
  nanoseconds last = pace.pause();
  BOOST_TEST(last.count() == inline_pace::pause_min.count());
  for (int i = 0; i < 30; ++i) {
    now += pace.pause();
    pace.wrote_by_worker(now, seconds{1}, 0);
    BOOST_TEST((pace.pause() == std::min(2 * last, inline_pace::pause_max)));
    last = pace.pause();
  }
  BOOST_TEST(last.count() == inline_pace::pause_max.count());
  now += pace.pause();
  pace.wrote_by_worker(now, quick, 0);
  pace.wrote_inline(now + seconds{1}, seconds{1}); // again, soon after
  BOOST_TEST(pace.pause().count() == inline_pace::pause_max.count());
  now += minutes{60};
  pace.wrote_by_worker(now, quick, 0);
  pace.wrote_inline(now + minutes{60}, seconds{1}); // long after
  BOOST_TEST(pace.pause().count() == inline_pace::pause_min.count());
}

BOOST_AUTO_TEST_CASE(a_worker_behind_many_others_is_not_taken_for_slow) {
  inline_pace pace;
  pace.wrote_inline(start, seconds{1});
  pace.wrote_by_worker(start + seconds{1}, milliseconds{100}, 1000);
  BOOST_TEST(pace.allowed());
}

BOOST_AUTO_TEST_CASE(volumes_on_one_disk_share_its_pace) {
  disk_paces paces;
  paces.of(7).suspend(start);
  BOOST_TEST(!paces.of(7).allowed());
  BOOST_TEST(paces.of(8).allowed());
}

BOOST_AUTO_TEST_SUITE_END()
} // namespace gnomon::io
