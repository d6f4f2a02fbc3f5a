#include "io/granule/write_marks.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "tests/support/seeded.hpp"

namespace gnomon::io {
BOOST_AUTO_TEST_SUITE(write_marks_test)

BOOST_AUTO_TEST_CASE(a_look_sees_changes_under_way_and_changes_that_were_over_between_two_looks) {
  write_marks marks;
  constexpr std::uint64_t at = 5 * granule_bytes + 100;
  const auto never = marks.look(0, 1 << 20);
  BOOST_TEST(never.quiet);
  BOOST_TEST(marks.begin(at, 4096));
  BOOST_TEST(!marks.look(at, 1).quiet);
  BOOST_TEST(!marks.look(0, 1 << 20).quiet);
  BOOST_TEST(marks.look(0, at / granule_bytes * granule_bytes).quiet); // the granules before
  marks.end(at, 4096);
  const auto after = marks.look(0, 1 << 20);
  BOOST_TEST(after.quiet);
  BOOST_TEST(!after.same_as(never)); // even though nothing was marked before
  BOOST_TEST(after.same_as(marks.look(0, 1 << 20)));
}

BOOST_AUTO_TEST_CASE(a_change_longer_than_all_stripes_is_marked_once_and_ends) {
  write_marks marks;
  const std::uint64_t length = granule_bytes * (write_marks::stripe_count + 3);
  BOOST_TEST(marks.begin(granule_bytes, length));
  BOOST_TEST(!marks.look(0, 1).quiet);
  marks.end(granule_bytes, length);
  BOOST_TEST(marks.look(0, length).quiet);
}

BOOST_AUTO_TEST_CASE(a_reader_that_holds_writers_back_is_told_to_them_until_it_lets_go) {
  write_marks marks;
  BOOST_TEST(marks.begin(0, 1));
  marks.hold_back(0, 1);
  marks.end(0, 1);
  BOOST_TEST(!marks.begin(100, 1));
  marks.end(100, 1);
  BOOST_TEST(marks.begin(granule_bytes, 1)); // another granule
  marks.end(granule_bytes, 1);
  BOOST_TEST(marks.look(0, 1).quiet);
  marks.let_go(0, 1);
  BOOST_TEST(marks.begin(0, 1));
  marks.end(0, 1);
}

// Blocks that are written and read word by word, as the page cache copies: a read that two equal looks surround is
// never a mix. Without the looks nearly every run finds one.
BOOST_AUTO_TEST_CASE(what_two_equal_looks_surround_is_never_a_mix) {
  constexpr std::size_t words = 64;
  write_marks marks;
  std::array<std::atomic<std::uint32_t>, words> block{};
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (std::uint32_t w = 0; w < 2; ++w)
    writers.emplace_back([&, w] {
      for (std::uint32_t i = 0; !stop.load(std::memory_order_relaxed); ++i) {
        // One at a time, as a file system's lock sees to.
        static std::atomic_flag lock = ATOMIC_FLAG_INIT;
        (void)marks.begin(0, 4096);
        while (lock.test_and_set(std::memory_order_acquire))
          std::this_thread::yield();
        for (auto& word : block)
          word.store(i * 2 + w, std::memory_order_relaxed);
        lock.clear(std::memory_order_release);
        marks.end(0, 4096);
        if (i % 16 == 0)
          std::this_thread::yield();
      }
    });
  std::size_t whole = 0, mixed = 0, mixed_unseen = 0;
  for (std::size_t i = 0; whole < 20'000; ++i) {
    const auto before = marks.look(0, 4096);
    std::array<std::uint32_t, words> copy;
    for (std::size_t k = 0; k < words; ++k)
      copy[k] = block[k].load(std::memory_order_relaxed);
    const bool same = marks.look(0, 4096).same_as(before);
    const bool mix = std::any_of(copy.begin(), copy.end(), [&](std::uint32_t v) { return v != copy[0]; });
    whole += same;
    mixed += mix;
    mixed_unseen += mix && same;
  }
  stop = true;
  for (auto& t : writers)
    t.join();
  BOOST_TEST_MESSAGE(mixed << " mixes, all seen");
  BOOST_TEST(mixed_unseen == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
} // namespace gnomon::io
